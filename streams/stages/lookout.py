"""Hands complete tiles to the detectors, once each and in order, and says what alerts come of it.

There are three sides, each with a watch of its own: *inputs*, features and scores, whose tile is
complete when SCORE's watermarks have passed it; *outcomes*, which wait for the labels, until
the tile's windows are final; and *cohorts*, which do not: a tile of theirs is of label time, and
has the tiles of events that are as old by then as labels are looked at
(:mod:`headrace.streams.detectors.cohorts`). What is counted later for a tile that was handed
changes nothing.

State keys: ``w``, the terms, and of each side the next tile and the alerts that are not over; and
those of the watches' states (:mod:`headrace.streams.stages.shelf`). All is a function of the
counts' log, as all of MONITOR's is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from math import isfinite
from typing import Any

from headrace.schemas.records import Codecs
from headrace.streams.alarms import active, close, follow, record_of
from headrace.streams.detectors.calendar import Calendar
from headrace.streams.detectors.cohorts import RATE, at_age, label_ages
from headrace.streams.detectors.verdicts import Terms, Verdict
from headrace.streams.detectors.watch import Watch
from headrace.streams.observe import ALL, tile_ms_of
from headrace.streams.plan import Plan
from headrace.streams.protocol.stage import View
from headrace.streams.records import Emit
from headrace.streams.stages.ledger import Ledger
from headrace.streams.stages.shelf import Shelf
from headrace.streams.totals import flat

WATCH = "w"
COHORTS = "cohorts"
LAYOUT = 2
"""Of the state; another one begins anew."""

SIDES: Mapping[str, tuple[str, ...]] = {
    "inputs": ("input", "score"),
    "outcomes": ("outcome", "labels"),
    COHORTS: (RATE,),
}
"""Which kinds of streams are complete at the same time."""

GROUP_SLOTS = 3
"""What begins no more of the detectors' steps after an alert has its cause, it is assumed."""

EMPTY_TILES_MAX = 1_000
"""Of a longer silence the later tiles are not handed: it costs no more than that."""


def watch_terms(plan: Plan) -> Terms | None:
    """Return what a plan declares of alarms: the reference in whole tiles. None: no alarms."""
    if plan.run_length_ms is None:
        return None
    tile_ms = tile_ms_of(plan)
    reference_ms = -(-plan.alarm_reference_ms // tile_ms) * tile_ms
    ages_ms = label_ages(plan.task, plan.wait_ms, tile_ms)
    return Terms(tile_ms, reference_ms, plan.run_length_ms, plan.task, plan.feature_fields, ages_ms)


class Lookout:
    """Watches a pipeline's totals.

    Parameters
    ----------
    plan, codecs
        The pipeline's.
    ledger
        The totals.

    Attributes
    ----------
    active
        How many alerts there are of each kind; None if there are no alarms.
    age_ms
        How old the youngest events are whose labels are looked at.
    """

    def __init__(self, plan: Plan, codecs: Codecs, ledger: Ledger) -> None:
        self.active: dict[str, int] | None = None
        self.age_ms = 0
        self._topic = plan.topics.alerts
        self._codec = codecs.alert
        self._ledger = ledger
        self._name = plan.name
        self._terms = watch_terms(plan)
        self._shelves = {side: Shelf(side) for side in SIDES}
        self._states: dict[str, dict[str, Any]] = {}
        if self._terms is None:
            return
        alarms = plan.pipeline.alarms
        self._segments = alarms is not None and alarms.segments
        self._watches = {side: Watch(self._terms, kinds) for side, kinds in SIDES.items()}
        self._ages = {side: (0,) for side in SIDES} | {COHORTS: self._terms.label_ages_ms}
        self.age_ms = min(self._terms.label_ages_ms, default=0)
        self._near_ms = GROUP_SLOTS * Calendar.of(self._terms.tile_ms).slot_ms
        self._promised = [LAYOUT, *self._terms[:3], self._segments]
        self.active = active([])

    def load(self, view: View) -> None:
        """Rebuild what is derived from the state."""
        found = {side: shelf.load(view) for side, shelf in self._shelves.items()}
        if self._terms is not None:
            self._states = {side: state for side, state in found.items() if state is not None}
            self._count_active(view.get(WATCH))

    def look(
        self,
        view: View,
        complete: Mapping[str, int],
        awaited: Callable[[int], bool],
        revision: int,
        *,
        restoring: bool,
    ) -> tuple[list[Emit], int]:
        """Hand over the tiles that have become complete.

        Parameters
        ----------
        complete
            Before which event time each side's tiles are complete; of cohorts, before which no
            label is awaited, if no event of theirs is.
        awaited
            Whether a tile of events waits for what JOIN or LEARN has read, and not counted yet.
        revision
            The next offset of the counts topic.

        Returns
        -------
        tuple
            The alerts to be emitted, and on how many tiles the detectors failed.
        """
        state = view.get(WATCH)
        if self._terms is None:
            if state is not None:
                self._forget(view)
            return [], 0
        if state is None or state["terms"] != self._promised:
            state = self._anew(view, state)
        self._begin_cohorts(view, state)
        emits: list[Emit] = []
        failures = 0
        for side, before in complete.items():
            tiles = list(self._tiles(side, state[side], before, awaited))
            if not tiles:
                continue
            self._shelves[side].touch(view)
            for tile in tiles:
                found, failed = self._hand(view, side, state[side], tile, revision)
                emits += found
                failures += failed
            self._shelves[side].save(view, self._states[side])
            view.put(WATCH, state)
            self._count_active(state)
        return ([] if restoring else emits), failures

    def _forget(self, view: View) -> None:
        """Delete the state of alarms that are not declared any more."""
        view.put(WATCH, None)
        for shelf in self._shelves.values():
            shelf.clear(view)

    def _anew(self, view: View, before: Any) -> dict[str, Any]:
        """Begin anew, and return what is kept; alerts of other terms will be said as over."""
        found: dict[str, Any] = {"terms": self._promised}
        for side in SIDES:
            found[side] = self._side_anew(view, side, None if before is None else before.get(side))
        view.put(WATCH, found)
        return found

    def _side_anew(self, view: View, side: str, before: Any) -> dict[str, Any]:
        alerts = [] if before is None else before["alerts"]
        close(alerts)
        self._states[side] = self._watches[side].fresh()
        self._shelves[side].save(view, self._states[side])
        return {"next": None, "alerts": alerts, "ages": list(self._ages[side])}

    def _begin_cohorts(self, view: View, state: dict[str, Any]) -> None:
        """Begin cohorts in a state of a release before them, or with other ages than it had."""
        before = state.get(COHORTS)
        if before is None or before["ages"] != list(self._ages[COHORTS]):
            state[COHORTS] = self._side_anew(view, COHORTS, before)
            view.put(WATCH, state)

    def _tiles(
        self, side: str, state: dict[str, Any], before: int, awaited: Callable[[int], bool]
    ) -> Iterator[int]:
        """Go through the tiles that are complete and were not handed yet."""
        assert self._terms is not None
        step, ledger, ages = self._terms.tile_ms, self._ledger, self._ages[side]
        if not ages:
            return
        if state["next"] is None:
            tiles = ledger.tiles()
            if not tiles or tiles[0] + ages[0] + step > before:
                return
            state["next"] = tiles[0] + ages[0]
        silent = 0
        while state["next"] + step <= before:
            tile = state["next"]
            cohorts = [tile - age for age in ages]
            if side == COHORTS and any(map(awaited, cohorts)):
                return
            silent = 0 if any(map(ledger.has, cohorts)) else silent + 1
            if silent > EMPTY_TILES_MAX:
                later = sorted(
                    each + age for each in ledger.tiles() for age in ages if tile < each + age
                )
                end = before - before % step
                state["next"], silent = min([end, *later[:1]]), 0
                continue
            state["next"] = tile + step
            yield tile

    def _hand(
        self, view: View, side: str, state: dict[str, Any], tile: int, revision: int
    ) -> tuple[list[Emit], int]:
        """Hand over one tile; return the alerts, and 1 if the detectors failed on it, else 0."""
        assert self._terms is not None
        promise_ms, end_ms, failed = self._terms.run_length_ms, tile + self._terms.tile_ms, 0
        verdicts: list[Verdict] = []
        totals = self._cohorts(view, tile) if side == COHORTS else self._totals(view, tile)
        try:
            verdicts = self._watches[side].observe(self._states[side], tile, totals)
            _check(verdicts)
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001 - whatever it is, counts go on; it is the same each time
            self._states[side], failed = self._watches[side].fresh(), 1
            verdicts = []
            close(state["alerts"])
        name = f"{self._name}-{side}"
        said = follow(state["alerts"], verdicts, end_ms=end_ms, near_ms=self._near_ms, name=name)
        records = [
            record_of(each, end_ms=end_ms, run_length_ms=promise_ms, revision=revision)
            for each in said
        ]
        encode = self._codec.encode
        emits = [Emit(self._topic, 0, each["id"].encode(), encode(each)) for each in records]
        return emits, failed

    def _totals(self, view: View, tile: int) -> dict[str, dict[str, int]]:
        """Return the counts of a tile by segment and name."""
        assert self._terms is not None
        self._ledger.post(view)
        span = (tile, tile + self._terms.tile_ms)
        segments = self._ledger.segments(span)
        if not self._segments:
            segments = [name for name in segments if name == ALL]
        return {name: flat(self._ledger.tile_total(view, tile, name)) for name in segments}

    def _cohorts(self, view: View, tile: int) -> dict[str, dict[str, int]]:
        """Return which labels events of each age have by a tile of label time."""
        self._ledger.post(view)
        counts: dict[str, int] = {}
        for age in self._ages[COHORTS]:
            counts |= at_age(self._ledger.tile_total(view, tile - age, ALL), age)
        return {ALL: counts}

    def _count_active(self, state: Any) -> None:
        sides = [] if state is None else [state[s]["alerts"] for s in SIDES if s in state]
        self.active = active(alert for alerts in sides for alert in alerts)


def _check(verdicts: Iterable[Verdict]) -> None:
    """See that each verdict is of numbers: one that is not would stay in the state for ever."""
    for verdict in verdicts:
        if not (isfinite(verdict.strength) and isfinite(verdict.effect)):
            raise ArithmeticError(f"{verdict.stream}: {verdict.strength}, {verdict.effect}")
