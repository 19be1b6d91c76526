"""Barriers: how "everything before this is done" travels through the stages (docs/adr/0003).

A barrier has passed a stage when each of its sources has sent it. Names should be unique; one that
is used again (a publisher's second try, a script that runs twice) begins another round. What is
remembered of a name is by how many rounds each source is ahead of the slowest: a function of what
has been read, whatever the order in which the sources came to be read. So a restore, which may
read one input before the other, comes to the same state.
"""

from __future__ import annotations

from collections.abc import Sequence

from headrace.streams.records import BARRIER, BARRIER_SOURCE, Emit, Record

OPEN_MAX = 1_000
"""How many names may be under way; of more, the one heard of longest ago is forgotten."""

NAME_CHARS_MAX = 256
"""A longer name is no barrier's."""

STEP = "step:"
"""How the names of barriers begin that come as often as a history's slices: they have MONITOR emit
nothing at once, since its pace is one that people can read."""

FLUSH = "flush"
"""Name of the record that MONITOR writes to its own counts when no more come."""

Open = dict[str, dict[str, list[int]]]
"""Of each name under way: by source, the rounds that it is ahead, and the time of its newest."""


def barrier_of(record: Record) -> str | None:
    """Return the name of the barrier that a record is, None if it is none."""
    if record.value is not None or not record.headers:
        return None
    name = record.barrier()
    return name if name and len(name) <= NAME_CHARS_MAX else None


def is_step(name: str) -> bool:
    """Return whether a barrier is one of the many of a history that is published in step."""
    return name.startswith(STEP)


def source_name(stage: str, partition: int) -> str:
    """Return who passes a barrier on, as ``score-3``."""
    return f"{stage}-{partition}"


def barrier_source(record: Record) -> str:
    """Return who has passed a barrier on; empty if its publisher wrote it."""
    return dict(record.headers).get(BARRIER_SOURCE, b"").decode("utf-8", "replace")


def pass_on(
    name: str, source: str, topic: str, partition: int, *, key: bytes | None = None
) -> Emit:
    """Return a barrier as it is passed on.

    Parameters
    ----------
    source
        Who passes it on (:func:`source_name`).
    key
        Of the record: a compacted topic takes none without.
    """
    headers = ((BARRIER, name.encode()), (BARRIER_SOURCE, source.encode()))
    return Emit(topic, partition, key, None, headers)


def arrived(opened: Open, name: str, record: Record, sources: Sequence[str]) -> bool:
    """Note who sent a barrier; say whether now all have, once more than before.

    A barrier that none of the sources sent is ignored: a stranger wrote it.

    Parameters
    ----------
    opened
        The barriers under way; changed in place.
    sources
        All that send each barrier.
    """
    source = barrier_source(record)
    if source not in sources:
        return False
    ahead = opened.pop(name, {})
    rounds, latest_ms = ahead.get(source, (0, 0))
    ahead[source] = [rounds + 1, max(latest_ms, record.timestamp_ms)]
    complete = len(ahead) == len(sources)
    if complete:
        ahead = {each: [n - 1, time_ms] for each, (n, time_ms) in ahead.items() if n > 1}
    if ahead:
        opened[name] = {each: ahead[each] for each in sorted(ahead)}
        if len(opened) > OPEN_MAX:
            del opened[min(opened, key=lambda each: (_heard_ms(opened[each]), each))]
    return complete


def _heard_ms(ahead: dict[str, list[int]]) -> int:
    return max(time_ms for _, time_ms in ahead.values())
