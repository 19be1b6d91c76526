"""Foreign errors in our words: every class of SQLAlchemy's, and what the databases say."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic.util.exc import CommandError
from sqlalchemy import exc

from headrace.registry import database
from headrace.registry.database import Database
from headrace.registry.kept import Checkpoint
from headrace.registry.sql import SqlRegistry
from headrace.registry.translation import is_passing, sqlstate_of, translated
from headrace.schemas.errors import HeadraceError, Refused, ServiceError, SettingsError
from tests.unit.registry.suite import sha256


def classes(root: type[Exception]) -> list[type[Exception]]:
    found = [root]
    for each in found:
        found += [sub for sub in each.__subclasses__() if sub not in found]
    return found


def instance(kind: type[Exception], orig: BaseException | None = None) -> Exception:
    if issubclass(kind, exc.DBAPIError):
        return kind("SELECT 'parameter-secret'", {"a": 1}, orig or sqlite3.Error("it broke"))
    if kind is exc.StatementError:
        return exc.StatementError("it broke", "SELECT 'parameter-secret'", {"a": 1}, None)
    found = kind.__new__(kind)
    found.args = ("it broke",)
    return found


@pytest.mark.parametrize("kind", classes(exc.SQLAlchemyError), ids=lambda kind: kind.__name__)
def test_each_of_sqlalchemys_errors_is_mapped(kind: type[Exception]) -> None:
    ours = translated(instance(kind), "db:5432/headrace (PostgreSQL)")
    unusable = issubclass(kind, exc.ArgumentError | exc.NoSuchModuleError | exc.NoDBAPILoaded)
    assert type(ours) is (SettingsError if unusable else ServiceError)
    assert "db:5432/headrace" in str(ours)
    assert "HEADRACE_REGISTRY_URL" in str(ours)
    assert "parameter-secret" not in str(ours)
    assert isinstance(is_passing(instance(kind)), bool)


def test_all_of_them_pass_the_seam(tmp_path: Path) -> None:
    base = Database(f"sqlite:///{tmp_path / 'r.db'}")
    for kind in [*classes(exc.SQLAlchemyError), OSError]:
        with pytest.raises(HeadraceError), base.translation():
            raise instance(kind)


class Stated(psycopg.Error):
    """Says a state, as psycopg's errors of a server's do."""

    def __init__(self, state: str, said: str) -> None:
        super().__init__(said)
        self.sqlstate = state


@pytest.mark.parametrize(
    ("orig", "said"),
    [
        (Stated("28P01", "nein"), "does not accept user or password"),
        (Stated("28000", "nein"), "does not accept user or password"),
        (psycopg.OperationalError('password authentication failed for user "x"'), "user or pass"),
        (Stated("3D000", "nein"), "no such database"),
        (psycopg.OperationalError('database "x" does not exist'), "no such database"),
        (Stated("42501", "nein"), "does not permit that"),
        (sqlite3.OperationalError("attempt to write a readonly database"), "does not permit"),
        (Stated("42P01", "nein"), "lacks tables"),
        (sqlite3.OperationalError("no such table: model"), "lacks tables"),
        (sqlite3.OperationalError("unable to open database file"), "no file that SQLite can open"),
        (sqlite3.DatabaseError("file is not a database"), "no file that SQLite can open"),
    ],
)
def test_what_cannot_be_mended_is_refused(orig: BaseException, said: str) -> None:
    error = instance(exc.OperationalError, orig)
    ours = translated(error, "here")
    assert isinstance(ours, Refused)
    assert said in ours.reason
    assert ours.remedy.endswith(".")
    assert not is_passing(error)


@pytest.mark.parametrize(
    ("kind", "orig", "passing"),
    [
        (exc.OperationalError, Stated("57P01", "shut down"), True),
        (exc.OperationalError, Stated("40P01", "deadlock"), True),
        (exc.OperationalError, Stated("40001", "serialization"), True),
        (exc.OperationalError, Stated("53100", "disk full"), False),
        (exc.ProgrammingError, Stated("42601", "syntax"), False),
        (exc.OperationalError, psycopg.OperationalError("connection refused"), True),
        (exc.InterfaceError, psycopg.InterfaceError("connection closed"), True),
        (exc.ProgrammingError, psycopg.ProgrammingError("bad"), False),
        (exc.OperationalError, sqlite3.OperationalError("database is locked"), True),
        (exc.OperationalError, sqlite3.OperationalError("disk I/O error"), False),
        (exc.IntegrityError, sqlite3.IntegrityError("UNIQUE"), True),
        (exc.IntegrityError, Stated("23505", "unique"), True),
    ],
)
def test_what_may_pass_is_tried_again(
    kind: type[Exception], orig: BaseException, passing: bool
) -> None:
    assert is_passing(instance(kind, orig)) is passing


def test_others_have_no_state() -> None:
    assert sqlstate_of(CommandError("x")) == ""
    assert sqlstate_of(instance(exc.OperationalError, Stated("40001", ""))) == "40001"


def test_the_password_is_struck_out() -> None:
    error = instance(exc.OperationalError, psycopg.OperationalError("bad tiger-secret in dsn\n\n"))
    assert "tiger-secret" not in str(translated(error, "here", "tiger-secret"))


def test_an_error_without_words_is_named() -> None:
    assert "Error" in str(translated(instance(exc.OperationalError, sqlite3.Error("")), "here"))


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("no address", "is no address"),
        ("postgresql://user:tiger-secret@host:port/db", "is no address"),
        ("mysql://user:tiger-secret@host/db", "names 'mysql'"),
        ("postgresql+psycopg2://user:tiger-secret@host/db", "names 'postgresql.psycopg2'"),
        ("sqlite+aiosqlite:///x.db", "names 'sqlite.aiosqlite'"),
        ("sqlite://", "keeps nothing"),
        ("sqlite:///:memory:", "keeps nothing"),
    ],
)
def test_an_address_that_cannot_be_used(url: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said) as found:
        SqlRegistry(url, sha256)
    assert "tiger-secret" not in str(found.value)
    assert "sqlite:///<path>" in str(found.value)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("postgresql://u:p@db:5433/h?sslmode=require&options=-cx%3D1", "db:5433/h (PostgreSQL)"),
        ("postgres://db/h?connect_timeout=1", "db/h (PostgreSQL)"),
        ("postgresql+psycopg:///h?host=/run/pg", "/run/pg/h (PostgreSQL)"),
        ("postgresql:///h", "localhost/h (PostgreSQL)"),
        ("sqlite:////data/r.db", "/data/r.db (SQLite)"),
    ],
)
def test_an_address_is_shown_without_secrets(url: str, address: str) -> None:
    found = Database(url)
    assert found.address == address
    found.close()


# -- SQLite, really


def registry_at(path: Path) -> SqlRegistry:
    registry = SqlRegistry(f"sqlite:///{path}", sha256)
    registry.migrate()
    registry.register_version("flights", "{}", "d", {})
    return registry


def test_sqlite_is_durable_and_keeps_its_references(tmp_path: Path) -> None:
    registry = registry_at(tmp_path / "r.db")
    wanted = {"journal_mode": "wal", "foreign_keys": 1, "synchronous": 2, "busy_timeout": 10_000}
    with registry.database.engine.connect() as connection:
        found = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in wanted}
        assert found == wanted
        with pytest.raises(exc.IntegrityError, match="FOREIGN KEY"):
            connection.exec_driver_sql("DELETE FROM model")
    registry.close()


def test_no_hand_can_fork_the_chain_either(tmp_path: Path) -> None:
    registry = registry_at(tmp_path / "r.db")
    registry.insert_checkpoint("flights", 1, 0, Checkpoint(10, b"ten"))
    columns = "model_id, version, 'x', 1, 'd', '', created_at"
    for offset, previous, broken in ((20, 0, "UNIQUE"), (10, 5, "UNIQUE"), (20, 30, "CHECK")):
        forged = f"SELECT {offset}, {previous}, {columns} FROM checkpoint"
        names = '"offset", previous_offset, model_id, version, state, size_bytes, digest'
        insert = f"INSERT INTO checkpoint ({names}, signature, created_at) {forged}"
        with (
            registry.database.engine.begin() as connection,
            pytest.raises(exc.IntegrityError, match=broken),
        ):
            connection.exec_driver_sql(insert)
    registry.close()


def test_a_writer_waits_for_another(tmp_path: Path) -> None:
    registry = registry_at(tmp_path / "r.db")
    done: list[bool] = []

    def insert() -> None:
        done.append(registry.insert_checkpoint("flights", 1, 0, Checkpoint(10, b"ten")))

    other = sqlite3.connect(tmp_path / "r.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    thread = threading.Thread(target=insert)
    thread.start()
    thread.join(0.3)
    assert not done
    assert registry.checkpoint_head("flights", 1) == 0, "readers wait for nobody"
    other.execute("COMMIT")
    other.close()
    thread.join(30)
    assert done == [True]
    registry.close()


def test_a_lock_that_is_never_given_back_is_an_error_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry_at(tmp_path / "r.db").close()
    monkeypatch.setattr(database, "BUSY_S", 0)
    monkeypatch.setattr(database, "PAUSES_S", (0.01, 0.01))
    registry = SqlRegistry(f"sqlite:///{tmp_path / 'r.db'}", sha256)
    other = sqlite3.connect(tmp_path / "r.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(ServiceError, match=r"r\.db \(SQLite\): database is locked"):
        registry.forget_checkpoints("flights", 1)
    other.close()
    registry.close()


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "r.db").write_text("a diary, " * 500)
    registry = SqlRegistry(f"sqlite:///{tmp_path / 'r.db'}", sha256)
    with pytest.raises(Refused, match="no file that SQLite can open"):
        registry.check()
    registry.close()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    registry = SqlRegistry(f"sqlite:///{tmp_path / 'file' / 'r.db'}", sha256)
    with pytest.raises(Refused, match=r"folder cannot be made.*HEADRACE_REGISTRY_URL"):
        registry.migrate()


def test_numbers_that_no_database_keeps_are_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        database._canonical({"auc": float("inf")})
    value: Any = {"b": 1, "a": [None]}
    assert database._canonical(value) == '{"a":[null],"b":1}'
