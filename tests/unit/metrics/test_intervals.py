"""How sure a metric is."""

from __future__ import annotations

import random
from statistics import fmean, stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.streams.figures import Figure
from headrace.streams.intervals import mean, of_ranks, of_values, share


@pytest.mark.parametrize(
    ("part", "n", "low", "high"),
    [
        # Known values, as tables and other programs have them.
        (8, 10, 0.4901625, 0.9433178),
        (0, 10, 0.0, 0.2775328),
        (10, 10, 0.7224672, 1.0),
        (50, 100, 0.4038315, 0.5961685),
    ],
)
def test_shares_have_wilsons_interval(part: int, n: int, low: float, high: float) -> None:
    figure = share(part, n)
    assert (figure.value, figure.support) == (part / n, n)
    assert figure.detail == pytest.approx({"low": low, "high": high}, abs=1e-6)


def test_of_nothing_there_is_no_share() -> None:
    assert share(0, 0) == (None, 0, {})


@given(st.integers(1, 10**9), st.floats(0, 1))
def test_a_share_lies_within_its_interval(n: int, part: float) -> None:
    figure = share(round(part * n), n)
    assert figure.value is not None
    assert 0 <= figure.detail["low"] <= figure.value <= figure.detail["high"] <= 1


def test_the_interval_of_a_share_has_the_truth_95_times_of_a_hundred() -> None:
    draw = random.Random(7)
    for n, truth in ((20, 0.1), (200, 0.8)):
        within = 0
        for _ in range(2_000):
            detail = share(sum(draw.random() < truth for _ in range(n)), n).detail
            within += detail["low"] <= truth <= detail["high"]
        assert 0.93 < within / 2_000 < 0.97, (n, truth)


@given(st.lists(st.integers(0, 10**12), min_size=2, max_size=30))
def test_means_have_the_normal_interval(values: list[int]) -> None:
    n = len(values)
    figure = mean(sum(values), sum(each * each for each in values), n, 1_000_000)
    millions = [each / 1_000_000 for each in values]
    half = 1.959963984540054 * stdev(millions) / n**0.5
    value = fmean(millions)
    assert figure.value == pytest.approx(value)
    wanted = {"low": max(0, value - half), "high": value + half}
    assert figure.detail == pytest.approx(wanted, abs=1e-9 * (value + half))


def test_without_squares_or_of_one_value_there_is_no_interval() -> None:
    assert mean(5_000_000, 0, 3, 1_000_000) == (5 / 3, 3, {})
    assert mean(5_000_000, 25 * 10**12, 1, 1_000_000) == (5, 1, {})


def test_means_may_be_below_zero_where_they_are_said_to() -> None:
    below = mean(-3, 5, 3, 1, least=-9.0)
    assert below.value == -1
    assert below.detail["low"] < -1 < below.detail["high"]


def test_one_value_or_no_rank_has_no_interval() -> None:
    assert of_values([(1, 3.0), (0, 0.0)]) == (3.0, 1, {})
    assert of_ranks(Figure(None, 3)) == (None, 3, {})


def test_the_interval_of_an_auc_has_the_truth_95_times_of_a_hundred() -> None:
    draw, within, runs = random.Random(11), 0, 1_000
    for _ in range(runs):
        true = [draw.expovariate(1 / 2) for _ in range(30)]
        false = [draw.expovariate(1) for _ in range(60)]
        won = sum(a > b for a in true for b in false) / 1_800
        known = {"positives": 30.0, "negatives": 60.0, "half_width": 0.0}
        detail = of_ranks(Figure(won, 90, known)).detail
        within += detail["low"] <= 2 / 3 <= detail["high"]  # of exponentials with means 2 and 1
    assert 0.92 < within / runs < 0.98
