import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from headrace.app.stack.jars import Jar, fetch_jars, jars_folder, locked
from headrace.app.stack.lock import WANTED, write_lock
from headrace.app.stack.stack import quietly
from headrace.schemas.errors import ServiceError


def jar(name: str, content: bytes) -> Jar:
    return Jar("org.example", name, "1.0", hashlib.sha256(content).hexdigest())


JARS = [jar("one", b"first"), jar("two", b"second")]


class Silent(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class Mirror:
    """A Maven repository on loopback."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.url = url
        self.put("one", b"first")
        self.put("two", b"second")

    def put(self, name: str, content: bytes) -> None:
        path = self.folder / "org" / "example" / name / "1.0" / f"{name}-1.0.jar"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


@pytest.fixture
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mirror]:
    folder = tmp_path_factory.mktemp("mirror")
    handler = partial(Silent, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield Mirror(folder, f"http://127.0.0.1:{server.server_address[1]}/")
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headrace.app.stack.jars._PAUSE_S", 0)


def test_the_lock_names_every_jar_with_its_checksum(tmp_path: Path) -> None:
    jars = locked()
    assert len(jars) == 46
    assert all(len(bytes.fromhex(found.sha256)) == 32 for found in jars)
    assert len({found.file for found in jars}) == len(jars)
    names = [str(found) for found in jars]
    assert all(name in names for name in WANTED)
    write_lock(list(jars), tmp_path / "again.lock")
    assert locked(tmp_path / "again.lock") == jars


def test_jars_are_fetched_once(tmp_path: Path, mirror: Mirror) -> None:
    shown: list[tuple[str, float | None]] = []
    fetch_jars(tmp_path, JARS, maven_url=mirror.url, progress=lambda *what: shown.append(what))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one-1.0.jar", "two-1.0.jar"]
    assert [part for _, part in shown] == [0.0, 0.5, 1.0]
    shown.clear()
    nowhere = "http://127.0.0.1:9/"
    fetch_jars(tmp_path, JARS, maven_url=nowhere, progress=lambda *what: shown.append(what))
    assert shown == []


def test_a_damaged_jar_is_fetched_again(tmp_path: Path, mirror: Mirror) -> None:
    (tmp_path / "one-1.0.jar").write_bytes(b"fir")
    fetch_jars(tmp_path, JARS, maven_url=mirror.url, progress=quietly)
    assert (tmp_path / "one-1.0.jar").read_bytes() == b"first"


def test_a_jar_that_was_tampered_with_is_refused(tmp_path: Path, mirror: Mirror) -> None:
    mirror.put("two", b"evil")
    with pytest.raises(ServiceError, match=r"org\.example:two:1\.0 could not be fetched: its sha"):
        fetch_jars(tmp_path, JARS, maven_url=mirror.url, progress=quietly)
    assert not (tmp_path / "two-1.0.jar").exists()
    assert not list(tmp_path.glob(".fetching-*"))


@pytest.mark.parametrize("url", [None, "http://127.0.0.1:9"])
def test_a_jar_that_cannot_be_fetched_is_named(
    tmp_path: Path, mirror: Mirror, url: str | None
) -> None:
    lacking = [*JARS, jar("three", b"third")] if url is None else JARS
    with pytest.raises(ServiceError, match="could not be fetched") as error:
        fetch_jars(tmp_path, lacking, maven_url=url or mirror.url, progress=quietly)
    assert "org.example:" in str(error.value)
    assert "HEADRACE_MAVEN_URL" in str(error.value)
    assert "HEADRACE_KAFKA_BROKERS" in str(error.value)


def test_data_folders_share_a_cache_where_one_can_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    one, two = (jars_folder(tmp_path / name, JARS) for name in "ab")
    assert one == two
    assert one.is_relative_to(tmp_path / "cache" / "headrace" / "jars")
    assert jars_folder(tmp_path / "a", JARS[:1]) != one  # Java takes all that lie in a folder
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert jars_folder(tmp_path / "a", JARS).is_relative_to(tmp_path / "a" / "jars")
