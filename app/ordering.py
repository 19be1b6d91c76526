"""Looking at a file's order before any of it is published."""

from __future__ import annotations

import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

from headrace.schemas.errors import InputError
from headrace.streams.ordering import Ordering
from headrace.streams.plan import Plan
from headrace.streams.rows import Reading, numbered_rows

_SHOW_EVERY = 20_000


class Order(StrEnum):
    """In which order events are published.

    Attributes
    ----------
    CHECKED
        As they stand, unless many of them would be late.
    SORTED
        By their times.
    AS_IS
        As they stand, whatever would be late.
    """

    CHECKED = "checked"
    SORTED = "sorted"
    AS_IS = "as it is"


def check_order(
    plan: Plan, events: Path, reading: Reading, ordering: Ordering, show: Callable[[int], None]
) -> str | None:
    """Go through a file of events once, without publishing any; say what would be late.

    So a row that cannot be used is found, too, before anything is published. What can be read only
    once, such as a pipe, is not looked at.

    Parameters
    ----------
    ordering
        Is told of each event.
    show
        Is told now and then how many rows have been read.

    Returns
    -------
    str or None
        A sentence about the few events that would be late; None if none would.

    Raises
    ------
    InputError
        A row cannot be used, or so many events would be late that the order is no history's.
    """
    if not events.is_file():
        return None
    for row in numbered_rows(events, plan.pipeline.events.event, reading=reading):
        event = row.value
        ordering.take(plan.event_time_ms(event), plan.event_key(event).encode(), row.line)
        if row.number % _SHOW_EVERY == 0:
            show(row.number)
    told = ordering.sentence(str(events))
    if told is not None and not ordering.is_meant:
        raise InputError(
            f"{told} Nothing was done. Say --sort to take them by their times, or --as-is to take"
            " them as they stand."
        )
    return told


def warn(told: str | None) -> None:
    """Write a sentence about the order to standard error."""
    if told is not None:
        sys.stderr.write(f"headrace: {told} --sort takes them by their times.\n")
        sys.stderr.flush()
