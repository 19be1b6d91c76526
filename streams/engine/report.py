"""How a worker stands: what the board, the health endpoint and ``headrace status`` show."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headrace.registry.kept import TaskId
from headrace.streams.engine.holding import Holding
from headrace.streams.protocol.task import Batch, Task
from headrace.streams.records import TopicPartition

Lag = Callable[[TopicPartition, int], int | None]


@dataclass(slots=True)
class Tallies:
    """What a process has done since it began; integers and seconds that only rise."""

    records: int = 0
    emitted: int = 0
    batches: int = 0
    transactions: int = 0
    commit_seconds: float = 0.0
    processing_seconds: float = 0.0

    def committed(
        self, finished: Sequence[tuple[Task, Sequence[Batch]]], commit_s: float, processing_s: float
    ) -> None:
        """Add a commit."""
        for _, batches in finished:
            self.batches += len(batches)
            self.records += sum([batch.count for batch in batches])
            self.emitted += sum([len(batch.effects.emits) for batch in batches])
        self.transactions += 1
        self.commit_seconds += commit_s
        self.processing_seconds += processing_s


def task_report(holding: Holding, lag: Lag) -> dict[str, Any]:
    """Return how a task stands.

    Returns
    -------
    dict
        ``position`` by topic; ``lag``, offsets behind the end as last seen, which counts control
        records, None if unknown; ``waiting``, records handed to no agent yet, or what waits in
        JOIN; ``entries`` of its cache; ``unsaved``, how many offsets a learner is ahead of its
        newest checkpoint, None of other tasks; ``held`` and ``limit``, how much JOIN remembers and
        how much it may, None of other tasks.
    """
    task = holding.task
    position = dict(task.acked.offsets if task.spec.stored else task.position.offsets)
    number = task.spec.id.partition
    lags = [lag((topic, number), at) for topic, at in position.items()]
    known = [each for each in lags if each is not None]
    unsaved = None if task.spec.stored else max(0, *position.values()) - task.checkpointed
    return {
        "position": position,
        "lag": sum(known) if known else None,
        "waiting": int(getattr(task.stage, "waiting", holding.waiting)),
        "entries": len(task.cache),
        "unsaved": unsaved,
        "held": getattr(task.stage, "held", None),
        "limit": getattr(task.stage, "limit", None),
    }


def report_of(
    name: str, version: int, state: str, learned_to: int | None, tallies: Tallies,
    holdings: Mapping[TaskId, Holding], lag: Lag,
) -> dict[str, Any]:  # fmt: skip
    """Return how a worker stands, as plain data."""
    role, _, slot = name.rpartition("-")
    return {
        "role": role,
        "slot": int(slot),
        "pid": os.getpid(),
        "time": time.time(),
        "version": version,
        "state": state,
        "waits_for": state.removeprefix("waiting for ") if state.startswith("waiting") else "",
        "learned_to": learned_to,
        "tasks": {str(key): task_report(holding, lag) for key, holding in holdings.items()},
        "records": tallies.records,
        "emitted": tallies.emitted,
        "batches": tallies.batches,
        "transactions": tallies.transactions,
        "commit_seconds": round(tallies.commit_seconds, 6),
        "processing_seconds": round(tallies.processing_seconds, 6),
    }


def figures_of(holdings: Sequence[Holding]) -> list[Any]:
    """Return MONITOR's newest figures, if one of the tasks is MONITOR's."""
    latest = [getattr(holding.task.stage, "latest", None) for holding in holdings]
    return [figure for each in latest if each is not None for figure in each()]


def as_text(report: Mapping[str, Any]) -> str:
    """Return a report as the board holds it."""
    return json.dumps(report, separators=(",", ":"))
