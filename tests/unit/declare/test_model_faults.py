"""Each fault of a model, its label and its decision is said, with its line and a remedy."""

from dataclasses import replace
from typing import Any

import pytest
from river import (
    active,
    anomaly,
    base,
    compose,
    feature_extraction,
    linear_model,
    preprocessing,
    tree,
)

from headrace.schemas.errors import DeclarationError
from headrace.streams.pipeline import Cost, Threshold, majority, value
from headrace.streams.plan import plan_of
from tests.unit.declare.test_faults import (
    REGRESSION,
    but,
    check_fault,
    good,
    labels,
    with_monitor,
)

SUPERVISED = anomaly.GaussianScorer()  # type: ignore[no-untyped-call]


class Unclonable(base.Classifier):
    """Does not keep what it is given."""

    def __init__(self, size: int) -> None:
        self.own_size = size

    def learn_one(self, x: Any, y: Any) -> None: ...


FAULTS = {
    "model's class": (but(model=linear_model.LogisticRegression), "LogisticRegression is a class"),
    "transformer": (but(model=preprocessing.StandardScaler()), "ends in StandardScaler"),
    "no steps": (but(model=compose.Pipeline()), "is a pipeline without steps"),
    "supervised detector": (
        but(model=SUPERVISED),
        "scores a label that is there already",
    ),
    "several labels": (but(model=tree.ISOUPTreeRegressor()), "learns several labels at once"),
    "active learning": (
        but(model=active.EntropySampler(linear_model.LogisticRegression(), seed=1)),
        "says which labels to ask for: here each label that comes is learned.",
    ),
    "no clone": (but(model=Unclonable(3)), "the model cannot be cloned (AttributeError"),
    "words": (
        but(model=feature_extraction.TFIDF(on="note") | linear_model.LogisticRegression()),
        "the model's TFIDF splits a text into words",
    ),
    "decide beside a filter": (
        lambda: replace(
            good,
            model=anomaly.QuantileFilter(anomaly.HalfSpaceTrees(seed=1), q=0.9),
            decide=Cost(1, 2),
        ),
        "decide= has no effect: the model's QuantileFilter decides",
    ),
    "baselines of one name": (
        with_monitor(baselines=[majority(), majority()]),
        "Monitor(baselines=[...]) names one twice: majority, majority.",
    ),
    "segment twice": (with_monitor(segments=["shop", "shop"]), "segments=[...]) names one twice"),
    "window twice": (with_monitor(windows=["1h", "60m"]), "names one twice: 1h, 60m."),
    "no River model": (but(model=object()), "ends in object"),
    "model without labels": (but(labels=None), "learns from labels, and there are none"),
    "regression of truth": (but(model=REGRESSION), "a regressor learns float or int"),
    "anomaly of text": (
        lambda: replace(
            good, model=anomaly.HalfSpaceTrees(seed=1), labels=replace(labels, value="text")
        ),
        "an anomaly detector learns bool",
    ),
    "threshold": (but(decide=Threshold(2)), "Threshold(2) is no probability"),
    "decide": (but(decide=0.5), "decide=0.5 is none"),
    "decide a number": (
        lambda: replace(
            good, model=REGRESSION, labels=replace(labels, value="amount"), decide=Threshold(0.5)
        ),
        "decide= is for true or false; this model is regression",
    ),
    "cost": (but(decide=Cost(-1, 2)), "decide=Cost(false_positive=-1) is no cost"),
    "no cost": (but(decide=Cost(0, 0)), "tells no answers apart"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_each_fault_is_said_with_its_place(case: str) -> None:
    check_fault(*FAULTS[case])


def test_of_a_text_one_sentence_is_said_at_the_first_step() -> None:
    model = feature_extraction.BagOfWords(on="note") | linear_model.LogisticRegression()
    with pytest.raises(DeclarationError) as caught:
        plan_of(replace(good, model=model, features=[value("note")]))
    (said,) = caught.value.faults
    assert (
        'Leave it out, and make numbers of the text by functions, as apply(words, "text")' in said
    )
