"""The reference is judged: what drifts while it is learned is said, and is not learned from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgpack
import numpy as np
import pytest

from headrace.streams.detectors import references
from headrace.streams.detectors.calibration import Ask
from headrace.streams.detectors.episodes import NORMAL_DAYS
from headrace.streams.detectors.stationarity import Drift
from headrace.streams.detectors.verdicts import Verdict
from headrace.streams.detectors.watch import Watch
from tests.unit.detectors.streams_made import (
    DAY_MS,
    HOUR_MS,
    INPUTS,
    OUTCOMES,
    Counts,
    inputs,
    outcomes,
    terms,
)

DAYS = 14


def of_reference(verdicts: list[Verdict], name: str) -> list[Verdict]:
    return [v for v in verdicts if v.stream.kind == "reference" and v.stream.name == name]


def said_by_day(
    watch: Watch, days: int, make: Callable[[int, np.random.Generator], Counts], state: Any = None
) -> list[tuple[int, Verdict]]:
    state = watch.fresh() if state is None else state
    rng = np.random.default_rng(2)
    return [
        (hour // 24, verdict)
        for hour in range(days * 24)
        for verdict in watch.observe(state, hour * HOUR_MS, make(hour, rng))
    ]


def test_a_step_in_the_reference_is_said_when_it_is_due_and_over_when_it_is_learned_anew() -> None:
    at = 9

    def make(hour: int, rng: np.random.Generator) -> Counts:
        return inputs(rng, shift=2.0 * (hour >= at * 24))

    found = said_by_day(Watch(terms(days=DAYS), INPUTS), 40, make)
    drifts = [(day, v) for day, v in found if v.stream.name == "feature.x"]
    (begun_at, begun), (over_at, over) = drifts
    assert (begun.stream.kind, begun.state, begun_at) == ("reference", "begun", DAYS - 1)
    assert begun.since_ms == at * DAY_MS
    assert begun.until_ms == DAYS * DAY_MS
    assert begun.strength >= 1.0
    assert begun.effect > 0.2
    for shares in (begun.reference, begun.observed):
        assert sum(share for _, share in shares) == pytest.approx(1.0)
    assert (over.state, over_at) == ("over", at + DAYS - 1)
    assert over.stream == begun.stream
    assert {v.stream.name for _, v in found} == {"feature.x"}


def test_what_is_learned_after_a_drift_is_what_is_usual_then() -> None:
    def make(hour: int, rng: np.random.Generator) -> Counts:
        return inputs(rng, shift=2.0 * (hour >= 9 * 24) - 2.0 * (hour >= 30 * 24))

    found = said_by_day(Watch(terms(days=DAYS), INPUTS), 34, make)
    (again,) = (v for _, v in found if v.stream.kind == "input" and v.state == "begun")
    assert again.stream.name == "feature.x"
    assert 30 * DAY_MS < again.until_ms <= 30 * DAY_MS + 8 * HOUR_MS


@pytest.mark.parametrize(("days", "slope"), [(7, 0.8), (DAYS, 0.15)])
def test_a_drift_that_goes_on_is_the_new_normal_after_two_weeks(days: int, slope: float) -> None:
    """It is said once: of 7 days it is judged again and again, and found to go on."""

    def make(hour: int, rng: np.random.Generator) -> Counts:
        return inputs(rng, shift=slope * hour / 24)

    watch, rng = Watch(terms(days=days), INPUTS), np.random.default_rng(2)
    state, drifts = watch.fresh(), []
    for hour in range(60 * 24):
        verdicts = of_reference(watch.observe(state, hour * HOUR_MS, make(hour, rng)), "feature.x")
        drifts += [(hour // 24, verdict.state) for verdict in verdicts]
        if verdicts and verdicts[0].state == "over":
            break
        assert "feature.x|all" not in state["fits"]
    (first, begun), (last, _) = drifts
    assert (begun, first) == ("begun", days - 1)
    assert NORMAL_DAYS <= last - first <= NORMAL_DAYS + days
    assert "feature.x|all" in state["fits"]


def test_a_mean_that_drifts_is_said_with_both_of_its_means() -> None:
    def make(hour: int, rng: np.random.Generator) -> Counts:
        return {"all": outcomes(rng, 30, wrong=0.1 if hour < 9 * 24 else 0.35)}

    found = [v for _, v in said_by_day(Watch(terms(days=DAYS), OUTCOMES), DAYS, make)]
    (drift,) = of_reference(found, "accuracy")
    (_, before), (_, after) = *drift.reference, *drift.observed
    assert drift.effect == pytest.approx(after - before)
    assert before == pytest.approx(0.9, abs=0.03)
    assert after == pytest.approx(0.65, abs=0.03)
    assert of_reference(found, "log_loss")  # it has risen


def _drifting(ask: Ask, _: int) -> Drift | None:
    """Call histories of 14 days drifting, and no others."""
    parts = (1.0,) * (ask.series.sums.shape[2] + 1)
    return Drift(3, 1.5, parts, parts) if len(ask.series.n) == 14 else None


def test_a_reference_that_grows_is_judged_and_what_was_learned_before_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(references, "drift_within", _drifting)
    watch, rng = Watch(terms(days=7), INPUTS), np.random.default_rng(3)
    state, fits, found = watch.fresh(), [], []
    for hour in range(15 * 24):
        verdicts = watch.observe(state, hour * HOUR_MS, inputs(rng))
        found += [(hour // 24, v.stream[:2], v.state) for v in verdicts]
        fits.append(state["fits"].get("feature.x|all"))
    assert (13, ("reference", "feature.x"), "begun") in found
    assert fits[-1] is fits[8 * 24]
    assert fits[-1]["days"] == 7


def test_a_stream_that_learns_from_the_beginning_drifts_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A change that becomes the new normal ends what was said of the history before."""

    def make(hour: int, rng: np.random.Generator) -> Counts:
        return inputs(rng, shift=4.0 * (hour >= 14 * 24 + 12))

    monkeypatch.setattr(references, "drift_within", _drifting)
    watch = Watch(terms(days=7), INPUTS)
    found = [v for _, v in said_by_day(watch, 30, make) if v.stream.name == "feature.x"]
    states = [(v.stream.kind, v.state) for v in found if v.state != "ongoing"]
    assert states == [
        ("reference", "begun"), ("input", "begun"), ("input", "over"), ("reference", "over"),
    ]  # fmt: skip
    assert found[-1].until_ms == found[-2].until_ms


def test_histories_of_a_release_before_they_were_judged_go_on() -> None:
    def make(hour: int, rng: np.random.Generator) -> Counts:
        return inputs(rng, shift=2.0 * (hour >= 9 * 24))

    watch, rng = Watch(terms(days=DAYS), INPUTS), np.random.default_rng(5)
    state, found = watch.fresh(), []
    for hour in range(DAYS * 24):
        if hour == 5 * 24:
            state = msgpack.unpackb(msgpack.packb(state))
            for learner in state["streams"].values():
                del learner["judged"], learner["drift"]
        found += watch.observe(state, hour * HOUR_MS, make(hour, rng))
    assert [v.state for v in of_reference(found, "feature.x")] == ["begun"]
