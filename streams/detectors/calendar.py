"""Slots and days: what the statistics have for a clock, all of it event time.

A *slot* is the least time that is looked at: a tile, or several short ones. The rhythm of a day is
a profile by slot, and days are the blocks that calibration takes for exchangeable.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

DAY_MS = 86_400_000
SLOT_MS_MIN = 3_600_000
"""Shorter tiles are taken together up to this: what an hour does not show is not looked for."""


class Calendar(NamedTuple):
    """How time is cut.

    Attributes
    ----------
    slot_ms
        Length of a slot: a multiple of a tile.
    slots
        How many slots a day (a block) has: 1 if slots do not divide a day.
    """

    slot_ms: int
    slots: int

    @classmethod
    def of(cls, tile_ms: int) -> Calendar:
        """Return the calendar of tiles of this length.

        Examples
        --------
        >>> Calendar.of(60_000), Calendar.of(7 * 3_600_000).slots
        (Calendar(slot_ms=3600000, slots=24), 1)
        """
        slot_ms = tile_ms * -(-SLOT_MS_MIN // tile_ms)
        whole = slot_ms <= DAY_MS and not DAY_MS % slot_ms
        return cls(slot_ms, DAY_MS // slot_ms if whole else 1)

    @property
    def block_ms(self) -> int:
        """Length of a block: a day, where slots divide it."""
        return self.slot_ms * self.slots

    def dates(self, start: int, days: int) -> NDArray[np.int64] | None:
        """Return the number of the calendar day of each slot of some days from a slot on.

        Examples
        --------
        >>> Calendar.of(6 * 3_600_000).dates(3, 2)
        array([0, 1, 1, 1, 1, 2, 2, 2])
        >>> Calendar.of(7 * 3_600_000).dates(3, 2)
        """
        if self.block_ms != DAY_MS:
            return None
        return np.arange(start, start + days * self.slots, dtype=np.int64) // self.slots

    @property
    def spans(self) -> tuple[int, ...]:
        """Memory of the averages, in slots: from one to three days' worth."""
        day = self.slots
        return tuple(
            sorted({1, max(1, day // 12), max(1, day // 4), max(1, day // 2), day, 3 * day})
        )
