from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from headrace.app.signing import signing_key
from headrace.schemas.errors import SettingsError


def test_a_configured_key_is_taken_as_it_is(tmp_path: Path) -> None:
    assert signing_key(tmp_path, "k" * 32 + "\n") == b"k" * 32
    assert not list(tmp_path.iterdir())


def test_a_short_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="HEADRACE_SIGNING_KEY: the key has 31 bytes"):
        signing_key(tmp_path, "k" * 31)
    (tmp_path / "signing.key").write_text("short\n")
    with pytest.raises(SettingsError, match=r"signing\.key: the key has 5 bytes"):
        signing_key(tmp_path, None)


def test_a_key_is_made_once_for_all_who_ask_at_once(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: signing_key(data, None), range(64)))
    assert len(found) == 1
    assert len(found.pop()) == 64
    assert [path.name for path in data.iterdir()] == ["signing.key"]
    assert (data / "signing.key").stat().st_mode & 0o777 == 0o600


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="cannot be used: File exists"):
        signing_key(tmp_path / "file", None)
