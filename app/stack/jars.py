"""Kafka's jars: fetched by a lock file, checked, kept in a cache that all data folders share.

``jgo`` finds and fetches an artifact; what it got is believed by its checksum in ``jars.lock``
alone, since jgo writes checksums and never compares them.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple

from headrace.schemas.errors import ServiceError

LOCK = Path(__file__).with_name("jars.lock")
"""One line for each jar: ``group:artifact:version sha256``; made by ``lock.py``."""

Progress = Callable[[str, float | None], None]
"""Told what is being done, and which part of it is done, from 0 to 1, if that is known."""

_THREADS = 8
_TRIES = 3
_PAUSE_S = 1.0
_REQUEST_S = 30


class Jar(NamedTuple):
    """One jar of the lock."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def file(self) -> str:
        """Name of its file."""
        return f"{self.artifact}-{self.version}.jar"

    def __str__(self) -> str:
        return f"{self.group}:{self.artifact}:{self.version}"


def locked(path: Path = LOCK) -> tuple[Jar, ...]:
    """Return the jars of a lock file."""
    jars = []
    for line in path.read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            name, sha256 = line.split()
            group, artifact, version = name.split(":")
            jars.append(Jar(group, artifact, version, sha256))
    return tuple(jars)


def cache_folder(environment: dict[str, str] | None = None) -> Path:
    """Return the folder that all data folders of this user share."""
    found = (os.environ if environment is None else environment).get("XDG_CACHE_HOME")
    return (Path(found) if found else Path.home() / ".cache") / "headrace" / "jars"


def jars_folder(data: Path, jars: Sequence[Jar]) -> Path:
    """Return where jars are kept: the shared cache, else, where none can be made, the data folder.

    The folder's name is the lock's digest: Java takes all jars of it, so two locks' never meet.
    """
    digest = hashlib.sha256("\n".join(map(repr, jars)).encode()).hexdigest()[:12]
    try:
        folder = cache_folder() / digest
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # not writable, or nobody's home
        pass
    else:
        if os.access(folder, os.W_OK):
            return folder
    folder = data / "jars" / digest
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def fetch_jars(
    folder: Path, jars: Sequence[Jar], *, maven_url: str | None, progress: Progress
) -> None:
    """See that each jar lies in a folder as the lock has it; fetch those that are missing.

    Parameters
    ----------
    maven_url
        Another Maven repository than Central.

    Raises
    ------
    ServiceError
        A jar cannot be fetched, or is not what the lock says.
    """
    missing = [jar for jar in jars if _digest(folder / jar.file) != jar.sha256]
    if not missing:
        return
    what = "fetching Kafka's jars"
    progress(what, 1 - len(missing) / len(jars))
    work = Path(tempfile.mkdtemp(prefix=".fetching-", dir=folder))
    try:
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="headrace-jars") as pool:
            futures = [pool.submit(_fetch, jar, folder, work, maven_url) for jar in missing]
            try:
                for left, future in zip(
                    range(len(missing) - 1, -1, -1), as_completed(futures), strict=True
                ):
                    future.result()
                    progress(what, 1 - left / len(jars))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _fetch(jar: Jar, folder: Path, work: Path, maven_url: str | None) -> None:
    """Fetch one jar into the folder, by an atomic rename once it is seen to be the right one."""
    from jgo import constants  # noqa: PLC0415 - loads requests; not needed once jars are there
    from jgo.maven import MavenContext  # noqa: PLC0415 - same

    reason = "not found"
    for attempt in range(_TRIES):
        time.sleep(attempt * _PAUSE_S)
        # A folder of its own for each try: jgo neither repairs nor replaces what lies there.
        repository = Path(tempfile.mkdtemp(dir=work))
        context = MavenContext(
            repo_cache=repository,
            remote_repos={"mirror": (maven_url or constants.MAVEN_CENTRAL_URL).rstrip("/")},
            timeout=_REQUEST_S,
        )
        artifact = context.project(jar.group, jar.artifact).at_version(jar.version).artifact()
        try:
            found = artifact.resolve()
        except Exception as error:  # noqa: BLE001 - jgo lets requests' errors and RuntimeError out
            reason = str(error) or type(error).__name__
            continue
        if (digest := _digest(found)) == jar.sha256:
            Path(found).replace(folder / jar.file)
            return
        reason = f"its sha256 is {digest}, the lock says {jar.sha256}"
    raise ServiceError(
        f"{jar} could not be fetched: {reason}. Name a Maven mirror that has it in"
        " HEADRACE_MAVEN_URL (behind a proxy that re-signs TLS: its certificates in"
        " REQUESTS_CA_BUNDLE), or use a Kafka of your own: HEADRACE_KAFKA_BROKERS."
    )


def _digest(path: Path) -> str | None:
    """Return a file's sha256, None if there is no such file."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return None
