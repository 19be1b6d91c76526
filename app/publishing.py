"""Publishing files of events and labels, with progress."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from headrace.app.board import board_of
from headrace.app.cli.progress import steps
from headrace.app.ordering import check_order, warn
from headrace.app.services import find_kafka, find_registry, find_services
from headrace.app.settings import Settings
from headrace.app.sourcing import Files, Sources, open_registry
from headrace.schemas.errors import InputError
from headrace.streams.duration import duration_ms
from headrace.streams.engine.pace import (
    Progress,
    publish_flat_out,
    publish_in_step,
    publish_paced,
)
from headrace.streams.engine.publisher import Publisher, control_records_fault
from headrace.streams.ordering import Ordering
from headrace.streams.outgoing import Outgoing
from headrace.streams.plan import Plan
from headrace.streams.store.redis import RedisStore

_PLAIN_S = 2.0


class Pace(NamedTuple):
    """How fast to publish; neither: flat out.

    Attributes
    ----------
    speed
        Seconds of event time in a second.
    in_step
        Length of a slice of event time, as people write it.
    """

    speed: float | None = None
    in_step: str | None = None


def publish_files(
    plan: Plan, settings: Settings, files: Files, pace: Pace, *, checked: bool = True
) -> str:
    """Publish files; return sentences that say what was published.

    What was published of them before is passed over.

    Parameters
    ----------
    checked
        Whether the order of events is looked at before any of them is published.

    Raises
    ------
    InputError
        A file or a row cannot be used, or events stand in an order that is no history's. Nothing
        has been published then, if the order of events was looked at and the row is theirs.
    Refused
        A file has been edited since rows of it were published.
    ServiceError
        Kafka does not take it, or nobody learns, in step.
    """
    if pace.in_step is not None:
        _step_ms(pace.in_step)
    begun = time.monotonic()
    last = Progress()
    registry = open_registry(find_registry(settings))

    def on_sent(record: Outgoing) -> None:
        sources.history.sent(record)

    try:
        with Publisher(plan, find_kafka(settings), on_sent) as publisher:
            _check_topics(publisher, pace)
            if checked:
                _check_order(publisher, files, pace)
            begun = time.monotonic()
            sources = Sources(plan, files, registry, publisher.topic_ids())
            try:
                for step in _shown(_mirrored(publisher, sources, settings, pace), begun):
                    last = step
            except BaseException:
                sources.stopped(publisher)
                raise
            sources.finished()
    finally:
        registry.close()
    said = _published(plan, last, time.monotonic() - begun, pace)
    return "\n".join([said, *sources.said()])


def _published(plan: Plan, last: Progress, seconds: float, pace: Pace) -> str:
    rate = (last.events + last.labels) / max(seconds, 1e-9)
    said = f"Published {last.events:,} events and {last.labels:,} labels of {plan.name}"
    said += f" in {seconds:,.1f} s ({rate:,.0f}/s)"
    if pace.in_step is not None:
        said += f", in step: {last.slices:,} slices, learned to {last.learned_to:,}"
    return f"{said}."


def _check_topics(publisher: Publisher, pace: Pace) -> None:
    """Refuse to publish in step into topics in which barriers may not be written."""
    closed = publisher.closed_topics()
    if closed and pace.in_step is not None:
        raise InputError(control_records_fault(publisher.plan.name, closed))


def _check_order(publisher: Publisher, files: Files, pace: Pace) -> None:
    """Look at the order of a file of events; warn of the few that would be late."""
    plan, name = publisher.plan, files.events.name
    partitions = publisher.kafka.partition_counts()[plan.topics.events]
    step_ms = None if pace.in_step is None else _step_ms(pace.in_step)
    ordering = Ordering(plan, partitions, step_ms=step_ms)
    with steps() as say:
        told = check_order(
            plan,
            files.events,
            files.reading,
            ordering,
            lambda rows: say(f"reading {name}: {rows:,} rows", None),
        )
    warn(told)


def _mirrored(
    publisher: Publisher, sources: Sources, settings: Settings, pace: Pace
) -> Iterator[Progress]:
    """Publish, and mirror now and then how far that has come."""
    for step in _paced(publisher, sources.records(publisher), settings, pace):
        sources.mirror(publisher)
        yield step


def _step_ms(text: str) -> int:
    try:
        return duration_ms(text)
    except ValueError as error:
        raise InputError(f"--in-step: {error}.") from error


def _paced(
    publisher: Publisher, records: Iterator[Outgoing], settings: Settings, pace: Pace
) -> Iterator[Progress]:
    if pace.in_step is not None:
        store = RedisStore(find_services(settings).redis_url)
        name = publisher.plan.name
        return publish_in_step(
            publisher, records, _step_ms(pace.in_step), lambda: board_of(store, name)
        )
    if pace.speed is not None:
        return publish_paced(publisher, records, pace.speed)
    return publish_flat_out(publisher, records)


def _shown(published: Iterator[Progress], begun: float) -> Iterator[Progress]:
    """Pass progress on, and show it on standard error."""
    if sys.stderr.isatty():
        yield from _shown_live(published, begun)
        return
    said = begun
    for step in published:
        if time.monotonic() - said > _PLAIN_S:
            said = time.monotonic()
            sys.stderr.write(line_of(step, said - begun) + "\n")
            sys.stderr.flush()
        yield step


def _shown_live(published: Iterator[Progress], begun: float) -> Iterator[Progress]:
    from rich.console import Console  # noqa: PLC0415 - in a terminal only
    from rich.status import Status  # noqa: PLC0415 - same

    with Status("publishing", console=Console(stderr=True)) as status:
        for step in published:
            status.update(line_of(step, time.monotonic() - begun))
            yield step


def line_of(step: Progress, seconds: float) -> str:
    """Return progress as one line: counts, rate, event time, and what is waited for."""
    rate = (step.events + step.labels) / max(seconds, 1e-9)
    said = [f"{step.events:,} events", f"{step.labels:,} labels", f"{rate:,.0f}/s"]
    if step.event_time_ms is not None:
        moment = datetime.fromtimestamp(step.event_time_ms / 1000, UTC)
        said.append(f"event time {moment:%Y-%m-%d %H:%M:%S}Z")
    if step.slices:
        said.append(f"{step.slices:,} slices, learned to {step.learned_to:,}")
    if step.waiting_for:
        said.append(f"waiting for {step.waiting_for}")
    return ", ".join(said)
