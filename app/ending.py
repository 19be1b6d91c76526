"""Why a supervised process ends: told through a pipe of its own, whoever reads its log.

The supervisor makes the pipe and names it in a variable of the process; what the process writes
there at its end stands in the supervisor's own line about it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress

VARIABLE = "_HEADRACE_ENDING"
"""Names the descriptor; it does not begin as settings do."""

_BYTES_MAX = 16_384
"""No more is written: a pipe takes it at once, though nobody reads."""


def tell_ending(reason: str) -> None:
    """Say why this process ends; without a supervisor nobody hears it."""
    with suppress(KeyError, ValueError, OSError):
        os.write(int(os.environ[VARIABLE]), reason.encode(errors="replace")[:_BYTES_MAX])


class Ending:
    """The supervisor's end of the pipe of one process."""

    def __init__(self) -> None:
        self._reads, self.writes = os.pipe()
        os.set_blocking(self._reads, False)

    @property
    def variables(self) -> Mapping[str, str]:
        """What the process is told, besides being given ``writes``."""
        return {VARIABLE: str(self.writes)}

    def started(self) -> None:
        """Leave the writing end to the process."""
        os.close(self.writes)

    def reason(self) -> str:
        """Return what the process said when it ended, and close the pipe; empty if nothing."""
        try:
            return os.read(self._reads, _BYTES_MAX).decode(errors="replace").strip()
        except BlockingIOError:
            return ""
        finally:
            os.close(self._reads)
