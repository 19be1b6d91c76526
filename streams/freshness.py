"""How old things are, and what that costs: counted by SCORE and LEARN beside ``observe``.

- **Events**: how long after their own time their records were written.
- **Entity states**: how long before an event its entity's newest one was.
- **Models**: how long before an event the newest label was that the served model had learned; and
  how the newest model does, just before it learns the example (prequential). Where labels come
  late, that one knows labels that were true only after the event, which no served model can know:
  then the two are not compared. Where it knows none, the difference of their losses is the
  *regret* of serving a model that lags.
- **Labels**: how long they take where they say true, to be held against all of them.

All are counted by whole batches, and all names are in docs/metrics.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from headrace.streams.buckets import number_bucket
from headrace.streams.columns import Cell, column_of
from headrace.streams.model import Answer, Label
from headrace.streams.observe import Tally, by_tile, tile_ms_of
from headrace.streams.outcomes import JUDGES, LOSSES, TEXT_CHARS_MAX, Names
from headrace.streams.plan import Plan

Arrival = tuple[int, int, int | None, Label | None]
"""A scored event: its own time and its record's; how much older its entity's newest event was (None
of a new entity, or if nothing of entities is remembered), in milliseconds; and the prediction. A
plain tuple: one is made of each event."""


class Arrivals:
    """What SCORE counts of events besides their features and scores.

    Parameters
    ----------
    plan
        The pipeline's plan.
    """

    def __init__(self, plan: Plan) -> None:
        self._tile_ms = tile_ms_of(plan)
        self._stateful = plan.features.stateful
        self._delays = column_of("event_delay", "number", (), {})
        self._ages = column_of("entity_age", "number", (), {})
        is_number = plan.task == "regression"
        self._answers = column_of("answer", "number", (), {}) if is_number else _add_answers
        self._count_all = partial(Arrivals._counted, self)

    def take(self, tally: Tally, arrival: Arrival) -> None:
        """Count one, at the batch's end."""
        tally.defer(self._count_all, arrival)

    def _counted(self, tally: Tally, arrivals: Sequence[Arrival]) -> None:
        own_times = [arrival[0] for arrival in arrivals]
        for tile, group in by_tile(arrivals, own_times, self._tile_ms):
            cell = tally.cell(tile)
            times, timestamps, ages, said = zip(*group, strict=True)
            self._delays(cell, [max(0, b - a) for a, b in zip(times, timestamps, strict=True)])
            answers = [each for each in said if each is not None]
            if answers:
                self._answers(cell, answers)
            if self._stateful:
                known = [age for age in ages if age is not None]
                if known:
                    self._ages(cell, known)
                if len(known) < len(ages):
                    cell.values["new_entity"] += len(ages) - len(known)


def _add_answers(cell: Cell, answers: Sequence[Any]) -> None:
    """Count answers that are no numbers."""
    for said, n in Counter(answers).items():
        key = f"={said[:TEXT_CHARS_MAX]}" if isinstance(said, str) else str(said).lower()
        cell.values[f"answer:{key}"] += n


class Freshest:
    """What LEARN counts of each example by asking the newest model, just before that learns it.

    Parameters
    ----------
    plan
        The pipeline's plan.

    Attributes
    ----------
    asks
        Whether the newest model's answer is wanted.
    """

    def __init__(self, plan: Plan) -> None:
        self._loss = LOSSES.get(plan.task)
        self.asks = self._loss is not None
        self._judge = JUDGES[plan.task]("fresh")
        self._model_age = Names(lambda age_ms: f"model_age:{number_bucket(age_ms)}")
        self._true_delay = Names(lambda delay_ms: f"true_delay:{number_bucket(delay_ms)}")

    def take(
        self,
        tally: Tally,
        example: Mapping[str, Any],
        fresh: Answer | None,
        age_ms: int | None,
        *,
        later: bool,
    ) -> None:
        """Count an example.

        Parameters
        ----------
        fresh
            What the newest model says of it; None if it was not asked.
        age_ms
            How much older than the event the newest label was that its served model had learned;
            None if it had learned none.
        later
            Whether the newest model has learned a label that was true only after the event.
        """
        label, cell = example["label"], tally.cell(example["event_time"]).values
        if age_ms is not None:
            cell[self._model_age[age_ms]] += 1
        if label is True:
            cell[self._true_delay[example["label_time"] - example["event_time"]]] += 1
        if label is None or fresh is None or fresh.prediction is None:
            return
        for pairs in self._judge(label, fresh.prediction, fresh.score, fresh.probabilities):
            for name, n in pairs:
                cell[name] += n
        served = (example["prediction"], example["score"], example["probabilities"])
        before, after = self._of(label, served), self._of(label, fresh[:3])
        if before is None or after is None:
            return
        if later:
            cell["fresh.later"] += 1
            return
        regret = before - after
        cell["equal.n"] += 1
        cell["equal.loss"] += regret
        cell["equal.loss_squared"] += regret * regret

    def _of(self, label: Any, answer: tuple[Any, ...]) -> int | None:
        return None if self._loss is None or answer[0] is None else self._loss(label, *answer)
