"""Counts as stages make them, for MONITOR's tests, and metrics as it says them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from headrace.streams.pipeline import Monitor, last_value, majority
from headrace.streams.plan import Plan, plan_of
from headrace.streams.records import Emit, Record
from headrace.streams.stages.monitor import MonitorStage
from tests.unit.stages.flow import Runner, barrier, codecs_for, decoded, hot, pipeline

HOUR = 3_600_000
DAY = 24 * HOUR
START = 1_714_521_600_000
"""A midnight."""


def plan_with(**changes: Any) -> Plan:
    declared = {
        "segments": ["kind"],
        "baselines": [majority(), last_value(), hot],
        "windows": ["1h", "3h"],
        "reference": "2h",
    }
    return plan_of(pipeline(monitor=Monitor(**{**declared, **changes})))


PLAN = plan_with()
CODECS = codecs_for(PLAN)

Metric = tuple[str, str, str, float]


class Log:
    """The counts' log: says what was appended as records, a tenth of a second apart."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.now_ms = START + 400 * DAY

    def add(self, value: bytes | None, headers: Any = (), later_ms: int = 100) -> Record:
        self.now_ms += later_ms
        offset = 2 * len(self.records)
        record = Record(PLAN.topics.counts, 0, offset, self.now_ms, None, value, headers)
        self.records.append(record)
        return record

    def count(
        self,
        stage: str,
        hour: float | None,
        values: Mapping[str, int],
        *,
        mark: float | None = None,
        segment: str = "all",
        partition: int = 0,
        later_ms: int = 100,
    ) -> Record:
        """Append counts of one cell; hours are counted from START."""
        tile = -1 if hour is None else START + int(hour * HOUR)
        said = None if mark is None else START + int(mark * HOUR)
        watermark, settled = (None, said) if stage == "join" else (said, None)
        cells = [{"tile": tile, "segment": segment, "values": dict(values)}]
        value = CODECS.count.encode(
            {
                "stage": stage,
                "partition": partition,
                "watermark": watermark,
                "settled": settled,
                "cells": cells,
            }
        )
        return self.add(value, later_ms=later_ms)

    def barrier(self, name: str = "b") -> Record:
        return self.add(None, barrier(name, "learn-0").headers)


def monitor(plan: Plan = PLAN) -> Runner:
    return Runner(MonitorStage(plan, codecs_for(plan)))


def said(emits: Iterable[Emit]) -> list[dict[str, Any]]:
    return decoded(emits, PLAN.topics.metrics, CODECS.metric)


def windows(emits: Iterable[Emit], metric: str = "events") -> list[tuple[str, float, Any, bool]]:
    """Return window, its start in hours, value and finality of one metric of everything."""
    return [
        (r["window"], (r["window_start"] - START) / HOUR, r["value"], r["final"])
        for r in said(emits)
        if r["metric"] == metric and r["segment"] == "all" and r["window"] != "all"
    ]


def run_values(emits: Iterable[Emit], segment: str = "all") -> dict[str, float]:
    """Return the last values of the whole run's metrics."""
    return {
        r["metric"]: r["value"]
        for r in said(emits)
        if r["window"] == "all" and r["segment"] == segment
    }


def complete_hour(log: Log, hour: int, n: int = 10, partition: int = 0) -> list[Record]:
    """Append what all stages count of n events of an hour, all labelled."""
    return [
        log.count("score", hour, {"events": n, "scored": n}, mark=hour + 1, partition=partition),
        log.count("join", hour, {"first_event": n, "matched": n}, mark=hour - 0.5),
        log.count("learn", hour, {"examples": n, "labelled": n}),
    ]
