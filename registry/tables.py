"""The registry's tables. docs/registry.md says what each column means and how to ask them.

All state is keyed by version. ``model`` and ``model_version`` have the shape that texts on MLOps
give them: (id, model name, serving version) and (id, model id, version, image, metrics).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    ForeignKeyConstraint,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    and_,
    select,
)
from sqlalchemy.sql.elements import ColumnElement

NAMING = {
    "pk": "pk_%(table_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(referred_table_name)s",
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
}
"""Names of constraints, so that a later migration can name them on every database."""

metadata = MetaData(naming_convention=NAMING)


class Moment(TypeDecorator[datetime]):
    """A moment in UTC; SQLite keeps no time zone, so it is put back when read."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Turn an aware moment into UTC."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Return an aware moment in UTC."""
        if value is None:
            return None
        moment: datetime = value
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


# SQLite numbers rows by itself in columns of type INTEGER alone.
_Id = BigInteger().with_variant(Integer, "sqlite")

model = Table(
    "model",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("model_name", String(255), nullable=False, unique=True),
    Column("serving_version", Integer, nullable=True),
)
"""A pipeline's model; ``serving_version`` is the version whose predictions are served."""

model_version = Table(
    "model_version",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("model_id", ForeignKey("model.id"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("image", String(1_024), nullable=False),
    Column("metrics", JSON, nullable=False),
    Column("digest", String(128), nullable=False),
    Column("declaration", Text, nullable=False),
    Column("lineage", JSON, nullable=False),
    Column("created_at", Moment, nullable=False),
    UniqueConstraint("model_id", "version"),
    UniqueConstraint("model_id", "digest"),
    CheckConstraint("version > 0", name="version"),
)
"""A declaration of a model's pipeline: what it was made of, by what, and how it does."""

checkpoint = Table(
    "checkpoint",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("model_id", _Id, nullable=False),
    Column("version", Integer, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("previous_offset", BigInteger, nullable=False),
    Column("state", LargeBinary, nullable=True),
    Column("size_bytes", BigInteger, nullable=False),
    Column("digest", String(128), nullable=False),
    Column("signature", String(128), nullable=False),
    Column("created_at", Moment, nullable=False),
    ForeignKeyConstraint(
        ["model_id", "version"], ["model_version.model_id", "model_version.version"]
    ),
    # Two links to one predecessor would be a fork; two states at one offset, a contradiction.
    UniqueConstraint("model_id", "version", "previous_offset"),
    UniqueConstraint("model_id", "version", "offset"),
    CheckConstraint('previous_offset >= 0 AND "offset" > previous_offset', name="forward"),
)
"""A version's state after the examples before ``offset``: a link of its chain.

The link stays for ever; its state is dropped when nothing needs it any more.
"""

serving = Table(
    "serving",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("model_id", _Id, nullable=False),
    Column("version", Integer, nullable=False),
    Column("since", Moment, nullable=False),
    Column("reason", Text, nullable=False),
    ForeignKeyConstraint(
        ["model_id", "version"], ["model_version.model_id", "model_version.version"]
    ),
)
"""History: which version has been served since when, and why."""

task = Table(
    "task",
    metadata,
    # Evidence that a task was started: by name, so that it outlives what it is evidence of.
    Column("pipeline", String(255), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("stage", String(64), primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("topic_ids", Text, nullable=False),
    Column("partition_counts", Text, nullable=False),
    Column("starts", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
)
"""Witness: a task has been started on these topics, from these offsets."""

snapshot = Table(
    "snapshot",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("pipeline", String(255), nullable=False),
    Column("version", Integer, nullable=False),
    Column("stage", String(64), nullable=False),
    Column("partition", Integer, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("cut", Text, nullable=False),
    Column("state", LargeBinary, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("created_at", Moment, nullable=False),
    # No chain: states at one offset are equal, and each is right by itself.
    UniqueConstraint("pipeline", "version", "stage", "partition", "offset"),
)
"""A task's whole state at a cut, by the task's name as in ``task``."""


source = Table(
    "source",
    metadata,
    # A mirror, by the topic's name and Kafka's id of it: the log decides what was published.
    Column("topic", String(255), primary_key=True),
    Column("topic_id", String(64), primary_key=True),
    Column("source", String(64), primary_key=True),
    Column("name", Text, nullable=False),
    Column("by_time", Boolean, nullable=False),
    Column("first_row", BigInteger, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("head_rows", Integer, nullable=False),
    Column("head_digest", String(64), nullable=False),
    Column("sample", JSON, nullable=False),
    Column("acknowledged", BigInteger, nullable=False),
    Column("time_ms", BigInteger, nullable=True),
    Column("state", String(16), nullable=False),
    Column("started_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Column("finished_at", Moment, nullable=True),
)
"""A file's rows, and how far they have been published to a topic."""


def matching(table: Table, **values: Any) -> ColumnElement[bool]:
    """Return the condition that columns of a table have these values."""
    return and_(*(table.c[name] == value for name, value in values.items()))


def of_model(table: Table, pipeline: str) -> ColumnElement[bool]:
    """Return the condition that rows belong to a pipeline's model."""
    named = select(model.c.id).where(model.c.model_name == pipeline)
    return table.c.model_id == named.scalar_subquery()


def of_version(table: Table, pipeline: str, version: int) -> ColumnElement[bool]:
    """Return the condition that rows belong to a version of a pipeline."""
    return and_(of_model(table, pipeline), table.c.version == version)
