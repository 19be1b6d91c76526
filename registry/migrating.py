"""Bringing the tables up to date, by whichever process comes first; the others wait for it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import Connection, text

from headrace.registry.database import Database
from headrace.registry.translation import translated
from headrace.schemas.errors import Refused

_LOCK = 0x4EAD_4ACE
"""Number of the advisory lock in PostgreSQL under which tables are changed."""


def migrate(database: Database, revision: str = "head") -> None:
    """Bring the tables up to a revision, in one transaction, under a lock.

    Raises
    ------
    Refused
        They are newer than this code.
    """
    database.make_folder()
    if revision == "head" and database.read(_revision) == head():
        return
    try:
        database.write(partial(_upgrade, database, revision))
    except CommandError as error:
        raise translated(error, database.address) from error


def downgrade(database: Database, revision: str) -> None:
    """Take the tables back to a revision; ``base`` drops them all."""
    database.write(lambda connection: command.downgrade(_config(connection), revision))


def check(database: Database) -> None:
    """See that the database answers and that its tables are this code's.

    Raises
    ------
    Refused
        They are missing, older or newer.
    """
    present = database.read(_revision)
    _refuse_newer(database, present)
    if present != head():
        raise Refused(
            f"The registry at {database.address} has tables of revision {present or 'none'}, this"
            f" Headrace needs {head()}.",
            "`headrace run` brings them up to date.",
        )


def head() -> str:
    """Return the newest revision that this code knows."""
    found = _scripts().get_current_head()
    assert found is not None
    return found


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _upgrade(database: Database, revision: str, connection: Connection) -> None:
    if not database.is_sqlite:  # SQLite's BEGIN IMMEDIATE is lock enough
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    _refuse_newer(database, _revision(connection))
    command.upgrade(_config(connection), revision)


def _refuse_newer(database: Database, present: str | None) -> None:
    known = {script.revision for script in _scripts().walk_revisions()}
    if present is not None and present not in known:
        raise Refused(
            f"The registry at {database.address} has tables of revision {present}, which is newer"
            f" than this Headrace ({head()}).",
            "Run the Headrace that made them, or a newer one.",
        )


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config(None))


def _config(connection: Connection | None) -> Config:
    config = Config(attributes={"connection": connection})
    folder = str(Path(__file__).parent / "migrations")
    config.set_main_option("script_location", folder.replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
