"""Cohorts: labels are watched while they come in, by the age of their events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.streams.buckets import number_bucket
from headrace.streams.detectors.cohorts import RATE
from headrace.streams.detectors.verdicts import Terms, Verdict
from headrace.streams.pipeline import Labels
from headrace.streams.plan import Plan, plan_of
from headrace.streams.records import Record
from headrace.streams.stages import lookout
from headrace.streams.stages.monitor import MonitorStage
from tests.unit.stages.counting import HOUR, PLAN, START, Log
from tests.unit.stages.flow import Runner, codecs_for
from tests.unit.stages.flow import Verdict as LabelRecord
from tests.unit.stages.flow import pipeline as declared
from tests.unit.stages.test_laws import check

Handed = dict[tuple[str, ...], list[tuple[float, dict[str, int]]]]
RATES = (RATE,)


def plan_waiting(wait: str, lateness: str = "10m") -> Plan:
    labels = Labels(LabelRecord, id="id", value="broken", time="at", wait=wait, lateness=lateness)
    return plan_of(declared(monitor=PLAN.pipeline.monitor, labels=labels))


WAITING = plan_waiting("6h")
"""Labels are looked at after one, two and four hours."""


class Ear:
    """A watch that keeps what it was handed, in hours from START, and says nothing."""

    handed: Handed

    def __init__(self, terms: Terms, kinds: tuple[str, ...]) -> None:
        self.kinds = kinds

    def fresh(self) -> dict[str, Any]:
        return {"heard": 0}

    def observe(
        self, state: dict[str, Any], tile_start_ms: int, totals: Mapping[str, Mapping[str, int]]
    ) -> list[Verdict]:
        state["heard"] += 1
        counts = dict(totals.get("all", {}))
        self.handed.setdefault(self.kinds, []).append(((tile_start_ms - START) / HOUR, counts))
        return []


@pytest.fixture(autouse=True)
def handed(monkeypatch: pytest.MonkeyPatch) -> Handed:
    monkeypatch.setattr(lookout, "Watch", Ear)
    Ear.handed = {}
    return Ear.handed


def monitor(plan: Plan = WAITING) -> Runner:
    return Runner(MonitorStage(plan, codecs_for(plan)))


def learned(delays_h: Mapping[float, tuple[int, int]]) -> dict[str, int]:
    """Return what LEARN counts of labels: by their delay, how many are false and true."""
    found = {"examples": sum(map(sum, delays_h.values()))}
    for delay, (false, true) in delays_h.items():
        bucket = number_bucket(round(delay * HOUR))
        found[f"delay:{bucket}"] = false + true
        found[f"true_delay:{bucket}"] = true
    return found


def test_a_cohort_is_handed_at_each_age_with_the_labels_it_has_by_then(handed: Handed) -> None:
    log, runner = Log(), monitor()
    runner.run([log.count("score", 0, {"events": 10}, mark=12)])
    labels = learned({0.5: (1, 0), 1.5: (2, 1), 3.0: (0, 3)})
    # JOIN has settled what lies a wait and a lateness before the labels' watermark: here 3 h.
    runner.run([log.count("join", 0, {"first_event": 10, "matched": 7}, mark=-3)])
    assert handed.get(RATES) is None  # LEARN has not counted them yet
    runner.run([log.count("learn", 0, labels)])
    assert [hour for hour, _ in handed[RATES]] == [1, 2]
    assert handed[RATES][0][1] == {
        "label_rate_1h:true": 0, "label_rate_1h:false": 1, "label_rate_1h:none": 9,
    }  # fmt: skip
    assert handed[RATES][1][1] == {
        "label_rate_2h:true": 1, "label_rate_2h:false": 3, "label_rate_2h:none": 6,
    }  # fmt: skip
    runner.run([log.count("join", None, {"unmatched_label": 1}, mark=-1)])
    assert [hour for hour, _ in handed[RATES]] == [1, 2, 3, 4]
    assert handed[RATES][2][1] == {}
    assert handed[RATES][3][1] == {
        "label_rate_4h:true": 4, "label_rate_4h:false": 3, "label_rate_4h:none": 3,
    }  # fmt: skip


def test_events_that_may_still_come_are_waited_for(handed: Handed) -> None:
    log, runner = Log(), monitor()
    runner.run([log.count("score", 0, {"events": 4}, mark=0.5)])
    runner.run([log.count("join", 0, {"first_event": 4}, mark=20)])
    assert handed.get(RATES) is None
    runner.run([log.count("score", 1, {"events": 4}, mark=1.5)])
    assert [hour for hour, _ in handed[RATES]] == [1]


def test_ages_are_shorter_than_the_wait_or_there_are_none(handed: Handed) -> None:
    def ages(plan: Plan) -> list[int]:
        terms = lookout.watch_terms(plan)
        assert terms is not None
        return [age // HOUR for age in terms.label_ages_ms]

    assert ages(WAITING) == [1, 2, 4]
    assert ages(plan_waiting("30d")) == [8, 24, 48, 96, 192, 384]
    assert ages(PLAN) == []
    log, runner = Log(), monitor(PLAN)
    runner.run([log.count("score", 0, {"events": 4}, mark=50)])
    runner.run([log.count("join", 0, {"first_event": 4}, mark=40)])
    assert handed.get(RATES) is None
    assert len(handed["input", "score"]) > 40


def _hours(log: Log, first: int, last: int) -> list[Record]:
    """Append hours of events all of which have their label half an hour later."""
    records = []
    for hour in range(first, last):
        records += [
            log.count("score", hour, {"events": 5}, mark=hour + 1.2),
            log.count("join", hour, {"first_event": 5, "matched": 5}, mark=hour - 5.9),
            log.count("learn", hour, learned({0.5: (3, 2)})),
        ]
    return records


def test_a_state_of_a_release_before_cohorts_begins_them_and_keeps_the_rest(
    handed: Handed,
) -> None:
    log, runner = Log(), monitor()
    runner.run(_hours(log, 0, 10))
    (state,) = (value for key, value in runner.states().items() if key == lookout.WATCH)
    old = {side: {name: state[side][name] for name in ("next", "alerts")} for side in state
           if side not in ("terms", lookout.COHORTS)}  # fmt: skip
    runner.cache.put(lookout.WATCH, {"terms": state["terms"], **old})
    runner.cache.put("w:cohorts", None)
    owner = runner.restarted(MonitorStage(WAITING, codecs_for(WAITING)))
    handed.clear()
    owner.run(_hours(log, 10, 12))
    assert [hour for hour, _ in handed["input", "score"]] == [10, 11]  # they go on
    assert [hour for hour, _ in handed[RATES]][:2] == [1, 2]  # of the tiles that are still there
    assert owner.states()["w:inputs"] == {"heard": 12}


def test_other_ages_begin_cohorts_anew_and_nothing_else(handed: Handed) -> None:
    log, runner = Log(), monitor()
    runner.run(_hours(log, 0, 10))
    longer = plan_waiting("12h")
    owner = runner.restarted(MonitorStage(longer, codecs_for(longer)))
    handed.clear()
    owner.run(_hours(log, 10, 20))
    assert [hour for hour, _ in handed["input", "score"]] == list(range(10, 20))
    assert "label_rate_8h:none" in handed[RATES][-1][1]
    assert [hour for hour, _ in handed[RATES]] == list(range(1, len(handed[RATES]) + 1))


def test_a_long_silence_is_cut_short(handed: Handed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookout, "EMPTY_TILES_MAX", 5)
    log, runner = Log(), monitor()
    runner.run(_hours(log, 0, 1))
    runner.run(_hours(log, 500, 520))
    found = [hour for hour, _ in handed[RATES]]
    # After the last cohort's oldest age, and the silence, the next is the one of the next events.
    assert found[:9] == list(range(1, 10))
    skipped_to = int(found[9])
    assert 400 < skipped_to <= 501
    assert found[9:] == list(range(skipped_to, skipped_to + len(found) - 9))
    assert [hour for hour, counts in handed[RATES] if counts][3] == 501


STEP = st.tuples(
    st.sampled_from(["score", "join", "learn"]),
    st.integers(0, 20),
    st.sampled_from([{"events": 1}, {"first_event": 1}, {"matched": 1}, {"examples": 1}]),
)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(STEP, max_size=60), st.lists(st.integers(0, 60), max_size=6), st.integers(0, 60))
def test_batches_and_restarts_change_nothing(
    steps: list[tuple[str, int, dict[str, int]]], places: list[int], cut: int
) -> None:
    log = Log()
    for number, (stage, back, values) in enumerate(steps):
        now = number / 2
        mark = None if stage == "learn" else now - 6 * (stage == "join")
        log.count(stage, max(0, now - back / 4) // 1, values, mark=mark)
    check(lambda: MonitorStage(WAITING, codecs_for(WAITING)), log.records, places, cut)
    Ear.handed.clear()
    monitor().run(log.records)
    said = [hour for hour, _ in Ear.handed.get(RATES, [])]
    assert said == [said[0] + n for n in range(len(said))] if said else True
