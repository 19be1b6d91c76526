"""MONITOR's lookout: which tiles go to the detectors, when, and what becomes of their verdicts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.streams.alarms import ADVICE
from headrace.streams.detectors.verdicts import Stream, Terms, Verdict
from headrace.streams.pipeline import Alarms, Monitor
from headrace.streams.plan import Plan, plan_of
from headrace.streams.protocol.stage import Context
from headrace.streams.records import Emit, Record
from headrace.streams.stages import lookout
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
    windows,
)
from tests.unit.stages.flow import Runner, codecs_for, counted, decoded, pipeline
from tests.unit.stages.test_laws import check

BROKEN = "feature.load:-1"
"""A count at which the rule below says that a feature is broken."""

Handed = dict[tuple[str, ...], list[tuple[float, dict[str, dict[str, int]]]]]


class Rule:
    """A watch by a plain rule, which remembers what it was handed: hours, from START."""

    handed: Handed

    def __init__(self, terms: Terms, kinds: tuple[str, ...]) -> None:
        self.terms, self.kinds = terms, kinds

    def fresh(self) -> dict[str, Any]:
        return {"begun": None}

    def observe(
        self, state: dict[str, Any], tile_start_ms: int, totals: Mapping[str, Mapping[str, int]]
    ) -> list[Verdict]:
        given = {segment: dict(values) for segment, values in totals.items()}
        self.handed.setdefault(self.kinds, []).append(((tile_start_ms - START) / HOUR, given))
        every = totals.get("all", {})
        if every.get("raise"):
            raise ArithmeticError("on purpose")
        if every.get("exhaust"):
            raise MemoryError
        broken, before = every.get(BROKEN, 0) > 0, state["begun"]
        if before is None and not broken:
            return []
        said = "over" if not broken else "begun" if before is None else "ongoing"
        state["begun"] = None if not broken else tile_start_ms if before is None else before
        until = tile_start_ms + self.terms.tile_ms
        strength = math.nan if every.get("nan") else 2.0
        stream = Stream(self.kinds[0], "feature.load", "all")
        since = tile_start_ms if before is None else before
        return [
            Verdict(stream, said, since, until, strength, 1.0, (("mean", 0.0),), (("mean", 1.0),))
        ]


@pytest.fixture(autouse=True)
def handed() -> Iterator[Handed]:
    Rule.handed = {}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(lookout, "Watch", Rule)
        yield Rule.handed


def hours(handed: Handed, side: str) -> list[float]:
    return [hour for hour, _ in handed.get(lookout.SIDES[side], [])]


def alerts(emits: list[Emit], plan: Plan = PLAN) -> list[dict[str, Any]]:
    return decoded(emits, plan.topics.alerts, codecs_for(plan).alert)


def told(emits: list[Emit]) -> list[tuple[str, float, int]]:
    """Return state, until and revision of what was said."""
    return [(a["state"], (a["until"] - START) / HOUR, a["revision"]) for a in alerts(emits)]


def with_alarms(declared: Alarms | None, **monitored: Any) -> Plan:
    found = {"segments": ["kind"], "windows": ["1h", "3h"], "reference": "2h", **monitored}
    return plan_of(pipeline(monitor=Monitor(**found), alarms=declared))


def test_a_plan_s_terms_are_in_whole_tiles() -> None:
    terms = lookout.watch_terms(with_alarms(Alarms(run_length="10d", reference="90m")))
    assert terms == Terms(HOUR, 2 * HOUR, 240 * HOUR, "binary", PLAN.feature_fields)
    days = 24 * HOUR
    wanted = terms._replace(reference_ms=14 * days, run_length_ms=90 * days)
    assert lookout.watch_terms(PLAN) == wanted
    as_monitored = lookout.watch_terms(with_alarms(Alarms(reference=None)))
    assert as_monitored == wanted._replace(reference_ms=2 * HOUR)
    assert lookout.watch_terms(with_alarms(None)) is None


def test_inputs_are_handed_by_the_watermarks_and_outcomes_when_final(handed: Handed) -> None:
    log, runner = Log(), monitor()
    runner.run([log.count("score", 0, {"events": 4, BROKEN: 1}, mark=1.1)])
    assert hours(handed, "inputs") == []  # lateness is ten minutes
    runner.run([log.count("score", 1, {"events": 1}, segment="kind=old", mark=3.3)])
    assert hours(handed, "inputs") == [0, 1, 2]
    assert [totals for _, totals in handed["input", "score"]] == [
        {"all": {"events": 4, BROKEN: 1}}, {"kind=old": {"events": 1}}, {},
    ]  # fmt: skip
    assert hours(handed, "outcomes") == []
    taken = {"first_event": 4, "matched": 4}
    runner.run([log.count("join", 0, taken, mark=1.5)])
    assert hours(handed, "outcomes") == []
    runner.run([log.count("learn", 0, {"examples": 4})])
    assert hours(handed, "outcomes") == [0]
    assert handed["outcome", "labels"][0][1]["all"]["examples"] == 4


def test_alerts_are_said_at_once_with_the_next_offset_as_their_revision() -> None:
    log, runner = Log(), monitor()
    quiet = [log.count("score", hour, {"events": 1}, mark=hour + 1.2) for hour in range(3)]
    assert told(runner.run(quiet)) == []
    record = log.count("score", 3, {"events": 1, BROKEN: 1}, mark=3.5)
    assert told(runner.run([record])) == []
    assert runner.stage.alerts() == dict.fromkeys(ADVICE, 0)  # type: ignore[attr-defined]
    moved = log.count("score", 4, {"events": 1}, mark=4.2)
    found = runner.run([moved])
    assert told(found) == [("begun", 4, moved.offset + 1)]
    (emit,) = (each for each in found if each.topic == PLAN.topics.alerts)
    (alert,) = alerts(found)
    assert (emit.partition, emit.key) == (0, alert["id"].encode())
    assert alert["id"] == f"machines-inputs-{START + 4 * HOUR}"
    assert runner.stage.alerts()["input"] == 1  # type: ignore[attr-defined]
    anew = runner.restarted(MonitorStage(PLAN, CODECS))
    assert anew.stage.alerts()["input"] == 1  # type: ignore[attr-defined]
    last = log.count("score", 5, {"events": 1}, mark=5.2)
    assert told(runner.run([last])) == told(anew.run([last])) == [("over", 5, last.offset + 1)]


def test_what_comes_late_changes_nothing(handed: Handed) -> None:
    log, runner = Log(), monitor()
    runner.run([log.count("score", 1, {"events": 1}, mark=3.3)])
    late = [log.count("score", hour, {"events": 1, BROKEN: 1}, mark=3.4) for hour in (0, 2)]
    assert told(runner.run(late)) == []
    runner.run([log.count("score", 4, {"events": 1}, mark=4.5)])
    assert hours(handed, "inputs") == [1, 2, 3]


def test_a_long_silence_is_cut_short(handed: Handed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookout, "EMPTY_TILES_MAX", 5)
    log, runner = Log(), monitor()
    runner.run([log.count("score", 0, {"events": 1}, mark=0.5)])
    runner.run([log.count("score", 900, {"events": 1}, mark=901.5)])
    assert hours(handed, "inputs") == [0, 1, 2, 3, 4, 5, 900]
    runner.run([log.count("score", None, {"events": 1}, mark=2_000)])
    assert hours(handed, "inputs")[7:] == [901, 902, 903, 904, 905]
    runner.run([log.count("score", 2_000, {"events": 1}, mark=2_001.5)])
    assert hours(handed, "inputs")[12:] == [1_999, 2_000]


def test_tiles_are_handed_before_they_go(handed: Handed) -> None:
    log, runner = Log(), monitor()
    for hour in (0, 1, 700):
        runner.run(complete_hour(log, hour))
    runner.run([log.count("score", None, {"events": 1}, mark=5_000)])
    for side in ("inputs", "outcomes"):
        counted_in = [h for h, totals in handed[lookout.SIDES[side]] if totals]
        assert counted_in == [0, 1, 700]


def test_without_alarms_there_are_none_and_their_state_goes() -> None:
    log, runner = Log(), monitor()
    runner.run([log.count("score", 0, {"events": 1, BROKEN: 1}, mark=1.5)])
    assert lookout.WATCH in runner.states()
    silent = with_alarms(None)
    owner = runner.restarted(MonitorStage(silent, codecs_for(silent)))
    values = {"events": 1, BROKEN: 1}
    found = owner.run([log.count("score", 1, values, mark=5, later_ms=20_000)])
    assert alerts(found, silent) == []
    assert lookout.WATCH not in owner.states()
    assert owner.stage.alerts() is None  # type: ignore[attr-defined]
    assert run_values(found)["events"] == 2
    assert alerts(owner.run([log.count("score", 2, {"events": 1}, mark=6)]), silent) == []


def test_other_terms_begin_anew_and_end_what_was_raised(handed: Handed) -> None:
    log, runner = Log(), monitor()
    runner.run([log.count("score", 0, {"events": 1}, mark=0.5)])
    found = runner.run([log.count("score", 1, {"events": 1, BROKEN: 1}, mark=2.5)])
    assert [state for state, *_ in told(found)] == ["begun"]
    other = with_alarms(Alarms(run_length="30d", segments=False))
    owner = runner.restarted(MonitorStage(other, codecs_for(other)))
    handed.clear()
    owner.run([log.count("score", 2, {"events": 1}, segment="kind=old", mark=2.6)])
    # The tiles that are still there are gone through once more.
    assert [hour for hour, _ in handed["input", "score"]] == [0, 1]
    assert [a["state"] for a in alerts(owner.emits, other)] == ["over", "begun"]
    owner.run([log.count("score", 2, {"events": 1}, mark=3.5)])
    assert handed["input", "score"][2][1] == {"all": {"events": 1}}  # no segments
    assert [a["run_length"] for a in alerts(owner.emits, other)] == [30 * 24 * HOUR] * 3


@pytest.mark.parametrize("how", [{"raise": 1}, {"nan": 1, BROKEN: 1}])
def test_detectors_that_fail_are_counted_and_begin_anew(how: dict[str, int]) -> None:
    log, runner = Log(), monitor()
    runner.run([log.count("score", 0, {"events": 1, BROKEN: 1}, mark=1.5)])
    log.count("score", 1, {"events": 1, **how})
    found = runner.run([log.records[-1], log.count("score", 2, {"events": 1}, mark=2.5)])
    assert counted(found)["watch_failed"] == 1
    assert [state for state, *_ in told(found)] == ["over"]
    assert runner.states()["w:inputs"] == {"begun": None}
    more = runner.run([log.count("score", 3, {"events": 1, BROKEN: 1}, mark=5, later_ms=20_000)])
    assert windows(more)
    assert [state for state, *_ in told(more)] == ["begun"]


def test_memory_that_is_short_is_no_failure_of_theirs() -> None:
    log, runner = Log(), monitor()
    runner.run([log.count("score", 0, {"exhaust": 1}, mark=0.5)])
    with pytest.raises(MemoryError):
        runner.run([log.count("score", 1, {"events": 1}, mark=2.5)])


STEP = st.tuples(
    st.sampled_from(["score", "join", "learn"]),
    st.integers(0, 30),
    st.sampled_from([{"events": 1}, {"events": 2, BROKEN: 1}, {"raise": 1}, {"examples": 1}]),
    st.integers(0, 1),
)


def log_of(steps: list[tuple[str, int, dict[str, int], int]]) -> list[Record]:
    """Return counts that wander ahead by a tile now and then, and their marks."""
    log = Log()
    for number, (stage, back, values, partition) in enumerate(steps):
        now = number / 2
        tile = max(0, now - back / 4)
        log.count(stage, tile // 1, values, mark=now, partition=partition)
    return log.records


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(STEP, max_size=60), st.lists(st.integers(0, 60), max_size=6), st.integers(0, 60))
def test_batches_and_restarts_change_nothing(
    steps: list[tuple[str, int, dict[str, int], int]], places: list[int], cut: int
) -> None:
    records = log_of(steps)
    whole = check(lambda: MonitorStage(PLAN, CODECS), records, places, cut)
    for kinds in lookout.SIDES.values():
        Rule.handed.clear()
        Runner(MonitorStage(PLAN, CODECS)).run(records)
        said = [hour for hour, _ in Rule.handed.get(kinds, [])]
        assert said == [said[0] + n for n in range(len(said))] if said else True
    restoring = Runner(MonitorStage(PLAN, CODECS))
    assert restoring.run(records, context=Context(restoring=True)) == []
    assert restoring.states() == whole.states()
