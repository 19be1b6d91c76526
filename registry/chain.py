"""Checkpoints in SQL: what :class:`headrace.registry.sql.SqlRegistry` asks and writes of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Select, and_, func, select, update

from headrace.registry.kept import CheckpointInfo
from headrace.registry.tables import checkpoint as table
from headrace.registry.tables import of_version

HAS_STATE = table.c.state.is_not(None)
_COLUMNS = CheckpointInfo._fields[:-1]  # the last one says whether there is a state


def links(pipeline: str, version: int) -> Select[Any]:
    """Return the question for all links, oldest first; at the end whether the state is kept."""
    columns = [_column(name) for name in _COLUMNS]
    found = select(*columns, HAS_STATE).where(of_version(table, pipeline, version))
    return found.order_by(table.c.offset)


def _column(name: str) -> Any:
    return table.c["previous_offset" if name == "previous" else name]


def newest(pipeline: str, version: int, upto: int) -> Select[Any]:
    """Return the question for the newest state whose offset is at most ``upto``."""
    of = and_(of_version(table, pipeline, version), table.c.offset <= upto)
    found = select(table.c.offset, table.c.state).where(of, HAS_STATE)
    return found.order_by(table.c.offset.desc()).limit(1)


def state_at(pipeline: str, version: int, offset: int) -> Select[Any]:
    """Return the question for the state of the checkpoint at an offset."""
    of = and_(of_version(table, pipeline, version), table.c.offset == offset)
    return select(table.c.state).where(of, HAS_STATE)


def head(connection: Connection, pipeline: str, version: int) -> int:
    """Return the offset of the newest link, 0 if there is none."""
    of = of_version(table, pipeline, version)
    return connection.execute(select(func.max(table.c.offset)).where(of)).scalar() or 0


def link_at(
    connection: Connection, model_id: int, version: int, offset: int
) -> tuple[int, int, str]:
    """Return offset, predecessor and digest of the link at an offset."""
    of = and_(table.c.model_id == model_id, table.c.version == version)
    columns = select(table.c.offset, table.c.previous_offset, table.c.digest)
    row = connection.execute(columns.where(of, table.c.offset == offset)).one()
    return row[0], row[1], row[2]


def drop_states(connection: Connection, pipeline: str, version: int, offsets: Sequence[int]) -> int:
    """Drop the states of links before the head; return how many were dropped."""
    before_head = table.c.offset < head(connection, pipeline, version)
    of = and_(of_version(table, pipeline, version), table.c.offset.in_(offsets), before_head)
    return connection.execute(update(table).where(of, HAS_STATE).values(state=None)).rowcount
