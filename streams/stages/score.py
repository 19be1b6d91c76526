"""SCORE: from an event to a prediction.

A valid event moves its partition's watermark and its entity's windows, in this order, and becomes
one prediction that says how it came to be. What is not valid becomes a dead letter and moves
nothing. The state is a function of the events alone: no model is needed to restore it.

What its source has sent before is passed over (see ``repetitions``).

State keys: ``w``, the partition's clock; ``s``, how far each source has come; ``e:<entity key>``,
each entity's windows.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from math import isfinite
from typing import Any, NamedTuple

from headrace.schemas.labelling import Labelling
from headrace.schemas.records import Codecs
from headrace.streams.decoding import Rejected
from headrace.streams.features.values import FeatureError
from headrace.streams.freshness import Arrivals
from headrace.streams.model import Answer, Served
from headrace.streams.observe import Observer
from headrace.streams.partitioner import partition_of
from headrace.streams.plan import Plan
from headrace.streams.protocol.stage import Context, Effects, View
from headrace.streams.records import Emit, Record
from headrace.streams.stages.marks import Control, control_of, crossed, raised
from headrace.streams.stages.output import Output
from headrace.streams.stages.repetitions import SOURCES, Places
from headrace.streams.topics import Partitions
from headrace.streams.validators import told
from headrace.streams.watermark import Clock, advance, fresh_clock

CLOCK = "w"


class _Arrival(NamedTuple):
    """A valid event, and what needs no state of it."""

    event: Any
    key: str
    state_key: str
    time_ms: int
    row: list[Any]
    inputs: list[Any]


class _Standing(NamedTuple):
    """Where an event stood in time.

    Attributes
    ----------
    watermark
        Before it.
    late
        It came too late for its entity's windows.
    age_ms
        How much older its entity's newest event was; None of a new entity.
    """

    watermark: int | None
    late: bool
    age_ms: int | None


_Item = tuple[Record, _Arrival | Rejected | Control]


class ScoreStage:
    """SCORE of one events partition.

    Parameters
    ----------
    plan, codecs
        The pipeline's.
    partition
        The events partition.
    partitions
        How many partitions the topics have.
    """

    name = "score"
    whole = False
    poison_keys: tuple[str, ...] = (SOURCES,)

    def __init__(self, plan: Plan, codecs: Codecs, partition: int, partitions: Partitions) -> None:
        self._plan = plan
        self._codecs = codecs
        self._partition = partition
        self._partitions = partitions
        self._observer = Observer(plan)
        self._arrivals = Arrivals(plan)
        self._direct = plan.labels != "topic"
        self._labelling = Labelling(codecs.prediction, codecs.example)
        self._source = f"{plan.topics.events}-{partition}-"
        self._as_label = {"multiclass": str, "regression": float}.get(plan.task, bool)
        if self._direct:
            self._next, self._fan_out = plan.topics.examples, 1
        else:
            self._next, self._fan_out = plan.topics.predictions, partitions.predictions

    def load(self, view: View) -> None:
        """Do nothing: entities are read as they are needed."""

    def prepare(self, records: Sequence[Record]) -> list[_Item]:
        """Decode, validate, and compute the features that need no past."""
        return [(record, self._read(record)) for record in records]

    def keys(self, prepared: Sequence[_Item]) -> Collection[str]:
        """Return the keys of clock and sources, and of the entities in order of appearance."""
        keys = {CLOCK: None, SOURCES: None}
        if self._plan.features.stateful:
            for _, item in prepared:
                if type(item) is _Arrival:
                    keys[item.state_key] = None
        return keys

    def apply(self, prepared: Sequence[_Item], view: View, context: Context) -> Effects:
        """Take events into clock and windows, and predict."""
        output = self._output()
        clock, places = view.get(CLOCK) or fresh_clock(), Places(view)
        for record, item in prepared:
            if record.headers and places.passes(record):
                output.tally.count("repeated_event")
            elif isinstance(item, _Arrival):
                state = view.get(item.state_key)
                if state is None and self._is_misplaced(item.key):
                    _refuse(record, self._misplaced(item.key), clock, output)
                    continue
                before = advance(clock, item.time_ms)
                age_ms = None if state is None else max(0, item.time_ms - state[0])
                standing = _Standing(before, self._remember(item, state, view), age_ms)
                if not context.restoring:
                    self._say(record, item, standing, context.model, output)
                    self._mark(before, clock, output)
            elif isinstance(item, Rejected):
                _refuse(record, item, clock, output)
            else:
                self._control(item, clock, output)
        places.keep()
        view.put(CLOCK, clock)
        return output.effects(restoring=context.restoring, watermark=clock[0])

    def poison(self, record: Record, error: Exception, view: View, context: Context) -> Effects:
        """Make a dead letter of a record that no rule foresaw, unless it came before."""
        output, places = self._output(), Places(view)
        if places.passes(record):
            output.tally.count("repeated_event")
        else:
            output.poison(record, error)
        places.keep()
        return output.effects(restoring=context.restoring)

    def _output(self) -> Output:
        return Output(self.name, self._partition, self._plan, self._codecs)

    # -- what an event is

    def _read(self, record: Record) -> _Arrival | Rejected | Control:
        plan = self._plan
        control = control_of(record, plan.skew_ms)
        if control is not None:
            return control
        event = plan.decode_event(record.value, record.timestamp_ms)
        if isinstance(event, Rejected):
            return event
        try:
            row, inputs = plan.features.derive(event)
        except MemoryError:
            raise
        except FeatureError as error:
            return Rejected("feature_failed", str(error))
        except Exception as error:  # noqa: BLE001 - a time at the calendar's end has no hour, say
            return Rejected("feature_failed", f"{told(error)}.")
        key = plan.event_key(event)
        return _Arrival(event, key, f"e:{key}", plan.event_time_ms(event), row, inputs)

    def _is_misplaced(self, key: str) -> bool:
        return partition_of(key.encode(), self._partitions.events) != self._partition

    def _misplaced(self, key: str) -> Rejected:
        right = partition_of(key.encode(), self._partitions.events)
        return Rejected(
            "wrong_partition",
            f"Entity {key!r} belongs on partition {right} of {self._plan.topics.events} (Kafka's"
            " murmur2 of the key). Publish with that partitioner (librdkafka:"
            " partitioner=murmur2_random), or copy the topic with headrace.Publisher into one of"
            " the pipeline's own.",
        )

    def _remember(self, item: _Arrival, state: Any, view: View) -> bool:
        """Take an event into its entity's windows; say whether it came too late for them."""
        state, late = self._plan.features.step(state, item.row, item.inputs, item.time_ms)
        if self._plan.features.stateful:
            view.put(item.state_key, state)
        return late

    # -- what is said besides

    def _control(self, control: Control, clock: Clock, output: Output) -> None:
        if control.watermark is not None:
            self._mark(raised(clock, control.watermark), clock, output)
        if control.barrier is not None:
            output.pass_barrier(control.barrier, self._next, self._fan_out)

    def _mark(self, before: int | None, clock: Clock, output: Output) -> None:
        """Say the clock to all partitions where JOIN waits for it, if it has crossed a step."""
        if not self._direct and crossed(before, clock[0], self._plan.mark_step_ms):
            output.mark(clock[0], self._plan.topics.predictions, self._partitions.predictions)

    # -- what is said of it

    def _say(
        self, record: Record, item: _Arrival, standing: _Standing, served: Served, output: Output
    ) -> None:
        """Predict; should that fail, bury the event, which stays in clock and windows.

        A restore does not predict: so what fails here must not change what is remembered.
        """
        try:
            self._predict(record, item, standing, served, output)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - a user's segment or rule may be anything
            output.poison(record, error)

    def _predict(
        self, record: Record, item: _Arrival, standing: _Standing, served: Served, output: Output
    ) -> None:
        plan = self._plan
        answer = served.bundle.predict(plan.features.door(item.row))
        event_id = plan.event_id(item.event)
        prediction = {
            "id": f"{self._source}{record.offset}",
            "event_id": event_id,
            "key": item.key,
            "event_time": item.time_ms,
            "source_partition": self._partition,
            "source_offset": record.offset,
            "watermark": standing.watermark,
            "late": standing.late,
            "prediction": answer.prediction,
            "score": answer.score,
            "probabilities": answer.probabilities,
            "model": plan.name,
            "version": served.version,
            "learned_to": served.learned_to,
            "features": plan.features.record(item.row),
            "baselines": self._baselines(item, served, output),
            "segments": plan.segments(item.event),
        }
        value = self._codecs.prediction.encode(prediction)
        key = event_id.encode()
        place = partition_of(key, self._partitions.predictions)
        emits = [Emit(plan.topics.predictions, place, key, value)]
        if self._direct:
            example = self._labelling.example(value, self._label(record, item))
            emits.append(Emit(plan.topics.examples, 0, key, example))
        self._observer.scored(output.tally, prediction)
        arrival = (item.time_ms, record.timestamp_ms, standing.age_ms, answer.prediction)
        self._arrivals.take(output.tally, arrival)
        self._count_failure(answer, item, output)
        output.emits += emits

    def _baselines(self, item: _Arrival, served: Served, output: Output) -> dict[str, Any]:
        """Return what the baselines predict; a rule that fails predicts nothing, and is counted."""
        found: dict[str, Any] = dict(served.bundle.baselines)
        for name, rule in self._plan.rules.items():
            try:
                said = rule(item.event)
                found[name] = None if said is None else self._as_label(said)
                if type(found[name]) is float and not isfinite(found[name]):
                    raise ValueError(f"{name} is {said}")  # noqa: TRY301 - counted like others
            except Exception:  # noqa: BLE001 - a user's function may raise anything
                found[name] = None
                output.tally.count("baseline_failed", time_ms=item.time_ms)
        return found

    def _label(self, record: Record, item: _Arrival) -> dict[str, Any]:
        """Return the label that an event carries itself; nothing of one that carries none."""
        if self._plan.labels == "none":
            return dict.fromkeys(("label", "label_time", "label_partition", "label_offset"))
        return {
            "label": self._plan.in_event_label(item.event),
            "label_time": item.time_ms,
            "label_partition": self._partition,
            "label_offset": record.offset,
        }

    def _count_failure(self, answer: Answer, item: _Arrival, output: Output) -> None:
        if answer.failure is not None:
            output.tally.count("model_failed", time_ms=item.time_ms)


def _refuse(record: Record, rejected: Rejected, clock: Clock, output: Output) -> None:
    """Bury an event, and count it where its partition's watermark stands: it has no time itself."""
    output.reject(record, rejected)
    if clock[0] is not None:
        output.tally.count(f"rejected:{rejected.code}", time_ms=clock[0])
        if rejected.field is not None:
            output.tally.count(f"violation:{rejected.field}", time_ms=clock[0])
