"""Sums with memory: what watched streams add up, slot by slot.

All scalars of all streams stand side by side, so that one slot is a few operations on arrays. The
state is lists of numbers; arrays are made of them when it was read, not at each slot.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from headrace.streams.detectors.noise import CLIP, WEEK, Floats, standardized
from headrace.streams.detectors.replays import lengths

DRIFT = 0.25
"""What the cumulative sums that date a change lose in each slot, in standard deviations."""

EVENTS_MIN = 20
"""A sum over fewer events says nothing."""

Fits = dict[str, dict[str, Any]]


class Board(NamedTuple):
    """What all watched streams are held against, side by side.

    Attributes
    ----------
    names
        Streams in order.
    starts
        Where each stream's scalars begin; then their number.
    """

    names: tuple[str, ...]
    starts: tuple[int, ...]
    profile: Floats
    week: Floats
    v: Floats
    tau2: Floats
    extra: Floats
    limits: Floats
    centers: Floats
    wide: Floats
    members: Floats
    sides: Floats
    bounds: Floats

    @classmethod
    def of(cls, fits: Fits) -> Board:
        """Put fits side by side."""
        names = tuple(sorted(fits))
        widths = [len(fits[name]["tau2"]) for name in names]
        starts = np.concatenate(([0], np.cumsum(widths))).astype(int).tolist()
        each = [fits[name] for name in names]

        def joined(part: str, axis: int) -> Floats:
            return np.concatenate(
                [np.array(fit[part], dtype=np.float64) for fit in each], axis=axis
            )

        sides = np.repeat([float(fit["side"]) for fit in each], widths)
        spans = len(fits[names[0]]["limits"][0])
        # Fits of an earlier release have no bounds of their own, and no week.
        bounds = [np.broadcast_to(np.array(fit.get("bounds", [CLIP])), spans) for fit in each]
        weeks = [
            np.array(fit.get("week", np.zeros((WEEK, width))))
            for fit, width in zip(each, widths, strict=True)
        ]
        return cls(
            names, tuple(starts), joined("profile", 1), np.concatenate(weeks, axis=1),
            joined("v", 1), joined("tau2", 0), joined("extra", 0), joined("limits", 0),
            joined("centers", 0), joined("wide", 0), joined("members", 0), sides,
            np.repeat(np.array(bounds), widths, axis=0),
        )  # fmt: skip


class Sums:
    """The running sums of all watched streams.

    Parameters
    ----------
    spans
        Memories, in slots.
    lists
        Plain data, as :meth:`plain` returned it.
    """

    def __init__(self, spans: Sequence[int], lists: dict[str, list[Any]]) -> None:
        self._keep = 1.0 - 1.0 / np.array(spans)
        width = len(spans)
        self.sums = np.array(lists["sums"], dtype=np.float64).reshape(-1, width)
        self.scale = np.array(lists["scale"], dtype=np.float64).reshape(-1, width)
        self.seen = np.array(lists["seen"], dtype=np.float64).reshape(-1, width)
        self.usual = np.array(lists["usual"], dtype=np.float64).reshape(-1, width)
        self.events = np.array(lists["events"], dtype=np.float64).reshape(-1, width)
        self.dated = np.array(lists["dated"], dtype=np.float64).reshape(-1, 2)
        self.since = np.array(lists["since"], dtype=np.int64).reshape(-1, 2)

    def plain(self) -> dict[str, list[Any]]:
        """Return the sums as lists."""
        return {name: getattr(self, name).ravel().tolist() for name in PARTS}

    def add(self, board: Board, at: int, n: Floats, found: Floats) -> tuple[Floats, Floats]:
        """Add a slot; return how strong each sum, and each stream's length, is for its threshold.

        Parameters
        ----------
        at
            The slot's number, of all time.
        n, found
            Events, and what was found of them, by scalar.
        """
        date, slot = divmod(at, len(board.profile))
        usual = n * (board.profile[slot] + board.week[date % WEEK])
        residual = found - usual
        deviate, weight = standardized(n, residual, board.v[slot], board.tau2, board.extra)
        bounded = np.clip(deviate[:, None], -board.bounds, board.bounds)
        self.sums = self.sums * self._keep + bounded * weight[:, None]
        self.scale = self.scale * (self._keep * self._keep) + (weight * weight)[:, None]
        self.seen = self.seen * self._keep + found[:, None]
        self.usual = self.usual * self._keep + usual[:, None]
        self.events = self.events * self._keep + n[:, None]
        self._date(at, np.clip(deviate, -CLIP, CLIP))
        present = (n > 0)[:, None] & (self.events >= EVENTS_MIN)
        found = present * self.sums / np.sqrt(np.maximum(self.scale, 1e-300))
        first = np.array(board.starts[:-1])
        length = lengths(found, board.members, first) - board.centers
        strength, sides = found / board.limits, board.sides[:, None]
        strength = np.where(sides == 0, np.abs(strength), strength * sides)
        return strength, present[first] * length / board.wide

    def since_of(self, row: int, span: int, slot: int) -> int:
        """Return from which slot on a scalar has changed: at most four times the span ago."""
        side = 0 if self.sums[row, span] > 0 else 1
        oldest = slot - 4 * round(1.0 / (1.0 - float(self._keep[span])))
        return max(int(self.since[row, side]), oldest)

    def _date(self, at: int, deviate: Floats) -> None:
        """Keep since when each scalar has been high, and low: CUSUM's last zero."""
        moved = self.dated + np.stack((deviate, -deviate), axis=1) - DRIFT
        self.since = np.where(self.dated > 0, self.since, at)
        self.dated = np.maximum(moved, 0.0)


PARTS = ("sums", "scale", "seen", "usual", "events", "dated", "since")
_WIDE = PARTS[:5]


def no_sums() -> dict[str, list[Any]]:
    """Return the sums of no stream."""
    return {name: [] for name in PARTS}


def laid_out(
    lists: dict[str, list[Any]], before: Board | None, after: Board, spans: int, restart: set[str]
) -> dict[str, list[Any]]:
    """Return sums in another board's order; new streams, and those to restart, begin with zeros."""
    places = {} if before is None else {name: i for i, name in enumerate(before.names)}
    found = no_sums()
    for i, name in enumerate(after.names):
        size = after.starts[i + 1] - after.starts[i]
        place = None if name in restart else places.get(name)
        for part in PARTS:
            width = spans if part in _WIDE else 2
            if place is None or before is None:
                found[part] += [0 if part == "since" else 0.0] * (size * width)
            else:
                start, end = before.starts[place] * width, before.starts[place + 1] * width
                found[part] += lists[part][start:end]
    return found
