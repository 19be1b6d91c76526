"""Replay: a pipeline over rows in memory, without Kafka: how a user tests and tunes."""

from __future__ import annotations

import json
import pickle
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from headrace.registry.kept import Checkpoint
from headrace.schemas.errors import InputError
from headrace.schemas.names import column_of, placed
from headrace.schemas.records import numbered_codecs
from headrace.streams.decoded import DecodedRecords
from headrace.streams.duration import duration_ms
from headrace.streams.event import Event
from headrace.streams.flow import StageParts
from headrace.streams.observe import ALL
from headrace.streams.ordering import Ordering
from headrace.streams.outgoing import Outgoing, in_order, outgoing_event, outgoing_label, slices
from headrace.streams.pipeline import Labels, Pipeline, Source
from headrace.streams.plan import Plan, plan_of
from headrace.streams.stages.bulletin import WHOLE_RUN
from headrace.streams.topics import Partitions
from headrace.streams.twins.flow import MemoryFlow, checkpoints_of
from headrace.streams.validators import told
from headrace.streams.wire import first_paths

Row = Event | Mapping[str, Any]


class OrderWarning(UserWarning):
    """Events stand in an order in which many of them are late."""


WAITING_ROWS_MAX = 10_000
"""So many events without a label are scored, lest they pile up."""

_NO_LIMIT = 1 << 62


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a replay has come.

    Attributes
    ----------
    events, labels
        How many rows have been published and, with all that follows from them, processed.
    time_ms
        The latest of their times, in milliseconds since the epoch.
    """

    events: int
    labels: int
    time_ms: int


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a replay.

    Attributes
    ----------
    predictions, examples, dead_letters, metrics, alerts
        The records of these topics, as dictionaries; each has ``to_polars()``.
    summary
        The metrics of the whole run by name (docs/metrics.md): counts, quality of the served
        predictions, baselines, delays. None where there is nothing to say.
    model
        River's model, having learned all examples.
    checkpoints
        As the registry keeps them: the offset of the examples, and the state as bytes.
    """

    predictions: DecodedRecords
    examples: DecodedRecords
    dead_letters: DecodedRecords
    metrics: DecodedRecords
    alerts: DecodedRecords
    summary: Mapping[str, float | None]
    model: Any
    checkpoints: Sequence[Checkpoint]


def replay(
    pipeline: Pipeline,
    events: Iterable[Row],
    labels: Iterable[Row] | None = None,
    *,
    step: str | None = None,
    partitions: int = 1,
    progress: Callable[[Progress], None] | None = None,
) -> Result:
    """Run a pipeline over events and labels in memory, as it would have run at their times.

    The product's own stages and its exactly-once protocol run on an in-memory broker, store and
    registry; only Kafka, Redis and SQL are left out. Events and labels are published in the order
    of their own times, each event scored by a model that has learned exactly what was known by
    then. So the figures are honest: no label influences what was asked before it was known.

    Parameters
    ----------
    pipeline
        The declaration.
    events
        Events in the order in which they came, as instances of the pipeline's event class or as
        mappings by the names that the class reads (rows of a file or data frame; a path's parts
        may stand with dots between). What a mapping has wrong becomes a dead letter, as in
        production.
    labels
        Labels in any order, likewise; they are held in memory. None if the events carry them, or
        if there are none.
    step
        A duration such as ``"30m"``: events of one slice of event time are scored by the model
        as of the slice's start, and what is known by its end is learned then; faster, and what
        ``headrace publish --in-step`` does. By default each label is learned before the next
        event that happened after it.
    partitions
        How many partitions the events, labels and predictions have. More make nothing faster; they
        show that a pipeline does not depend on their number.
    progress
        Called after each step with a :class:`Progress`.

    Returns
    -------
    Result
        Predictions, examples, dead letters, metrics, alerts, a summary, the model, its checkpoints.

    Raises
    ------
    DeclarationError
        The pipeline cannot work; all of its faults.
    TypeError
        An event or label is of another class than the pipeline declares.
    InputError
        Labels are given to a pipeline that takes none, or an instance has an empty id or key.
    ValueError
        ``step`` is no duration, or ``partitions`` is less than 1.

    Warns
    -----
    OrderWarning
        More than one event in a hundred came too late, by the declared lateness: they are not in
        the order of their times.

    Examples
    --------
    >>> from datetime import datetime, timedelta, timezone
    >>> from river import linear_model
    >>> from headrace import Event, InEvent, Pipeline, Source, replay, value
    >>> class Tick(Event):
    ...     id: str
    ...     symbol: str
    ...     at: datetime
    ...     price: float
    ...     rose: bool
    >>> ticks = Pipeline(
    ...     name="ticks",
    ...     events=Source(Tick, id="id", key="symbol", time="at"),
    ...     labels=InEvent("rose"),
    ...     features=[value("price")],
    ...     model=linear_model.LogisticRegression(),
    ... )
    >>> start = datetime(2024, 5, 1, tzinfo=timezone.utc)
    >>> result = replay(
    ...     ticks,
    ...     [
    ...         Tick(id=f"t{n}", symbol="A", at=start + timedelta(minutes=n), price=n, rose=n > 4)
    ...         for n in range(10)
    ...     ],
    ... )
    >>> len(result.predictions), result.predictions[0]["score"], result.summary["events"]
    (10, 0.5, 10.0)
    >>> result.model.predict_one({"price": 9.0})
    True
    """
    if partitions < 1:
        raise ValueError(f"partitions is {partitions}; there is at least 1")
    plan = plan_of(pipeline)
    ordering = Ordering(plan, partitions, marks=False, what="number")
    records = _ordered(plan, events, labels, ordering)
    result = replay_records(plan, records, step=step, partitions=partitions, progress=progress)
    if not ordering.is_meant:
        told = f"{ordering.sentence('The list of events')} Sort them by their times."
        warnings.warn(told, OrderWarning, stacklevel=2)
    return result


def replay_records(
    plan: Plan,
    records: Iterable[Outgoing],
    *,
    step: str | None = None,
    partitions: int = 1,
    progress: Callable[[Progress], None] | None = None,
) -> Result:
    """Do what :func:`replay` does, with records that are ready to be published, in order."""
    flow = MemoryFlow(parts_in_memory(plan, partitions))
    for now in _steps(flow, records, step):
        if progress is not None:
            progress(now)
    flow.finish()
    return _result(flow)


def parts_in_memory(plan: Plan, partitions: int) -> StageParts:
    """Return what the stages of a flow in memory are made of."""
    return StageParts(
        plan,
        numbered_codecs(plan.schemas),
        Partitions(partitions, partitions, partitions),
        version=1,
        dumps=pickle.dumps,
        loads=pickle.loads,  # of what this process dumped a moment ago
        inline_bytes_max=_NO_LIMIT,  # no wire, no limit
    )


# -- rows


def _ordered(
    plan: Plan,
    events: Iterable[Row],
    labels: Iterable[Row] | None,
    ordering: Ordering | None = None,
) -> Iterator[Outgoing]:
    declared = plan.pipeline.labels
    if labels is not None and not isinstance(declared, Labels):
        raise InputError(
            f"{plan.name}: this pipeline takes no labels from a topic. Declare labels=Labels(...),"
            " or give none."
        )
    ready = _outgoing(plan, events, plan.pipeline.events, outgoing_event)
    if ordering is not None:
        ready = _watched(ready, ordering)
    if not isinstance(declared, Labels):
        return in_order(ready, ())
    known = _outgoing(plan, labels or (), declared, outgoing_label)
    return in_order(ready, known)


def _watched(records: Iterable[Outgoing], ordering: Ordering) -> Iterator[Outgoing]:
    """Pass events on, and count what would be late."""
    for number, record in enumerate(records, 1):
        if record.key:  # what is no event has none
            ordering.take(record.time_ms, record.key, number)
        yield record


def _outgoing(
    plan: Plan,
    rows: Iterable[Row],
    declared: Source | Labels,
    make: Callable[[Plan, Event, bytes | None], Outgoing],
) -> Iterator[Outgoing]:
    latest_ms = 0
    is_label = isinstance(declared, Labels)
    model = declared.label if isinstance(declared, Labels) else declared.event
    columns = {column_of(path): path for path in first_paths(model).values()}
    for number, row in enumerate(rows, 1):
        if isinstance(row, Mapping):
            nested = placed(row, columns) if columns else row
            value = _as_json(nested, f"{'label' if is_label else 'event'} {number}")
            # JSON goes as it came: validators are applied once, as they are to what others publish.
            kept = value if declared.format == "json" else None
            try:
                record = make(plan, model.model_validate_json(value), kept)
            except MemoryError:
                raise
            except Exception:  # noqa: BLE001 - for the stages to bury, with the reason
                record = Outgoing(latest_ms, is_label, b"", value)
        else:
            record = make(plan, row, None)
        latest_ms = max(latest_ms, record.time_ms)
        yield record


def _as_json(row: Mapping[str, Any], place: str) -> bytes:
    """Return a row as its publisher would have written it."""
    try:
        return json.dumps(row, default=_plain).encode()
    except MemoryError:
        raise
    except Exception as error:
        raise InputError(f"{place}: it cannot be written as JSON: {told(error)}.") from error


def _plain(value: Any) -> Any:
    """Return what JSON has no type for, as rows of files and data frames may hold it."""
    if isinstance(value, datetime):
        return value.isoformat()
    return value.item() if hasattr(value, "item") else str(value)


# -- steps


def _steps(flow: MemoryFlow, records: Iterable[Outgoing], step: str | None) -> Iterator[Progress]:
    """Publish and process, a step at a time."""
    if step is not None:
        parts: Iterator[Iterable[Outgoing]] = (
            part for _, part in slices(records, duration_ms(step))
        )
    elif flow.plan.labels == "topic":
        parts = _until_known(records)
    else:
        parts = (part for _, part in slices(records, 1))  # events of one time
    events = labels = time_ms = 0
    for part in parts:
        for record in part:
            time_ms = record.time_ms
            events, labels = events + (not record.is_label), labels + record.is_label
            flow.publish(
                is_label=record.is_label, key=record.key, value=record.value, time_ms=time_ms
            )
        flow.turn()
        yield Progress(events, labels, time_ms)


def _until_known(records: Iterable[Outgoing]) -> Iterator[list[Outgoing]]:
    """Cut records in order where an event follows a label: what was known is learned first."""
    part: list[Outgoing] = []
    for record in records:
        known = part and part[-1].is_label and not record.is_label
        if known or len(part) >= WAITING_ROWS_MAX:
            yield part
            part = []
        part.append(record)
    if part:
        yield part


# -- the result


def _result(flow: MemoryFlow) -> Result:
    topics, codecs = flow.plan.topics, flow.parts.codecs
    metrics = DecodedRecords(flow.history(topics.metrics), codecs.metric)
    return Result(
        predictions=DecodedRecords(flow.history(topics.predictions), codecs.prediction),
        examples=DecodedRecords(flow.history(topics.examples), codecs.example),
        dead_letters=DecodedRecords(flow.history(topics.dead_letters), codecs.dead_letter),
        metrics=metrics,
        alerts=DecodedRecords(flow.history(topics.alerts), codecs.alert),
        summary=_summary(metrics),
        model=flow.served.bundle.model,
        checkpoints=checkpoints_of(flow),
    )


def _summary(metrics: DecodedRecords) -> dict[str, float | None]:
    """Return all metrics of everything and the whole run: the newest of each, as upserts go."""
    return {
        each["metric"]: each["value"]
        for each in metrics
        if each["window"] == WHOLE_RUN and each["segment"] == ALL
    }
