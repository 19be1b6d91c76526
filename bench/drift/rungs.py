"""How sensitive detectors may be: each of some streams has a ladder of settings, up to deaf.

All begin on the lowest rung; while too many null replays have an alarm of any stream, the stream
with most alarms goes one rung up.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray


def rungs_of(
    table: Mapping[str, NDArray[np.bool_]], height: int, share: float
) -> tuple[dict[str, int], float]:
    """Return each stream's rung (the height: deaf), and the share of replays with an alarm.

    Parameters
    ----------
    table
        By stream: whether a replay (row) has an alarm on a rung (column).
    height
        How many rungs there are.
    share
        Of so many replays there may be an alarm.

    Examples
    --------
    >>> rungs_of({"x": np.array([[True, True, False], [True, False, False]])}, 3, 0.5)
    ({'x': 1}, 0.5)
    """
    rungs = dict.fromkeys(table, 0)
    while True:
        now = {name: table[name][:, rung] for name, rung in rungs.items() if rung < height}
        reached = float(np.any(list(now.values()), axis=0).mean()) if now else 0.0
        if reached <= share:
            return rungs, reached
        rungs[max(now, key=lambda name: float(now[name].mean()))] += 1
