"""Which statistics of a pipeline have changed, tile by tile, with a promise about false alarms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any

import numpy as np

from headrace.streams.detectors.calendar import Calendar
from headrace.streams.detectors.calibration import Ask, calibrated
from headrace.streams.detectors.channels import Families
from headrace.streams.detectors.episodes import Episode, begun, step
from headrace.streams.detectors.learning import (
    ask_of,
    found_in,
    fresh_learner,
    is_due,
    next_due,
    note,
    plain_fit,
    reference_days,
)
from headrace.streams.detectors.noise import Floats
from headrace.streams.detectors.references import KIND, judged, shares
from headrace.streams.detectors.roster import Roster, Totals, added
from headrace.streams.detectors.running import Board, Sums, laid_out, no_sums
from headrace.streams.detectors.verdicts import Stream, Terms, Verdict
from headrace.streams.groups import Groups, paired, psi

EARLY = 1.25
"""Within a slot an alarm begins when a sum is so many times its threshold: what is large need not
wait for the slot's end, and looking more often hardly makes for more false alarms there."""

State = dict[str, Any]


class Watch:
    """Watches some kinds of streams: a function of its state and the totals.

    Parameters
    ----------
    terms
        The declaration's.
    kinds
        Which kinds of streams to look at: inputs and scores are complete before outcomes are.

    Examples
    --------
    >>> terms = Terms(3_600_000, 14 * 86_400_000, 90 * 86_400_000, "binary", (("x", "number"),))
    >>> watch = Watch(terms, ("input", "score"))
    >>> state = watch.fresh()
    >>> watch.observe(state, 0, {"all": {"events": 2, "feature.x:1313": 2, "score:-64": 2}})
    []
    """

    def __init__(self, terms: Terms, kinds: tuple[str, ...]) -> None:
        self._terms = terms
        self._calendar = Calendar.of(terms.tile_ms)
        self._spans = self._calendar.spans
        self._days = reference_days(terms.reference_ms, self._calendar.block_ms)
        blocks = terms.run_length_ms / self._calendar.block_ms
        self._roster = Roster(terms.task, terms.features, kinds, blocks, terms.label_ages_ms)
        # What was made of lists of the state: valid for these very lists alone.
        self._board: tuple[Any, Board] | None = None
        self._sums: tuple[Any, Sums] | None = None
        self._groupings: dict[str, tuple[Any, Groups]] = {}

    def fresh(self) -> State:
        """Return the state before anything was observed."""
        return {"part": None, "segments": [], "streams": {}, "fits": {}, "sums": no_sums()}

    def observe(self, state: State, tile_start_ms: int, totals: Totals) -> list[Verdict]:
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
        slot_ms, tile_ms = self._calendar.slot_ms, self._terms.tile_ms
        found = self._roster.read(state["segments"], totals)
        if slot_ms != tile_ms:
            part = state["part"]
            found = found if part is None else added(part, found)
            if (tile_start_ms + tile_ms) % slot_ms:
                state["part"] = found
                return self._look_early(state, tile_start_ms, found) if state["fits"] else []
            state["part"] = None
        slot = tile_start_ms // slot_ms
        verdicts = self._judge(state, slot, found) if state["fits"] else []
        return verdicts + self._learn(state, slot, found)

    # -- learning

    def _learn(self, state: State, slot: int, found: Mapping[str, Families]) -> list[Verdict]:
        due: dict[int, list[str]] = {}
        learners = state["streams"]
        for key, segment, channel in self._roster.channels(state["segments"]):
            learner = learners.get(key)
            if learner is None:
                learner = learners[key] = {**fresh_learner(self._days), "episode": None}
            if learner["due"] is None or learner["episode"] is not None:
                continue
            note(learner, channel, found.get(segment, {}), slot, self._calendar)
            if is_due(learner, slot, self._calendar):
                due.setdefault(learner["due"], []).append(key)
        verdicts: list[Verdict] = []
        for days in sorted(due):
            verdicts += self._fit(state, slot, due[days])
        return verdicts

    def _fit(self, state: State, slot: int, keys: Sequence[str]) -> list[Verdict]:
        """Calibrate streams whose histories have the same days, and have not drifted."""
        learners, verdicts = state["streams"], []
        asks: dict[str, Ask] = {}
        extras: dict[str, dict[str, Any]] = {}
        for key in keys:
            segment, channel = self._roster.of(key)
            rate = self._roster.rate(state["segments"], segment, channel)
            learner = learners[key]
            ask, extra = ask_of(learner, channel, slot, self._calendar, rate)
            said = judged(learner, ask, self._names(key, learner), slot, self._calendar)
            learner.pop("ungrouped", None)
            if said in ("begun", "over"):
                verdicts.append(self._of_reference(key, learner, said, slot))
            if said not in ("begun", "ongoing"):
                asks[key], extras[key], learner["drift"] = ask, extra, None
        if not asks:
            return verdicts
        fits = dict(state["fits"])
        for key, fit in zip(asks, calibrated(list(asks.values()), self._spans), strict=True):
            fits[key] = plain_fit(fit, extras[key], slot, self._calendar)
            learner = learners[key]
            learner["due"] = next_due(learner["due"])
            if learner["due"] is None:
                learner["rows"] = []
        self._hold(state, fits, set(asks))
        return verdicts

    def _names(self, key: str, learner: Mapping[str, Any]) -> list[str] | None:
        """Return what a distribution's groups are called; None of a mean."""
        grouping = self._grouping(key, learner)
        if grouping is None:
            return None
        _, channel = self._roster.of(key)
        return grouping.labels(probabilities=channel.probabilities)

    def _of_reference(self, key: str, learner: Mapping[str, Any], said: str, slot: int) -> Verdict:
        """Return what is said of a reference that has drifted."""
        segment, channel = self._roster.of(key)
        drift, slot_ms = learner["drift"], self._calendar.slot_ms
        return Verdict(
            Stream(KIND, channel.name, segment), said,
            drift["since"] * slot_ms - channel.age_ms, (slot + 1) * slot_ms,
            drift["strength"], drift["effect"],
            shares(drift["reference"]), shares(drift["observed"]),
        )  # fmt: skip

    def _hold(self, state: State, fits: dict[str, Any], restart: set[str]) -> None:
        """Have streams held against other fits."""
        width = len(self._spans)
        before = self._board_of(state) if state["fits"] else None
        if fits:
            after = Board.of(fits)
            state["sums"] = laid_out(state["sums"], before, after, width, restart)
        else:
            state["sums"] = no_sums()
        state["fits"] = fits

    # -- judging

    def _board_of(self, state: State) -> Board:
        fits = state["fits"]
        if self._board is None or self._board[0] is not fits:
            self._board = (fits, Board.of(fits))
        return self._board[1]

    def _sums_of(self, state: State) -> Sums:
        lists = state["sums"]
        if self._sums is None or self._sums[0] is not lists:
            self._sums = (lists, Sums(self._spans, lists))
        return self._sums[1]

    def _grouping(self, key: str, learner: Mapping[str, Any]) -> Groups | None:
        grouping = learner["grouping"]
        if grouping is None:
            return None
        kept = self._groupings.get(key)
        if kept is None or kept[0] is not grouping:
            kept = self._groupings[key] = (grouping, Groups(grouping))
        return kept[1]

    def _judge(self, state: State, slot: int, found: Mapping[str, Families]) -> list[Verdict]:
        board, sums = self._board_of(state), self._sums_of(state)
        self._sums = None  # should this fail half-way, the state's lists are what counts
        strengths, together = self._add(state, board, sums, slot, found)
        state["sums"] = sums.plain()
        self._sums = (state["sums"], sums)
        return self._conclude(state, slot, strengths, together)

    def _look_early(
        self, state: State, tile_start_ms: int, found: Mapping[str, Families]
    ) -> list[Verdict]:
        """Begin alarms that need not wait for the end of the slot; the sums stay as they were."""
        slot, board = tile_start_ms // self._calendar.slot_ms, self._board_of(state)
        sums = copy(self._sums_of(state))
        strengths, together = self._add(state, board, sums, slot, found)
        verdicts: list[Verdict] = []
        for i, (key, strength) in enumerate(
            zip(board.names, strongest(board, strengths, together).tolist(), strict=True)
        ):
            learner = state["streams"][key]
            if learner["episode"] is None and strength >= EARLY:
                learner["episode"] = self._begun(board, sums, i, slot, strengths, together)
                until_ms = tile_start_ms + self._terms.tile_ms
                verdicts.append(self._verdict(state, sums, i, "begun", until_ms, strength))
        return verdicts

    def _add(
        self, state: State, board: Board, sums: Sums, slot: int, found: Mapping[str, Families]
    ) -> tuple[Floats, Floats]:
        """Add what a slot has to sums; return how strong they are."""
        learners = state["streams"]
        events: list[int] = []
        sources: list[float] = []
        for key in board.names:
            segment, channel = self._roster.of(key)
            grouping = self._grouping(key, learners[key])
            n, here = found_in(state["fits"][key], channel, grouping, found.get(segment, {}))
            events.append(n)
            sources += here
        by_scalar = np.repeat(np.array(events, dtype=np.float64), np.diff(board.starts))
        return sums.add(board, slot, by_scalar, np.array(sources, dtype=np.float64))

    def _conclude(
        self, state: State, slot: int, strengths: Floats, together: Floats
    ) -> list[Verdict]:
        """Begin, go on with, and end alarms."""
        board, sums = self._board_of(state), self._sums_of(state)
        highest = strongest(board, strengths, together).tolist()
        lowest = np.minimum.reduceat(strengths.min(axis=1), board.starts[:-1]).tolist()
        verdicts: list[Verdict] = []
        forgotten: list[str] = []
        for i, key in enumerate(board.names):
            learner, strength = state["streams"][key], highest[i]
            if learner["episode"] is None and strength < 1.0:
                if lowest[i] <= -1.0:  # better than ever: that is usual from now on
                    forgotten.append(key)
                continue
            if learner["episode"] is None:
                learner["episode"] = self._begun(board, sums, i, slot, strengths, together)
                said: str | None = "begun"
            else:
                said = step(learner["episode"], slot, self._calendar.slots, strength)
            if said is None:
                continue
            until_ms = (slot + 1) * self._calendar.slot_ms
            verdicts.append(self._verdict(state, sums, i, said, until_ms, strength))
            if said == "normal":
                forgotten.append(key)
            elif said == "over":
                learner["episode"] = None
        return verdicts + self._forget(state, slot, forgotten)

    def _begun(
        self, board: Board, sums: Sums, place: int, slot: int, strengths: Floats, together: Floats
    ) -> Episode:
        """Return an alarm that begins, by the stream's sum or length that is strongest."""
        start, end = board.starts[place : place + 2]
        singly, length = strengths[start:end], together[place]
        if length.max() > singly.max():
            span = int(length.argmax())
            scalar = int(singly[:, span].argmax())
        else:
            scalar, span = divmod(int(singly.argmax()), len(self._spans))
        since = sums.since_of(start + scalar, span, slot)
        return begun(slot, since, scalar, span)

    def _forget(self, state: State, slot: int, keys: Sequence[str]) -> list[Verdict]:
        """Have streams learn what is usual from the beginning; what drifts does so no more."""
        if not keys:
            return []
        learners = state["streams"]
        verdicts = [
            self._of_reference(key, learners[key], "over", slot)
            for key in keys
            if learners[key].get("drift") is not None
        ]
        for key in keys:
            state["streams"][key] = {**fresh_learner(self._days), "episode": None}
        fits = {key: fit for key, fit in state["fits"].items() if key not in keys}
        self._hold(state, fits, set())
        return verdicts

    def _verdict(
        self, state: State, sums: Sums, place: int, said: str, until_ms: int, strength: float
    ) -> Verdict:
        board = self._board_of(state)
        key, start = board.names[place], board.starts[place]
        segment, channel = self._roster.of(key)
        learner = state["streams"][key]
        episode, slot_ms = learner["episode"], self._calendar.slot_ms
        span = episode["span"]
        names = self._names(key, learner)
        size = 1 if names is None else len(names)
        seen = sums.seen[start : start + size, span].tolist()
        usual = np.maximum(sums.usual[start : start + size, span], 0.0).tolist()
        n = max(float(sums.events[start, span]), 1e-9)
        if names is None:
            names, effect, m = ["mean"], (seen[0] - usual[0]) / n, n
        else:
            effect, m = psi(paired(seen, usual)), max(sum(usual), 1e-9)
        return Verdict(
            Stream(channel.kind, channel.name, segment),
            "over" if said == "normal" else said,
            episode["since"] * slot_ms - channel.age_ms,
            until_ms,
            strength,
            effect,
            tuple((name, each / m) for name, each in zip(names, usual, strict=True)),
            tuple((name, each / n) for name, each in zip(names, seen, strict=True)),
        )


def strongest(board: Board, strengths: Floats, together: Floats) -> Floats:
    """Return how strong each stream's strongest sum is."""
    single = np.maximum.reduceat(strengths.max(axis=1), board.starts[:-1])
    return np.asarray(np.maximum(single, together.max(axis=1)))
