"""Publishing files of events and labels, with progress."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from headrace.app.board import board_of
from headrace.app.services import find_kafka, find_services
from headrace.app.settings import Settings
from headrace.schemas.errors import InputError
from headrace.streams.duration import duration_ms
from headrace.streams.engine.pace import (
    Progress,
    publish_flat_out,
    publish_in_step,
    publish_paced,
)
from headrace.streams.engine.publisher import Publisher
from headrace.streams.outgoing import (
    Outgoing,
    in_order,
    outgoing_event,
    outgoing_label,
    outgoing_rows,
)
from headrace.streams.pipeline import Labels
from headrace.streams.plan import Plan
from headrace.streams.rows import Reading, Tally, numbered_rows
from headrace.streams.store.redis import RedisStore

_PLAIN_S = 2.0
_AS_USUAL = Reading()


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
    plan: Plan,
    settings: Settings,
    events: Path,
    labels: Path | None,
    pace: Pace,
    reading: Reading = _AS_USUAL,
) -> str:
    """Publish files; return a sentence that says what was published.

    Raises
    ------
    InputError
        A file or a row cannot be used. What came before it has been published.
    ServiceError
        Kafka does not take it, or nobody learns, in step.
    """
    if pace.in_step is not None:
        _step_ms(pace.in_step)
    tallies = [Tally(), Tally()]
    records = records_of(plan, events, labels, reading, tallies)
    begun = time.monotonic()
    last = Progress()
    with Publisher(plan, find_kafka(settings)) as publisher:
        for step in _shown(_paced(publisher, records, settings, pace), begun):
            last = step
    seconds = time.monotonic() - begun
    rate = (last.events + last.labels) / max(seconds, 1e-9)
    said = f"Published {last.events:,} events and {last.labels:,} labels of {plan.name}"
    said += f" in {seconds:,.1f} s ({rate:,.0f}/s)"
    if pace.in_step is not None:
        said += f", in step: {last.slices:,} slices, learned to {last.learned_to:,}"
    files = zip((events, labels), tallies, strict=True)
    read = "; ".join(f"{path}: {tally}" for path, tally in files if path is not None)
    return f"{said}.\nRead {read}."


def records_of(
    plan: Plan,
    events: Path,
    labels: Path | None,
    reading: Reading = _AS_USUAL,
    tallies: Sequence[Tally] = (),
) -> Iterator[Outgoing]:
    """Go through files of events and labels, interleaved by their own times.

    Parameters
    ----------
    reading
        How they are read.
    tallies
        Are told what there is in the file of events, and in that of labels.
    """
    of_events, of_labels = tallies or (Tally(), Tally())
    declared = plan.pipeline.labels
    known: Iterable[Outgoing] = ()
    if labels is not None:
        if not isinstance(declared, Labels):
            raise InputError(
                f"{plan.name} takes no labels from a topic, so --labels {labels} has no place."
            )
        label_rows = numbered_rows(
            labels,
            declared.label,
            unless_blank=declared.value,
            reading=reading,
            tally=of_labels,
        )
        known = outgoing_rows(plan, label_rows, outgoing_label)
    event_class = plan.pipeline.events.event
    event_rows = numbered_rows(events, event_class, reading=reading, tally=of_events)
    return in_order(outgoing_rows(plan, event_rows, outgoing_event), known)


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


def _shown(steps: Iterator[Progress], begun: float) -> Iterator[Progress]:
    """Pass progress on, and show it on standard error."""
    if sys.stderr.isatty():
        yield from _shown_live(steps, begun)
        return
    said = begun
    for step in steps:
        if time.monotonic() - said > _PLAIN_S:
            said = time.monotonic()
            sys.stderr.write(line_of(step, said - begun) + "\n")
            sys.stderr.flush()
        yield step


def _shown_live(steps: Iterator[Progress], begun: float) -> Iterator[Progress]:
    from rich.console import Console  # noqa: PLC0415 - in a terminal only
    from rich.status import Status  # noqa: PLC0415 - same

    with Status("publishing", console=Console(stderr=True)) as status:
        for step in steps:
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
