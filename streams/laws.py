"""Three laws that a model must keep before it may serve, tried on synthetic rows.

1. Predicting changes nothing.
2. Restored, then learning, equals never having stopped.
3. The same examples give the same model, twice.

Exactly-once processing rests on them: a model that breaks one is refused by name. The rows are made
from the plan's features, with some absent in each and one row that has none.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

from headrace.schemas.avro import literal_values
from headrace.streams.faults import label_type
from headrace.streams.model import Answer, Bundle
from headrace.streams.plan import Plan

Digest = Callable[[Any], str]
Example = tuple[dict[str, Any], Any]

_ROWS = 60
_MODULUS = 2**31 - 1


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
    model = plan.pipeline.model
    name = type(list(model.steps.values())[-1] if hasattr(model, "steps") else model).__name__
    try:
        broken = _broken(plan, digest, dumps, loads, examples[:half], examples[half:])
    except Exception as error:  # noqa: BLE001 - whatever a user's model raises is its fault
        broken = [_failed("learn", f"{type(error).__name__}: {error}")]
    return [f"{plan.name}: the model ({name}) {said}" for said in broken]


def _failed(what: str, said: str) -> str:
    return (
        f"cannot {what} a row of these features ({said.rstrip('.')})."
        " Features can be absent: see docs/features.md."
    )


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
    failures = [answer.failure for answer in answers if answer.failure]
    broken = [_failed("predict", failures[0])] if failures else []
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


def synthetic_examples(plan: Plan) -> list[Example]:
    """Return rows at the model's door with labels; always the same for the same plan."""
    chance = _Chance()
    program = plan.features
    columns = list(zip(program.kinds, program.vocabularies, strict=True))

    def absent(number: int, column: int) -> bool:
        return (number + column) % 7 == 0 or number == _ROWS // 2 + 5

    examples: list[Example] = []
    for number in range(_ROWS):
        row = [
            None if absent(number, column) else _value(kind, vocabulary, chance)
            for column, (kind, vocabulary) in enumerate(columns)
        ]
        examples.append((program.door(row), _label(plan, number, chance)))
    return examples


class _Chance:
    """Numbers that look random and are the same everywhere (Park and Miller, 1988)."""

    def __init__(self) -> None:
        self._state = 20_240_229

    def below(self, bound: int) -> int:
        """Return a number from 0 to ``bound - 1``."""
        self._state = self._state * 48_271 % _MODULUS
        return self._state % bound


def _value(kind: str, vocabulary: Sequence[str], chance: _Chance) -> Any:
    if kind == "category":
        known = vocabulary or [f"v{number}" for number in range(8)]
        return known[chance.below(len(known))]
    if kind == "boolean":
        return chance.below(2) == 1
    return chance.below(24) if kind == "integer" else chance.below(100_000) / 1_000 - 40


def _label(plan: Plan, number: int, chance: _Chance) -> Any:
    if plan.labels == "none":
        return None
    if plan.task == "regression":
        return chance.below(10_000) / 100
    if plan.task != "multiclass":
        return (number + chance.below(2)) % 3 == 0
    known = literal_values(label_type(plan.pipeline)) or ("a", "b", "c")
    return known[chance.below(len(known))]
