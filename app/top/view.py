"""The picture of a frame: plain data in, rich renderables out.

It fits 80 columns and 24 lines. A higher terminal shows more metrics, more drift, and a line for
each worker; in a narrower one the parts stand below each other without frames.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.panel import Panel
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
from headrace.app.top.columns import Column, table_of
from headrace.app.top.frame import Frame, Metric, Worker
from headrace.app.top.room import Room, room_for

_NAMES = {
    "auc": "AUC",
    "log_loss": "log loss",
    "mae": "MAE",
    "rmse": "RMSE",
    "r2": "R²",
    "f1": "F1",
}
_BASELINES_SHOWN = 2
_SPARKS = 7
_SPARKS_LEAST = 3
_FRAME = 4
"""Columns that a panel's frame takes."""

_SURE = 96
"""From so many columns on there is room to say how sure a metric is, with fewer bars."""

_SPARKS_SURE = 13
_TEXT = 2
"""The column of an alert that may be cut off: the others are numbers, or short."""

_STATES = {"running": "green", "stopping": "dim"}


class Picture:
    """The picture of a frame, laid out for the terminal that it is shown in.

    Parameters
    ----------
    frame
        What is shown.
    height
        How many lines there are; None: as many as it takes.
    keys
        What may be pressed, in words.
    """

    def __init__(self, frame: Frame, height: int | None = None, keys: str = "") -> None:
        self._frame = frame
        self._height = height
        self._keys = keys

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        """Yield the parts from top to bottom."""
        frame, wide = self._frame, options.max_width >= WIDE
        columns = 2 if wide else 1
        said = Text(frame.trouble, style="red")
        trouble = said.wrap(console, options.max_width) if frame.trouble else ()
        height = None if self._height is None else self._height - len(trouble)
        room = room_for(frame, height, columns)
        yield _head(frame, self._keys)
        yield from trouble
        yield _alerts(frame, room)
        if wide:
            half = options.max_width // 2 - _FRAME
            top = Table.grid(expand=True, padding=0)
            top.add_column(ratio=1)
            top.add_column(ratio=1)
            top.add_row(
                Panel(_flow(frame, half), title="Flow, per second", border_style="cyan"),
                Panel(_stages(frame, half), title="Lag, in offsets", border_style="green"),
            )
            yield top
            sure = options.max_width >= _SURE
            quality = _metrics(frame, room, options.max_width - _FRAME, settled=True, sure=sure)
            title = _quality_title(frame, settled=sure)
            yield Panel(quality, title=title, border_style="blue")
            drift = _drift(frame, room, columns)
            yield Panel(drift, title=_drift_title(frame), border_style="magenta")
        else:
            yield _flow(frame, options.max_width)
            yield _stages(frame, options.max_width)
            yield Text(_quality_title(frame, settled=False), style="bold")
            yield _metrics(frame, room, options.max_width, settled=False, sure=False)
            yield Text(_drift_title(frame), style="bold")
            yield _drift(frame, room, columns)
        yield _model(frame)
        yield _letters(frame)
        yield _workers(frame, room)


def _head(frame: Frame, keys: str) -> Table:
    head = Table.grid(expand=True, padding=(0, 1))
    head.add_column(no_wrap=True, ratio=1)
    head.add_column(justify="right", no_wrap=True, style="dim")
    title = Text.assemble((frame.pipeline, "bold"), f" v{frame.version}  ")
    title.append(moment_text(frame.event_time_ms))
    if frame.leaks:
        title.append(f"  leak? {', '.join(frame.leaks)}", style="bold red")
    head.add_row(title, keys)
    return head


def _alerts(frame: Frame, room: Room) -> RenderableType:
    if not frame.alerts:
        return Text("alerts: none", style="green")
    table = Table.grid(padding=(0, 2, 0, 0))
    for number in range(5):
        table.add_column(no_wrap=number != _TEXT)
    for alert in frame.alerts[: room.alerts]:
        table.add_row(
            Text(f"alert {alert['state']}", style="bold red"),
            alert["kind"],
            Text(_what(alert), overflow="ellipsis", no_wrap=True),
            f"since {moment_text(alert['since'], short=True)}",
            f"×{alert['strength']:.1f}",
        )
    hidden = len(frame.alerts) - room.alerts
    if hidden > 0:
        table.add_row(Text(f"and {hidden} more", style="red"))
    return table


def _what(alert: Mapping[str, Any]) -> str:
    """Return what has changed: the strongest member, and how many changed with it."""
    segment = "" if alert["segment"] == "all" else f", {alert['segment']}"
    more = len(alert["members"]) + alert["members_left_out"] - 1
    return f"{alert['what']}{segment}" + (f" and {more} more" if more > 0 else "")


def _flow(frame: Frame, width: int) -> Table:
    p50, p99 = (count_text(frame.latency_ms.get(name)) for name in ("p50", "p99"))
    totals = ["" if flow.total is None else f"{flow.total:,}" for flow in frame.flows]
    rates = [count_text(flow.rate) for flow in frame.flows]
    bars = [_levels(flow.rates[-_SPARKS:]) for flow in frame.flows]
    names = [flow.name for flow in frame.flows]
    columns = [
        Column("", list(map(Text, [*names, "latency, ms"])), right=False),
        Column("", list(map(Text, [*totals, f"p50 {p50}"])), 1),
        Column("", [Text.assemble((rate, "bold")) for rate in [*rates, f"p99 {p99}"]]),
        Column("", list(map(Text, [*bars, ""])), 2, right=False, style="cyan", least=_SPARKS_LEAST),
    ]
    return table_of(columns, width, heads=False)


def _stages(frame: Frame, width: int) -> Table:
    behind, most_of, bars = [], [], []
    for stage in frame.stages:
        lags = {task: lag for task, lag in stage.lags.items() if lag is not None}
        most = max(lags, key=lambda task: lags[task], default="")
        several = len(lags) > 1 and lags[most] > 0
        most_of.append(f"task {most.rsplit('/', 1)[-1]}: {lags[most]:,}" if several else "")
        shown = several and len(lags) <= _SPARKS
        bars.append(_levels(list(lags.values())) if shown else "")
        behind.append("not started" if stage.lag is None else f"{stage.lag:,}")
    columns = [
        Column("", [Text(stage.name) for stage in frame.stages], right=False),
        Column("", [Text.assemble((lag, "bold")) for lag in behind]),
        Column("", list(map(Text, most_of)), 1, style="dim"),
        Column("", list(map(Text, bars)), 2, right=False, style="cyan", least=_SPARKS_LEAST),
    ]
    return table_of(columns, width, heads=False)


def _levels(values: Sequence[float]) -> str:
    """Return values as bars that begin at 0."""
    return sparkline([0, *values])[1:]


def _quality_title(frame: Frame, *, settled: bool) -> str:
    if not frame.window:
        return "Quality"
    covered = "" if frame.coverage is None else f", {frame.coverage:.0%} labelled"
    if frame.withheld:  # there is no room for both
        covered = f"; withheld: {frame.withheld}"
    said = f"Quality: {frame.window} to {moment_text(frame.window_end_ms)}{covered}"
    if not settled or frame.settled_end_ms in (None, frame.window_end_ms):
        return said
    return f"{said}; final to {moment_text(frame.settled_end_ms, short=True)}"


def _metrics(frame: Frame, room: Room, width: int, *, settled: bool, sure: bool) -> RenderableType:
    if not frame.metrics:
        return Text("nothing yet: no prediction has met its label", style="dim")
    metrics = frame.metrics[: room.metrics]
    baselines = list(metrics[0].baselines)[:_BASELINES_SHOWN]
    names = [_NAMES.get(each.name, each.name.replace("_", " ")) for each in metrics]
    now = [Text.assemble((number_text(each.window), _style_of(each))) for each in metrics]
    sparks = min(room.sparks, _SPARKS_SURE) if sure else room.sparks
    bars = [Text(sparkline(each.history[-sparks:]) or "–") for each in metrics]
    columns = [
        Column("", list(map(Text, names)), right=False),
        Column(frame.window, now),
        Column("95 %", [Text(_interval(each)) for each in metrics], 6, right=False, style="dim"),
        Column("final", [Text(number_text(each.settled)) for each in metrics], 4),
        Column("run", [Text(number_text(each.whole)) for each in metrics], 1),
        Column("last windows", bars, 5, right=False, style="blue", least=_SPARKS_LEAST),
        *(
            Column(
                name.replace("_", " "),
                [Text(number_text(each.baselines[name])) for each in metrics],
                2 + place,
            )
            for place, name in enumerate(baselines)
        ),
    ]
    hidden = {title for title, shown in (("95 %", sure), ("final", settled)) if not shown}
    return table_of([each for each in columns if each.title not in hidden], width)


def _interval(metric: Metric) -> str:
    """Return where the truth lies 95 times of a hundred, if the metric says so."""
    low, high = metric.detail.get("low"), metric.detail.get("high")
    return "" if low is None or high is None else f"{low:.3f}–{high:.3f}"


_LESS_IS_BETTER = frozenset({"log_loss", "mae", "rmse", "brier", "calibration_error", "cost"})


def _style_of(metric: Metric) -> str:
    """Return green for what is better than each baseline, yellow for what is not."""
    others = [value for value in metric.baselines.values() if value is not None]
    if metric.window is None or not others:
        return "bold"
    if metric.name in _LESS_IS_BETTER:
        return "bold green" if metric.window < min(others) else "bold yellow"
    return "bold green" if metric.window > max(others) else "bold yellow"


def _drift_title(frame: Frame) -> str:
    if frame.drift_end_ms is None:
        return "Drift"
    return f"Drift, PSI (│ by chance): {frame.window} to {moment_text(frame.drift_end_ms)}"


def _drift(frame: Frame, room: Room, columns: int) -> RenderableType:
    shown = frame.drift[: room.drift * columns]
    if not shown:
        return Text("nothing yet: it begins when the reference period is over", style="dim")
    rows = -(-len(shown) // columns)
    table = Table.grid(expand=True, padding=(0, 1))
    for _ in range(columns):
        table.add_column(no_wrap=True, ratio=1)
        table.add_column(justify="right", no_wrap=True)
        table.add_column(width=BAR)
        table.add_column(justify="right", no_wrap=True, style="dim")
    for row in range(rows):
        cells: list[RenderableType] = []
        for each in shown[row::rows]:
            chance = "" if each.chance is None else f"│{each.chance:.2f}"
            cells += [
                Text(each.feature),
                f"{each.psi:.2f}",
                drift_bar(each.psi, each.chance),
                chance,
            ]
        table.add_row(*cells)
    return table


def _model(frame: Frame) -> Text:
    model = frame.model
    said = f"model: learned to {count_text(model.get('learned_to'))}"
    if model.get("behind") is not None:
        said += f", served less {count_text(model['behind'])}"
    said += f"; lag p50 {count_text(model.get('lag_p50'))} p99 {count_text(model.get('lag_p99'))}"
    if model.get("commit_ms") is not None:
        said += f"; commit {model['commit_ms']:.0f} ms"
    if model.get("regret") is not None:
        said += f"; regret {number_text(model['regret'])}"  # on equal terms (docs/metrics.md)
    return Text(said, overflow="ellipsis", no_wrap=True)


def _letters(frame: Frame) -> Text:
    said = Text(overflow="ellipsis", no_wrap=True)
    said.append(f"waiting for a label: {frame.waiting:,}, expired: {frame.expired:,}; ")
    letters = sorted(frame.dead_letters.items(), key=lambda item: (-item[1], item[0]))
    if not letters:
        return said.append("dead letters: none", style="green")
    reasons = ", ".join(f"{reason} {n:,}" for reason, n in letters)
    return said.append(f"dead letters: {reasons}", style="yellow")


def _workers(frame: Frame, room: Room) -> RenderableType:
    if not frame.workers:
        return Text("no worker runs: `headrace run FILE`", style="yellow")
    if not room.workers:
        line = Text("workers: ", overflow="ellipsis", no_wrap=True)
        # What is wrong is not cut off behind what is well.
        for worker in sorted(frame.workers, key=lambda each: _state(each) == "running"):
            line.append(f"{worker.name} ").append(_state(worker), style=_style(worker)).append("  ")
        return line
    table = Table(box=None, pad_edge=False)
    for column in ("worker", "state"):
        table.add_column(column)
    for column in ("tasks", "lag", "records", "per s"):
        table.add_column(column, justify="right", no_wrap=True)
    for worker in frame.workers:
        table.add_row(
            worker.name,
            Text(_state(worker), style=_style(worker)),
            str(worker.tasks),
            "" if worker.lag is None else f"{worker.lag:,}",
            f"{worker.records:,}",
            "" if worker.rate is None else f"{worker.rate:,.0f}",
        )
    return table


def _state(worker: Worker) -> str:
    return f"silent for {worker.age_s:.0f} s" if worker.silent else worker.state


def _style(worker: Worker) -> str:
    return "red" if worker.silent else _STATES.get(worker.state, "yellow")
