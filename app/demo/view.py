"""What the demo shows while it runs, and at its end: plain data in, rich renderables out.

The picture fits 80 columns and 24 lines. In narrower terminals its parts stand below each other
without frames; rich cuts off below what a low terminal has no room for, so what matters comes
first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from rich.console import Console, ConsoleOptions, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from headrace.app.drawing import (
    BAR,
    WIDE,
    count_text,
    drift_bar,
    moment_text,
    number_text,
    sparkline,
)

DRIFT_ROWS = 4

_METRICS = ("auc", "log_loss", "accuracy")


@dataclass(slots=True)
class Quality:
    """How one way to predict did; None where there is nothing to say yet."""

    auc: float | None = None
    log_loss: float | None = None
    accuracy: float | None = None


@dataclass(slots=True)
class View:
    """Everything that is shown, as of now.

    Attributes
    ----------
    title
        What runs.
    share
        How much of the input has been published, 0 to 1.
    event_time_ms
        Event time that publishing has come to.
    seconds
        Since publishing began; before, since workers were started.
    totals
        Counts by name since the run began.
    rates
        The same per second of wall time, over the last seconds.
    rolling, whole
        Quality by name, the served model first, then its baselines: over the last day of event
        time, and over the whole run.
    coverage
        Share of the last day's predictions whose label is in.
    drift
        Population stability index by feature, over the last day of event time.
    auc_by_day
        AUC by day of event time, oldest first.
    waits_for
        What is waited for just now; empty if nothing.
    learned_to
        Offset of the examples topic before which the served model has learned everything.
    restarts
        How often a worker was started again.
    """

    title: str
    share: float = 0.0
    event_time_ms: int | None = None
    seconds: float = 0.0
    totals: Mapping[str, int] = field(default_factory=dict)
    rates: Mapping[str, float] = field(default_factory=dict)
    rolling: Mapping[str, Quality] = field(default_factory=dict)
    whole: Mapping[str, Quality] = field(default_factory=dict)
    coverage: float | None = None
    drift: Mapping[str, float] = field(default_factory=dict)
    auc_by_day: Sequence[float] = ()
    version: int = 0
    learned_to: int = 0
    model_lag_p50: float | None = None
    model_lag_p99: float | None = None
    latency_p50_ms: float | None = None
    latency_p99_ms: float | None = None
    waits_for: str = ""
    restarts: int = 0


class Picture:
    """The live picture of a view, laid out for the terminal that it is shown in."""

    def __init__(self, view: View) -> None:
        self.view = view

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        """Yield the parts from top to bottom."""
        view = self.view
        yield _head(view)
        yield _progress(view)
        if options.max_width >= WIDE:
            top = Table.grid(expand=True, padding=0)
            top.add_column(ratio=3)
            top.add_column(ratio=2)
            top.add_row(
                Panel(_flow(view), title="Flow", border_style="cyan"),
                Panel(_model(view), title="Model", border_style="green"),
            )
            yield top
            quality = _quality(view, wide=True)
            yield Panel(quality, title="Quality of what was served", border_style="blue")
            yield Panel(_drift(view, columns=2), title=_DRIFT_TITLE, border_style="magenta")
        else:
            yield _flow(view)
            yield _model(view)
            yield _quality(view, wide=False)
            yield Text(_DRIFT_TITLE, style="bold")
            yield _drift(view, columns=1)


_DRIFT_TITLE = "Drift: last day against first, largest PSI"


def _head(view: View) -> Table:
    head = Table.grid(expand=True, padding=(0, 1))
    head.add_column(no_wrap=True, ratio=1)
    head.add_column(justify="right", no_wrap=True)
    now = view.waits_for or f"{view.share:.0%} published"
    if view.restarts:
        now += f", {view.restarts} restarts"
    head.add_row(Text(view.title, style="bold"), f"{view.seconds:,.0f} s")
    head.add_row(f"event time {moment_text(view.event_time_ms)}", now)
    return head


def _progress(view: View) -> Table:
    line = Table.grid(expand=True)
    line.add_column(ratio=1)
    line.add_row(ProgressBar(total=1.0, completed=view.share))
    return line


def _flow(view: View) -> Table:
    table = Table.grid(expand=True, padding=(0, 1, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(justify="right", no_wrap=True, style="dim")
    table.add_column(justify="right", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    rest = ("waiting", "expired", "dead_letters", "unscored")
    for name, other in zip(("events", "predictions", "labels", "examples"), rest, strict=True):
        rate = view.rates.get(name)
        table.add_row(
            name,
            f"{view.totals.get(name, 0):,}",
            "" if rate is None else f"{rate:,.0f}/s",
            other.replace("_", " "),
            f"{view.totals.get(other, 0):,}",
        )
    return table


def _model(view: View) -> Table:
    table = Table.grid(expand=True, padding=(0, 1, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_row(f"v{view.version} learned to", f"offset {view.learned_to:,}")
    for name, low, high in (
        ("lag, examples", view.model_lag_p50, view.model_lag_p99),
        ("latency, ms", view.latency_p50_ms, view.latency_p99_ms),
    ):
        table.add_row(name, f"p50 {count_text(low)} p99 {count_text(high)}")
    table.add_row("AUC by day", sparkline(view.auc_by_day) or "–")
    return table


def _quality(view: View, *, wide: bool) -> Table:
    table = Table(box=None, pad_edge=False, expand=True, padding=(0, 1))
    covered = "" if view.coverage is None else f" ({view.coverage:.0%} in)"
    table.add_column(f"last day{covered} | run" if wide else "day | run", no_wrap=True)
    for title in ("AUC", "log loss", "accur.") * 2:
        table.add_column(
            title if wide else title.replace("log loss", "loss"), justify="right", no_wrap=True
        )
    parts = (view.rolling, view.whole)
    best = [_best(part, metric) for part in parts for metric in _METRICS]
    for name in view.whole or {"model": Quality()}:
        cells = [name.replace("_", " ")]
        found = [getattr(p.get(name, Quality()), metric) for p in parts for metric in _METRICS]
        for value, top in zip(found, best, strict=True):
            text = number_text(value)
            cells.append(f"[bold green]{text}[/]" if value is not None and value == top else text)
        table.add_row(*cells)
    return table


def _best(part: Mapping[str, Quality], metric: str) -> float | None:
    values: list[float] = [
        value for quality in part.values() if (value := getattr(quality, metric)) is not None
    ]
    if len(values) < 2:
        return None
    return min(values) if metric == "log_loss" else max(values)


def _drift(view: View, columns: int) -> RenderableType:
    largest = sorted(view.drift.items(), key=lambda item: (-item[1], item[0]))
    shown = largest[: DRIFT_ROWS * columns]
    if not shown:
        return Text("begins after the first day, which is the reference", style="dim")
    table = Table.grid(expand=True, padding=(0, 1))
    for _ in range(columns):
        table.add_column(no_wrap=True, ratio=1)
        table.add_column(justify="right")
        table.add_column(width=BAR)
    for row in range(DRIFT_ROWS):
        cells: list[RenderableType] = []
        for name, psi in shown[row::DRIFT_ROWS]:
            cells += [name, f"{psi:.2f}", drift_bar(psi)]
        if cells:
            table.add_row(*cells)
    return table


def plain_line(view: View) -> str:
    """Return a view as one line, for where there is no terminal."""
    if view.event_time_ms is None:
        return f"{view.waits_for} …"
    totals = view.totals
    said = [
        f"{view.seconds:4.0f} s  {view.share:4.0%}  {moment_text(view.event_time_ms)}",
        f"events {totals.get('events', 0):,}",
        f"predictions {totals.get('predictions', 0):,}",
        f"labels {totals.get('labels', 0):,}",
        f"examples {totals.get('examples', 0):,}",
        f"waiting {totals.get('waiting', 0):,}",
        f"dead letters {totals.get('dead_letters', 0):,}",
    ]
    model = view.whole.get("model")
    if model is not None and model.auc is not None:
        said.append(f"AUC {model.auc:.3f}")
    if view.waits_for:
        said.append(view.waits_for)
    return "  ".join(said)
