"""One plain River model that learns the examples once, in order, and answers what was asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from tests.oracle import facts
from tests.oracle.digest import digest as plain_digest
from tests.oracle.logs import Logs
from tests.oracle.report import Report
from tests.oracle.scoring import Prediction, Truth

Loads = Callable[[bytes], Mapping[str, Any]]
Digest = Callable[[Any], Any]


@dataclass
class Learned:
    """What the examples were worth, in their order.

    Attributes
    ----------
    fresh
        P(true) by the newest model, just before it learned each example.
    """

    fresh: list[float]


class Majority:
    """The most frequent label so far; of equal ones the first by name."""

    def __init__(self) -> None:
        self._counts: dict[bool, int] = {}

    def learn(self, label: bool) -> None:
        self._counts[label] = self._counts.get(label, 0) + 1

    def says(self) -> bool | None:
        ordered = sorted(self._counts, key=lambda label: (-self._counts[label], str(label)))
        return ordered[0] if ordered else None


def check_learning(
    logs: Logs,
    truth: Truth,
    examples: list[tuple[int, dict[str, Any]]],
    report: Report,
    loads: Loads | None = None,
    digest: Digest = plain_digest,
    checkpoints: Sequence[tuple[int, bytes]] = (),
) -> Learned:
    """Replay the examples; compare what was served, and the models that were announced.

    Parameters
    ----------
    loads
        Reads an announced state; None compares no announced model.
    digest
        What is equal for equal models.
    checkpoints
        Offset and state of each checkpoint in the registry; ``loads`` reads them too.
    """
    model, majority = facts.new_model(), Majority()
    asked = sorted(truth.predictions.values(), key=lambda each: each.fields["learned_to"])
    kept = [("announced", *each) for each in _announced(logs, truth)]
    kept += [("checkpoint", *each) for each in checkpoints]
    states = sorted(kept, key=itemgetter(1)) if loads else []
    fresh: list[float] = []
    questions, known = iter([*asked, None]), iter([*states, None])
    question, state = next(questions), next(known)
    for number, (offset, example) in enumerate([*examples, (None, None)]):
        # Asked of a copy: River's scalers take up the keys of what they are asked, in that order.
        served = None
        while question and (offset is None or question.fields["learned_to"] <= offset):
            served = deepcopy(model) if served is None else served
            _compare_answer(question, served, majority, report)
            question = next(questions)
        while state and (offset is None or state[1] <= offset):
            assert loads is not None
            _compare_state(state, loads, digest, model, number, report)
            state = next(known)
        if example is None:
            break
        x, label = facts.door(example["features"]), example["label"]
        fresh.append(float(model.predict_proba_one(dict(x))[True]))
        model.learn_one(x, label)
        majority.learn(label)
        truth.count("learned", example["event_time"])
    return Learned(fresh)


def _compare_state(
    state: tuple[str, int, bytes], loads: Loads, digest: Digest, model: Any, seen: int,
    report: Report,
) -> None:  # fmt: skip
    kind, learned_to, artifact = state
    kept, what = loads(artifact), f"{kind}, learned to {learned_to}"
    name = "models" if kind == "announced" else "checkpoints"
    report.same(name, what, digest(kept["model"]), digest(model))
    report.same("examples seen", what, kept["seen"], seen)


def _announced(logs: Logs, truth: Truth) -> list[tuple[int, bytes]]:
    """Return the announcements that carry a state, a hundred of them at most and the last."""
    topic = logs.topics["models"]
    found = [truth.schemas.decode(r.value or b"", topic) for _, r in logs.of("models")]
    carrying = sorted((each for each in found if each["state"]), key=itemgetter("learned_to"))
    step = len(carrying) // 100 + 1
    return [(each["learned_to"], each["state"]) for each in carrying[-1::-step][::-1]]


def _compare_answer(prediction: Prediction, model: Any, majority: Majority, report: Report) -> None:
    fields = prediction.fields
    score = float(model.predict_proba_one(facts.door(fields["features"]))[True])
    wanted = {
        "prediction": score >= 0.5,
        "score": score,
        "probabilities": {"false": 1.0 - score, "true": score},
        "baselines": {"majority": majority.says(), "left_late": facts.left_late(prediction.event)},
    }
    what = f"{fields['id']} by the model of {fields['learned_to']}"
    for name, value in wanted.items():
        report.same(name, what, fields[name], value)
