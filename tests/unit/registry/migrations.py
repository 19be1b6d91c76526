"""What must hold of the migrations on every database."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, select

from headrace.registry import migrating
from headrace.registry.database import Database
from headrace.registry.kept import Checkpoint, Snapshot
from headrace.registry.sql import SqlRegistry
from headrace.registry.tables import metadata
from headrace.schemas.errors import Refused
from tests.unit.registry.sources import source
from tests.unit.registry.suite import WITNESS, at_once, sha256, task

ROOT = Path(__file__).parents[3]

_MIGRATE = """
import sys
from headrace.registry.sql import SqlRegistry
registry = SqlRegistry(sys.argv[1], str)
sys.stdin.readline()
registry.migrate()
registry.check()
print(registry.register_version("flights", "{}", "d", {}))
"""


def rows(registry: SqlRegistry) -> dict[str, list[object]]:
    """Return all rows of all tables that are there."""
    with registry.database.engine.connect() as connection:
        there = inspect(connection).get_table_names()
        return {
            name: [*map(tuple, connection.execute(select(table)))]
            for name, table in metadata.tables.items()
            if name in there
        }


class MigrationSuite:
    """A subclass gives the fixture ``url``: an empty database."""

    @pytest.fixture
    def registry(self, url: str) -> SqlRegistry:
        return SqlRegistry(url, sha256)

    def test_migrated_tables_are_the_declared_ones(self, registry: SqlRegistry) -> None:
        registry.migrate()
        with registry.database.engine.connect() as connection:
            context = MigrationContext.configure(connection)
            assert compare_metadata(context, metadata) == []
            found = inspect(connection)
            assert {*found.get_table_names()} == {*metadata.tables, "alembic_version"}
            for table in metadata.tables.values():  # alembic does not compare these
                checks = {each["name"] for each in found.get_check_constraints(table.name)}
                declared = {each.name for each in table.constraints}
                assert checks == {name for name in declared if str(name).startswith("ck_")}
        registry.close()

    def test_a_missing_column_would_be_seen(self, registry: SqlRegistry) -> None:
        registry.migrate()
        with registry.database.engine.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE serving DROP COLUMN reason")
            context = MigrationContext.configure(connection)
            assert compare_metadata(context, metadata) != []
        registry.close()

    def test_down_and_up_again(self, registry: SqlRegistry) -> None:
        registry.migrate()
        migrating.downgrade(registry.database, "base")
        with registry.database.engine.connect() as connection:
            assert inspect(connection).get_table_names() == ["alembic_version"]
        with pytest.raises(Refused, match=r"revision none, this Headrace needs 0\d+.*headrace run"):
            registry.check()
        registry.migrate()
        registry.check()
        registry.close()

    def test_tables_of_0001_keep_their_rows_up_and_down(self, registry: SqlRegistry) -> None:
        migrating.migrate(registry.database, "0001")
        assert registry.register_version("flights", "{}", "d1", {"python": "3.11"}) == 1
        assert registry.insert_checkpoint("flights", 1, 0, Checkpoint(10, b"ten"))
        registry.put_witness(task(), WITNESS)
        kept = rows(registry)
        assert all(kept.values())
        with pytest.raises(Refused, match=r"revision 0001, this Headrace needs 0\d+.*headrace run"):
            registry.check()
        for _ in range(2):
            registry.migrate()
            registry.check()
            assert rows(registry) == {**kept, "snapshot": [], "source": []}
        registry.put_snapshot(task(), Snapshot(10, "[]", b"whole"))
        assert registry.newest_snapshot(task(), 10) == Snapshot(10, "[]", b"whole")
        migrating.downgrade(registry.database, "0001")
        assert rows(registry) == kept
        registry.close()

    def test_links_without_a_state_are_no_more_in_tables_of_before(
        self, registry: SqlRegistry
    ) -> None:
        migrating.migrate(registry.database, "0002")
        assert registry.register_version("flights", "{}", "d1", {}) == 1
        for offset in (10, 20, 30):
            new = Checkpoint(offset, b"state")
            assert registry.insert_checkpoint("flights", 1, offset - 10, new)
        before = registry.checkpoints("flights", 1)
        registry.migrate()
        assert registry.checkpoints("flights", 1) == before
        assert registry.drop_states("flights", 1, [10]) == 1
        migrating.downgrade(registry.database, "0002")
        assert registry.checkpoints("flights", 1) == before[1:]
        registry.migrate()
        assert registry.insert_checkpoint("flights", 1, 30, Checkpoint(40, b"state"))
        registry.close()

    def test_tables_of_0002_keep_their_rows_up_and_down(self, registry: SqlRegistry) -> None:
        migrating.migrate(registry.database, "0002")
        registry.put_witness(task(), WITNESS)
        registry.put_snapshot(task(), Snapshot(10, "[]", b"whole"))
        kept = rows(registry)
        registry.migrate()
        registry.put_sources([source()])
        assert [each.source for each in registry.sources("flights.events", "t1")] == [source()]
        migrating.downgrade(registry.database, "0002")
        assert rows(registry) == kept
        registry.close()

    def test_tables_of_a_newer_headrace_are_refused(self, registry: SqlRegistry) -> None:
        registry.migrate()
        with registry.database.engine.begin() as connection:
            connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
        for ask in (registry.check, registry.migrate):
            with pytest.raises(Refused, match=r"9999, which is newer than this Headrace"):
                ask()
        registry.close()

    def test_without_tables_the_remedy_is_said(self, registry: SqlRegistry) -> None:
        registry.database.make_folder()
        with pytest.raises(Refused, match=r"lacks tables or columns.*headrace run"):
            registry.serving_version("flights")
        registry.close()

    def test_threads_migrate_at_once(self, url: str) -> None:
        registries = [SqlRegistry(url, sha256) for _ in range(4)]
        assert at_once(*(each.migrate for each in registries)) == [None] * 4
        for each in registries:
            each.check()
            each.close()

    @pytest.mark.timed
    def test_processes_migrate_at_once(self, url: str) -> None:
        started = [
            subprocess.Popen(
                [sys.executable, "-c", _MIGRATE, url], cwd=ROOT, text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )
            for _ in range(3)
        ]  # fmt: skip
        for process in started:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        said = [process.communicate(timeout=60) for process in started]
        assert [out for out, _ in said] == ["1\n"] * 3, said

    def test_a_migration_that_fails_leaves_nothing(
        self, registry: SqlRegistry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def upgrade_then_fail(database: Database, revision: str, connection: object) -> None:
            upgrade(database, revision, connection)  # type: ignore[arg-type]
            raise RuntimeError("power cut")

        upgrade = migrating._upgrade
        monkeypatch.setattr(migrating, "_upgrade", upgrade_then_fail)
        with pytest.raises(RuntimeError, match="power cut"):
            registry.migrate()
        with registry.database.engine.connect() as connection:
            assert inspect(connection).get_table_names() == []
        monkeypatch.undo()
        registry.migrate()
        registry.check()
        registry.close()

    def test_an_unknown_revision_is_refused(self, registry: SqlRegistry) -> None:
        with pytest.raises(Refused, match="its migrations do not run"):
            migrating.migrate(registry.database, "nowhere")
        registry.close()
