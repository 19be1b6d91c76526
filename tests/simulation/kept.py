"""Worlds that once were wrong, and run for ever: each with what was wrong then.

A change of what a seed draws makes another world of it: so each is kept besides the test of what
was mended, never instead of it.
"""

from __future__ import annotations

from typing import NamedTuple

from headrace.streams.simulation.world import Plan


class Kept(NamedTuple):
    """A world: a flow, a seed, and what it was run with (a small world's faults and records)."""

    flow: str
    seed: int
    plan: Plan
    why: str


KEPT = (
    Kept("product", 77005, Plan(), "a restore did not ask the model that then failed to learn"),
    Kept("together", 77004, Plan(), "the same, of two models in a process"),
    Kept("regression", 2, Plan(events=60), "a big count was compared limb by limb"),
)
