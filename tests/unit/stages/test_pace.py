"""How often MONITOR emits a metric, and of which records it may say nothing."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.streams import drift
from headrace.streams.protocol.stage import Context
from headrace.streams.records import Emit, Record
from headrace.streams.stages import bulletin
from headrace.streams.stages.barriers import FLUSH, STEP
from headrace.streams.stages.monitor import MonitorStage
from tests.unit.stages.counting import (
    CODECS,
    PLAN,
    Log,
    complete_hour,
    monitor,
    plan_with,
    run_values,
    said,
    windows,
)
from tests.unit.stages.flow import Runner, barrier, barriers, codecs_for
from tests.unit.stages.test_laws import PLACES, check, split

PACE_MS = PLAN.pace_ms
STEPS_MS = st.lists(st.sampled_from([0, 1, 1_500, 4_000, 30_000]), min_size=1, max_size=12)
STAGES = st.lists(st.sampled_from(["score", "join", "learn", "step", "flush"]), max_size=60)


def flushed(log: Log) -> Record:
    """Return MONITOR's own record behind the log."""
    return log.add(None, barrier(FLUSH, "monitor-0").headers)


def log_of(stages: list[str], steps_ms: list[int]) -> Log:
    """Return counts of stages in this order, event time moving on with each of SCORE's."""
    log, hour = Log(), 0.0
    for number, stage in enumerate(stages):
        log.now_ms += steps_ms[number % len(steps_ms)]
        if stage == "step":
            log.barrier(f"{STEP}{number}")
        elif stage == "flush":
            flushed(log)
        elif stage == "score":
            hour += 0.3
            log.count("score", int(hour), {"events": 1, "scored": 1}, mark=hour, later_ms=0)
        elif stage == "join":
            mark = hour - 0.2
            log.count("join", int(hour), {"first_event": 1, "matched": 1}, mark=mark, later_ms=0)
        else:
            log.count("learn", int(hour), {"examples": 1, "labelled": 1}, later_ms=0)
    log.barrier("end")
    return log


Place = tuple[str, str, str, int]


def by_key(log: Log, runner: Runner) -> dict[Place, list[tuple[int, dict[str, Any]]]]:
    """Return what was said of each key, with the time of the record that led to it."""
    found: dict[Place, list[tuple[int, dict[str, Any]]]] = defaultdict(list)
    for record in log.records:
        for each in said(runner.run([record])):
            key = each["metric"], each["segment"], each["window"], each["window_start"]
            found[key].append((record.timestamp_ms, each))
    return found


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(STAGES, STEPS_MS, PLACES, st.integers(0, 60))
def test_neither_batches_nor_restarts_change_when_what_is_emitted(
    stages: list[str], steps_ms: list[int], places: list[int], cut: int
) -> None:
    check(lambda: MonitorStage(PLAN, CODECS), log_of(stages, steps_ms).records, places, cut)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(STAGES, STEPS_MS)
def test_what_is_not_final_is_said_at_most_once_in_a_pace(
    stages: list[str], steps_ms: list[int]
) -> None:
    """But for what a barrier or MONITOR's own record has settled."""
    log = log_of([stage for stage in stages if stage != "flush"], steps_ms)
    end_ms = log.records[-1].timestamp_ms
    for told in by_key(log, monitor()).values():
        young = [at for at, each in told if not each["final"] and at < end_ms]
        assert all(b - a >= PACE_MS for a, b in pairwise(young))
        if told[0][1]["window"] != "all":
            assert sum(each["final"] for _, each in told) <= 1  # nothing was late


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(STAGES, STEPS_MS)
def test_of_what_is_not_final_nothing_is_said_twice(stages: list[str], steps_ms: list[int]) -> None:
    for told in by_key(log_of(stages, steps_ms), monitor()).values():
        contents = [{**each, "revision": 0} for _, each in told]
        assert all(a != b for a, b in pairwise(contents))


def test_two_clocks_that_are_apart_let_nothing_be_said_more_often() -> None:
    """Two workers alternate; the second one's clock is a minute behind."""
    log, runner = Log(), monitor()
    emitted = 0
    for second in range(60):
        for partition, behind_ms in ((0, 0), (1, 60_000)):
            record = log.count("score", 0, {"events": 1}, mark=0.5, partition=partition, later_ms=0)
            at_ms = record.timestamp_ms + 1_000 * second - behind_ms
            emitted += bool(windows(runner.run([record._replace(timestamp_ms=at_ms)])))
    assert emitted == 6  # at 0, 10, ... 50 s


def test_a_figure_that_did_not_change_is_not_said_again() -> None:
    log, runner = Log(), monitor()
    values = {"events": 4, "scored": 4, "score:3": 4}
    runner.run([log.count("score", 0, values, mark=0.5)])
    later = log.count(
        "learn", 0, {"examples": 1, "labelled": 1, "outcome.tp": 1}, later_ms=2 * PACE_MS
    )
    runner.run([later])
    found = said(runner.run([log.count("learn", 0, {}, later_ms=2 * PACE_MS)]))
    names = {each["metric"] for each in found if each["window"] == "1h"}
    assert {"labelled", "coverage", "accuracy"} <= names
    assert not names & {"events", "scored", "score.p50"}
    settled = said(runner.run([log.barrier()]))
    told = {each["metric"]: each for each in settled if each["window"] == "1h"}
    assert set(told) == {"events", "scored", "score.p10", "score.p50", "score.p90"}
    assert {each["coverage"] for each in told.values()} == {0.25}, "and a barrier has it exact"
    assert said(runner.run([log.barrier("again")])) == []


def test_when_windows_move_on_all_of_the_whole_run_is_said_again() -> None:
    """Who reads from near the log's end finds a count that will never change again."""
    log, runner = Log(), monitor()
    runner.run([log.count("score", 0, {"events": 1}, mark=0.5)])
    runner.run([log.count("score", None, {"dead_letter.not_json": 3}), log.barrier()])
    record = log.count("score", 0, {"events": 1}, mark=0.7, later_ms=2 * PACE_MS)
    assert "dead_letters" not in run_values(runner.run([record]))
    record = log.count("score", 1, {"events": 1}, mark=1.2, later_ms=2 * PACE_MS)
    assert run_values(runner.run([record]))["dead_letters"] == 3


def test_barriers_of_steps_are_passed_on_and_let_nothing_be_said() -> None:
    log, runner = Log(), monitor()
    runner.run([log.count("score", 0, {"events": 1}, mark=0.5)])
    runner.run([log.count("score", 0, {"events": 1})])
    found = runner.run([log.barrier(f"{STEP}7")])
    assert said(found) == []
    assert barriers(found) == [(PLAN.topics.metrics, 0, f"{STEP}7", "monitor-0")]
    assert run_values(runner.run([log.barrier("end")]))["events"] == 2


def test_final_windows_wait_for_no_pace() -> None:
    log, runner = Log(), monitor()
    emits: list[Emit] = []
    for hour in range(5):
        emits += runner.run(complete_hour(log, hour))  # all within two seconds
    finals = [start for name, start, _, final in windows(emits) if final and name == "1h"]
    assert finals == [0, 1, 2]


def test_when_counts_have_stopped_monitor_lets_itself_say_the_rest() -> None:
    log, runner = Log(), monitor()
    stage: Any = runner.stage
    assert not stage.unemitted
    runner.run([log.count("score", 0, {"events": 1}, mark=0.5)])
    assert runner.run([]) == []
    runner.run([log.count("score", 0, {"events": 1})])
    assert stage.unemitted
    assert runner.run([]) == [], "nobody says that counts have stopped"
    stage.flush_due = True
    (emit,) = runner.run([])
    assert (emit.topic, emit.value, emit.key) == (PLAN.topics.counts, None, None)
    assert runner.run([]) == [], "once"
    found = runner.run([log.add(None, emit.headers)])
    assert run_values(found)["events"] == 2
    assert barriers(found) == [], "it is no barrier of anybody's"
    assert not stage.unemitted
    stage.flush_due = True
    assert runner.run([]) == []


def test_a_restarted_monitor_knows_what_it_has_yet_to_say() -> None:
    log, runner = Log(), monitor()
    records = [log.count("score", 0, {"events": 1}, mark=0.5), log.count("score", 0, {"events": 1})]
    runner.run(records)
    owner = runner.restarted(MonitorStage(PLAN, CODECS))
    assert owner.stage.unemitted  # type: ignore[attr-defined]
    assert run_values(owner.run([flushed(log)]))["events"] == 2


def test_a_state_from_before_the_pace_was_kept_goes_on() -> None:
    """What was said last is then not known: it is said once more."""
    log, runner = Log(), monitor()
    runner.run([log.count("score", 0, {"events": 1, "unscored": 1}, mark=0.5)])
    cache = runner.cache
    for name in ("since", "unsettled"):
        del cache.get("m")[name]
    for key in [key for key, _ in cache.items() if key.startswith("p:")]:
        cache.put(key, None)
    owner = runner.restarted(MonitorStage(PLAN, CODECS))
    first = owner.run([log.count("score", 0, {"events": 1}, later_ms=PACE_MS)])
    second = owner.run([log.count("score", 0, {"events": 1}, later_ms=PACE_MS)])
    assert [run_values(each).get("events") for each in (first, second)] == [None, 3]
    assert run_values(second)["unscored"] == 1, "though it is as it was"


def test_the_pace_is_declared() -> None:
    plan = plan_with(pace="1m")
    log, runner = Log(), Runner(MonitorStage(plan, codecs_for(plan)))
    runner.run([log.count("score", 0, {"events": 1}, mark=0.5)])
    assert not said(runner.run([log.count("score", 0, {"events": 1}, later_ms=59_000)]))
    assert said(runner.run([log.count("score", 0, {"events": 1}, later_ms=1_000)]))
    assert plan.digest == PLAN.digest, "it is no part of the declaration's version"


def test_records_of_other_tiles_windows_are_forgotten() -> None:
    log, runner = Log(), monitor()
    runner.run([log.count("score", 0, {"events": 1}, mark=0.5)])
    assert any(key.startswith("p:1h:") for key in runner.states())
    other = plan_with(windows=["30m", "3h"])
    owner = runner.restarted(MonitorStage(other, codecs_for(other)))
    owner.run([log.count("score", 1, {"events": 1}, mark=1.5)])
    assert not any(key.startswith("p:1h:") for key in owner.states())


@pytest.mark.parametrize("name", ["", "x" * 300])
def test_what_is_no_barrier_lets_nothing_be_said(name: str) -> None:
    log, runner = Log(), monitor()
    runner.run([log.count("score", 0, {"events": 1}, mark=0.5)])
    runner.run([log.count("score", 0, {"events": 1})])
    assert said(runner.run([log.add(None, barrier(name, "learn-0").headers)])) == []
    assert split(log.records, [1])


def test_a_restore_emits_no_correction_and_comes_to_the_same_state() -> None:
    log, live = Log(), monitor()
    for hour in range(4):
        complete_hour(log, hour)
    log.count("score", 5, {"events": 1}, mark=6)
    log.count("join", 5, {"first_event": 1}, mark=4)
    log.count("score", 1, {"events": 1})
    log.barrier()
    live.run(log.records)
    restored = monitor()
    stage = restored.stage
    prepared = stage.prepare(log.records)
    assert stage.apply(prepared, restored.cache, Context(restoring=True)).emits == []
    assert restored.states() == live.states()


def test_names_and_keys_beyond_what_is_remembered_change_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def emitted() -> list[Emit]:
        log = Log()
        hours = [record for hour in range(4) for record in complete_hour(log, hour, n=200)]
        feature = {"events": 1, "feature.load:7": 200, "feature.load:9": 1}
        counts = [log.count("score", hour, feature) for hour in range(4)]
        return monitor().run([*counts, *hours, log.barrier()])

    before = emitted()
    monkeypatch.setattr(bulletin, "_NAMES_KEPT", 0)
    monkeypatch.setattr(drift, "KEYS_MAX", 0)
    assert emitted() == before
    assert any(m["metric"] == "psi.feature.load" for m in said(before))
