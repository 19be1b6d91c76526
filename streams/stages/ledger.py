"""MONITOR's totals: by tile of event time and segment, in its state.

State keys: ``t:<tile>:<segment>``, a tile's totals; ``g:<segment>``, what stands in no tile any
more, or never did. So a whole run is the sum of all. ``j:<offset>``, the *journal*: what a record
of counts adds to them. It is written once; what it holds is added up together, when it is posted.

Sums over the windows that are looked at again and again are kept in memory and moved by what is
added; they are the same integers as the sums anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from headrace.streams.protocol.stage import View
from headrace.streams.summing import Placed, Where, summed
from headrace.streams.totals import OTHER, Totals, add, merged, subtract

JOURNAL_MAX = 5_000
"""So many records are posted, whatever else happens."""

RUN = -1
"""The tile of what has no event time, or whose tile is gone: of the whole run alone."""

Span = tuple[int, int] | None
"""Start and end of a window in event time; None is the whole run."""


class Ledger:
    """The totals of one MONITOR task.

    Parameters
    ----------
    tile_ms
        Length of a tile.
    """

    def __init__(self, tile_ms: int) -> None:
        self._tile_ms = tile_ms
        self._tiles: dict[int, set[str]] = {}
        self._run: set[str] = set()
        self._sums: dict[Span, dict[str, Totals]] = {}
        self._sorted: list[int] | None = None
        self._journal: list[str] = []

    def load(self, view: View) -> None:
        """Rebuild the index of tiles."""
        self._tiles, self._run = {}, set()
        self._sums, self._sorted, self._journal = {}, None, []
        for key, state in view.items():
            if key.startswith("t:"):
                _, tile, segment = key.split(":", 2)
                self.note(int(tile), [segment])
            elif key.startswith("g:"):
                self._run.add(key[2:])
            elif key.startswith("j:"):  # they come in the order of their offsets
                self._journal.append(key)
                for cell in map(Placed._make, state):
                    self.note(cell.place, [cell.segment, *cell.segments])

    # -- what is there

    def tiles(self) -> list[int]:
        """Return all tiles, oldest first; the list is not to be changed."""
        if self._sorted is None:
            self._sorted = sorted(self._tiles)
        return self._sorted

    def has(self, tile: int) -> bool:
        """Return whether anything was counted in a tile."""
        return tile in self._tiles

    def segments(self, span: Span) -> list[str]:
        """Return the segments of which something was counted in a window."""
        found: set[str] = set() if span else set(self._run)
        for tile in self._within(span):
            found |= self._tiles[tile]
        return sorted(found)

    def _within(self, span: Span) -> Iterable[int]:
        if span is None:
            return list(self._tiles)
        start, end = span
        if (end - start) // self._tile_ms > len(self._tiles):
            return [tile for tile in self._tiles if start <= tile < end]
        return [tile for tile in range(start, end, self._tile_ms) if tile in self._tiles]

    # -- what is added

    def note(self, tile: int, segments: Iterable[str]) -> None:
        """Note that something was counted of segments."""
        if tile == RUN:
            self._run.update(segments)
            return
        if tile not in self._tiles:
            self._tiles[tile], self._sorted = set(), None
        self._tiles[tile].update(segments)

    def take(self, view: View, offset: int, cells: Sequence[Placed]) -> None:
        """Take in what a record of counts adds; all of its places have been noted."""
        key = f"j:{offset:020d}"
        view.put(key, cells)
        self._journal.append(key)
        if len(self._journal) >= JOURNAL_MAX:
            self.post(view)

    def unposted(self, view: View) -> dict[Where, Totals]:
        """Return what the journal adds up to."""
        return summed(Placed._make(cell) for key in self._journal for cell in view.get(key))

    def post(self, view: View) -> None:
        """Add to totals and to kept sums what was taken in since.

        When is part of the state: it must be a function of the counts' log.
        """
        if not self._journal:
            return
        for (tile, segment), added in self.unposted(view).items():
            key = _key(tile, segment)
            totals = view.get(key) or {}
            add(totals, added)
            view.put(key, totals)
            self._move_sums(tile, segment, added, full=_is_full(totals))
        for key in self._journal:
            view.put(key, None)
        self._journal = []

    def _move_sums(self, tile: int, segment: str, added: Totals, *, full: bool) -> None:
        for span, sums in self._sums.items():
            inside = span is None or span[0] <= tile < span[1]
            if not inside or segment not in sums:
                continue
            if not full:
                add(sums[segment], added)
            if full or _is_full(sums[segment]):
                del sums[segment]  # it depends on the order what found room: summed anew

    # -- sums

    def total(self, view: View, span: Span, segment: str) -> Totals:
        """Return the totals of a window that is not looked at again; of what is posted."""
        return merged(self._parts(view, span, segment))

    def tile_total(self, view: View, tile: int, segment: str) -> Totals:
        """Return the totals of a tile, of what is posted: the state itself, not to be changed."""
        if segment not in self._tiles.get(tile, ()):
            return {}
        found: Totals = view.get(_key(tile, segment)) or {}
        return found

    def total_so_far(
        self, view: View, span: Span, segment: str, unposted: Mapping[Where, Totals]
    ) -> Totals:
        """Return a kept window's totals with what :meth:`unposted` says; not to be changed."""
        kept = self.kept_total(view, span, segment)
        more = [
            totals
            for (tile, name), totals in unposted.items()
            if name == segment and (span is None or span[0] <= tile < span[1])
        ]
        return merged([kept, *more]) if more else kept

    def kept_total(self, view: View, span: Span, segment: str) -> Totals:
        """Return the totals of a window that is looked at often, or soon a tile later.

        They are not to be changed, and all must have been posted. A tile's own are no sums.
        """
        if span is not None and span[1] - span[0] == self._tile_ms:
            return self.tile_total(view, span[0], segment)
        if span not in self._sums:
            self._sums[span] = {} if span is None else self._slide(view, span)
        sums = self._sums[span]
        found = sums.get(segment)
        if found is None:
            found = sums[segment] = self.total(view, span, segment)
        return found

    def keep_only(self, spans: Iterable[Span]) -> None:
        """Forget the kept sums of all other windows."""
        wanted = set(spans)
        self._sums = {span: sums for span, sums in self._sums.items() if span in wanted}

    def _slide(self, view: View, span: tuple[int, int]) -> dict[str, Totals]:
        """Return the sums of a window made of an earlier one's, which are then gone.

        One half its length earlier at most: no tile of that has been retired yet.
        """
        start, end = span
        nearest = max(
            (
                kept
                for kept in self._sums
                if kept is not None
                and kept[1] - kept[0] == end - start
                and start - (end - start) // 2 <= kept[0] < start
            ),
            default=None,
        )
        if nearest is None:
            return {}
        found: dict[str, Totals] = {}
        for segment, totals in self._sums.pop(nearest).items():
            if _is_full(totals):
                continue
            for part in self._parts(view, (nearest[1], end), segment):
                add(totals, part)
            for part in self._parts(view, (nearest[0], start), segment):
                subtract(totals, part)
            if totals:
                found[segment] = totals
        return found

    def _parts(self, view: View, span: Span, segment: str) -> Iterator[Totals]:
        if span is None:
            yield view.get(_key(RUN, segment)) or {}
        for tile in self._within(span):
            if segment in self._tiles[tile]:
                yield view.get(_key(tile, segment)) or {}

    # -- what goes

    def retire(self, view: View, before: int) -> None:
        """Move tiles before a time to the whole run's."""
        self.post(view)
        for tile in [tile for tile in self.tiles() if tile < before]:
            self._sorted = None
            for segment in sorted(self._tiles.pop(tile)):
                place, key = _key(RUN, segment), _key(tile, segment)
                gone = view.get(place) or {}
                add(gone, view.get(key) or {})
                view.put(place, gone)
                view.put(key, None)
                self._run.add(segment)


def _is_full(totals: Totals) -> bool:
    """Return whether some keys had no room of their own: they cannot be told apart again."""
    return any(OTHER in family for family in totals.values())


def _key(tile: int, segment: str) -> str:
    return f"g:{segment}" if tile == RUN else f"t:{tile:015d}:{segment}"
