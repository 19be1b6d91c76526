"""What a watch is told of a pipeline, and what it says of it."""

from __future__ import annotations

from typing import NamedTuple


class Stream(NamedTuple):
    """One watched statistic.

    Attributes
    ----------
    kind
        ``input``, ``score``, ``outcome``, ``labels`` or ``label_rate``; ``reference`` of one that
        drifts.
    name
        ``feature.<name>``, ``score``, ``log_loss``, ``excess_loss``, ``accuracy``, ``mae``,
        ``true_share``, ``label_delay_ms``, ``coverage`` or ``label_rate_<age>``.
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
    label_ages_ms
        At which ages of events their labels are looked at.
    """

    tile_ms: int
    reference_ms: int
    run_length_ms: int
    task: str
    features: tuple[tuple[str, str], ...]
    label_ages_ms: tuple[int, ...] = ()
