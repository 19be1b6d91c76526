"""One alarm per change: it begins, goes on, and is over.

An alarm begins when a sum passes its threshold. It is over when all have been below
:data:`CALM` of theirs for a day; or after two weeks, when what is there is the new normal: the
stream then learns what is usual from the beginning.
"""

from __future__ import annotations

from typing import Any

CALM = 0.7
CALM_DAYS = 1
NORMAL_DAYS = 14
"""A change that has lasted so long is no news any more."""

Episode = dict[str, Any]


def begun(slot: int, since: int, scalar: int, span: int) -> Episode:
    """Return an alarm that begins.

    Parameters
    ----------
    slot, since
        At which slot, and from which slot on something has changed.
    scalar, span
        Which of the stream's sums said so.
    """
    return {"at": slot, "since": since, "scalar": scalar, "span": span, "loud": slot, "said": slot}


def step(episode: Episode, slot: int, slots: int, strength: float) -> str | None:
    """Return what is to be said of an alarm at a later slot: once a day that it goes on."""
    if strength >= CALM:
        episode["loud"] = slot
    if slot - episode["loud"] >= CALM_DAYS * slots:
        return "over"
    if slot - episode["at"] >= NORMAL_DAYS * slots:
        return "normal"
    if slot - episode["said"] >= slots:
        episode["said"] = slot
        return "ongoing"
    return None
