"""How long a pipeline's topics keep their records: what is declared, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from headrace.streams.duration import duration_ms, duration_text
from headrace.streams.pipeline import TopicRetention
from headrace.streams.places import Fault
from headrace.streams.topics import RETENTION, RetentionMs, Topics

RETENTION_MS_MIN = 3_600_000
RETENTION_MS_MAX = 36_500 * 86_400_000
"""How long a topic may keep its records: one hour to a hundred years."""


def retention_of(declared: str | TopicRetention) -> RetentionMs:
    """Return how long each topic keeps its records.

    Raises
    ------
    ValueError
        A duration cannot be read.

    Examples
    --------
    >>> retention_of(TopicRetention("120d", metrics="7d")).metrics
    604800000
    """
    texts = declared if isinstance(declared, TopicRetention) else TopicRetention(declared)
    return RetentionMs(
        *(duration_ms(getattr(texts, role) or texts.default) for role in Topics._fields)
    )


def bounds_of(declared: Any) -> RetentionMs:
    """Return the same; where something is wrong with it, the default, so that all else is seen."""
    wrong = any(True for _ in retention_faults(declared, ""))
    return retention_of(RETENTION if wrong else declared)


def retention_faults(declared: Any, place: str) -> Iterator[Fault]:
    """Yield what is wrong with ``Pipeline(retention=...)``."""
    if not isinstance(declared, str | TopicRetention):
        said = f"retention={declared!r} is none."
        yield Fault(said, 'Use a duration ("120d"), or TopicRetention("120d", ...).')
        return
    if isinstance(declared, str):
        yield from _duration_faults("retention", declared, place)
        return
    for role in ("default", *Topics._fields):
        text = getattr(declared, role)
        if text is not None or role == "default":
            yield from _duration_faults(f"TopicRetention({role}=...)", text, declared.place)


def _duration_faults(where: str, text: Any, place: str) -> Iterator[Fault]:
    try:
        kept_ms = duration_ms(text)
    except ValueError as error:
        yield Fault(f"{where}: {error}.", "", place)
        return
    if not RETENTION_MS_MIN <= kept_ms <= RETENTION_MS_MAX:
        least, most = duration_text(RETENTION_MS_MIN), duration_text(RETENTION_MS_MAX)
        yield Fault(f"{where}: no topic is kept for {text!r}.", f"Use {least} to {most}.", place)
