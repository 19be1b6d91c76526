"""The key by which model artifacts are signed: as configured, else made once in the data folder."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from headrace.schemas.errors import SettingsError

KEY_FILE = "signing.key"
KEY_BYTES_MIN = 32

_MADE_BYTES = 32


def signing_key(data: Path, configured: str | None) -> bytes:
    """Return the key of the artifacts' HMAC.

    Parameters
    ----------
    data
        Folder of the key that is made if none is configured.
    configured
        Any text of at least 32 bytes, such as the output of ``openssl rand -hex 32``. It is taken
        as it is: hexadecimal and base64 are not decoded, so no text means two keys.

    Raises
    ------
    SettingsError
        The key is too short, or its file cannot be read or made.
    """
    if configured is not None:
        return _checked(configured.strip().encode(), "HEADRACE_SIGNING_KEY")
    path = data / KEY_FILE
    try:
        if not path.exists():
            _make(path)
        found = path.read_bytes().strip()
    except OSError as error:
        raise SettingsError(
            f"The signing key {path} cannot be used: {error.strerror}. Make the folder accessible,"
            " or give the key in HEADRACE_SIGNING_KEY."
        ) from error
    return _checked(found, str(path))


def _make(path: Path) -> None:
    """Make the file whole or not at all; of several processes at once, the first one's counts."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secrets.token_hex(_MADE_BYTES) + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(new, path)  # unlike a rename, it never replaces another's
    except FileExistsError:
        pass
    finally:
        new.unlink()


def _checked(key: bytes, place: str) -> bytes:
    if len(key) < KEY_BYTES_MIN:
        raise SettingsError(
            f"{place}: the key has {len(key)} bytes, at least {KEY_BYTES_MIN} are needed. Make one"
            " with `openssl rand -hex 32`."
        )
    return key
