"""MONITOR: what it says, when, and what becomes of what comes late, far off or broken."""

from __future__ import annotations

import json

import pytest

from headrace.streams.buckets import number_bucket
from headrace.streams.stages import terms, turn
from headrace.streams.stages.monitor import MonitorStage
from tests.unit.stages.counting import (
    DAY,
    HOUR,
    PLAN,
    START,
    Log,
    complete_hour,
    monitor,
    plan_with,
    run_values,
    said,
    windows,
)
from tests.unit.stages.flow import (
    barriers,
    codecs_for,
)

IDLE_HOURS = 3 + 1 + 2 * 10 / 60  # longest window, wait, and both latenesses


def test_what_changes_is_said_at_the_pace() -> None:
    log, runner = Log(), monitor()
    first = runner.run([log.count("score", 0, {"events": 1}, mark=0.5)])
    assert windows(first) == [("1h", 0, 1, False), ("3h", -2, 1, False)]
    assert run_values(first)["events"] == 1
    assert runner.run([log.count("score", 0, {"events": 1}, later_ms=9_900)]) == []
    third = runner.run([log.count("score", 0, {"events": 1})])
    assert windows(third) == [("1h", 0, 3, False), ("3h", -2, 3, False)]
    runner.run([log.count("route", 0, {}, later_ms=5_000)])
    assert runner.run([log.count("route", 0, {"routed": 1}, later_ms=10_000)]) != []


def test_a_clock_that_goes_back_holds_nothing_up() -> None:
    log, runner = Log(), monitor()
    runner.run([log.count("score", 0, {"events": 1}, mark=0.5)])
    assert windows(runner.run([log.count("score", 0, {"events": 1}, later_ms=-DAY)]))


def test_only_what_changed_is_said() -> None:
    log, runner = Log(), monitor()
    runner.run([log.count("score", 0, {"events": 1}, mark=0.5)])
    runner.run([log.count("score", 0, {"events": 1}, segment="kind=old", later_ms=10_000)])
    log.count("learn", -2, {"examples": 1}, segment="all", later_ms=2_000)
    log.count("learn", -2, {"examples": 1}, segment="all", later_ms=10_000)
    last = runner.run(log.records[-2:])
    assert {(r["window"], r["segment"]) for r in said(last)} == {("3h", "all"), ("all", "all")}
    log.count("score", 1, {"events": 1}, mark=1.5, later_ms=2_000)
    log.count("score", 1, {}, later_ms=10_000)
    moved = runner.run(log.records[-2:])
    assert {(r["window"], r["segment"]) for r in said(moved)} == {
        ("1h", "all"),
        ("3h", "all"),
        ("3h", "kind=old"),
        ("all", "all"),
        ("all", "kind=old"),
    }


def test_a_barrier_has_everything_said_before_it() -> None:
    log, runner = Log(), monitor()
    runner.run([log.count("score", 0, {"events": 1}, mark=0.5)])
    runner.run([log.count("score", 0, {"events": 4})])
    found = runner.run([log.barrier("x")])
    assert windows(found) == [("1h", 0, 5, False), ("3h", -2, 5, False)]
    assert barriers(found) == [(PLAN.topics.metrics, 0, "x", "monitor-0")]
    assert found[-1].value is None
    assert len(runner.run([log.barrier("y")])) == 1


def test_a_metric_is_an_upsert_by_its_key() -> None:
    log, runner = Log(), monitor()
    record = log.count("score", 0, {"events": 4, "unscored": 1}, mark=0.5)
    emits = [emit for emit in runner.run([record]) if emit.topic == PLAN.topics.metrics]
    for emit, metric in zip(emits, said(emits), strict=True):
        assert json.loads(emit.key or b"") == [
            metric["metric"],
            metric["segment"],
            metric["window"],
            metric["window_start"],
        ]
        assert metric["revision"] == record.offset + 1
        assert metric["coverage"] == 0
        assert emit.value == codecs_for(PLAN).metric.encode(metric)
    whole = [metric for metric in said(emits) if metric["window"] == "all"]
    assert {(m["window_start"], m["window_end"]) for m in whole} == {(0, START + HOUR)}


def test_a_window_is_final_when_all_is_decided_and_counted() -> None:
    log, runner = Log(), monitor()
    runner.run(complete_hour(log, 0))
    # All is decided before hour 1, but LEARN and JOIN have not counted all of hour 0.
    extra = [log.count("score", 0, {"events": 2}), log.count("join", 2, {"expired": 0}, mark=1.2)]
    assert not any(final for *_, final in windows(runner.run(extra)))
    runner.run([log.count("score", 2, {"events": 1}, mark=2.5)])
    runner.run([log.count("join", 0, {"first_event": 1, "duplicate_event": 1, "matched": 1})])
    found = windows(runner.run([log.count("learn", 0, {"examples": 1})]))
    assert [each for each in found if each[3]] == [("1h", 0, 12, True), ("3h", -2, 12, True)]


def test_dead_letters_of_join_and_learn_are_not_waited_for() -> None:
    log, runner = Log(), monitor()
    runner.run(complete_hour(log, 0))
    runner.run([log.count("score", 0, {"events": 1}), log.count("score", 2, {}, mark=3)])
    runner.run([log.count("learn", None, {"dead_letter.model_failed": 1})])
    assert not windows(runner.run([log.count("join", 2, {}, mark=1.5)]))
    found = windows(runner.run([log.count("join", None, {"dead_letter.poison": 1})]))
    assert ("1h", 0, 11, True) in found
    values = run_values(runner.run([log.barrier()]))
    assert values["dead_letters"] == 2
    assert values["dead_letters.join.poison"] == 1


@pytest.mark.parametrize("slow", [True, False])
def test_where_delay_depends_on_the_label_outcomes_are_said_of_final_windows(slow: bool) -> None:
    """True ones come after a minute, or after half an hour; what is in is no fair sample then."""
    minute, late = number_bucket(60_000), number_bucket(1_800_000 if slow else 60_000)
    values = {
        "examples": 40, "labelled": 40, "outcome.tp": 20, "outcome.fp": 20, "fresh.tn": 40,
        f"delay:{minute}": 20, f"delay:{late}": 20, f"true_delay:{late}": 20,
    }  # fmt: skip
    if not slow:
        values[f"delay:{minute}"] = 40
    log, runner = Log(), monitor()
    score = log.count("score", 0, {"events": 40, "scored": 40}, mark=0.5)
    found = said(runner.run([score, log.count("learn", 0, values), log.barrier()]))
    young = {each["metric"]: each for each in found if each["window"] == "1h"}
    for name, value in (("accuracy", 0.5), ("fresh.accuracy", 1.0)):
        told = young[name]
        assert (told["value"], told["final"]) == (None if slow else value, False)
        assert told["detail"].get("withheld") == (1.0 if slow else None)
        assert ("low" in told["detail"]) == (not slow)
    assert young["label_delay_gap"]["value"] == (1.0 if slow else 0.0)
    assert young["coverage"]["value"] == 1.0
    join = log.count("join", 0, {"first_event": 40, "matched": 40}, mark=1)
    found = said(runner.run([join, log.count("score", 2, {}, mark=3)]))
    final = {each["metric"]: each for each in found if each["window"] == "1h" and each["final"]}
    assert final["accuracy"]["value"] == 0.5
    assert "withheld" not in final["accuracy"]["detail"]
    runner.run([log.barrier("z")])
    assert run_values(runner.emits)["accuracy"] == 0.5


def test_a_late_count_corrects_final_windows() -> None:
    log, runner = Log(), monitor()
    for hour in range(4):
        runner.run(complete_hour(log, hour))
    runner.run([log.count("score", 5, {"events": 1}, mark=6)])
    runner.run([log.count("join", 5, {"first_event": 1}, mark=4)])
    late = log.count("score", 1, {"events": 1})
    found = [each for each in windows(runner.run([late, log.barrier()])) if each[3]]
    assert found == [
        ("3h", -1, 21, True),
        ("3h", 0, 31, True),
        ("1h", 1, 11, True),
        ("3h", 1, 31, True),
    ]


def test_an_idle_partition_holds_no_window_open_for_ever() -> None:
    log, runner = Log(), monitor()
    runner.run([log.count("score", 0, {"events": 1}, mark=0.2, partition=1)])
    runner.run([*complete_hour(log, 0), log.count("join", 0, {"first_event": 1}, mark=1)])
    hours = [complete_hour(log, hour) for hour in range(1, 10)]
    finals: dict[int, float] = {}
    for hour, records in enumerate(hours, 1):
        for _, start, _, final in windows(runner.run(records)):
            if final:
                finals.setdefault(hour, start)
    assert min(finals) == int(1 + IDLE_HOURS)
    assert finals[min(finals)] == 0


def test_a_source_that_is_behind_and_moves_is_waited_for() -> None:
    log, runner = Log(), monitor()
    ahead = [log.count("score", hour, {"events": 1}, mark=hour + 1) for hour in range(50)]
    assert not [each for each in windows(runner.run(ahead)) if each[3]]
    for hour in range(50):
        runner.run([log.count("join", hour, {"first_event": 1}, mark=hour + 1)])
    emitted = [each for each in windows(runner.emits) if each[3] and each[0] == "1h"]
    assert [start for _, start, *_ in emitted] == list(range(49))  # each once: no corrections


def test_a_source_is_not_waited_for_beyond_what_memory_keeps() -> None:
    log, runner = Log(), monitor()
    runner.run(complete_hour(log, 0))
    far = [log.count("score", hour, {"events": 1}, mark=hour + 1) for hour in range(0, 500, 20)]
    runner.run(far)
    assert (
        len({key.split(":")[1] for key in runner.states() if key.startswith("t:")}) <= 1 + 500 / 20
    )
    assert [each for each in windows(runner.emits) if each[3]]


def test_what_is_never_counted_holds_no_window_open_for_ever() -> None:
    log, runner = Log(), monitor()
    runner.run([log.count("score", 0, {"events": 1}, mark=1)])  # JOIN never counts it
    found = []
    for hour in range(1, 15):
        runner.run(complete_hour(log, hour))
        found.append(windows(runner.run([log.count("join", hour, {}, mark=hour)])))
    finals = [hour for hour, each in enumerate(found, 1) if any(final for *_, final in each)]
    assert finals
    assert finals[0] >= int(2 * IDLE_HOURS)


def test_a_silence_costs_nothing_and_ends_with_final_windows() -> None:
    log, runner = Log(), monitor()
    runner.run(complete_hour(log, 0))
    far = 24 * 365 * 40
    found = runner.run(complete_hour(log, far))
    finals = [each for each in windows(found) if each[3]]
    assert ("1h", 0, 10, True) in finals
    assert [start for _, start, _, _ in finals] == [0, -2, 1, -1, 2, 0]
    assert ("1h", 1, 0, True) in finals, "that nothing came is said too, for a while"
    again = runner.run([*complete_hour(log, far + 2), log.count("join", far, {}, mark=far + 2)])
    assert ("1h", far, 10, True) in windows(again)


def test_what_is_out_of_reach_of_windows_is_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terms, "TILES_KEPT", 0)
    log, runner = Log(), monitor()
    for hour in range(12):
        runner.run(complete_hour(log, hour))
    runner.run([log.count("score", 0, {"events": 5, "score:3": 5}, segment="all")])
    runner.run([log.count("score", 0, {"events": 5}, segment="kind=old")])
    runner.run([log.count("score", 11.5, {"events": 7})])  # of another length of tiles
    found = runner.run([log.barrier()])
    values = run_values(found)
    assert values["events"] == 12 * 10 + 5 + 7
    assert values["beyond_windows"] == 12
    assert run_values(found, "kind=old")["events"] == 5
    assert not any(final for *_, final in windows(found))


def test_tiles_are_let_go_and_the_run_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terms, "TILES_KEPT", 0)
    log, runner = Log(), monitor()
    for hour in range(60):
        runner.run(complete_hour(log, hour))
        runner.run([log.count("score", hour, {"events": 1}, segment="kind=old")])
    tiles = [key for key in runner.states() if key.startswith("t:")]
    assert len({key.split(":")[1] for key in tiles}) < 20
    runner.run([log.barrier()])
    values = run_values(runner.emits)
    assert values["events"] == 600
    assert run_values(runner.emits, "kind=old")["events"] == 60


def test_corrections_are_said_before_their_tiles_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terms, "TILES_KEPT", 0)
    log, runner = Log(), monitor()
    for hour in range(12):
        runner.run(complete_hour(log, hour))
    final = runner.states()["m"]["final"]
    oldest = (final - START) // HOUR - 3
    late = log.count("score", oldest, {"events": 1}, later_ms=0)
    jump = [log.count("score", 600, {"events": 1}, mark=600, later_ms=0)]
    found = runner.run([late, *jump])
    assert ("1h", oldest, 11, True) in windows(found)
    assert run_values(runner.run([log.barrier()]))["events"] == 122


def test_segments_are_bounded() -> None:
    log, runner = Log(), monitor()
    for number in range(turn.SEGMENTS_MAX + 5):
        name = f"kind={number}"
        runner.run([log.count("score", 0, {"events": 1}, mark=0.5, segment=name, later_ms=1)])
    runner.run([log.count("score", 0, {"events": 1}, segment="kind=7")])
    found = runner.run([log.barrier()])
    assert run_values(found, "kind=(other)")["events"] == 5
    assert run_values(runner.emits, "kind=7")["events"] == 2
    names = {segment for _, segment, _, _ in runner.stage.latest()}  # type: ignore[attr-defined]
    assert len(names) == turn.SEGMENTS_MAX + 1
    runner.run([log.count("score", None, {"events": 3}, segment="version:2"), log.barrier()])
    assert run_values(runner.emits, "version:2")["events"] == 3


def test_versions_are_told_apart_in_the_whole_run() -> None:
    log, runner = Log(), monitor()
    for version, (tp, fp) in enumerate(((3, 1), (1, 3)), 1):
        values = {"outcome.tp": tp, "outcome.fp": fp, "labelled": 4, "events": 8}
        runner.run([log.count("learn", 0, values, mark=0.5)])
        runner.run([log.count("learn", None, values, segment=f"version:{version}")])
    runner.run([log.barrier()])
    found = [run_values(runner.emits, name) for name in ("version:1", "version:2", "all")]
    assert [each["accuracy"] for each in found] == [0.75, 0.25, 0.5]
    assert [each["coverage"] for each in found] == [0.5] * 3
    assert {each["window"] for each in said(runner.emits) if "version" in each["segment"]} == {
        "all"
    }


def test_tiles_ahead_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turn, "TILES_AHEAD_MAX", 3)
    log, runner = Log(), monitor()
    for hour in (5, 6, 7, 8, 6):
        runner.run([log.count("route", hour, {"routed": 1})])
    runner.run([log.count("score", 5, {"events": 1}, mark=5.5)])
    runner.run([log.count("route", 9, {"routed": 1}), log.count("route", 10, {"routed": 1})])
    values = run_values(runner.run([log.barrier()]))
    assert values["routed"] == 7
    assert values["beyond_windows"] == 2


def test_other_tiles_begin_windows_anew_and_keep_the_run() -> None:
    log, runner = Log(), monitor()
    for hour in range(3):
        runner.run(complete_hour(log, hour))
    other = plan_with(windows=["30m", "3h"])
    runner = runner.restarted(MonitorStage(other, codecs_for(other)))
    assert runner.stage.latest() == []  # type: ignore[attr-defined]
    found = runner.run([*complete_hour(log, 3), log.barrier()])
    assert run_values(found)["events"] == 40
    assert ("3h", 1.5, 10, False) in windows(found)
