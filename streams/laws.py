"""Three laws that a model must keep before it may serve, tried on synthetic rows.

1. Predicting changes nothing.
2. Restored, then learning, equals never having stopped.
3. The same examples give the same model, twice.

Exactly-once processing rests on them: a model that breaks one is refused by name. The rows are what
the declaration allows (:mod:`headrace.streams.synthetic`); a model that cannot do with one of them
is refused too, with what it is about the row.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

from headrace.streams.estimators import name_of
from headrace.streams.features.checks import call_of
from headrace.streams.features.declared import Feature
from headrace.streams.model import Answer, Bundle
from headrace.streams.plan import Plan
from headrace.streams.synthetic import (
    Example,
    domains_of,
    late_examples,
    may_be_null,
    synthetic_examples,
)

_KEYS_SHOWN = 20

Digest = Callable[[Any], str]
_Failure = tuple[str, str]
"""What a model cannot do, learn or predict, and what it says."""


def check_laws(
    plan: Plan,
    digest: Digest,
    *,
    dumps: Callable[[Any], bytes] = pickle.dumps,
    loads: Callable[[bytes], Any] = pickle.loads,
) -> list[str]:
    """Return one sentence for each law that the plan's model breaks.

    Parameters
    ----------
    digest
        Of a model's state: equal for models that will do the same.
    dumps, loads
        How a model is saved and restored.
    """
    examples = synthetic_examples(plan)
    half = len(examples) // 2
    failure = _failure(plan, examples)
    broken = [] if failure is None else [_cannot(plan, failure)]
    try:
        broken += _broken(plan, digest, dumps, loads, examples[:half], examples[half:])
    except Exception as error:  # noqa: BLE001 - whatever a user's model raises is its fault
        if failure is None:
            broken = [f"cannot be tried ({_said(error)})."]
    return [f"{plan.name}: the model ({name_of(plan.pipeline.model)}) {said}" for said in broken]


def late_note(plan: Plan) -> str | None:
    """Return what becomes of late events, if the model cannot do without their entity's past.

    They are the exception, and a model is not refused for them: it is said.
    """
    if not plan.features.stateful or _failure(plan, late_examples(plan)) is None:
        return None
    return (
        "have no past, and the model cannot do without it: their predictions are null, and they"
        " are not learned (model_failed). missing= fills in what needs the past"
    )


def _failure(plan: Plan, examples: Sequence[Example]) -> _Failure | None:
    """Return what a model cannot do with such rows, None if it can."""
    half = len(examples) // 2
    bundle = Bundle(plan)
    try:
        _taught(bundle, examples[:half])
        for answer in _answers(bundle, examples):
            if answer.failure:
                return "predict", answer.failure
        _taught(bundle, examples[half:])
    except Exception as error:  # noqa: BLE001 - a user's model may raise anything
        return "learn", _said(error)
    return None


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _cannot(plan: Plan, failure: _Failure) -> str:
    """Say what a model cannot do, and what to do about it: by trying what it is about a row."""
    what, said = failure[0], failure[1].rstrip(".: ")
    if _failure(plan, synthetic_examples(plan, without=())) is not None:
        return f"cannot {what} a row of these features ({said}).{_hint(plan, said)}"
    domains, kinds = domains_of(plan.pipeline.events.event), dict(plan.feature_fields)
    nullable = [each for each in plan.features.features if may_be_null(each, domains)]
    needed = [
        each
        for each in nullable
        if _failure(plan, synthetic_examples(plan, without=(each.name,))) is not None
    ]
    names = ", ".join(each.name for each in needed)
    if not needed:
        names = f"any of {', '.join(each.name for each in nullable)}"
    return f"cannot {what} a row without {names} ({said}), and these can be null. " + _filling(
        [each for each in needed or nullable if kinds[each.name] != "category"]
    )


def _filling(features: Sequence[Feature]) -> str:
    """Say how null is filled in, by the declaration of the first feature that it can be of."""
    if not features:
        return "Declare the field so that it is never null."
    call = call_of(features[0])[:-1]
    return f'Write {call}, missing=0), or missing="mean", or declare the field without None.'


def _hint(plan: Plan, said: str) -> str:
    """Return what may help a model that cannot do with a row in which nothing is missing."""
    if said.startswith("NotImplementedError"):
        return (
            " Headrace scores by probabilities: use a classifier that has predict_proba_one, as"
            " river.multiclass.OneVsRestClassifier(...) has."
        )
    if "no finite number" in said:
        return " Large numbers may make it diverge: try preprocessing.StandardScaler() before it."
    if said.startswith("KeyError"):
        keys = ", ".join(list(synthetic_examples(plan, without=())[0][0])[:_KEYS_SHOWN])
        return f" It is given the keys {keys}: see docs/features.md, What the model sees."
    return ""


def _broken(
    plan: Plan,
    digest: Digest,
    dumps: Callable[[Any], bytes],
    loads: Callable[[bytes], Any],
    first: Sequence[Example],
    second: Sequence[Example],
) -> list[str]:
    bundle = _taught(Bundle(plan), first)
    before = digest(bundle.state())
    answers = _answers(bundle, first, second)
    broken = []
    if digest(bundle.state()) != before:
        broken.append("changes when it predicts. Its state must change by learning alone.")
    restored = _taught(Bundle(plan, loads(dumps(bundle.state()))), second)
    again = _taught(Bundle(plan), first)
    if digest(again.state()) != before:
        broken.append("learns the same twice into different states. Give it a seed.")
    if _answers(again, first, second) != answers:
        broken.append("learns the same twice and answers differently. Give it a seed.")
    if digest(restored.state()) != digest(_taught(bundle, second).state()):
        broken.append("goes on differently when it was saved and restored. It cannot be restarted.")
    return broken


def _taught(bundle: Bundle, examples: Sequence[Example]) -> Bundle:
    for x, label in examples:
        # Each learner is handed a row of its own: a model may keep it.
        bundle.learn(dict(x), label)
    return bundle


def _answers(bundle: Bundle, *examples: Sequence[Example]) -> list[Answer]:
    return [bundle.predict(dict(x)) for x, _ in chain(*examples)]
