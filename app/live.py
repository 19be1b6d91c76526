"""The supervisor in a terminal: its workers in a table that is renewed, their lines above it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from headrace.app.board import lag_of
from headrace.app.supervisor import Post, Slot, Supervisor

if TYPE_CHECKING:
    from headrace.app.running import Watch

_SHOW_S = 0.5
_STYLES = {"running": "green", "due": "yellow", "fenced": "red", "ended": "dim"}


def run_live(supervisor: Supervisor, watch: Watch, pipeline: str) -> int:
    """Run a supervisor with a live view; return its exit code."""
    console = Console(stderr=True)
    shown_s = 0.0
    with Live(console=console, auto_refresh=False, transient=False) as live:
        supervisor.said = lambda slot, line: console.print(_line(slot, line), soft_wrap=True)

        def turn() -> None:
            nonlocal shown_s
            if time.monotonic() - shown_s > _SHOW_S:
                shown_s = time.monotonic()
                live.update(render(supervisor, watch, pipeline), refresh=True)

        code = supervisor.run(turn)
        live.update(render(supervisor, watch, pipeline), refresh=True)
    return code


def _line(slot: Slot, line: str) -> Text:
    return Text.assemble((f"{slot}  ", "dim"), Text.from_ansi(line))


def render(supervisor: Supervisor, watch: Watch, pipeline: str) -> RenderableType:
    """Return the table of workers."""
    table = Table(box=None, pad_edge=False)
    for column in ("worker", "state", "pid"):
        table.add_column(column)
    for column in ("restarts", "tasks", "lag", "records", "per s", "model"):
        table.add_column(column, justify="right")
    for post in supervisor.posts:
        table.add_row(*_row(post, watch))
    title = Text.assemble((pipeline, "bold"), "  Ctrl-C stops it with care")
    trouble = [Text(watch.trouble, style="red")] if watch.trouble else []
    return Group(title, table, *trouble)


def _row(post: Post, watch: Watch) -> list[str | Text]:
    said = watch.board.get(str(post.slot), {})
    fresh = post.process is not None and said.get("pid") == post.process.pid
    report = said if fresh else {}
    state = report.get("state", "starting") if post.state == "running" else _waiting(post)
    lag, learned = lag_of(report), report.get("learned_to")
    return [
        str(post.slot),
        Text(str(state), style=_STYLES[post.state]),
        str(post.process.pid) if post.process else "",
        str(post.backoff.restarts),
        str(len(report.get("tasks", {}))),
        "" if lag is None else f"{lag:,}",
        f"{report.get('records', 0):,}",
        f"{watch.rates.get(str(post.slot), 0.0):,.0f}" if fresh else "",
        "" if learned is None else f"{learned:,}",
    ]


def _waiting(post: Post) -> str:
    if post.state != "due":
        return post.state
    return f"restarts in {max(0.0, post.due_s - time.monotonic()):.0f} s (code {post.code})"
