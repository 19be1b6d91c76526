"""The registry in SQL: versions, the chain of checkpoints, what is served, witnesses, snapshots.

Each method is one transaction that may be asked twice: a lost answer is answered by asking again.
Writers of one pipeline take turns at its row in ``model``, so that what they have read still holds
when they write.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Select, Table, and_, delete, func, insert, select, update
from sqlalchemy.sql.elements import ColumnElement

from headrace.registry import chain, migrating, snapshots
from headrace.registry.artifacts import signature_of
from headrace.registry.clock import Clock, now
from headrace.registry.database import Database
from headrace.registry.kept import (
    FIRST,
    Checkpoint,
    CheckpointInfo,
    ServingInfo,
    Snapshot,
    SnapshotInfo,
    TaskId,
    VersionInfo,
    Witness,
    plain_json,
    unknown_version,
)
from headrace.registry.sources import SqlSources
from headrace.registry.tables import (
    checkpoint,
    matching,
    model,
    model_version,
    of_model,
    of_version,
    serving,
    snapshot,
    task,
)


class SqlRegistry(SqlSources):
    """The registry in SQLite or PostgreSQL.

    Parameters
    ----------
    url
        ``sqlite:///path`` or ``postgresql+psycopg://user:password@host:port/database``.
    digest_of
        Returns the canonical digest of a checkpoint's state.
    clock
        Says when something was kept.

    Raises
    ------
    SettingsError
        The address is neither. Every method raises :class:`ServiceError` if the database does not
        answer, and :class:`Refused` if trying again cannot help.
    """

    def __init__(self, url: str, digest_of: Callable[[bytes], str], *, clock: Clock = now) -> None:
        self.database = Database(url)
        self._digest_of = digest_of
        self._clock = clock

    def migrate(self) -> None:
        """Make the tables, or bring them up to date; many processes may do it at once."""
        migrating.migrate(self.database)

    def check(self) -> None:
        """See that the database answers and that its tables are this code's."""
        migrating.check(self.database)

    def close(self) -> None:
        """Give the connections back."""
        self.database.close()

    # -- the protocol's port: witnesses

    def witness(self, task: TaskId) -> Witness | None:
        """Return what is remembered of a task, None if it was never started."""
        row = self._row(_task_columns.where(_of_task(task)))
        return None if row is None else Witness(*(_pairs(each) for each in row))

    def put_witness(self, task: TaskId, witness: Witness) -> None:
        """Remember a task, or remember it again."""
        said = dict(zip(_WITNESS, (json.dumps(each) for each in witness), strict=True))

        def put(connection: Connection) -> None:
            at = self._clock()
            again = update(_tasks).where(_of_task(task)).values(**said, updated_at=at)
            if connection.execute(again).rowcount == 0:
                first = {**task._asdict(), **said, "created_at": at, "updated_at": at}
                connection.execute(insert(_tasks).values(**first))

        self.database.write(put)

    # -- the protocol's port: snapshots

    def newest_snapshot(self, task: TaskId, upto: int) -> Snapshot | None:
        """Return the newest snapshot whose offset is at most ``upto``."""
        row = self._row(snapshots.newest(task, upto))
        return None if row is None else Snapshot(*row)

    def snapshots(self, pipeline: str) -> list[SnapshotInfo]:
        """Return what snapshots there are of a pipeline's tasks, without their states."""
        return [snapshots.info(row) for row in self._rows(snapshots.of(pipeline))]

    def put_snapshot(self, task: TaskId, snapshot: Snapshot) -> None:
        """Keep a snapshot unless there is one at its offset, and of the task's only the newest."""

        def put(connection: Connection) -> None:
            _lock(connection, task.pipeline)
            snapshots.put(connection, task, snapshot, self._clock())

        self.database.write(put)

    # -- the protocol's port: checkpoints

    def checkpoint_head(self, pipeline: str, version: int) -> int:
        """Return the offset of the newest checkpoint, 0 if there is none."""
        return self.database.read(lambda on: chain.head(on, pipeline, version))

    def newest_checkpoint(self, pipeline: str, version: int, upto: int) -> Checkpoint | None:
        """Return the newest checkpoint whose offset is at most ``upto``."""
        row = self._row(chain.newest(pipeline, version, upto))
        return None if row is None else Checkpoint(*row)

    def insert_checkpoint(
        self, pipeline: str, version: int, previous: int, checkpoint: Checkpoint
    ) -> bool:
        """Append a checkpoint to the chain if ``previous`` is still its head; say whether.

        A head that already is this checkpoint was inserted by a call whose answer got lost: True.

        Raises
        ------
        Refused
            Nobody has registered the version.
        """
        digest = self._digest_of(checkpoint.state)
        row = {
            "version": version,
            "offset": checkpoint.offset,
            "previous_offset": previous,
            "state": checkpoint.state,
            "size_bytes": len(checkpoint.state),
            "digest": digest,
            "signature": signature_of(checkpoint.state),
            "created_at": self._clock(),
        }
        link = (checkpoint.offset, previous, digest)

        def append(connection: Connection) -> bool:
            model_id = _locked_version(connection, pipeline, version)
            head = chain.head(connection, pipeline, version)
            if 0 < head == checkpoint.offset:
                return chain.link_at(connection, model_id, version, head) == link
            if head != previous or checkpoint.offset <= previous:
                return False
            connection.execute(insert(_checkpoints).values(model_id=model_id, **row))
            return True

        return self.database.write(append)

    # -- checkpoints, for whoever looks on or cleans up

    def checkpoints(self, pipeline: str, version: int) -> list[CheckpointInfo]:
        """Return the chain without the states, oldest first."""
        return [CheckpointInfo(*row) for row in self._rows(chain.links(pipeline, version))]

    def checkpoint_state(self, pipeline: str, version: int, offset: int) -> bytes | None:
        """Return the state of the checkpoint at an offset, None if there is none any more."""
        row = self._row(chain.state_at(pipeline, version, offset))
        return None if row is None else bytes(row[0])

    def drop_states(self, pipeline: str, version: int, offsets: Sequence[int]) -> int:
        """Drop the states of checkpoints; return how many were dropped.

        The links stay: what was learned, from where and signed by whom can still be told. The
        head's state is never dropped, whoever asks for it: a restart begins there.
        """

        def drop(connection: Connection) -> int:
            _lock(connection, pipeline)
            return chain.drop_states(connection, pipeline, version, offsets)

        return self.database.write(drop)

    # -- versions

    def register_version(
        self,
        pipeline: str,
        declaration: str,
        digest: str,
        lineage: Mapping[str, Any],
        image: str = "",
        above: int = 0,
    ) -> int:
        """Return the version of a declaration, a new one if its digest is new to the pipeline.

        Versions rise by one; the first is served at once.

        Parameters
        ----------
        declaration
            Canonical text.
        lineage
            What made it (:func:`headrace.registry.lineage.lineage`); kept from the first time.
        above
            A new version's number is greater than this one: a number that stands in the log
            belongs to its declaration, also if the registry has forgotten that.
        """
        row = {"image": image, "digest": digest, "declaration": declaration, "metrics": {}}
        row["lineage"] = plain_json(lineage)

        def register(connection: Connection) -> int:
            model_id = _lock(connection, pipeline)
            if model_id is None:
                connection.execute(insert(model).values(model_name=pipeline))
                model_id = _lock(connection, pipeline)
            of = model_version.c.model_id == model_id
            same = select(model_version.c.version).where(of, model_version.c.digest == digest)
            known = connection.execute(same).scalar()
            if known is not None:
                return int(known)
            highest = select(func.max(model_version.c.version)).where(of)
            newest = connection.execute(highest).scalar()
            version = max(newest or 0, above) + 1
            keyed = {"model_id": model_id, "version": version, "created_at": self._clock()}
            connection.execute(insert(model_version).values(**keyed, **row))
            if newest is None:
                self._serve(connection, model_id, version, FIRST)
            return version

        return self.database.write(register)

    def version_of(self, pipeline: str, digest: str) -> int | None:
        """Return the version that a declaration's digest has, None if it has none."""
        of = and_(of_model(model_version, pipeline), model_version.c.digest == digest)
        row = self._row(select(model_version.c.version).where(of))
        return None if row is None else int(row[0])

    def versions(self, pipeline: str) -> list[VersionInfo]:
        """Return all versions of a pipeline, oldest first."""
        found = select(*(model_version.c[name] for name in VersionInfo._fields))
        of = found.where(of_model(model_version, pipeline))
        return [VersionInfo(*row) for row in self._rows(of.order_by(model_version.c.version))]

    def declaration_of(self, pipeline: str, version: int) -> str | None:
        """Return the canonical text of a version's declaration, None if there is none."""
        of = of_version(model_version, pipeline, version)
        row = self._row(select(model_version.c.declaration).where(of))
        return None if row is None else str(row[0])

    def put_metrics(self, pipeline: str, version: int, metrics: Mapping[str, Any]) -> None:
        """Write how a version does, in place of what was written before."""
        plain = plain_json(metrics)
        put = update(model_version).where(of_version(model_version, pipeline, version))
        done = self.database.write(lambda on: on.execute(put.values(metrics=plain)).rowcount)
        if done == 0:
            raise unknown_version(pipeline, version)

    # -- what is served

    def serving_version(self, pipeline: str) -> int | None:
        """Return the version that is served, None if the pipeline is not known."""
        row = self._row(select(model.c.serving_version).where(model.c.model_name == pipeline))
        return None if row is None else row[0]

    def serve(self, pipeline: str, version: int, reason: str) -> None:
        """Serve a version from now on; nothing is written if it is served already."""

        def serve(connection: Connection) -> None:
            model_id = _locked_version(connection, pipeline, version)
            served = select(model.c.serving_version).where(model.c.id == model_id)
            if connection.execute(served).scalar() != version:
                self._serve(connection, model_id, version, reason)

        self.database.write(serve)

    def serving_history(self, pipeline: str) -> list[ServingInfo]:
        """Return which version was served since when, and why, oldest first."""
        found = select(serving.c.version, serving.c.since, serving.c.reason)
        rows = self._rows(found.where(of_model(serving, pipeline)).order_by(serving.c.id))
        return [ServingInfo(*row) for row in rows]

    def _serve(
        self, connection: Connection, model_id: int | None, version: int, reason: str
    ) -> None:
        row = {"model_id": model_id, "version": version, "reason": reason, "since": self._clock()}
        connection.execute(insert(serving).values(**row))
        connection.execute(
            update(model).where(model.c.id == model_id).values(serving_version=version)
        )

    # -- forgetting

    def forget_task(self, task: TaskId) -> None:
        """Forget that a task was ever started, and its snapshots."""
        self._delete(*_of_tasks(**task._asdict()))

    def forget_stage(self, pipeline: str, version: int, stage: str) -> None:
        """Forget that any task of a stage was ever started, and their snapshots."""
        self._delete(*_of_tasks(pipeline=pipeline, version=version, stage=stage))

    def forget_snapshots(self, task: TaskId) -> None:
        """Forget a task's snapshots: its state is made anew from the log."""
        self._delete((_snapshots, matching(_snapshots, **task._asdict())))

    def forget_checkpoints(self, pipeline: str, version: int) -> None:
        """Forget a version's chain: its model is learned again from the log."""
        self._delete((checkpoint, of_version(checkpoint, pipeline, version)))

    def forget_pipeline(self, pipeline: str) -> None:
        """Forget all of a pipeline: tasks, snapshots, checkpoints, versions, what was served."""
        self._delete(
            *_of_tasks(pipeline=pipeline),
            *((table, of_model(table, pipeline)) for table in (checkpoint, serving)),
            (model_version, of_model(model_version, pipeline)),
            (model, model.c.model_name == pipeline),
        )

    # -- asking

    def _row(self, query: Select[Any]) -> Any:
        return self.database.read(lambda connection: connection.execute(query).first())

    def _rows(self, query: Select[Any]) -> list[Any]:
        return self.database.read(lambda connection: list(connection.execute(query)))

    def _delete(self, *what: tuple[Table, ColumnElement[bool]]) -> None:
        def forget(connection: Connection) -> None:
            for table, which in what:
                connection.execute(delete(table).where(which))

        self.database.write(forget)


_tasks, _checkpoints, _snapshots = task, checkpoint, snapshot  # beside parameters of the same names
_WITNESS = ("topic_ids", "partition_counts", "starts")
_task_columns = select(*(task.c[name] for name in _WITNESS))


def _pairs(text: str) -> tuple[tuple[str, Any], ...]:
    return tuple((str(name), value) for name, value in json.loads(text))


def _of_task(task: TaskId) -> ColumnElement[bool]:
    return matching(_tasks, **task._asdict())


def _of_tasks(**names: Any) -> list[tuple[Table, ColumnElement[bool]]]:
    return [(table, matching(table, **names)) for table in (_tasks, _snapshots)]


def _lock(connection: Connection, pipeline: str) -> int | None:
    """Take the pipeline's turn for this transaction; return its model's id, None without one."""
    named = select(model.c.id).where(model.c.model_name == pipeline).with_for_update()
    return connection.execute(named).scalar()


def _locked_version(connection: Connection, pipeline: str, version: int) -> int:
    model_id = _lock(connection, pipeline)
    of = and_(model_version.c.model_id == model_id, model_version.c.version == version)
    if model_id is None or connection.execute(select(model_version.c.id).where(of)).first() is None:
        raise unknown_version(pipeline, version)
    return model_id
