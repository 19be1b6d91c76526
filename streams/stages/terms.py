"""What MONITOR goes by: what a declaration says of windows, and what it knows of event time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from headrace.streams.horizon import Horizon, fresh_marks
from headrace.streams.observe import tile_ms_of
from headrace.streams.plan import Plan
from headrace.streams.stages.ledger import Span

TILES_KEPT = 336
"""So many tiles behind the final windows can still be corrected, or two longest windows."""

Meta = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Terms:
    """What a declaration says about windows, in milliseconds.

    Attributes
    ----------
    widths
        Lengths of windows, shortest first: that of a tile.
    reference_ms
        Length of the reference period: a multiple of a tile.
    joined
        Whether JOIN runs.
    pace_ms
        How often what changes is said, by the timestamps of the counts' records.
    """

    tile_ms: int
    widths: tuple[int, ...]
    reference_ms: int
    joined: bool
    pace_ms: int
    horizon: Horizon

    @classmethod
    def of(cls, plan: Plan) -> Terms:
        """Return a plan's terms."""
        tile_ms = tile_ms_of(plan)
        reference_ms = -(-plan.reference_ms // tile_ms) * tile_ms
        widths = tuple(sorted(set(plan.windows_ms)))
        joined = plan.labels == "topic"
        return cls(tile_ms, widths, reference_ms, joined, plan.pace_ms, Horizon(plan))

    @property
    def reach_ms(self) -> int:
        """How far behind the end of the final windows tiles are kept."""
        return max(2 * self.widths[-1], TILES_KEPT * self.tile_ms)

    def tile_of(self, time_ms: int) -> int:
        """Return the start of a time's tile."""
        return time_ms - time_ms % self.tile_ms


def fresh_meta(tile_ms: int) -> Meta:
    """Return what is known before anything was counted."""
    return {
        "tile_ms": tile_ms,
        "marks": fresh_marks(),
        "final": None,  # windows that end here or before are final
        "shown": None,  # end of the newest windows when they were last said
        "said_at": None,  # timestamp of the record at which something was last said
        "since": {},  # by source: timestamp of its first record since then
        "unsettled": False,  # whether newest windows were said since all was said at a barrier
        "pending": {},  # segments in which something changed since, by tile
        "late": {},  # the same, of tiles that were final
        "due": {},  # by tile: predictions that JOIN, and examples that LEARN, has yet to count
        "lost": 0,  # dead letters of JOIN and LEARN: they will never be counted
        "segments": {},
        "reference_at": None,
        "by_segment_from": None,  # the first tile whose features are counted by segment
    }


def newest_spans(terms: Terms, meta: Meta) -> list[Span]:
    """Return the newest window of each length, and the whole run."""
    newest = terms.horizon.newest(meta["marks"])
    if newest is None:
        return [None]
    end = terms.tile_of(newest) + terms.tile_ms
    return [*((end - width, end) for width in terms.widths), None]
