"""What MONITOR says of the features of segments: drift against a reference of their own."""

from __future__ import annotations

from random import Random

import pytest

from headrace.streams.observe import Observer, Tally
from headrace.streams.records import Emit, Record
from headrace.streams.stages import turn
from headrace.streams.stages.monitor import MonitorStage
from tests.unit.stages.counting import (
    CODECS,
    HOUR,
    START,
    Log,
    monitor,
    plan_with,
    run_values,
    said,
)

PLAN = plan_with(features_by_segment=["load", "kind"])
OLD, NEW = "kind=old", "kind=new"


def of_segment(log: Log, hour: int, segment: str, n: int = 100, more: int = 0) -> Record:
    """Append n events of a segment, one in ten without a load, the others around 1,000 + more."""
    random, nulls = Random(hour), n // 10
    values = {"events": n, "feature.kind:=old": n, "feature.load:null": nulls}
    for _ in range(n - nulls):
        name = f"feature.load:{1_000 + more + int(random.gauss(0, 9))}"
        values[name] = values.get(name, 0) + 1
    return log.count("score", hour, values, segment=segment)


def hours(log: Log, first: int, last: int, *, told: bool = True) -> list[Record]:
    """Append hours of events: of the old kind's loads are greater from hour 4 on."""
    found = []
    for hour in range(first, last):
        found.append(log.count("score", hour, {"events": 105, "feature.load:1000": 100}))
        if told:
            found.append(of_segment(log, hour, OLD, more=40 * (hour >= 4)))
            found.append(of_segment(log, hour, NEW, n=5))
        found.append(log.count("score", hour, {}, mark=hour + 1))
    return found


def told(emits: list[Emit], segment: str, metric: str) -> list[tuple[float, float | None]]:
    """Return start, in hours, and value of the final three hours' windows."""
    return [
        ((each["window_start"] - START) / HOUR, each["value"])
        for each in said(emits)
        if (each["segment"], each["metric"], each["window"]) == (segment, metric, "3h")
    ]


def test_features_of_a_segment_are_told_against_its_own_reference() -> None:
    log, runner = Log(), monitor(PLAN)
    emits = runner.run([*hours(log, 0, 9), log.barrier()])
    state = runner.states()["s"]
    assert (state["start"], state["end"]) == (START, START + 2 * HOUR)
    assert set(state["totals"]) == {OLD}  # the other had ten events in it
    assert sum(state["totals"][OLD]["feature.load"].values()) == 200
    values = dict(told(emits, OLD, "psi.feature.load"))
    assert (values[7] or 0) > 1
    assert dict(told(emits, OLD, "psi.feature.kind"))[7] == 0
    assert dict(told(emits, OLD, "outside.feature.load"))[7] == pytest.approx(0.9, abs=0.1)
    run = run_values(emits, OLD)
    assert run["missing.feature.load"] == 0.1
    assert "missing.feature.kind" not in run
    assert run_values(emits, NEW)["events"] == 45
    assert not [name for name in run_values(emits, NEW) if name.startswith("psi.")]
    assert "psi.feature.kind" not in run_values(emits)  # of all events nobody counted it here
    owner = runner.restarted(MonitorStage(PLAN, CODECS))
    record, barrier = of_segment(log, 9, OLD), log.barrier()
    assert owner.run([record, barrier]) == runner.run([record, barrier])


def test_features_that_are_declared_later_have_a_reference_from_then_on() -> None:
    log, runner = Log(), monitor(PLAN)
    runner.run(hours(log, 0, 5, told=False))
    assert runner.states()["r"]["start"] == START
    assert "s" not in runner.states()
    emits = runner.run([*hours(log, 5, 9), log.barrier()])
    assert runner.states()["s"]["start"] == START + 5 * HOUR
    assert run_values(emits, OLD)["psi.feature.load"] < 0.1


def test_a_reference_of_segments_that_is_too_thin_is_waited_for() -> None:
    log, runner = Log(), monitor(PLAN)
    for hour in range(4):
        runner.run([of_segment(log, hour, OLD, n=20), log.count("score", hour, {}, mark=hour + 1)])
    assert "s" not in runner.states()
    runner.run(hours(log, 4, 8))
    assert runner.states()["s"]["start"] == START + 3 * HOUR  # with the hour before: 120


def test_a_stretch_that_is_over_and_thin_is_not_looked_at_again() -> None:
    log, runner = Log(), monitor(PLAN)
    runner.run([of_segment(log, 0, OLD, n=20), log.count("score", None, {}, mark=9)])
    assert "s" not in runner.states()
    assert runner.states()["m"]["by_segment_from"] == START + HOUR
    runner.run(hours(log, 10, 14))
    assert runner.states()["s"]["start"] == START + 10 * HOUR


def test_segments_of_which_nothing_is_declared_have_no_reference() -> None:
    log, runner = Log(), monitor()
    for hour in range(5):
        runner.run([log.count("score", hour, {"events": 200}, segment=OLD, mark=hour + 1)])
    assert "s" not in runner.states()


def test_segments_beyond_the_bound_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turn, "SEGMENTS_MAX", 1)
    log, runner = Log(), monitor(PLAN)
    records = [of_segment(log, 0, f"kind={number}", n=10) for number in range(4)]
    emits = runner.run([*records, log.barrier()])
    assert run_values(emits, "kind=0")["events"] == 10
    assert run_values(emits, "kind=(other)")["events"] == 30
    assert run_values(emits, "kind=(other)")["missing.feature.load"] == 0.1


def prediction(kind: str | None, load: float | None) -> dict[str, object]:
    features = dict.fromkeys(PLAN.features.names, 1.0)
    segments = {} if kind is None else {"kind": kind}
    return {
        "event_time": 5, "late": False, "score": 0.5, "prediction": True, "version": 1,
        "segments": segments, "features": {**features, "load": load, "kind": kind},
    }  # fmt: skip


def test_what_segments_count_adds_up_to_what_all_events_do() -> None:
    random, observer = Random(2), Observer(PLAN)
    loads = [random.choice([None, 1.0, 30.0]) for _ in range(60)]
    rows = [prediction(random.choice(["old", "new"]), load) for load in loads]
    tally = Tally(HOUR)
    for row in [*rows, prediction(None, 7.0)]:
        observer.scored(tally, row)
    record = tally.record("score", 0, None, None)
    assert record is not None
    cells = {cell["segment"]: cell for cell in record["cells"] if cell["tile"] == 0}
    assert set(cells) == {"all", OLD, NEW}
    nulls = [cells[name]["values"]["feature.load:null"] for name in ("all", OLD, NEW)]
    assert nulls[0] == nulls[1] + nulls[2] == loads.count(None)
    families = [set(cells[name]["buckets"]) for name in (OLD, NEW)]
    assert families == [{"feature.load"}, {"feature.load"}]
    for segment in (OLD, NEW):
        kinds = {name for name in cells[segment]["values"] if name.startswith("feature.kind:")}
        assert kinds == {f"feature.{segment.replace('=', ':=')}"}
