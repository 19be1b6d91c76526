"""A world that is wrong, made small: fewer faults and fewer records, as long as it stays wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from headrace.streams.simulation.world import World

RUNS_MAX = 600
"""So many smaller worlds are tried at most."""

ORDERS = 3
"""In so many interleavings a smaller world is tried, once the easy steps are done."""


def shrink(
    world: World, *, runs_max: int = RUNS_MAX, go_on: Callable[[], bool] = lambda: True
) -> World:
    """Return a world that is wrong too, with as few faults and records as could be found, traced.

    Greedy: first the end is cut off, which changes nothing of what was before it; then parts are
    left out, big ones first, and stay out if the rest is still wrong.

    Parameters
    ----------
    world
        One that has run, and is wrong.
    runs_max
        How many worlds may be run for it.
    go_on
        Asked before each run: whether there is time for another.
    """
    return _Shrinking(world, runs_max, go_on).run()


class _Shrinking:
    def __init__(self, world: World, runs_max: int, go_on: Callable[[], bool]) -> None:
        self.best = world
        self._runs = runs_max
        self._go_on = go_on
        self._orders = 1

    def run(self) -> World:
        self._try(only=tuple(self.best.faults.struck), ticks=self.best.ticks)  # the same, traced
        self._try(loss="")
        before = None
        while self._runs > 0 and self._size() != before:
            before = self._size()
            self._shorten()
            self._fewer("only", self.best.faults.struck)
            self._fewer("kept", self._kept())
            if self.best.plan.workers is None:
                self._try(workers=1)
            if self._orders < ORDERS:
                self._orders, before = ORDERS, None
        self._try(only=tuple(self.best.faults.struck))  # not those that the end cut off
        return self.best

    def _size(self) -> tuple[int, int, int]:
        return len(self._kept()), len(self.best.faults.struck), self.best.ticks

    def _kept(self) -> Sequence[int]:
        kept = self.best.plan.kept
        return range(len(self.best.published)) if kept is None else kept

    def _shorten(self) -> None:
        """Find the earliest end behind which neither faults nor records are needed."""
        low, high = 0, self.best.ticks
        while high - low > 1:
            middle = (low + high) // 2
            kept = tuple(n for n in self._kept() if self.best.published[n] <= middle)
            if self._try(ticks=middle, kept=kept):
                high = middle
            else:
                low = middle

    def _fewer(self, name: str, items: Sequence[Any]) -> None:
        """Leave out what can be, all at once, then halves, then quarters, down to single ones."""
        left, size = tuple(items), len(items)
        while size:
            start = 0
            while start < len(left):
                rest = left[:start] + left[start + size :]
                if self._try(**{name: rest}):
                    left = rest
                else:
                    start += size
            size //= 2

    def _try(self, **changes: Any) -> bool:
        """Run a changed world; say whether it is wrong, and the best one now."""
        best = self.best
        plan = replace(best.plan, **changes)
        for more in range(self._orders):
            if self._runs <= 0 or not self._go_on():
                self._runs = 0
                return False
            self._runs -= 1
            tried = replace(plan, order=plan.order + more)
            world = World(best.seed, best.flow, tried, traced=True, made=best.made)
            if world.run():
                self.best = world
                return True
        return False
