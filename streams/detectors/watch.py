"""Which statistics of a pipeline have changed, tile by tile, with a promise about false alarms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Stream(NamedTuple):
    """One watched statistic.

    Attributes
    ----------
    kind
        ``input``, ``score``, ``outcome`` or ``labels``.
    name
        ``feature.<name>``, ``score``, ``log_loss``, ``accuracy``, ``mae``, ``true_share``,
        ``label_delay_ms`` or ``coverage``.
    segment
        ``all``, or ``field=value``.
    """

    kind: str
    name: str
    segment: str


class Verdict(NamedTuple):
    """What is said of a stream at the end of a tile.

    Attributes
    ----------
    state
        ``begun``, ``ongoing`` or ``over``.
    since_ms
        When the change began, as estimated, in event time.
    until_ms
        End of the tile at which this was said.
    strength
        The statistic divided by its threshold: at least 1 when an alarm begins.
    effect
        Size of the change: PSI of distributions, else the difference of means.
    reference, observed
        Groups with their shares, or ``(("mean", x),)``.
    """

    stream: Stream
    state: str
    since_ms: int
    until_ms: int
    strength: float
    effect: float
    reference: tuple[tuple[str, float], ...]
    observed: tuple[tuple[str, float], ...]


class Terms(NamedTuple):
    """What a declaration says about drift.

    Attributes
    ----------
    tile_ms
        Length of a tile.
    reference_ms
        Length of the reference period: a multiple of a tile.
    run_length_ms
        The promise: mean event time to a false alarm of the whole pipeline.
    task
        ``binary``, ``multiclass``, ``regression`` or ``anomaly``.
    features
        Names and kinds, as the plan has them.
    """

    tile_ms: int
    reference_ms: int
    run_length_ms: int
    task: str
    features: tuple[tuple[str, str], ...]


class Watch:
    """Watches some kinds of streams: a function of its state and the totals.

    Parameters
    ----------
    terms
        The declaration's.
    kinds
        Which kinds of streams to look at: inputs and scores are complete before outcomes are.
    """

    def __init__(self, terms: Terms, kinds: tuple[str, ...]) -> None:
        self._terms = terms
        self._kinds = kinds

    def fresh(self) -> dict[str, Any]:
        """Return the state before anything was observed."""
        return {"tiles": 0}

    def observe(
        self, state: dict[str, Any], tile_start_ms: int, totals: Mapping[str, Mapping[str, int]]
    ) -> list[Verdict]:
        """Take in the next complete tile; return what is to be said because of it.

        Parameters
        ----------
        state
            Changed in place.
        tile_start_ms
            Each tile is given once, in order; one without counts too.
        totals
            Counts of the tile by segment and name.
        """
        state["tiles"] += 1
        return []
