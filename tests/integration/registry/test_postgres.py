"""The shared suites on PostgreSQL, and what a server can do to us."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from functools import partial

import psycopg
import pytest
from sqlalchemy import Connection, event, make_url

from headrace.registry.database import PAUSES_S
from headrace.registry.kept import Checkpoint
from headrace.registry.sql import SqlRegistry
from headrace.schemas.errors import Refused, ServiceError
from tests.unit.registry.migrations import MigrationSuite
from tests.unit.registry.snapshots import SnapshotSuite
from tests.unit.registry.sources import SourceSuite
from tests.unit.registry.suite import RegistrySuite, Ticking, sha256

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def migrated(module_url: str) -> Iterator[SqlRegistry]:
    registry = SqlRegistry(module_url, sha256)
    registry.migrate()
    yield registry
    registry.close()


class TestPostgresql(RegistrySuite, SnapshotSuite, SourceSuite):
    @pytest.fixture
    def registry(self, migrated: SqlRegistry) -> SqlRegistry:
        tables = "model, model_version, checkpoint, serving, task, snapshot, source"
        with migrated.database.engine.begin() as connection:
            connection.exec_driver_sql(f"TRUNCATE {tables} RESTART IDENTITY")
        migrated._clock = Ticking()
        return migrated


class TestMigrations(MigrationSuite):
    @pytest.fixture
    def url(self, postgres_url: str) -> str:
        return postgres_url


def with_user(url: str, user: str, password: str, database: str | None = None) -> str:
    """Return another address of the same server."""
    changed = make_url(url).set(username=user, password=password)
    changed = changed if database is None else changed.set(database=database)
    return changed.render_as_string(hide_password=False)


def test_what_trying_again_cannot_mend_is_refused_at_once(module_url: str) -> None:
    unknown = str(make_url(module_url).database) + "-unknown"
    for url, said in (
        (with_user(module_url, "nobody-knows", "tiger-secret"), "does not accept user or password"),
        (module_url.replace(str(make_url(module_url).database), unknown), "has no such database"),
    ):
        began = time.monotonic()
        registry = SqlRegistry(url, sha256)
        with pytest.raises(Refused, match=said) as found:
            registry.check()
        assert time.monotonic() - began < sum(PAUSES_S)
        assert "tiger-secret" not in str(found.value)
        assert "HEADRACE_REGISTRY_URL" in str(found.value)
        registry.close()


def test_a_lost_connection_is_answered_by_asking_again(migrated: SqlRegistry) -> None:
    migrated.register_version("lost", "{}", "d", {})
    with migrated.database.engine.connect() as killer:
        killed = killer.exec_driver_sql(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).scalar()
    assert killed is not None
    assert migrated.version_of("lost", "d") == 1


def test_an_answer_that_got_lost_after_the_commit(migrated: SqlRegistry) -> None:
    """The connection dies when COMMIT has been carried out: the very same insert is asked again."""
    migrated.register_version("answer", "{}", "d", {})
    lost: list[Connection] = []

    def lose(connection: Connection) -> None:
        if not lost:
            lost.append(connection)
            cursor = connection.connection.cursor()
            cursor.execute("COMMIT")
            with contextlib.suppress(psycopg.OperationalError):  # so that COMMIT finds it dead
                cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    event.listen(migrated.database.engine, "commit", lose)
    try:
        assert migrated.insert_checkpoint("answer", 1, 0, Checkpoint(5, b"five"))
    finally:
        event.remove(migrated.database.engine, "commit", lose)
    assert lost
    assert [each.offset for each in migrated.checkpoints("answer", 1)] == [5]


def test_a_server_that_is_not_there(unused_tcp_port: int) -> None:
    registry = SqlRegistry(f"postgresql://user:tiger@127.0.0.1:{unused_tcp_port}/headrace", sha256)
    with pytest.raises(ServiceError, match=rf"127\.0\.0\.1:{unused_tcp_port}/headrace") as found:
        registry.check()
    assert "tiger" not in str(found.value)
    assert "See that the database runs" in str(found.value)


def test_a_row_held_by_another_is_waited_for(migrated: SqlRegistry) -> None:
    migrated.register_version("held", "{}", "d", {})
    done: list[bool] = []
    insert = partial(migrated.insert_checkpoint, "held", 1, 0, Checkpoint(5, b"five"))
    thread = threading.Thread(target=lambda: done.append(insert()))
    with migrated.database.engine.begin() as other:
        other.exec_driver_sql("SELECT id FROM model WHERE model_name = 'held' FOR UPDATE")
        thread.start()
        thread.join(0.3)
        assert not done
    thread.join(30)
    assert done == [True]
