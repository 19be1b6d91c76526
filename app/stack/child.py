"""Runs a command that ends when its parent does: ``child.py PARENT SIGNAL USER GROUP COMMAND…``.

A program of its own, since code between fork and exec may deadlock in a process with threads.
USER and GROUP are numbers, or ``-`` to stay as we are. It imports nothing of ours and runs with
``-I -S``: 10 ms.
"""

from __future__ import annotations

import ctypes
import os
import sys

_PR_SET_PDEATHSIG = 1


def main(parent: int, signal: int, user: str, group: str, command: list[str]) -> None:
    """Become the command. The user first: a change of user takes the signal away again."""
    if user != "-":
        os.setgroups([])
        os.setgid(int(group))
        os.setuid(int(user))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal, 0, 0, 0)
    if os.getppid() != parent:  # it ended before we had asked to be told
        os._exit(1)
    os.execv(command[0], command)  # noqa: S606 - the very purpose


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4], sys.argv[5:])
