"""One order of sets and hashes everywhere, without which results are not equal to the bit."""

from __future__ import annotations

import os
import sys


def fix_hash_seed() -> None:
    """Begin this command anew with a fixed ``PYTHONHASHSEED``, unless it has one."""
    if os.environ.get("PYTHONHASHSEED", "random") == "random":
        fixed = {**os.environ, "PYTHONHASHSEED": "0"}
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], fixed)  # noqa: S606
