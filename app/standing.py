"""How a pipeline stands: what its workers say, how far its stages are behind, what is kept."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from headrace.app.alerting.message import summary
from headrace.app.alerting.standing import alerts_standing, rendered_deliveries
from headrace.app.board import SILENT_S, board_of, lag_of
from headrace.app.remedies import Site, site_of
from headrace.app.settings import Settings
from headrace.app.storage import storage_of, storage_table
from headrace.streams.engine.roles import group_of

NEARLY_FULL = 0.8
"""From this share of its limit on a task of JOIN is told of; Prometheus' rule has the same."""


def standing(text: str, settings: Settings) -> dict[str, Any]:
    """Return how a pipeline stands, as plain data.

    Returns
    -------
    dict
        ``pipeline``, ``serving_version``; ``versions`` with digest and time; ``checkpoint``, the
        newest, None without one; ``stages`` with committed offsets and lag in offsets (control
        records count, so 1 may mean: caught up); ``workers`` as they wrote last, each with
        ``age_s`` and ``silent``; ``model`` with the offset that it has learned to, and how
        many examples the scorer that is furthest behind serves without (``behind``);
        ``storage``: how much is kept, see :func:`headrace.app.storage.storage_of`;
        ``alerts``: those that are ``open``, and their ``deliveries``.
    """
    with site_of(text, settings) as site:
        alerts = alerts_standing(site.kafka, site.target.topics.alerts, site.name)
        return {**standing_of(site), "storage": storage_of(site), "alerts": alerts}


def standing_of(site: Site) -> dict[str, Any]:
    """Return how a pipeline stands whose services are at hand: what is quickly asked."""
    board = board_of(site.store, site.name)
    workers = {name: _worker(report) for name, report in board.items()}
    checkpoints = site.registry.checkpoints(site.name, site.version)
    return {
        "pipeline": site.name,
        "serving_version": site.version,
        "versions": [
            {
                "version": info.version,
                "digest": info.digest,
                "created_at": info.created_at.isoformat(),
            }
            for info in site.registry.versions(site.name)
        ],
        "checkpoint": _checkpoint(checkpoints[-1]) if checkpoints else None,
        "model": _model(site, workers.values()),
        "stages": _stages(site),
        "workers": workers,
    }


def _worker(report: dict[str, Any]) -> dict[str, Any]:
    age_s = max(0.0, time.time() - report.get("time", 0.0))
    return {**report, "age_s": round(age_s, 1), "silent": age_s > SILENT_S, "lag": lag_of(report)}


def _checkpoint(info: Any) -> dict[str, Any]:
    return {
        "offset": info.offset,
        "size_bytes": info.size_bytes,
        "created_at": info.created_at.isoformat(),
        "age_s": round(time.time() - info.created_at.timestamp(), 1),
    }


def _stages(site: Site) -> list[dict[str, Any]]:
    have = site.kafka.partition_counts()
    offsets = {
        role: site.groups.committed(group_of(site.name, role))
        for role in ("score", "join", "learn")
    }
    found = []
    for decl in site.stages():
        places = [(topic, n) for topic in decl.inputs for n in range(have.get(topic, 0))]
        ends = site.groups.bounds(places)
        committed = {place: offsets[decl.role].get(place) for place in places}
        lags = [ends[place][1] - at.offset for place, at in committed.items() if at is not None]
        found.append(
            {
                "stage": decl.name,
                "role": decl.role,
                "tasks": decl.tasks,
                "lag": sum(lags) if len(lags) == len(places) else None,
                "committed": {
                    f"{topic}-{n}": at.offset for (topic, n), at in committed.items() if at
                },
            }
        )
    return found


def _model(site: Site, workers: Iterable[dict[str, Any]]) -> dict[str, Any]:
    topic = site.target.topics.examples
    committed = site.groups.committed(group_of(site.name, "learn")).get((topic, 0))
    learned_to = 0 if committed is None else committed.offset
    served = [
        each["learned_to"] or 0
        for each in workers
        if each["role"] == "score" and not each["silent"]
    ]
    behind = max(0, learned_to - min(served)) if served else None
    return {"learned_to": learned_to, "behind": behind}


# -- for people


def rendered(found: dict[str, Any]) -> RenderableType:
    """Return how a pipeline stands as a person reads it."""
    head = Text.assemble(
        (found["pipeline"], "bold"),
        f"  version {found['serving_version']} of {len(found['versions'])}",
    )
    held = held_line(found["workers"].values())
    tables = (
        *([held] if held else []),
        _stage_table(found),
        _worker_table(found),
        storage_table(found["storage"]),
        *_alert_lines(found["alerts"]),
    )
    return Group(head, Text(_learning(found)), *tables, "")


def _alert_lines(alerts: dict[str, Any]) -> list[RenderableType]:
    opened: list[RenderableType] = [
        Text(f"alert: {summary(each)}, since {each['since'][:16]}", style="yellow")
        for each in alerts["open"]
    ]
    return [*opened, *rendered_deliveries(alerts["deliveries"])]


def _learning(found: dict[str, Any]) -> str:
    model, checkpoint = found["model"], found["checkpoint"]
    said = f"model learned to example {model['learned_to']:,}"
    if model["behind"] is not None:
        said += f", scorers serve it less {model['behind']:,}"
    if checkpoint is None:
        return f"{said}; no checkpoint yet"
    return f"{said}; checkpoint at {checkpoint['offset']:,}, {_age(checkpoint['age_s'])} ago"


def held_line(workers: Iterable[dict[str, Any]]) -> Text | None:
    """Return how much JOIN remembers, and how near to its limit the fullest task is."""
    tasks = {name: task for worker in workers for name, task in worker["tasks"].items()}
    limited = [task for task in tasks.values() if task.get("limit")]
    if not limited:
        return None
    fullest = max(limited, key=lambda task: task["held"] / task["limit"])
    share = fullest["held"] / fullest["limit"]
    said = (
        f"waiting for a label, or remembered: {sum(task['held'] for task in limited):,};"
        f" fullest task {fullest['held']:,} of {fullest['limit']:,} ({share:.0%})"
    )
    return Text(said, style="yellow" if share > NEARLY_FULL else "")


def _age(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def _stage_table(found: dict[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("stage")
    for column in ("tasks", "lag"):
        table.add_column(column, justify="right")
    for stage in found["stages"]:
        lag = "not started" if stage["lag"] is None else f"{stage['lag']:,}"
        table.add_row(stage["stage"], str(stage["tasks"]), lag)
    return table


def _worker_table(found: dict[str, Any]) -> RenderableType:
    workers = found["workers"]
    if not workers:
        return Text("no worker runs: `headrace run FILE`", style="yellow")
    table = Table(box=None, pad_edge=False)
    for column in ("worker", "state", "pid"):
        table.add_column(column)
    for column in ("tasks", "lag", "records", "model", "seen", "health port"):
        table.add_column(column, justify="right")
    for name, report in workers.items():
        lag, learned = report["lag"], report["learned_to"]
        state = "silent" if report["silent"] else report["state"]
        table.add_row(
            name,
            Text(state, style="red" if report["silent"] else "green"),
            str(report["pid"]),
            str(len(report["tasks"])),
            "" if lag is None else f"{lag:,}",
            f"{report['records']:,}",
            "" if learned is None else f"{learned:,}",
            f"{_age(report['age_s'])} ago",
            str(report.get("http_port", "")),
        )
    return table
