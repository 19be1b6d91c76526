"""Groups, tails and calibration on their own."""

from collections import Counter
from math import log

import numpy as np
import pytest

from headrace.streams.buckets import probability_bucket
from headrace.streams.detectors.calendar import Calendar
from headrace.streams.detectors.calibration import Ask, calibrated
from headrace.streams.detectors.channels import (
    channels_of,
    families_of,
    families_wanted,
    segment_channels,
)
from headrace.streams.detectors.learning import fresh_learner, is_due, note
from headrace.streams.detectors.noise import Series
from headrace.streams.detectors.tails import normal_of_t, t_of_normal
from headrace.streams.groups import Groups, grouping_of
from headrace.streams.outcomes import JUDGES

HOURLY = Calendar.of(3_600_000)


def test_groups_of_probabilities_are_called_by_their_upper_ends() -> None:
    scores = {str(probability_bucket(p)): 10 for p in (0.125, 0.3, 0.75)}
    labels = Groups(grouping_of(scores)).labels(probabilities=True)
    lowest, *uppers, highest = [float(each.split()[1]) for each in labels if " " in each]
    assert 0.12 < lowest <= 0.125 < uppers[0] <= 0.3 / 0.98 / 2.3
    assert uppers[1] == pytest.approx(0.3, rel=0.02)
    assert uppers[2] == highest == pytest.approx(0.75, rel=0.01)


def test_groups_of_numbers_hold_their_own_edges() -> None:
    labels = Groups(grouping_of({"-1313": 5, "0": 5, "1313": 5})).labels(probabilities=False)
    assert [labels[1], labels[3], *labels[-2:]] == ["<= -1", "<= 1.03125", "other", "null"]


@pytest.mark.parametrize("freedom", [1.0, 6.0, 27.0])
def test_students_t_and_the_normal_deviate_are_turned_into_each_other(freedom: float) -> None:
    assert normal_of_t(t_of_normal(3.0, freedom), freedom) == pytest.approx(3.0)


def test_a_threshold_beyond_all_numbers_is_large_and_finite() -> None:
    assert 1e12 < t_of_normal(30.0, 1.0) < 1e15


def series(rng: np.random.Generator, days: int, tau: float) -> Series:
    n = np.full((days, 24), 50.0)
    share = np.clip(0.5 + tau * rng.standard_normal((days, 1)), 0.1, 0.9)
    first = rng.binomial(50, np.broadcast_to(share, n.shape)).astype(float)
    return Series(n, np.stack((first, 50 - first), axis=2), 2, None, True)


def limit(days: int, tau: float, rate: float = 1e-3) -> float:
    ask = Ask(series(np.random.default_rng(1), days, tau), rate, 0, (True, True))
    (fit,) = calibrated([ask], HOURLY.spans)
    return float(fit.limits[0, HOURLY.spans.index(24)])


def test_fewer_days_rarer_alarms_and_wilder_days_make_for_higher_thresholds() -> None:
    assert limit(4, 0.0) > limit(28, 0.0)
    assert limit(28, 0.0, rate=1e-5) > limit(28, 0.0, rate=1e-2)
    assert limit(28, 0.1) > limit(28, 0.0)


def test_what_never_varied_has_a_finite_threshold() -> None:
    n = np.full((5, 24), 50.0)
    constant = Series(n, n[:, :, None].copy(), 0, None, True)
    (fit,) = calibrated([Ask(constant, 1e-3, -1, (True,))], HOURLY.spans)
    assert 1.0 < fit.limits[0, 0] < 100.0


def test_what_exceeds_the_loss_that_scores_expect_of_themselves() -> None:
    judge = JUDGES["binary"]("outcome")
    counts: Counter[str] = Counter()
    for label in [True] * 9 + [False]:  # as often as it says
        counts.update(dict(judge(label, True, 0.9, None)[0]))
    for channels in (
        channels_of("binary", (), ("outcome",)),
        segment_channels("binary", ("outcome",)),
    ):
        (excess,) = [each for each in channels if each.name == "excess_loss"]
        assert excess.mean is not None
        total, n = excess.mean(families_of(counts, families_wanted(channels)))
        assert n == 10
        assert total == pytest.approx(0.0, abs=1e-5)
        more = Counter(dict(judge(False, True, 0.9, None)[0]))
        total, n = excess.mean(families_of(counts + more, families_wanted(channels)))
        assert n == 11
        assert total == pytest.approx(-log(0.1) + 0.9 * log(0.9) + 0.1 * log(0.1), abs=1e-5)
        assert excess.mean({}) == (0.0, 0)


def test_a_wide_history_takes_buckets_together_and_a_wide_category_is_grouped_at_once() -> None:
    number, category, *_ = channels_of("binary", (("x", "number"), ("c", "category")), ("input",))
    rng = np.random.default_rng(2)
    numbers, names = fresh_learner(7), fresh_learner(7)
    for slot in range(7 * 24):
        values = {str(key): 1 for key in rng.integers(0, 900, 100).tolist()}
        note(numbers, number, {"feature.x": values}, slot, HOURLY)
        note(names, category, {"feature.c": {f"#{n}": 1 for n in range(60)}}, slot, HOURLY)
    assert numbers["step"] > 1
    assert [each["grouping"] is None for each in (numbers, names)] == [True, False]
    assert is_due(numbers, 7 * 24 - 1, HOURLY)
    assert len(numbers["grouping"]["uppers"]) == 10
    assert sum(numbers["rows"][0][2]) == numbers["rows"][0][1]
