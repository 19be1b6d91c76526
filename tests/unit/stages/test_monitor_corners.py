"""MONITOR's corners: counts that are broken, drift, restarts, families that are full."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from headrace.streams import totals
from headrace.streams.pipeline import Monitor
from headrace.streams.plan import plan_of
from headrace.streams.protocol.stage import Context
from headrace.streams.records import Record
from headrace.streams.stages import turn
from headrace.streams.stages.monitor import MonitorStage
from tests.unit.stages.counting import (
    CODECS,
    HOUR,
    PLAN,
    START,
    Log,
    complete_hour,
    monitor,
    run_values,
    said,
    windows,
)
from tests.unit.stages.flow import (
    IN_EVENT,
    Runner,
    codecs_for,
    counted,
    decoded,
    pipeline,
)


@pytest.mark.parametrize(
    "changes",
    [
        {"stage": "nobody"},
        {"partition": -1},
        {"cells": [{"tile": -2, "segment": "all", "values": {}}]},
        {"cells": [{"tile": 0, "segment": "x" * 2_000, "values": {}}]},
        {"cells": [{"tile": 0, "segment": "all", "values": {}, "buckets": {"f": b"12345"}}]},
        {"cells": [{"tile": 0, "segment": "all", "values": {}, "columns": {"events": [1]}}]},
    ],
)
def test_counts_that_no_stage_makes_are_dead_letters(changes: dict[str, Any]) -> None:
    count = {"stage": "score", "partition": 0, "watermark": None, "settled": None, "cells": []}
    log, runner = Log(), monitor()
    good = log.count("score", 0, {"events": 1}, mark=0.5)
    bad = [log.add(CODECS.count.encode({**count, **changes})), log.add(b"{}"), log.add(b"")]
    found = runner.run([good, *bad, log.add(None)])
    letters = decoded(found, PLAN.topics.dead_letters, CODECS.dead_letter)
    reasons = [letter["reason"] for letter in letters]
    assert reasons == ["out_of_range", "not_avro", "not_avro", "tombstone"]
    assert {letter["stage"] for letter in letters} == {"monitor"}
    assert counted(found) == {
        "dead_letter.out_of_range": 1,
        "dead_letter.not_avro": 2,
        "dead_letter.tombstone": 1,
    }
    # They come back as counts, and that is the end of it.
    back = [emit for emit in found if emit.topic == PLAN.topics.counts]
    again = runner.run([*(log.add(emit.value) for emit in back), log.barrier()])
    assert not [emit for emit in again if emit.topic == PLAN.topics.counts]
    assert run_values(again)["dead_letters"] == 4


def test_a_count_that_breaks_the_stage_is_poison_once(monkeypatch: pytest.MonkeyPatch) -> None:
    log, runner = Log(), monitor()

    def fail(*_: Any, **__: Any) -> Any:
        raise ArithmeticError("broken")

    with monkeypatch.context() as patched:
        patched.setattr(turn.Turn, "take", fail)
        found = runner.run([log.count("score", 0, {"events": 1}, mark=0.5)])
        assert counted(found) == {"dead_letter.poison": 1}
        (own,) = (emit for emit in found if emit.topic == PLAN.topics.counts)
        again = runner.run([log.add(own.value)])
        assert [emit.topic for emit in again] == [PLAN.topics.dead_letters]
        restoring = Context(restoring=True)
        assert runner.run([log.add(own.value)], context=restoring) == []
    assert windows(runner.run([log.count("score", 0, {"events": 1}, mark=0.5)]))


def test_a_count_that_breaks_it_midway_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    log, runner = Log(), monitor()
    runner.run(complete_hour(log, 0))
    before = runner.states()

    def fail(self: Any, newest: int) -> None:
        raise ArithmeticError("broken")

    with monkeypatch.context() as patched:
        patched.setattr(turn.Turn, "_finish", fail)
        runner.run([log.count("score", 1, {"events": 1}, mark=1.5)])
    assert runner.states() == before
    assert run_values(runner.run([*complete_hour(log, 1), log.barrier()]))["events"] == 20


def drifting(log: Log, random: Random, hours: int) -> list[Record]:
    found = []
    for hour in range(hours):
        values = {"events": 100, "scored": 100, "feature.kind:=new": 100}
        for _ in range(100):
            name = f"feature.load:{1_000 + int(random.gauss(30 * (hour >= 4), 9))}"
            values[name] = values.get(name, 0) + 1
        found.append(log.count("score", hour, values, mark=hour + 1))
    return found


def test_drift_is_measured_against_the_first_settled_stretch() -> None:
    log, runner = Log(), monitor()
    stray = log.count("score", -9, {"events": 1, "feature.load:5": 1}, mark=-9)
    found = runner.run([stray, *drifting(log, Random(1), 8), log.barrier()])
    reference = runner.states()["r"]
    assert (reference["start"], reference["end"]) == (START, START + 2 * HOUR)
    assert sum(reference["totals"]["feature.load"].values()) == 200
    values = {start: value for _, start, value, _ in windows(found, "psi.feature.load")}
    assert values[6] > 1  # the newest three hours
    same = [value for _, _, value, _ in windows(found, "psi.feature.kind")]
    assert same[-1] == 0
    assert run_values(found)["psi.feature.load"] > 0.25
    assert "psi.feature.load" not in run_values(found, "kind=old")
    # A new owner goes on with the same reference.
    owner = runner.restarted(MonitorStage(PLAN, CODECS))
    record = log.count("score", 8, {"events": 100, "feature.load:1030": 100}, mark=8.5)
    barrier = log.barrier()
    assert owner.run([record, barrier]) == runner.run([record, barrier])


def test_a_reference_that_is_too_thin_is_waited_for() -> None:
    log, runner = Log(), monitor()
    for hour in range(30):
        runner.run([log.count("score", hour, {"events": 9, "feature.load:5": 9}, mark=hour + 1)])
    assert "r" not in runner.states()
    assert "psi.feature.load" not in run_values(runner.run([log.barrier()]))


def test_the_newest_values_are_there_for_prometheus_and_after_a_restart() -> None:
    log, runner = Log(), monitor()
    runner.run([log.count("score", None, {"count_failed": 1})])
    for hour in range(5):
        runner.run(complete_hour(log, hour))
    runner.run([log.count("score", 4, {"events": 2}, segment="kind=old"), log.barrier()])
    latest = sorted(runner.stage.latest(), key=repr)  # type: ignore[attr-defined]
    assert ("events", "all", "1h", 10.0) not in latest  # hour 5 is the newest: SCORE is at 5
    assert ("events", "all", "3h", 20.0) in latest
    assert ("events", "all", "all", 50.0) in latest
    assert ("events", "kind=old", "3h", 2.0) in latest
    owner = runner.restarted(MonitorStage(PLAN, CODECS))
    assert sorted(owner.stage.latest(), key=repr) == latest  # type: ignore[attr-defined]
    restored = monitor()
    restored.run(log.records, context=Context(restoring=True))
    restored.stage.load(restored.cache)
    assert sorted(restored.stage.latest(), key=repr) == latest  # type: ignore[attr-defined]


def test_before_any_event_only_the_run_is_said() -> None:
    log, runner = Log(), monitor()
    found = runner.run([log.count("route", 3, {"routed": 1})])
    assert windows(found) == []
    assert run_values(found) == {"coverage": None, "routed": 1}
    assert runner.run([log.count("learn", 3, {"examples": 1}, later_ms=1)]) == []


def test_dead_letters_are_monitors_only_counts() -> None:
    log, runner = Log(), monitor()
    found = runner.run([*complete_hour(log, 0), log.barrier()])
    assert not [emit for emit in found if emit.topic == PLAN.topics.counts]


def test_marks_without_counts_end_nothing() -> None:
    log, runner = Log(), monitor()
    assert windows(runner.run([log.count("score", None, {"count_failed": 1}, mark=9)])) == []


def test_a_segment_leaves_the_windows_that_have_nothing_of_it() -> None:
    log, runner = Log(), monitor()
    runner.run([log.count("score", 0, {"events": 1}, segment="kind=old")])
    for hour in range(8):
        runner.run(complete_hour(log, hour))
    starts = {
        (metric["window"], (metric["window_start"] - START) / HOUR)
        for metric in said(runner.emits)
        if metric["segment"] == "kind=old" and metric["final"]
    }
    assert starts == {("1h", 0), ("3h", -2), ("3h", -1), ("3h", 0)}


def test_too_many_keys_lose_no_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(totals, "KEYS_MAX", 12)
    log, runner = Log(), monitor()
    for hour in range(9):
        runner.run(complete_hour(log, hour))
        for part in range(2):
            scores = {f"score:{hour * 10 + part * 4 + n}": 1 for n in range(4)}
            runner.run([log.count("score", hour, scores), log.barrier(f"{hour}-{part}")])
    key = next(key for key in runner.states() if key.startswith("t:"))
    assert sum(runner.states()[key]["score"].values()) == 8
    ledger = runner.stage._ledger  # type: ignore[attr-defined]
    for span in (None, (START + 5 * HOUR, START + 8 * HOUR)):
        kept = ledger.kept_total(runner.cache, span, "all")["score"]
        assert sum(kept.values()) == (72 if span is None else 24)
        assert "(other)" in kept


def test_without_join_windows_wait_for_learn_alone() -> None:
    log = Log()
    plan = plan_of(pipeline(**{**IN_EVENT, "monitor": Monitor(windows=["1h"])}))
    runner = Runner(MonitorStage(plan, codecs_for(plan)))
    runner.run([log.count("score", 0, {"events": 2}, mark=0.9)])
    runner.run([log.count("score", 1, {"events": 1}, mark=1.5)])
    runner.run([log.count("learn", 0, {"examples": 1})])
    found = windows(runner.run([log.count("learn", 0, {"examples": 1})]))
    assert ("1h", 0, 2, True) in found
