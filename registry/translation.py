"""SQLAlchemy's, its drivers' and alembic's errors in our words: the one seam of the registry.

SettingsError   the address cannot be used
Refused         what trying again cannot mend: password, database, file, tables
ServiceError    anything else: the database does not answer, or answers with an error
"""

from __future__ import annotations

import re
from typing import Any

from alembic.util.exc import CommandError
from sqlalchemy import exc

from headrace.schemas.errors import HeadraceError, Refused, ServiceError, SettingsError

URLS = "sqlite:///<path> or postgresql+psycopg://<user>@<host>/<database>"

_ADDRESS = "Correct HEADRACE_REGISTRY_URL."
_TABLES = "`headrace run` brings its tables up to date; it needs the right to create them."

# Drivers do not say SQLSTATE of what fails at connecting, so their sentences are read as well.
_REFUSALS: tuple[tuple[str, str, str, str], ...] = (
    # SQLSTATEs, sentences, what it means, remedy
    (
        r"28...",
        r"authentication failed|no password supplied|role .* does not exist|pg_hba",
        "does not accept user or password",
        _ADDRESS,
    ),
    (
        r"3D000",
        r"database .* does not exist",
        "has no such database",
        f"Create it, or: {_ADDRESS[0].lower()}{_ADDRESS[1:]}",
    ),
    (
        r"42501",
        r"permission denied|readonly database|read-only",
        "does not permit that",
        "Give its user the right to write, or make its folder writable.",
    ),
    (
        r"42P01|42703|3F000",
        r"no such table|no such column|has no column named",
        "lacks tables or columns that this Headrace needs",
        _TABLES,
    ),
    (
        r"58P01",
        r"unable to open database file|is not a database|malformed|disk image",
        "is no file that SQLite can open",
        f"See that its folder exists and that the file is a registry's. {_ADDRESS}",
    ),
)

_PASSING_STATES = re.compile(r"08...|40001|40P01|55P03|57P0[123]|53300")
_PASSING_TEXTS = re.compile(r"database (table )?is locked|database schema has changed")


def translated(error: Exception, address: str, secret: str | None = None) -> HeadraceError:
    """Return the error that is ours for one of SQLAlchemy's, alembic's or the file system's.

    Parameters
    ----------
    address
        Where the database is, without a password.
    secret
        The password: it is struck out wherever a driver repeats it.
    """
    if isinstance(error, exc.ArgumentError | exc.NoSuchModuleError | exc.NoDBAPILoaded):
        return SettingsError(
            f"The registry's address {address} cannot be used ({_said(error, secret)})."
            f" HEADRACE_REGISTRY_URL is {URLS}."
        )
    said = _said(error, secret)
    if isinstance(error, OSError):
        return Refused(f"The registry's folder cannot be made: {said}.", _ADDRESS)
    if isinstance(error, CommandError):
        return Refused(f"The registry at {address}: its migrations do not run: {said}.", _TABLES)
    state = sqlstate_of(error)
    for states, sentences, meaning, remedy in _REFUSALS:
        if re.fullmatch(states, state) or (not state and re.search(sentences, said)):
            return Refused(f"The registry at {address} {meaning}: {said}.", remedy)
    return ServiceError(
        f"The registry at {address}: {said}. See that the database runs and that"
        " HEADRACE_REGISTRY_URL names it."
    )


def is_passing(error: Exception) -> bool:
    """Whether the same may succeed when it is tried again.

    A lost connection, a lock, a deadlock, and a row that another process was quicker to write.
    """
    if isinstance(error, exc.IntegrityError | exc.DisconnectionError):
        return True
    if not isinstance(error, exc.DBAPIError):
        return False
    state = sqlstate_of(error)
    if state:
        return _PASSING_STATES.fullmatch(state) is not None
    if isinstance(translated(error, ""), Refused):
        return False
    driver = type(error.orig).__module__.partition(".")[0]
    lost = driver == "psycopg" and isinstance(error, exc.OperationalError | exc.InterfaceError)
    return error.connection_invalidated or lost or bool(_PASSING_TEXTS.search(str(error.orig)))


def sqlstate_of(error: Exception) -> str:
    """Return the five characters of SQL's standard, empty if there are none."""
    cause: Any = getattr(error, "orig", None)
    return getattr(cause, "sqlstate", None) or ""


def _said(error: Exception, secret: str | None) -> str:
    """Return what the driver said, on one line; never the statement or its parameters."""
    cause = getattr(error, "orig", None) or error
    text = str(cause.args[0]) if isinstance(cause, exc.StatementError) else str(cause)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    text = (" ".join(lines[:3]) or type(cause).__name__).rstrip(".?")
    return text.replace(secret, "…") if secret else text
