"""When MONITOR says what.

A record of counts

1. moves marks of how far event time has come, and is added to its tiles;
2. so may complete the *reference* of drift, and make windows *final*: they are said at once; tiles
   that are complete go to the detectors (``lookout``), whose alerts are said at once too;
3. lets what changed be said, if a second of the log's own time (the timestamps of its records) has
   gone by since the last time: the newest window of each length, final windows that a late count
   has corrected, and the whole run.

A barrier has all of (3) said at once. A window that a newer one has overtaken is said once more:
when it is final. A tile is final when what lies before its end is decided
(:mod:`headrace.streams.horizon`) *and* JOIN has taken in each of its predictions and LEARN each of
its examples, dead letters apart; docs/adr/0008.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from headrace.streams.drift import SUPPORT_MIN, Reference, is_watched
from headrace.streams.metrics import DEAD_LETTERS
from headrace.streams.observe import ALL, NO_TILE, VERSION
from headrace.streams.protocol.stage import View
from headrace.streams.records import Emit, Record
from headrace.streams.stages.barriers import source_name
from headrace.streams.stages.bulletin import Bulletin
from headrace.streams.stages.emission import Emission
from headrace.streams.stages.ledger import RUN, Ledger
from headrace.streams.stages.lookout import COHORTS, Lookout
from headrace.streams.stages.terms import Meta, Terms
from headrace.streams.summing import Placed
from headrace.streams.totals import OTHER, Totals, family_sum, plain

META = "m"
REFERENCE, SEGMENT_REFERENCES = "r", "s"

SEGMENTS_MAX = 200
"""Of more segments, the later ones are counted together as ``<field>=(other)``."""

TILES_AHEAD_MAX = 1_000
"""Of more tiles ahead of the newest event time, the later ones are of the whole run alone."""

_DEAD_LETTER = "dead_letter."
_TAKEN = ("first_event", "duplicate_event", "late_event")


class Turn:
    """One batch's way through the totals.

    Parameters
    ----------
    terms, ledger, bulletin, lookout
        MONITOR's.
    view
        Its state.
    meta
        What it knows; changed in place.

    Attributes
    ----------
    failures
        On how many tiles the detectors failed.
    """

    def __init__(
        self,
        terms: Terms,
        ledger: Ledger,
        bulletin: Bulletin,
        lookout: Lookout,
        view: View,
        meta: Meta,
    ) -> None:
        self.failures = 0
        self._terms = terms
        self._ledger = ledger
        self._bulletin = bulletin
        self._lookout = lookout
        self._view = view
        self._meta = meta
        self._emission = Emission(terms, ledger, bulletin, view, meta)
        self._revision = 0
        self._restoring = False

    def take(self, record: Record, count: dict[str, Any], *, restoring: bool) -> list[Emit]:
        """Take in a record of counts; return what is to be said because of it."""
        self._begin(record, restoring=restoring)
        marks, horizon = self._meta["marks"], self._terms.horizon
        moved = horizon.mark(marks, count)
        newest = horizon.newest(marks)
        placed = [self._placed(count["stage"], cell, newest) for cell in count["cells"]]
        self._ledger.take(self._view, record.offset, placed)
        if newest is not None:
            if moved:
                self._freeze_reference(newest)
            self._finish(newest)
        source = source_name(count["stage"], count["partition"])
        if self._emission.is_due(source, record.timestamp_ms):
            self._emission.newest(source, record.timestamp_ms)
        return self._emission.emits

    def settle(
        self, record: Record, source: str, *, restoring: bool, whole: bool = True
    ) -> list[Emit]:
        """Emit all that has changed, at a barrier.

        Parameters
        ----------
        source
            Who wrote it.
        whole
            Whether the newest record of each key has to be exact, its coverage too.
        """
        self._begin(record, restoring=restoring)
        self._emission.newest(source, record.timestamp_ms, settle=whole)
        return self._emission.emits

    def _begin(self, record: Record, *, restoring: bool) -> None:
        self._revision, self._restoring = record.offset + 1, restoring
        self._emission.begin(self._revision, restoring=restoring)

    # -- adding

    def _placed(self, stage: str, cell: Mapping[str, Any], newest: int | None) -> Placed:
        """Return a cell with the place that it is added to, and note that it is."""
        values, tile = cell["values"], cell["tile"]
        segment, segments = self._segment(cell["segment"]), self._segments(cell["segments"])
        place = RUN if tile == NO_TILE else self._place(tile, newest)
        if tile == NO_TILE:
            values = self._of_run(stage, values)
        elif place == RUN:
            if segment == ALL:
                things = sum(n for name, n in values.items() if ":" not in name and "." not in name)
                values = {**values, "beyond_windows": things}
        elif segment == ALL:
            self._note(stage, place, values)
        elif _has_features(cell):
            first = self._meta.get("by_segment_from")
            self._meta["by_segment_from"] = place if first is None else min(first, place)
        self._mark(place, [segment, *segments])
        return Placed(place, segment, values, cell["buckets"], segments, cell["columns"])

    def _mark(self, place: int, segments: list[str]) -> None:
        """Mark segments of a place as changed, and as late if it was final."""
        meta, marks, final = self._meta, dict.fromkeys(segments, 1), self._meta["final"]
        self._ledger.note(place, segments)
        meta["pending"].setdefault(str(place), {}).update(marks)
        if place != RUN and final is not None and place < final:
            meta["late"].setdefault(str(place), {}).update(marks)

    def _segment(self, name: str) -> str:
        """Return a segment's name; of one too many, what it is counted as."""
        known = self._meta["segments"]
        if name == ALL or name in known:
            return name
        if len(known) < SEGMENTS_MAX or name.startswith(VERSION):
            known[name] = 1
            return name
        return f"{name.partition('=')[0]}={OTHER}"

    def _segments(self, names: list[str]) -> list[str]:
        """Return segments' names, as a rule these very ones."""
        known = self._meta["segments"]
        if all([name in known for name in names]):
            return names
        return [self._segment(name) for name in names]

    def _place(self, tile: int, newest: int | None) -> int:
        """Return the tile to add to: :data:`RUN` if windows of this time are out of reach."""
        terms, final = self._terms, self._meta["final"]
        whole_ms = terms.reach_ms - terms.widths[-1]  # all windows with such a tile are there whole
        if tile % terms.tile_ms or (final is not None and tile < final - whole_ms):
            return RUN
        if self._ledger.has(tile) or (newest is not None and tile <= newest):
            return tile
        ahead = sum(1 for each in self._ledger.tiles() if newest is None or each > newest)
        return tile if ahead < TILES_AHEAD_MAX else RUN

    def _of_run(self, stage: str, values: Mapping[str, int]) -> Mapping[str, int]:
        """Return counts without a time; dead letters by stage and reason."""
        found = {}
        for name, n in values.items():
            if not name.startswith(_DEAD_LETTER):
                found[name] = n
                continue
            reason = name[len(_DEAD_LETTER) :]
            found[f"{DEAD_LETTERS}:{stage}.{reason}"] = n
            # An example that the model failed to learn was counted before.
            if stage in ("join", "learn") and reason != "model_failed":
                self._meta["lost"] += n
        return found

    def _note(self, stage: str, tile: int, values: Mapping[str, int]) -> None:
        """Note what a tile still waits for; one that is final waits for nothing."""
        final = self._meta["final"]
        if final is not None and tile < final:
            return
        due = self._meta["due"].setdefault(str(tile), [0, 0])
        if stage == "score":
            due[0 if self._terms.joined else 1] += values.get("events", 0)
        elif stage == "join":
            due[0] -= sum(values.get(name, 0) for name in _TAKEN)
            due[1] += values.get("matched", 0)
        elif stage == "learn":
            due[1] -= values.get("examples", 0)

    # -- the reference of drift

    def _freeze_reference(self, newest: int) -> None:
        """Keep the first stretch of the reference's length that has events enough, once over."""
        terms, meta = self._terms, self._meta
        at = terms.tile_of(terms.horizon.events(meta["marks"], newest))
        if at == meta["reference_at"] or not self._lacks_reference():
            return
        meta["reference_at"] = at
        self._ledger.post(self._view)
        if self._view.get(REFERENCE) is None:
            self._freeze_first(at)
        if self._lacks_segments():
            self._freeze_segments(at)

    def _lacks_reference(self) -> bool:
        """Return whether a reference is yet to be frozen: of all events, or of segments."""
        return self._view.get(REFERENCE) is None or self._lacks_segments()

    def _lacks_segments(self) -> bool:
        counted = self._meta.get("by_segment_from") is not None
        return counted and self._view.get(SEGMENT_REFERENCES) is None

    def _freeze_segments(self, at: int) -> None:
        """Do the same for segments: once one of them has events enough, in a stretch of its own."""
        terms, meta = self._terms, self._meta
        for start in [tile for tile in self._ledger.tiles() if tile >= meta["by_segment_from"]]:
            span = (start, start + terms.reference_ms)
            if span[1] > at:
                return
            found = {}
            for segment in self._ledger.segments(span):
                watched = _watched(self._ledger.total(self._view, span, segment))
                enough = max(map(family_sum, watched.values()), default=0) >= SUPPORT_MIN
                if segment != ALL and enough:
                    found[segment] = watched
            if found:
                state = {"start": span[0], "end": span[1], "totals": found}
                self._view.put(SEGMENT_REFERENCES, state)
                self._bulletin.references = {name: Reference(each) for name, each in found.items()}
                return
            meta["by_segment_from"] = start + terms.tile_ms

    def _freeze_first(self, at: int) -> None:
        terms = self._terms
        counts = {
            tile: plain(self._ledger.total(self._view, (tile, tile + 1), ALL), "events")
            for tile in self._ledger.tiles()
        }
        stretches = [(start, start + terms.reference_ms) for start in counts]
        for start, end in [stretch for stretch in stretches if stretch[1] <= at]:
            if sum(n for tile, n in counts.items() if start <= tile < end) >= SUPPORT_MIN:
                self._freeze((start, end))
                break

    def _freeze(self, span: tuple[int, int]) -> None:
        watched = _watched(self._ledger.total(self._view, span, ALL))
        start, end = span
        self._view.put(REFERENCE, {"start": start, "end": end, "totals": watched})
        self._bulletin.reference = Reference(watched)

    # -- final windows

    def _finish(self, newest: int) -> None:
        """Say the windows that have become final, and let go of tiles that no window needs."""
        terms, meta = self._terms, self._meta
        events = terms.horizon.events(meta["marks"], newest)
        decided = terms.horizon.decided(meta["marks"], newest, events)
        tiles = self._ledger.tiles()
        if not tiles:
            return
        before = meta["final"]
        final = tiles[0] if before is None else before
        overdue = terms.horizon.overdue(meta["marks"], newest)
        while final + terms.tile_ms <= decided and not self._is_awaited(final, overdue):
            final += terms.tile_ms
            self._emission.final(final)
            final = self._skip(final, tiles, decided)
            meta["final"] = final
        self._look(events, newest, overdue)
        if meta["final"] != before:
            self._retire(newest)

    def _look(self, events: int, newest: int, overdue: int) -> None:
        """Hand complete tiles to the detectors, before any of them goes."""
        labels = self._terms.horizon.labels(self._meta["marks"], newest)
        complete = {"inputs": events, "outcomes": self._meta["final"] or 0}
        complete[COHORTS] = min(labels, events + self._lookout.age_ms)
        awaited = partial(self._is_awaited, overdue=overdue)
        emits, failures = self._lookout.look(
            self._view, complete, awaited, self._revision, restoring=self._restoring
        )
        self._emission.emits += emits
        self.failures += failures

    def _is_awaited(self, tile: int, overdue: int) -> bool:
        """Return whether what JOIN or LEARN has read of a tile is still waited for."""
        due: list[int] = self._meta["due"].get(str(tile), [0, 0])
        lost: int = self._meta["lost"]
        return tile + self._terms.tile_ms > overdue and max(due) > lost

    def _skip(self, final: int, tiles: list[int], decided: int) -> int:
        """Return up to where all windows are empty, so that a long silence costs nothing."""
        longest, step = self._terms.widths[-1], self._terms.tile_ms
        if any(final + step - longest <= tile < final + step for tile in tiles):
            return final
        later = [tile for tile in tiles if tile >= final]
        end = self._terms.tile_of(decided)
        return max(final, min([end, *later[:1]]))

    def _retire(self, newest: int) -> None:
        meta = self._meta
        final = meta["final"]
        for name in [name for name in meta["due"] if int(name) < final]:
            del meta["due"][name]
        before = final - self._terms.reach_ms
        if self._lacks_reference():
            before = min(before, newest - 2 * self._terms.reference_ms)
        tiles = self._ledger.tiles()
        if tiles and tiles[0] < before:
            self._emission.late()  # as long as the tiles of these windows are there
            self._ledger.retire(self._view, before)


def _watched(totals: Totals) -> Totals:
    return {name: family for name, family in totals.items() if is_watched(name)}


def _has_features(cell: Mapping[str, Any]) -> bool:
    names = (*cell["values"], *cell["buckets"])
    return any(is_watched(name.partition(":")[0]) for name in names)
