"""Snapshots in SQL: what :class:`headrace.registry.sql.SqlRegistry` asks and writes of them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, delete, insert, select

from headrace.registry.kept import SNAPSHOTS_KEPT, Snapshot, SnapshotInfo, TaskId
from headrace.registry.tables import matching
from headrace.registry.tables import snapshot as table


def newest(task: TaskId, upto: int) -> Select[Any]:
    """Return the question for a task's newest snapshot whose offset is at most ``upto``."""
    found = select(*(table.c[name] for name in Snapshot._fields))
    of = matching(table, **task._asdict())
    return found.where(of, table.c.offset <= upto).order_by(table.c.offset.desc()).limit(1)


def of(pipeline: str) -> Select[Any]:
    """Return the question for all snapshots of a pipeline, without their states."""
    columns = (table.c[name] for name in (*TaskId._fields, "offset", "size_bytes", "created_at"))
    found = select(*columns).where(table.c.pipeline == pipeline)
    return found.order_by(table.c.version, table.c.stage, table.c.partition, table.c.offset)


def info(row: Any) -> SnapshotInfo:
    """Return what a row of :func:`of` says."""
    return SnapshotInfo(TaskId(*row[:4]), *row[4:])


def put(connection: Connection, task: TaskId, snapshot: Snapshot, at: datetime) -> None:
    """Keep a snapshot unless there is one at its offset, and of the task's only the newest."""
    of = matching(table, **task._asdict())
    offsets = select(table.c.offset).where(of).order_by(table.c.offset.desc())
    if connection.execute(offsets.where(table.c.offset == snapshot.offset)).first() is None:
        row = {**task._asdict(), **snapshot._asdict(), "size_bytes": len(snapshot.state)}
        connection.execute(insert(table).values(**row, created_at=at))
    kept = connection.execute(offsets.limit(SNAPSHOTS_KEPT)).scalars().all()
    connection.execute(delete(table).where(of, table.c.offset < min(kept)))
