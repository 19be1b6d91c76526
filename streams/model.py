"""A model with its learned baselines: what LEARN teaches, and what SCORE predicts with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from math import isfinite
from typing import Any, NamedTuple

from headrace.streams.estimators import last_of
from headrace.streams.plan import Plan

LABELS_MAX = 1_000
"""How many different labels ``majority`` counts; further ones are no candidates."""

Label = bool | float | str
State = dict[str, Any]


class Answer(NamedTuple):
    """What a model says of one row.

    Attributes
    ----------
    prediction
        None when the model has nothing to say.
    score
        P(true), the highest probability, or the anomaly score; None for regression.
    probabilities
        By class, of classifiers.
    failure
        Why there is no prediction, if the model failed.
    """

    prediction: Label | None = None
    score: float | None = None
    probabilities: dict[str, float] | None = None
    failure: str | None = None


NOTHING = Answer()


class Baselines:
    """What simpler predictors have learned: the most frequent label, and the newest.

    Parameters
    ----------
    task, names
        The plan's.
    state
        What :meth:`state` returned; None has learned nothing.
    """

    def __init__(self, task: str, names: Sequence[str], state: Mapping[str, Any] | None) -> None:
        learned = state or {"labels": 0, "counts": {}, "total": 0.0, "last": None}
        self._labels: int = learned["labels"]
        self._counts: dict[Label, int] = dict(learned["counts"])
        self._total: float = learned["total"]
        self._last: Label | None = learned["last"]
        self._numbers = task == "regression"
        majority = self._mean if self._numbers else self._most_frequent
        known = {"majority": majority, "last_value": self._newest}
        self._says = [(name, known[name]) for name in names]

    def learn(self, label: Label) -> None:
        """Learn one label."""
        self._labels += 1
        self._last = label
        if self._numbers:
            self._total += float(label)
        elif label in self._counts or len(self._counts) < LABELS_MAX:
            self._counts[label] = self._counts.get(label, 0) + 1

    def predictions(self) -> dict[str, Label | None]:
        """Return what each baseline predicts now, by name; None as long as it knows nothing."""
        return {name: says() for name, says in self._says}

    def state(self) -> State:
        """Return the state as plain data."""
        return {
            "labels": self._labels,
            "counts": self._counts,
            "total": self._total,
            "last": self._last,
        }

    def _newest(self) -> Label | None:
        return self._last

    def _mean(self) -> Label | None:
        return self._total / self._labels if self._labels else None

    def _most_frequent(self) -> Label | None:
        """Return the most frequent label; of equal ones the first by name."""
        if not self._counts:
            return None
        return min(self._counts, key=lambda label: (-self._counts[label], str(label)))


class Bundle:
    """A River model and the baselines that learn from the same examples, as one state.

    Nothing that the model raises comes out of :meth:`predict`: it is an answer like others.

    Parameters
    ----------
    plan
        The pipeline's plan.
    state
        What :meth:`state` returned; None is the fresh, seeded model.

    Attributes
    ----------
    model
        River's model.
    seen
        How many examples it has learned.
    baselines
        What each learned baseline predicts now, by name.
    """

    def __init__(self, plan: Plan, state: Mapping[str, Any] | None = None) -> None:
        self.model = plan.new_model() if state is None else state["model"]
        self.seen: int = 0 if state is None else state["seen"]
        learned = None if state is None else state["baselines"]
        self._baselines = Baselines(plan.task, plan.learned_baselines, learned)
        self.baselines = self._baselines.predictions()
        self._plan = plan
        self._answer = _filtered if plan.decided_by_model else _ANSWERS[plan.task]
        self._takes_label = "y" in signature(self.model.learn_one).parameters

    def predict(self, x: dict[str, Any]) -> Answer:
        """Return what the model says of a row at its door; changes nothing.

        A model that has seen nothing yet may answer ``{}`` or None: a null prediction. One that
        raises, or answers what is no finite number, has failed.
        """
        try:
            return self._answer(self._plan, self.model, x)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - a user's model may raise anything
            return Answer(failure=f"{type(error).__name__}: {error}")

    def learn(self, x: dict[str, Any], label: Label | None) -> None:
        """Learn one example; a label of None is for models that need none.

        Whatever the model raises, this raises, and the baselines have not learned.
        """
        if label is None or not self._takes_label:
            self.model.learn_one(x)
        else:
            self.model.learn_one(x, label)
        self.seen += 1
        if label is not None:
            self._baselines.learn(label)
            self.baselines = self._baselines.predictions()

    def state(self) -> State:
        """Return the state as plain data around River's model; it is not copied."""
        return {"model": self.model, "baselines": self._baselines.state(), "seen": self.seen}


# -- how each kind of model answers


def _finite(value: Any, what: str) -> float:
    number = float(value)
    if not isfinite(number):
        raise ValueError(f"{what} is {number}, which is no finite number")
    return number


def _binary(plan: Plan, model: Any, x: dict[str, Any]) -> Answer:
    found = model.predict_proba_one(x)
    if not found:
        return NOTHING
    # A model that has met one class alone names that one alone.
    true = found[True] if True in found else 1.0 - found[False]
    score = _finite(true, "P(true)")
    probabilities = {"false": 1.0 - score, "true": score}
    return Answer(plan.decide(score), score, probabilities)


def _multiclass(plan: Plan, model: Any, x: dict[str, Any]) -> Answer:
    found = model.predict_proba_one(x)
    if not found:
        return NOTHING
    by_name = {str(name): _finite(found[name], f"P({name})") for name in sorted(found, key=str)}
    prediction = plan.decide(by_name)
    return Answer(prediction, by_name[str(prediction)], by_name)


def _regression(plan: Plan, model: Any, x: dict[str, Any]) -> Answer:
    found = model.predict_one(x)
    return NOTHING if found is None else Answer(_finite(found, "the prediction"))


def _anomaly(plan: Plan, model: Any, x: dict[str, Any]) -> Answer:
    found = model.score_one(x)
    if found is None:
        return NOTHING
    score = _finite(found, "the score")
    return Answer(plan.decide(score), score)


def _filtered(plan: Plan, model: Any, x: dict[str, Any]) -> Answer:
    """Ask the detector for a score, and its filter for the decision: both from what is learned."""
    found = model.score_one(x)
    if found is None:
        return NOTHING
    score = _finite(found, "the score")
    return Answer(bool(last_of(model).classify(score)), score)


_ANSWERS: Mapping[str, Callable[[Plan, Any, dict[str, Any]], Answer]] = {
    "binary": _binary,
    "multiclass": _multiclass,
    "regression": _regression,
    "anomaly": _anomaly,
}


# -- what is served


class Served(NamedTuple):
    """The model that SCORE predicts with: one object, replaced between batches.

    Attributes
    ----------
    version
        The declaration's version.
    learned_to
        The bundle has learned the examples before this offset.
    """

    version: int
    learned_to: int
    bundle: Bundle


Loads = Callable[[bytes], Any]
Dumps = Callable[[Any], bytes]


def fresh_served(plan: Plan, version: int) -> Served:
    """Return the model that has learned nothing."""
    return Served(version, 0, Bundle(plan))


def served_from(plan: Plan, version: int, learned_to: int, state: bytes, loads: Loads) -> Served:
    """Return what a signed state holds: an announcement's, or a checkpoint's."""
    return Served(version, learned_to, Bundle(plan, loads(state)))


def announced(
    plan: Plan,
    version: int,
    announcement: Mapping[str, Any],
    loads: Loads,
    checkpoint_at: Callable[[int], bytes | None],
) -> Served | None:
    """Return the model that an announcement carries or refers to.

    Parameters
    ----------
    announcement
        A decoded record of ``<p>.models``.
    checkpoint_at
        Returns the state of the checkpoint at an offset, None if there is none.

    Returns
    -------
    Served or None
        None if it is of another version, or says a barrier alone.
    """
    if announcement["version"] != version:
        return None
    state = announcement["state"]
    if state is None and announcement["checkpoint"] is not None:
        state = checkpoint_at(announcement["checkpoint"])
    if state is None:
        return None
    return served_from(plan, version, announcement["learned_to"], state, loads)
