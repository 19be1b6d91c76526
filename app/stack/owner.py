"""Who runs the stack of a data folder.

Whoever runs it holds a lock on ``<data>/stack.lock`` for as long as it lives. The system lets the
lock go with the process, so the lock, and no pid, says whether ``stack.json`` is true.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from headrace.app.stack.process import start_time
from headrace.schemas.errors import ServiceError

LOCK_FILE = "stack.lock"
_TAKE_S = 2.0


def take_ownership(data: Path) -> int:
    """Take the lock, and return its descriptor: closing it gives the folder back.

    Raises
    ------
    ServiceError
        Another stack runs on this folder.
    """
    lock = os.open(data / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    until = time.monotonic() + _TAKE_S  # somebody may just be asking whether it is held
    while not _locked(lock, fcntl.LOCK_EX):
        if time.monotonic() > until:
            owner = _read(lock) or "unknown"
            os.close(lock)
            raise ServiceError(
                f"A stack already runs on {data} (process {owner}). Use that one, stop it with"
                " `headrace down`, or name another folder in HEADRACE_DATA."
            )
        time.sleep(0.05)
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()} {start_time(os.getpid())}".encode(), 0)
    return lock


def owner_of(data: Path) -> int | None:
    """Return the process that runs a stack on a data folder, None if none does."""
    try:
        lock = os.open(data / LOCK_FILE, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        if _locked(lock, fcntl.LOCK_SH):
            return None
        return _read(lock)
    finally:
        os.close(lock)


def is_stale(data: Path) -> bool:
    """Return whether a stack has been run on a data folder and does not run any more."""
    try:
        lock = os.open(data / LOCK_FILE, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        return _locked(lock, fcntl.LOCK_SH)
    finally:
        os.close(lock)


def _read(lock: int) -> int | None:
    """Return the holder's pid; None while the file still names the one before."""
    pid, _, start = os.pread(lock, 64, 0).decode().partition(" ")
    return int(pid) if start and str(start_time(int(pid))) == start else None


def _locked(lock: int, how: int) -> bool:
    try:
        fcntl.flock(lock, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
