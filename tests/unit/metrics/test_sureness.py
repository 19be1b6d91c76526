"""The intervals that rest on sums of powers, and on classes and bins: right in formula and often.

How often is simulated, from drawn answers whose truth is known: the share of runs whose interval
has it is 95 %, as far as so many runs can tell.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import exp, sqrt
from random import Random

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.streams.binned import Calibration, calibration_error
from headrace.streams.figures import Figure
from headrace.streams.intervals import (
    GAPS_MIN,
    OF_CLASS_MIN,
    SQUARES_MIN,
    OfClass,
    Powers,
    explained,
    mean_f1,
    root_mean_square,
    share,
)

Z = 1.959963984540054
RUNS = 2_000
UNIT = 1_000

Array = npt.NDArray[np.float64]
Draw = Callable[[np.random.Generator], Figure]


def powers(labels: list[int], errors: list[int]) -> Powers:
    both = list(zip(labels, errors, strict=True))
    return Powers(
        *(sum(e**k for e in errors) for k in (2, 4)),
        *(sum(y**k for y in labels) for k in (1, 2, 3, 4)),
        *(sum(e * e * y**k for y, e in both) for k in (1, 2)),
    )


def has(draw: Draw, truth: float, seed: int) -> Figure:
    """Return the share of drawn intervals that have the truth, with its own interval."""
    random = np.random.default_rng(seed)
    details = [draw(random).detail for _ in range(RUNS)]
    return share(sum(each["low"] <= truth <= each["high"] for each in details), RUNS)


def is_right(found: Figure) -> bool:
    return found.detail["low"] <= 0.95 <= found.detail["high"]


def is_cautious(found: Figure) -> bool:
    return found.detail["high"] >= 0.95


# -- numbers


@st.composite
def numbers(draw: st.DrawFn) -> list[tuple[int, int]]:
    """Return labels and errors of any size; a drawn list of so many would be slow."""
    random = Random(draw(st.integers(0, 2**32)))
    tops = [10 ** draw(st.integers(0, 24)) - 1 for _ in range(2)]
    n = draw(st.integers(SQUARES_MIN, SQUARES_MIN + 10))
    centre = draw(st.integers(-(10**24), 10**24)) if draw(st.booleans()) else 0
    return [(centre + random.randint(-y, y), random.randint(-e, e)) for y, e in [tops] * n]


def half_of(parts: Array) -> float:
    """Return half of the interval of what moves by the mean of these parts."""
    return Z * float(np.std(parts, ddof=1)) / sqrt(len(parts))


@given(numbers())
def test_mean_squares_have_intervals_by_the_delta_method(pairs: list[tuple[int, int]]) -> None:
    labels, errors = [y for y, _ in pairs], [e for _, e in pairs]
    n, sums = len(pairs), powers(labels, errors)
    rmse, r2 = root_mean_square(sums.squared, sums.fourth, n, 1_000_000), explained(sums, n)
    a = np.array([float(e * e) for e in errors])
    total = sum(labels)
    b = np.array([float((n * y - total) ** 2) / n**2 for y in labels])
    if not a.any():
        assert (rmse.value, dict(rmse.detail), dict(r2.detail)) == (0, {}, {})
        return
    root, half = sqrt(a.mean()) / 1_000_000, half_of(a / a.mean()) / 2
    assert rmse.value == pytest.approx(root)
    wanted = {"low": root / exp(half), "high": root * exp(half)}
    assert rmse.detail == pytest.approx(wanted, rel=1e-6)
    if not r2.detail:
        assert r2.value is None
        assert len(set(labels)) == 1
        return
    ratio = a.mean() / b.mean()
    half = half_of(a / a.mean() - b / b.mean())
    assert r2.value == pytest.approx(1 - ratio, rel=1e-6, abs=1e-9)
    wanted = {"low": 1 - ratio * exp(half), "high": 1 - ratio / exp(half)}
    assert r2.detail == pytest.approx(wanted, rel=1e-5, abs=1e-6)


def test_the_interval_of_an_rmse_has_the_truth_95_times_of_a_hundred() -> None:
    def drawn(random: np.random.Generator, errors: Callable[..., Array]) -> Figure:
        squares = np.rint(UNIT * errors(random)).astype(np.int64) ** 2
        return root_mean_square(int(squares.sum()), int((squares**2).sum()), 1_500, UNIT)

    plain, off = (
        partial(drawn, errors=lambda random, by=by: by + random.normal(size=1_500)) for by in (0, 2)
    )
    assert is_right(has(plain, 1.0, 3))
    assert is_right(has(off, sqrt(5.0), 4))


def test_the_interval_of_r2_has_the_truth_95_times_of_a_hundred() -> None:
    def drawn(random: np.random.Generator, common: float) -> Figure:
        labels = random.normal(size=600)
        errors = common * labels + 0.5 * random.normal(size=600)
        y, e = (np.rint(UNIT * each).astype(np.int64) for each in (3 + labels, errors))
        sums = [
            *((e**k).sum() for k in (2, 4)), *((y**k).sum() for k in (1, 2, 3, 4)),
            *((e * e * y**k).sum() for k in (1, 2)),
        ]  # fmt: skip
        return explained(Powers(*map(int, sums)), 600)

    assert is_right(has(partial(drawn, common=0.0), 1 - 0.25, 5))
    assert is_right(has(partial(drawn, common=0.4), 1 - 0.41, 6))  # errors go with labels


def test_few_errors_none_and_such_whose_powers_were_not_counted_have_no_interval() -> None:
    few = powers([1, 2] * 24, [1, 3] * 24)
    assert root_mean_square(few.squared, few.fourth, 48, 1).detail == {}
    assert explained(few, 48).detail == {}
    none, many = powers([1, 2] * 40, [0] * 80), powers([1, 2] * 40, [1, 3] * 40)
    assert root_mean_square(0, 0, 80, 1) == (0, 80, {})
    assert explained(none, 80) == (1, 80, {})
    assert root_mean_square(many.squared, 0, 80, 1).detail == {}
    for name in ("fourth", "label_fourth"):
        assert explained(many._replace(**{name: 0}), 80).detail == {}
    assert explained(many, 80).detail
    assert explained(powers([7] * 80, [1, 3] * 40), 80) == (None, 80, {})


# -- classes


def confusion(prior: list[float], right: list[float]) -> Array:
    """Return how often each class is true (rows) and said; wrong answers are of any other one."""
    n = len(prior)
    rows = [[p * (1 - r) / (n - 1)] * n for p, r in zip(prior, right, strict=True)]
    for place, (p, r) in enumerate(zip(prior, right, strict=True)):
        rows[place][place] = p * r
    return np.array(rows)


def of_classes(table: npt.NDArray[np.int64]) -> list[OfClass]:
    sides = zip(table.sum(1), table.sum(0), np.diag(table), strict=True)
    return [OfClass(int(actual), int(said), int(hit)) for actual, said, hit in sides]


LIKELY = [
    confusion([1 / 3] * 3, [0.8, 0.7, 0.6]),
    confusion([0.5, 0.2, 0.15, 0.1, 0.05], [0.9, 0.8, 0.6, 0.7, 0.5]),
    confusion([0.8, 0.15, 0.05], [0.99, 0.95, 0.95]),
]


@pytest.mark.parametrize("likely", LIKELY)
def test_the_interval_of_a_mean_f1_has_the_truth_and_is_little_too_wide(likely: Array) -> None:
    truth = float(np.mean(2 * np.diag(likely) / (likely.sum(0) + likely.sum(1))))
    found: list[Figure] = []

    def drawn(random: np.random.Generator) -> Figure:
        table = random.multinomial(1_000, likely.ravel()).reshape(likely.shape)
        found.append(mean_f1(of_classes(table), 1_000))
        return found[-1]

    assert is_cautious(has(drawn, truth, 8))
    half = np.mean([each.detail["high"] - each.detail["low"] for each in found]) / 2
    assert half < 1.25 * Z * np.std([each.value or 0.0 for each in found])


@given(st.lists(st.lists(st.integers(0, 40), min_size=3, max_size=3), min_size=3, max_size=3))
def test_a_mean_f1_lies_within_its_interval_or_has_none(rows: list[list[int]]) -> None:
    classes = of_classes(np.array(rows))
    seen = [each for each in classes if each.actual + each.said]
    figure = mean_f1(seen, sum(map(sum, rows)))
    detail = figure.detail
    assert detail["classes"] == len(seen)
    rare = any(each.actual < OF_CLASS_MIN for each in seen)
    alike = figure.value in {None, 0, 1}
    assert ("low" in detail) == (not rare and not alike)
    if "low" in detail and figure.value is not None:
        assert 0 <= detail["low"] <= figure.value <= detail["high"] <= 1


# -- probabilities


def calibration(scores: Array, hits: npt.NDArray[np.bool_]) -> Calibration:
    million = 1_000_000
    places = np.minimum((scores * 10).astype(int), 9)
    sums, squares, counts, came = ({} for _ in range(4))
    for place in np.unique(places):
        inside, key = places == place, str(place)
        counts[key], came[key] = int(inside.sum()), int(hits[inside].sum())
        sums[key] = int(np.rint(scores[inside] * million).sum())
        squares[key] = int(np.rint((scores - hits)[inside] ** 2 * million).sum())
    return calibration_error(counts, sums.__getitem__, squares.__getitem__, came, million)


def test_a_bias_has_the_normal_interval_of_a_mean() -> None:
    random = Random(5)
    scores = np.array([random.random() for _ in range(200)])
    hits = np.array([random.random() < each for each in scores])
    off = scores - hits
    half = Z * np.std(off, ddof=1) / sqrt(200)
    detail = calibration(scores, hits).bias.detail
    assert detail == pytest.approx({"low": off.mean() - half, "high": off.mean() + half}, abs=1e-6)


Likely = Callable[[Array], Array]

SAYINGS: list[tuple[Likely, Likely, float, float]] = [
    # how probabilities are spread, how often it comes true, error and bias of the tenths
    (lambda u: u, lambda p: p, 0.0, 0.0),
    (lambda u: u, lambda p: p**1.5, 0.1, 0.1),
    (lambda u: u, lambda p: np.where(p < 0.5, p + 0.1, p - 0.1), 0.1, 0.0),
    (lambda u: 0.5 + u / 50, lambda p: p, 0.0, 0.0),
    (lambda u: 0.5 + u / 50, lambda p: 0 * p + 0.6, 0.09, -0.09),
]


@pytest.mark.parametrize(("spread", "likely", "error", "bias"), SAYINGS)
def test_calibration_has_the_truth_95_times_of_a_hundred(
    spread: Likely, likely: Likely, error: float, bias: float
) -> None:
    found: list[Calibration] = []

    def drawn(random: np.random.Generator, n: int = 500) -> Figure:
        scores = spread(random.random(n))
        found.append(calibration(scores, random.random(n) < likely(scores)))
        return found[-1].error

    assert is_cautious(has(drawn, error, 21))
    within = sum(each.bias.detail["low"] <= bias <= each.bias.detail["high"] for each in found)
    assert is_right(share(within, RUNS))
    for each in found[:100]:
        assert each.error.value is not None
        assert each.error.detail["low"] <= each.error.value <= each.error.detail["high"]


def test_few_probabilities_and_such_without_squares_have_no_interval_of_their_error() -> None:
    random = np.random.default_rng(2)
    scores = random.random(GAPS_MIN)
    hits = random.random(GAPS_MIN) < scores
    assert "low" in calibration(scores, hits).error.detail
    fewer = calibration(scores[1:], hits[1:])
    assert "low" not in fewer.error.detail
    assert "low" in fewer.bias.detail
    counts, came = {"3": 200}, {"3": 10}
    bare = calibration_error(counts, lambda _: 70_000_000, lambda _: 0, came, 1_000_000)
    assert (bare.error.value, bare.bias.value) == (0.3, 0.3)
    assert "low" not in bare.error.detail
    assert dict(bare.bias.detail) == {}
