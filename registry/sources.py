"""How far files have been published, in SQL: a mirror, since the log decides (docs/adr/0014)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, insert, select, update

from headrace.registry.clock import Clock
from headrace.registry.database import Database
from headrace.registry.kept import DONE, Source, SourceInfo
from headrace.registry.tables import matching
from headrace.registry.tables import source as table

_KEY = ("topic", "topic_id", "source")


class SqlSources:
    """The part of the registry in SQL that mirrors sources."""

    database: Database
    _clock: Clock

    def sources(self, topic: str, topic_id: str) -> list[SourceInfo]:
        """Return the sources that were published to a topic, the newest first.

        Parameters
        ----------
        topic_id
            Kafka's id of the topic: one that was made anew holds nothing of what the old one held.
        """
        found = select(*(table.c[name] for name in (*Source._fields, *SourceInfo._fields[1:])))
        of = found.where(matching(table, topic=topic, topic_id=topic_id))
        newest = of.order_by(table.c.started_at.desc(), table.c.first_row.desc(), table.c.source)
        rows = self.database.read(lambda on: list(on.execute(newest)))
        return [_info(row) for row in rows]

    def put_sources(self, sources: Sequence[Source]) -> None:
        """Remember how far sources have been published; one that is further already is left."""

        def put(connection: Connection) -> None:
            for source in sources:
                _put(connection, source, self._clock())

        self.database.write(put)


def _put(connection: Connection, source: Source, at: datetime) -> None:
    values = source._asdict() | {"sample": list(source.sample), "updated_at": at}
    values["finished_at"] = at if source.state == DONE else None
    behind = and_(_of(source), table.c.acknowledged <= source.acknowledged)
    if connection.execute(update(table).where(behind).values(**values)).rowcount:
        return
    if connection.execute(select(table.c.source).where(_of(source))).first() is None:
        connection.execute(insert(table).values(**values, started_at=at))


def _of(source: Source) -> ColumnElement[bool]:
    return matching(table, **{name: getattr(source, name) for name in _KEY})


def _info(row: Any) -> SourceInfo:
    count = len(Source._fields)
    source = Source(*row[:count])
    return SourceInfo(source._replace(sample=tuple(source.sample)), *row[count:])
