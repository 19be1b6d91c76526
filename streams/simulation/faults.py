"""What can go wrong in a world: which faults strike, and when.

A fault has a tick. A seed decides for each tick and kind by itself whether the fault strikes and
what it does then, so that any of them can be left out, and the others stay where they were.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from random import Random
from typing import NamedTuple

ODDS = 0.003
"""How likely a fault of rate 1 is in each tick."""


class Fault(NamedTuple):
    """A fault and its time.

    Attributes
    ----------
    kind
        One of :data:`headrace.streams.simulation.strikes.FAULTS`.
    tick
        The tick in which it strikes.
    """

    kind: str
    tick: int


class Faults:
    """Which faults strike in a world.

    Parameters
    ----------
    seed
        The world's.
    rates
        How often, by kind; 0 is never.
    most
        So many strike at most.
    only
        If given, these strike and no others.

    Attributes
    ----------
    struck
        Those that have struck so far.
    """

    def __init__(
        self, seed: int, rates: Mapping[str, int], most: int, only: Collection[Fault] | None = None
    ) -> None:
        self.rates = rates
        self.struck: list[Fault] = []
        self._seed = seed
        self._most = most
        self._only = None if only is None else frozenset(only)
        self._chances = {kind: Random(f"{seed} {kind}") for kind in rates}
        self._due: dict[str, tuple[Fault, Random]] = {}

    def go_on(self, tick: int, *, healing: bool) -> None:
        """Go to the next tick, and see which faults are due in it; in a world that heals, none."""
        self._due.clear()
        if healing:
            return
        for kind, chance in self._chances.items():
            if self._only is None:
                due = chance.random() < ODDS * self.rates[kind]
            else:
                due = (kind, tick) in self._only
            if due:
                self._due[kind] = (Fault(kind, tick), Random(f"{self._seed} {kind} {tick}"))

    def strike(self, kind: str) -> Random | None:
        """Return what decides a fault's details, if one of a kind strikes in this tick."""
        if kind not in self._due or len(self.struck) >= self._most:
            return None
        fault, rng = self._due.pop(kind)
        self.struck.append(fault)
        return rng

    def strike_call(self, kind: str) -> Random | None:
        """Do the same for one of the tick's calls that a fault can strike: any of the first few."""
        if kind not in self._due or self._due[kind][1].random() < 0.5:
            return None
        return self.strike(kind)
