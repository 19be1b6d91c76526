"""A connection to SQLite or PostgreSQL: how it is opened, asked, and asked again.

Each piece of work is one transaction, and one that may be repeated as a whole: so a lost
connection, a lost answer or a deadlock is answered by doing it again. SQLite's writers begin
IMMEDIATE, since one that turns from reader to writer half-way is refused without waiting.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, exc, make_url

from headrace.registry.translation import URLS, is_passing, translated
from headrace.schemas.errors import SettingsError

T = TypeVar("T")

PAUSES_S = (0.05, 0.2, 0.6, 1.5)
"""Before each further attempt: together about what a restart of PostgreSQL takes."""

CONNECT_S = 5
BUSY_S = 10
STATEMENT_MS = 60_000

_WRITES = "headrace_writes"


class Database:
    """One database, by its address.

    Parameters
    ----------
    url
        ``sqlite:///path`` or ``postgresql+psycopg://user:password@host:port/database``.

    Raises
    ------
    SettingsError
        It is neither.
    """

    def __init__(self, url: str) -> None:
        self.url = _checked(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self.address = _address(self.url)
        with self.translation():
            self.engine = _sqlite(self.url) if self.is_sqlite else _postgresql(self.url)
        self._writer = self.engine.execution_options(**{_WRITES: True})

    def make_folder(self) -> None:
        """Make the folder of SQLite's file."""
        if self.is_sqlite and self.url.database is not None:
            with self.translation():
                Path(self.url.database).parent.mkdir(parents=True, exist_ok=True)

    def read(self, work: Callable[[Connection], T]) -> T:
        """Do work that only reads, in one transaction."""
        return self._do(self.engine, work)

    def write(self, work: Callable[[Connection], T]) -> T:
        """Do work in one transaction; it may be done twice, and must then amount to once."""
        return self._do(self._writer, work)

    def close(self) -> None:
        """Give the connections back."""
        self.engine.dispose()

    @contextmanager
    def translation(self) -> Iterator[None]:
        """Turn foreign errors into ours."""
        try:
            yield
        except (exc.SQLAlchemyError, OSError) as error:
            raise translated(error, self.address, self.url.password) from error

    def _do(self, engine: Engine, work: Callable[[Connection], T]) -> T:
        with self.translation():
            for pause_s in PAUSES_S:
                try:
                    with engine.begin() as connection:
                        return work(connection)
                except exc.SQLAlchemyError as error:
                    if not is_passing(error):
                        raise
                time.sleep(pause_s)
            with engine.begin() as connection:
                return work(connection)


def _checked(url: str) -> URL:
    try:
        found = make_url(url)
    except (exc.ArgumentError, ValueError) as error:
        # The address may hold a password, and where it begins is what cannot be told.
        raise SettingsError(f"HEADRACE_REGISTRY_URL is no address. Write {URLS}.") from error
    if found.drivername in {"postgresql", "postgres"}:
        found = found.set(drivername="postgresql+psycopg")
    if found.drivername not in {"sqlite", "sqlite+pysqlite", "postgresql+psycopg"}:
        raise SettingsError(f"HEADRACE_REGISTRY_URL names {found.drivername!r}. Write {URLS}.")
    if found.get_backend_name() == "sqlite" and found.database in {None, "", ":memory:"}:
        raise SettingsError(
            f"HEADRACE_REGISTRY_URL is {url}, which keeps nothing. Write sqlite:///<path>."
        )
    return found


def _address(url: URL) -> str:
    """Return where it is: no user, no password, no options."""
    if url.get_backend_name() == "sqlite":
        return f"{url.database} (SQLite)"
    place = f"{url.host or url.query.get('host', 'localhost')}"
    port = f":{url.port}" if url.port else ""
    return f"{place}{port}/{url.database or ''} (PostgreSQL)"


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


_engine = partial(create_engine, hide_parameters=True, json_serializer=_canonical)


def _sqlite(url: URL) -> Engine:
    engine = _engine(url, connect_args={"timeout": BUSY_S})

    @event.listens_for(engine, "connect")
    def opened(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # BEGIN is ours
        cursor = connection.cursor()
        for pragma in (
            f"busy_timeout={BUSY_S * 1_000}",
            "journal_mode=WAL",
            "foreign_keys=ON",
            "synchronous=FULL",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        writes = connection.get_execution_options().get(_WRITES)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _postgresql(url: URL) -> Engine:
    waits: dict[str, Any] = {"connect_timeout": CONNECT_S, "tcp_user_timeout": STATEMENT_MS}
    if "options" not in url.query:
        waits["options"] = f"-c statement_timeout={STATEMENT_MS}"
    waits = {name: value for name, value in waits.items() if name not in url.query}
    return _engine(url, pool_pre_ping=True, connect_args=waits)
