"""Labels that come weeks late, true ones last: a share that changes is told while they come in."""

from __future__ import annotations

import pytest

from bench.drift.days import DAY_MS
from bench.drift.late_labels import (
    Rate,
    Stream,
    abrupt,
    gradual,
    pipeline_of,
    rows_of,
    said_of_outcomes,
    said_of_rates,
    steady,
    times_of,
    told,
)
from headrace.streams.replay import replay

PER_DAY = 250
WAIT_DAYS = 30
FALSE_DAYS, TRUE_DAYS = 5, 17


def first_told(rate: Rate, reference: int, days: int, seed: int = 1) -> tuple[float, float, str]:
    """Return when the first alert begins, the day that it is dated to, and its kind."""
    times = times_of(Stream(days, PER_DAY, rate), seed)
    for verdict in said_of_rates(times, days + TRUE_DAYS, reference, WAIT_DAYS):
        if verdict.state == "begun":
            return verdict.until_ms / DAY_MS, verdict.since_ms / DAY_MS, verdict.stream.kind
    pytest.fail("nothing was said")


def test_the_stages_tell_of_a_share_that_falls_within_five_weeks() -> None:
    """9 in 10 to 2 in 10: half of it while the reference is learned, and labels are waited for."""
    events, labels = rows_of(Stream(35, PER_DAY, gradual(0, 35)), 1)
    result = replay(pipeline_of("14d", wait=f"{WAIT_DAYS}d"), events, labels, step="6h")
    assert result.summary["true_share"] == pytest.approx(0.55, abs=0.02)
    alerts = list(result.alerts)
    rates = [each for each in told(alerts) if each[3].startswith("label_rate_")]
    noticed, since, kind, _ = rates[0]
    assert kind in ("label_rate", "reference")
    assert 14 + FALSE_DAYS < noticed <= 14 + 8 + 1  # the first age at which false labels are in
    assert 0 < since < noticed - FALSE_DAYS + 2
    members = {(m["kind"], m["what"]) for alert in alerts for m in alert["members"]}
    assert ("reference", "true_share") in members


@pytest.mark.parametrize(("reference", "before"), [(3, 0.9), (7, 0.9), (14, 0.9), (7, 0.2)])
def test_a_gradual_change_within_the_reference_is_told(reference: int, before: float) -> None:
    at, since, _ = first_told(gradual(0, 35, before, 1.1 - before), reference, 50)
    assert at <= 35 + FALSE_DAYS
    assert 0 < since < at - FALSE_DAYS + 2


@pytest.mark.parametrize("reference", [3, 7, 14])
def test_an_abrupt_change_within_the_reference_is_told_as_one(reference: int) -> None:
    at, since, kind = first_told(abrupt(0.6 * reference), reference, 50)
    assert kind == "reference"
    assert abs(since - 0.6 * reference) <= 1
    assert at <= max(reference, 12) + 8


@pytest.mark.parametrize("reference", [3, 7, 14])
def test_an_abrupt_change_behind_the_reference_is_told_when_its_first_labels_come(
    reference: int,
) -> None:
    at, since, kind = first_told(abrupt(35), reference, 60, seed=2)
    assert kind == "label_rate"
    assert 35 < at <= 35 + 8 + 1
    assert abs(since - 35) <= 2


@pytest.mark.parametrize("reference", [3, 7, 14])
def test_a_gradual_change_behind_the_reference_is_told(reference: int) -> None:
    at, since, kind = first_told(gradual(35, 70), reference, 80)
    assert kind == "label_rate"
    assert 35 < at <= 35 + 8 + 14
    assert 33 < since < at


def test_a_small_change_is_told_weeks_before_outcomes_can_tell_it() -> None:
    at, _, _ = first_told(abrupt(35, 0.9, 0.8), 14, 80)
    assert 35 < at <= 35 + 8 + 7
    times = times_of(Stream(80, PER_DAY, abrupt(35, 0.9, 0.8)), 1)
    final = [
        v.until_ms / DAY_MS + WAIT_DAYS
        for v in said_of_outcomes(times, 80 + WAIT_DAYS, 14, WAIT_DAYS)
        if v.state == "begun" and v.stream.name == "true_share"
    ]
    assert not final or final[0] > at + 14


def test_a_volume_that_doubles_changes_what_arrives_and_is_no_change_of_rate() -> None:
    """False labels of twice the events come first: of what arrives, true ones seem to be fewer."""
    doubled = Stream(60, PER_DAY, steady(0.5), volume=lambda day: 2.0 if day >= 35 else 1.0)
    times = times_of(doubled, 3)
    day = times.label / DAY_MS
    shares = [float(times.true[(day >= a) & (day < a + 5)].mean()) for a in (25, 43)]
    assert shares[0] == pytest.approx(0.5, abs=0.05)
    assert shares[1] < 0.4
    said = said_of_rates(times, 60 + TRUE_DAYS, 14, WAIT_DAYS)
    assert [verdict for verdict in said if verdict.state == "begun"] == []


@pytest.mark.slow
@pytest.mark.parametrize(("share", "reference"), [(0.9, 3), (0.9, 14), (0.5, 7)])
def test_where_nothing_changes_nothing_is_said(share: float, reference: int) -> None:
    """A sample; `make drift-bench ARGS="--late-labels --replays 200"` plays 200 of each."""
    for seed in range(2):
        times = times_of(Stream(60, PER_DAY, steady(share)), seed)
        said = [
            *said_of_rates(times, 60, reference, WAIT_DAYS),
            *said_of_outcomes(times, 60, reference, WAIT_DAYS),
        ]
        assert said == []
