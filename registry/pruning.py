"""Which states are kept, and for how long: links stay for ever, states go when nobody needs them.

A learner writes a state each ten seconds or so. What is it needed for later? To restart (the
newest), to reproduce a prediction without learning everything again (one a day), and to
reproduce those whose examples are still in the log (one at or before the oldest of them). All of
this can be had with a small part of the states.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

from headrace.registry.kept import CheckpointInfo, ServingInfo


class StateRetention(NamedTuple):
    """How long states are kept.

    Attributes
    ----------
    every
        Each checkpoint's state, for so long.
    daily
        The last state of each day (UTC), for so long.
    versions
        What a version that is no longer served has in Redis and in snapshots, for so long.
    newest
        So many of the newest states, however old: announcements may still refer to them.
    """

    every: timedelta = timedelta(hours=1)
    daily: timedelta = timedelta(days=90)
    versions: timedelta = timedelta(days=30)
    newest: int = 3


def unneeded_states(
    chain: Sequence[CheckpointInfo], retention: StateRetention, now: datetime, oldest_example: int
) -> list[int]:
    """Return the offsets of checkpoints whose states nobody needs.

    Parameters
    ----------
    chain
        All links, oldest first.
    now
        The moment by which ages are told. A clock that is wrong keeps more or fewer states of the
        past, and never touches the newest, nor the one that kept examples need.
    oldest_example
        Offset of the oldest example that the log still has.

    Examples
    --------
    >>> from datetime import timedelta
    >>> now = datetime(2024, 5, 2, tzinfo=UTC)
    >>> chain = [
    ...     CheckpointInfo(at, at - 10, "", "", 100, now - timedelta(hours=30 - at / 10))
    ...     for at in (10, 20, 30, 40, 50, 60)
    ... ]
    >>> unneeded_states(chain, StateRetention(), now, 25)
    [10, 30]

    Offset 20 is needed to learn the examples from 25 on, 40 to 60 are the newest.
    """
    kept = [info for info in chain if info.kept]
    needed = {info.offset for info in kept[-retention.newest :]}
    needed |= {info.offset for info in kept if now - info.created_at <= retention.every}
    needed |= _last_of_days(kept, now - retention.daily)
    needed |= {max((i.offset for i in kept if i.offset <= oldest_example), default=0)}
    return [info.offset for info in kept if info.offset not in needed]


def _last_of_days(kept: Sequence[CheckpointInfo], since: datetime) -> set[int]:
    last: dict[date, int] = {}
    for info in kept:
        if info.created_at >= since:
            last[info.created_at.astimezone(UTC).date()] = info.offset
    return set(last.values())


def unserved_since(history: Sequence[ServingInfo], version: int) -> datetime | None:
    """Return since when a version has not been served any more; None if it is served, or was never.

    Parameters
    ----------
    history
        What was served since when, oldest first.
    """
    if not history or history[-1].version == version:
        return None
    last = max((at for at, info in enumerate(history) if info.version == version), default=None)
    return None if last is None else history[last + 1].since
