"""Replaying files in memory: what ``headrace replay`` does, and what it says of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.table import Table

from headrace.app.drawing import number_text
from headrace.app.ordering import Order, check_order
from headrace.app.sorting import sorted_by_time
from headrace.schemas.errors import InputError
from headrace.streams.duration import duration_ms
from headrace.streams.ordering import Ordering, span_text
from headrace.streams.outgoing import (
    Outgoing,
    in_order,
    outgoing_event,
    outgoing_label,
    outgoing_rows,
)
from headrace.streams.pipeline import Labels
from headrace.streams.plan import Plan
from headrace.streams.replay import Progress, Result, replay_records
from headrace.streams.rows import Reading, Tally, numbered_rows

Say = Callable[[str, float | None], None]
"""Told what is being done, and which part of it is done, from 0 to 1, if that is known."""

_WORDS_S = 2.0

_METRICS: Mapping[str, tuple[str, ...]] = {
    "binary": ("auc", "log_loss", "accuracy"),
    "multiclass": ("accuracy", "macro_f1", "log_loss"),
    "regression": ("mae", "rmse", "r2"),
    "anomaly": ("auc", "accuracy", "f1"),
}
_TITLES = {
    "auc": "AUC",
    "mae": "MAE",
    "rmse": "RMSE",
    "r2": "R²",
    "f1": "F1",
    "macro_f1": "macro F1",
}

_USELESS = {
    "late_for_features": "events came too late for their entity's past",
    "late_event": "events came too late to be learned from",
    "duplicate_event": "events came twice",
    "late_label": "labels came too late",
    "unmatched_label": "labels matched no event",
    "duplicate_label": "labels came twice",
    "contradicting_label": "labels contradicted an earlier one",
    "model_failed": "answers of the model failed",
    "baseline_failed": "answers of baselines failed",
}
"""What is sound and of no use, by the name of its count (docs/reasons.md)."""


@dataclass(frozen=True, slots=True)
class Files:
    """What is replayed.

    Attributes
    ----------
    events, labels
        The files.
    reading
        How they are read.
    order
        In which order events come.
    tallies
        What there was in each.
    """

    events: Path
    labels: Path | None = None
    reading: Reading = field(default_factory=Reading)
    order: Order = Order.CHECKED
    tallies: tuple[Tally, Tally] = field(default_factory=lambda: (Tally(), Tally()))


@dataclass(frozen=True, slots=True)
class Report:
    """What came of a replay.

    Attributes
    ----------
    pipeline, task
        Its name, and what it predicts.
    step
        The slices in which it was replayed, None if each label was learned at its time.
    seconds
        How long it took.
    rows
        What there was in each file, by its name.
    events, labels, predictions, examples
        How many there were.
    dead_letters
        How many there were, by reason.
    order
        What was said of the order of events, None if nothing.
    summary
        Metrics of the whole run by name (docs/metrics.md).
    """

    pipeline: str
    task: str
    step: str | None
    seconds: float
    rows: Mapping[str, Mapping[str, int]]
    events: int
    labels: int
    predictions: int
    examples: int
    dead_letters: Mapping[str, int]
    order: str | None
    summary: Mapping[str, float | None]


def replay_files(
    plan: Plan, files: Files, *, step: str | None, partitions: int, say: Say
) -> Report:
    """Replay files of events and labels in memory.

    Parameters
    ----------
    step
        Length of a slice of event time (see :func:`headrace.replay`).
    partitions
        How many partitions there would be.
    say
        Told how far it is.

    Raises
    ------
    InputError
        A file or a row cannot be used, or the events stand in an order that is no history's.
    """
    _check_step(step)
    begun = time.monotonic()
    ordering = Ordering(plan, partitions, marks=False)
    order = None
    if files.order is Order.CHECKED:
        order = check_order(
            plan,
            files.events,
            files.reading,
            ordering,
            lambda rows: say(f"reading {files.events.name}: {rows:,} rows", None),
        )
    records = records_of(plan, files)
    progress = _Shown(say, ordering.events)
    result = replay_records(plan, records, step=step, partitions=partitions, progress=progress)
    paths = [path for path in (files.events, files.labels) if path is not None]
    named = zip(("events", "labels"), files.tallies, strict=True)
    return Report(
        pipeline=plan.name,
        task=plan.task,
        step=step,
        seconds=time.monotonic() - begun,
        rows={name: asdict(tally) for name, tally in list(named)[: len(paths)]},
        events=progress.last.events,
        labels=progress.last.labels,
        predictions=len(result.predictions),
        examples=len(result.examples),
        dead_letters=_by_reason(result),
        order=order,
        summary=result.summary,
    )


class _Shown:
    """Shows progress; the numbers in words every few seconds only.

    Attributes
    ----------
    last
        What was shown last.
    """

    def __init__(self, say: Say, events: int) -> None:
        self.last = Progress(0, 0, 0)
        self._say = say
        self._events = events
        self._told_s = time.monotonic()
        self._words = "replaying"

    def __call__(self, now: Progress) -> None:
        self.last = now
        if time.monotonic() - self._told_s > _WORDS_S:
            self._told_s = time.monotonic()
            self._words = f"replaying: {now.events:,} events, {now.labels:,} labels"
        self._say(self._words, now.events / self._events if self._events else None)


def records_of(plan: Plan, files: Files) -> Iterator[Outgoing]:
    """Go through files of events and labels, interleaved by their own times.

    Raises
    ------
    InputError
        Labels are given to a pipeline that takes none; or a row cannot be used.
    """
    of_events, of_labels = files.tallies
    declared, reading = plan.pipeline.labels, files.reading
    known: Iterable[Outgoing] = ()
    if files.labels is not None:
        if not isinstance(declared, Labels):
            raise InputError(
                f"{plan.name} takes no labels from a topic, so --labels {files.labels} has no"
                " place."
            )
        labels = numbered_rows(
            files.labels,
            declared.label,
            unless_blank=declared.value,
            reading=reading,
            tally=of_labels,
        )
        known = outgoing_rows(plan, labels, outgoing_label)
    rows = numbered_rows(files.events, plan.pipeline.events.event, reading=reading, tally=of_events)
    events = outgoing_rows(plan, rows, outgoing_event)
    if files.order is Order.SORTED:
        events = sorted_by_time(events)
    return in_order(events, known)


def _check_step(step: str | None) -> None:
    if step is None:
        return
    try:
        duration_ms(step)
    except ValueError as error:
        raise InputError(f"--step: {error}.") from error


def _by_reason(result: Result) -> dict[str, int]:
    counts: dict[str, int] = {}
    for letter in result.dead_letters:
        counts[letter["reason"]] = counts.get(letter["reason"], 0) + 1
    return dict(sorted(counts.items()))


# -- for people


def quality_table(report: Report) -> Table:
    """Return how the served model did, beside its baselines."""
    names = _METRICS[report.task]
    table = Table(title="Summary", title_justify="left", title_style="bold", box=None)
    table.add_column("", style="bold", no_wrap=True)
    for name in names:
        table.add_column(_TITLES.get(name, name.replace("_", " ")), justify="right", no_wrap=True)
    for title, prefix in _predictors(report.summary):
        cells = [number_text(report.summary.get(f"{prefix}{name}")) for name in names]
        table.add_row(title, *cells)
    return table


def _predictors(summary: Mapping[str, float | None]) -> list[tuple[str, str]]:
    """Return the served model and the baselines: how each is called, and its metrics begin."""
    names = [name.split(".")[1] for name in summary if name.startswith("baseline.")]
    baselines = [(name.replace("_", " "), f"baseline.{name}.") for name in dict.fromkeys(names)]
    return [("served model", ""), *baselines]


def sentences(report: Report, files: Files) -> list[str]:
    """Return what there is to say besides."""
    summary = report.summary
    how = f", in slices of {report.step}" if report.step else ""
    reasons = ", ".join(f"{number:,} {reason}" for reason, number in report.dead_letters.items())
    letters = f"{sum(report.dead_letters.values()):,} dead letters"
    letters += f" ({reasons})" if reasons else ""
    told = [
        f"{report.events:,} events gave {report.predictions:,} predictions and {letters}"
        f" in {report.seconds:.1f} s{how}."
    ]
    if report.labels:
        told.append(
            f"{report.labels:,} labels made {report.examples:,} examples;"
            f" {_count(summary, 'waiting'):,} predictions still wait for their label,"
            f" {_count(summary, 'expired'):,} will never get one."
        )
    useless = [f"{n:,} {said}" for name, said in _USELESS.items() if (n := _count(summary, name))]
    if useless:
        told.append(f"Of no use: {'; '.join(useless)}.")
    delay = summary.get("label_delay_ms.p50"), summary.get("label_delay_ms.p99")
    if report.labels and delay[0] is not None and delay[1] is not None:
        told.append(
            f"Each label was learned when it was known: p50 {span_text(round(delay[0]))}, p99"
            f" {span_text(round(delay[1]))} after its event."
        )
    pairs = zip((files.events, files.labels), files.tallies, strict=True)
    read = [f"{path}: {tally}" for path, tally in pairs if path is not None]
    return [*told, f"Read {'; '.join(read)}."]


def _count(summary: Mapping[str, Any], name: str) -> int:
    return int(summary.get(name) or 0)
