"""Bundles: how each kind of model answers, fails, learns, and comes back from its state."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from typing import Any, Literal

import pytest
from river import anomaly, compose, forest, linear_model, naive_bayes, preprocessing, tree
from river.base import AnomalyDetector, Classifier, Regressor

from headrace.streams.model import (
    LABELS_MAX,
    Answer,
    Bundle,
    announced,
    fresh_served,
    served_from,
)
from headrace.streams.pipeline import (
    InEvent,
    Monitor,
    Source,
    Threshold,
    last_value,
    majority,
    value,
)
from headrace.streams.plan import Plan, plan_of
from headrace.streams.trained import learned_digest
from tests.unit.stages.flow import PLAN, Reading, pipeline

X = {"load": 1.0}


class Told(Reading):
    grade: Literal["fine", "worn", "gone"] = "fine"
    amount: float = 0.0


def plan_with(model: Any, label: str = "broken", **changes: Any) -> Plan:
    return plan_of(
        pipeline(
            events=Source(Told, id="id", key="machine", time="at"),
            labels=InEvent(label),
            features=[value("load")],
            model=model,
            monitor=Monitor(baselines=[majority(), last_value()]),
            **changes,
        )
    )


class Scripted(Classifier):
    """Answers what it was told to."""

    _multiclass = True

    def __init__(self, answer: Any = None) -> None:
        self.answer = answer

    def learn_one(self, x: Any, y: Any) -> None: ...

    def predict_proba_one(self, x: Any, **kwargs: Any) -> Any:
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


def answer(model_answer: Any, **changes: Any) -> Answer:
    bundle = Bundle(plan_with(Scripted(), **changes))
    bundle.model.answer = model_answer
    return bundle.predict(X)


@pytest.mark.parametrize("nothing", [None, {}])
def test_a_model_that_has_seen_nothing_may_say_nothing(nothing: Any) -> None:
    assert answer(nothing) == Answer()


def test_a_binary_model_answers_with_the_probability_of_true() -> None:
    said = answer({True: 0.75, False: 0.25})
    assert said == Answer(True, 0.75, {"false": 0.25, "true": 0.75})
    assert answer({True: 0.75}, decide=Threshold(0.8)).prediction is False


def test_a_model_that_has_met_one_class_alone_still_has_a_score() -> None:
    assert answer({False: 1.0}) == Answer(False, 0.0, {"false": 1.0, "true": 0.0})
    assert answer({True: 1.0}).score == 1.0


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (ArithmeticError("no"), "ArithmeticError: no"),
        ({True: math.nan}, "ValueError: P(true) is nan, which is no finite number"),
        ({True: "likely"}, "ValueError: could not convert"),
        ({"yes": 1.0}, "KeyError: False"),
    ],
)
def test_a_model_that_fails_answers_with_the_failure(wrong: Any, said: str) -> None:
    found = answer(wrong)
    assert found[:3] == (None, None, None)
    assert found.failure is not None
    assert found.failure.startswith(said)


def test_no_memory_is_no_models_fault() -> None:
    with pytest.raises(MemoryError):
        answer(MemoryError())


def test_of_several_classes_the_likeliest_is_said_and_of_equal_ones_the_first_by_name() -> None:
    plan = plan_with(Scripted(), label="grade")
    bundle = Bundle(plan)
    bundle.model.answer = {"worn": 0.4, "gone": 0.4, "fine": 0.2}
    said = bundle.predict(X)
    assert said.prediction == "gone"
    assert said.score == 0.4
    assert list(said.probabilities or {}) == ["fine", "gone", "worn"]
    bundle.model.answer = {}
    assert bundle.predict(X) == Answer()


class Silent(Regressor):
    def learn_one(self, x: Any, y: Any) -> None: ...

    def predict_one(self, x: Any) -> Any:
        return None


def test_a_regressor_answers_with_a_number_alone() -> None:
    bundle = Bundle(plan_with(linear_model.LinearRegression(), label="amount"))
    bundle.learn(X, 3.0)
    found = bundle.predict(X)
    assert isinstance(found.prediction, float)
    assert found[1:] == (None, None, None)
    assert Bundle(plan_with(Silent(), label="amount")).predict(X) == Answer()


@pytest.mark.parametrize(
    "model",
    [
        anomaly.HalfSpaceTrees(seed=1, n_trees=3, height=3, window_size=3),
        preprocessing.MinMaxScaler() | anomaly.HalfSpaceTrees(seed=1, n_trees=3, height=3),
    ],
    ids=["bare", "piped"],
)
def test_an_anomaly_detector_answers_with_its_score_and_a_decision(model: Any) -> None:
    bundle = Bundle(plan_with(model, decide=Threshold(0.0)))
    for number in range(10):
        bundle.learn({"load": number / 10}, label=number > 8)
    found = bundle.predict({"load": 0.5})
    assert found.prediction is True
    assert found.score is not None
    assert bundle.seen == 10
    assert bundle.baselines == {"majority": False, "last_value": True}


FILTERS: dict[str, Callable[[], Any]] = {
    "quantile": lambda: anomaly.QuantileFilter(anomaly.HalfSpaceTrees(seed=1, window_size=5), 0.9),
    "threshold": lambda: anomaly.ThresholdFilter(
        anomaly.HalfSpaceTrees(seed=1, window_size=5), 0.99
    ),
    "piped": lambda: (
        preprocessing.MinMaxScaler()
        | anomaly.QuantileFilter(anomaly.HalfSpaceTrees(seed=1, window_size=5), 0.9)
    ),
}


def filtered(model: Any, score: float) -> bool:
    """Ask River's own filter, as its documentation has it."""
    while hasattr(model, "steps"):
        model = list(model.steps.values())[-1]
    return bool(model.classify(score))


@pytest.mark.parametrize("name", FILTERS)
def test_a_filter_decides_from_what_it_has_learned_in_a_restart_too(name: str) -> None:
    plan, own = plan_with(FILTERS[name]()), FILTERS[name]()
    bundle, decided = Bundle(plan), []
    for number in range(300):
        x = {"load": (number * 37 % 100) / 100 + (5 if number % 50 == 49 else 0)}
        if number == 150:
            bundle = Bundle(plan, pickle.loads(pickle.dumps(bundle.state())))
        found = bundle.predict(dict(x))
        assert found.score == own.score_one(dict(x))
        assert found.prediction is filtered(own, own.score_one(dict(x)))
        decided.append(found.prediction)
        bundle.learn(dict(x), None)
        own.learn_one(dict(x))
    # A threshold of a half would say otherwise.
    assert 0 < sum(map(bool, decided)) < 150


def test_a_filter_that_has_no_score_says_nothing() -> None:
    model = anomaly.ThresholdFilter(Mute(), 0.5)
    assert Bundle(plan_with(model)).predict(X) == Answer()


def test_a_model_that_comes_trained_begins_with_what_it_knows() -> None:
    model = preprocessing.StandardScaler() | linear_model.LogisticRegression()
    for number in range(3_000):
        model.learn_one({"load": float(number % 7)}, number % 7 > 3)
    known = model.predict_proba_one({"load": 6.0})[True]
    plan = plan_with(model)
    assert plan.learned is not None
    first = Bundle(plan)
    assert first.predict({"load": 6.0}).score == known > 0.9
    first.learn({"load": 6.0}, False)
    model.learn_one({"load": 6.0}, False)  # whoever declared it goes on with it
    assert Bundle(plan).predict({"load": 6.0}).score == known
    assert plan.digest == plan_with(pickle.loads(pickle.dumps(plan.new_model()))).digest
    assert plan.digest != plan_with(model.clone()).digest


def test_a_model_that_cannot_be_compared_is_taken_for_fresh() -> None:
    assert learned_digest(object()) is None
    model = forest.ARFClassifier(n_models=2)  # without a seed
    model.learn_one({"x": 1.0}, True)
    assert learned_digest(model) is None


class Mute(AnomalyDetector):
    def learn_one(self, x: Any) -> None: ...

    def score_one(self, x: Any) -> Any:
        return None


def test_an_anomaly_detector_may_say_nothing() -> None:
    assert Bundle(plan_with(Mute())).predict(X) == Answer()


def test_majority_and_last_value_learn_the_same_examples() -> None:
    model = naive_bayes.GaussianNB()  # type: ignore[no-untyped-call]  # as River has it
    bundle = Bundle(plan_with(model, label="grade"))
    assert bundle.baselines == {"majority": None, "last_value": None}
    for label in ("worn", "gone", "worn", "gone"):
        bundle.learn(X, label)
    assert bundle.baselines == {"majority": "gone", "last_value": "gone"}
    bundle.learn(X, "worn")
    assert bundle.baselines == {"majority": "worn", "last_value": "worn"}


def test_of_numbers_the_mean_stands_for_the_majority() -> None:
    bundle = Bundle(plan_with(linear_model.LinearRegression(), label="amount"))
    assert bundle.baselines == {"majority": None, "last_value": None}
    for label in (1.0, 2.0, 6.0):
        bundle.learn(X, label)
    assert bundle.baselines == {"majority": 3.0, "last_value": 6.0}


def test_labels_counted_are_bounded() -> None:
    bundle = Bundle(plan_with(Scripted(), label="grade"))
    for number in range(LABELS_MAX + 5):
        bundle.learn(X, f"l{number}")
    bundle.learn(X, "l3")
    state = bundle.state()["baselines"]
    assert len(state["counts"]) == LABELS_MAX
    assert state["labels"] == LABELS_MAX + 6
    assert bundle.baselines["majority"] == "l3"


def test_what_fails_to_learn_teaches_the_baselines_nothing() -> None:
    class Stubborn(Scripted):
        def learn_one(self, x: Any, y: Any) -> None:
            raise ArithmeticError("no")

    bundle = Bundle(plan_with(Stubborn()))
    with pytest.raises(ArithmeticError):
        bundle.learn(X, True)
    assert bundle.seen == 0
    assert bundle.baselines == {"majority": None, "last_value": None}


def test_a_state_goes_on_where_it_stopped() -> None:
    plan = plan_with(
        compose.Pipeline(preprocessing.StandardScaler(), tree.HoeffdingTreeClassifier())
    )
    whole, first = Bundle(plan), Bundle(plan)
    for number in range(40):
        whole.learn({"load": float(number)}, number % 3 == 0)
        first.learn({"load": float(number)}, number % 3 == 0)
        if number == 20:
            first = Bundle(plan, pickle.loads(pickle.dumps(first.state())))
    assert first.seen == whole.seen == 40
    assert first.baselines == whole.baselines
    assert first.predict(X) == whole.predict(X)


# -- what is served

STATE = pickle.dumps({**Bundle(PLAN).state(), "seen": 7})
ANNOUNCEMENT: dict[str, Any] = {
    "version": 2, "learned_to": 9, "state": STATE, "checkpoint": None
}  # fmt: skip


def no_checkpoint(offset: int) -> bytes | None:
    assert offset == 9
    return None


def test_a_fresh_model_has_learned_nothing() -> None:
    served = fresh_served(PLAN, 2)
    assert (served.version, served.learned_to, served.bundle.seen) == (2, 0, 0)


def test_an_announcement_carries_a_model_or_refers_to_one() -> None:
    inline = announced(PLAN, 2, ANNOUNCEMENT, pickle.loads, no_checkpoint)
    reference = {**ANNOUNCEMENT, "state": None, "checkpoint": 9}
    referred = announced(PLAN, 2, reference, pickle.loads, lambda _: STATE)
    assert inline is not None
    assert referred is not None
    assert inline.learned_to == referred.learned_to == 9
    assert inline.bundle.seen == referred.bundle.seen == 7
    assert served_from(PLAN, 2, 9, STATE, pickle.loads).bundle.seen == 7


@pytest.mark.parametrize(
    "changes", [{"version": 1}, {"state": None}, {"state": None, "checkpoint": 9}]
)
def test_an_announcement_may_carry_no_model(changes: dict[str, Any]) -> None:
    found = announced(PLAN, 2, {**ANNOUNCEMENT, **changes}, pickle.loads, no_checkpoint)
    assert found is None
