"""PSI: nothing where nothing has changed, much where much has, and never blind."""

from __future__ import annotations

from collections import Counter
from math import log
from random import Random

import pytest

from headrace.streams.buckets import number_bucket
from headrace.streams.drift import Compared, Reference, is_watched
from headrace.streams.groups import GROUPS_MAX, NULL, SMOOTHING
from headrace.streams.totals import Family


def binned(values: list[float | None]) -> Family:
    return dict(Counter(NULL if v is None else str(number_bucket(v)) for v in values))


def normal(random: Random, n: int, mean: float = 100.0) -> Family:
    return binned([random.gauss(mean, 10.0) for _ in range(n)])


def test_the_same_distribution_has_about_the_psi_of_chance() -> None:
    random = Random(7)
    ratios = []
    for _ in range(60):
        figure = Compared(normal(random, 1_000)).psi(normal(random, 500))
        assert figure.value is not None
        ratios.append(figure.value / figure.detail["chance"])
    assert 0.7 < sum(ratios) / len(ratios) < 1.3


def test_a_moved_distribution_is_seen() -> None:
    random = Random(8)
    groups = Compared(normal(random, 1_000))
    small, large = (groups.psi(normal(random, 1_000, mean)).value for mean in (105.0, 130.0))
    assert small is not None
    assert large is not None
    assert 0.1 < small < 1 < large


@pytest.mark.parametrize("moved", [1.0, 3.0, None])
def test_a_constant_that_changes_is_seen(moved: float | None) -> None:
    groups = Compared(binned([2.0] * 200))
    assert groups.psi(binned([2.0] * 300)).value == 0
    value = groups.psi(binned([moved] * 100)).value
    assert value is not None
    assert value > 1


def test_psi_is_its_formula() -> None:
    groups = Compared({"true": 60, "false": 40})
    figure = groups.psi({"true": 60, "false": 138, NULL: 2})
    window, reference = (60, 138, 2), (60, 40, 0)
    n, m, extra = 200, 100, 3 * SMOOTHING
    shares = [
        ((a + SMOOTHING) / (n + extra), (b + SMOOTHING) / (m + extra))
        for a, b in zip(window, reference, strict=True)
    ]
    assert figure.value == pytest.approx(sum((p - q) * log(p / q) for p, q in shares), rel=1e-12)
    assert figure.support == 200
    assert figure.detail == {"groups": 3.0, "chance": pytest.approx(2 * (1 / 200 + 1 / 100))}


def test_groups_hold_about_equal_shares() -> None:
    groups = Compared({str(number): 10 for number in range(100)})
    assert groups.reference == [0, *[100] * GROUPS_MAX, 0, 0, 0]


def test_a_bucket_that_fills_several_shares_is_one_group() -> None:
    groups = Compared({"0": 950, **{str(number): 1 for number in range(1, 51)}})
    assert groups.reference == [0, 950, 50, 0, 0, 0]


def test_the_most_frequent_values_of_a_category_are_groups() -> None:
    groups = Compared({f"={name}": 100 - name for name in range(12)} | {NULL: 5})
    assert groups.reference == [*(100 - name for name in range(9)), 91 + 90 + 89, 5]
    assert groups.psi({"=0": 500}).value != groups.psi({"=11": 500}).value


@pytest.mark.parametrize("few", [{}, {"true": 99}])
def test_too_few_say_nothing(few: Family) -> None:
    assert Compared({"true": 100}).psi(few).value is None
    assert Compared(few).psi({"true": 100}).value is None


@pytest.mark.parametrize(
    ("reference", "family", "share"),
    [
        ({"5": 60, "9": 40}, {"4": 1, "5": 1, "7": 3, "10": 2, NULL: 3}, 0.3),
        ({"5": 100}, {"5": 7, NULL: 1}, None),
        ({"=a": 60, "=b": 40}, {"=a": 2, "=c": 1, NULL: 1}, 0.25),
        ({NULL: 100}, {"5": 4}, 1.0),
    ],
)
def test_what_the_reference_did_not_know_is_outside(
    reference: Family, family: Family, share: float | None
) -> None:
    found = Reference({"feature.load": reference}).figures({"feature.load": family})
    outside = found.get("outside.feature.load")
    assert (None if outside is None else outside.value) == share


def test_features_and_the_score_are_watched() -> None:
    totals = {"score": {"3": 200}, "feature.load": {"5": 200}, "outcome.true": {"5": 200}}
    reference = Reference(totals)
    found = reference.figures({"score": {"3": 200}})
    assert list(found) == ["psi.score", "psi.feature.load"]
    assert found["psi.score"].value == 0
    assert found["psi.feature.load"].value is None
    assert not is_watched("outcome.true")
