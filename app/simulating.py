"""Worlds of a user's own pipeline: run one after the other, the first that is wrong made small."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import monotonic

from headrace.streams.plan import Plan
from headrace.streams.simulation.declared import DeclaredFlow
from headrace.streams.simulation.shrink import shrink
from headrace.streams.simulation.story import headline, story
from headrace.streams.simulation.world import Plan as WorldPlan
from headrace.streams.simulation.world import World

SHRINK_S = 30.0
"""For so long a smaller world is looked for."""

Progress = Callable[[str, float | None], None]


@dataclass(frozen=True, slots=True)
class Violation:
    """A world that is wrong, as small as it could be made.

    Attributes
    ----------
    seed
        Of the world that was found.
    smallest
        What the small one is made of.
    faults
        How many faults it needs.
    wrong
        What does not hold in it.
    trace
        What happened in it, a line for each step.
    """

    seed: int
    smallest: str
    faults: int
    wrong: tuple[str, ...]
    trace: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """What came of some worlds.

    Attributes
    ----------
    seed, worlds, events
        The first seed, how many worlds were run, and how many events each of them had.
    faults
        How many struck, by kind.
    refused
        In how many worlds a worker refused, as it should, to go on after a loss.
    violation
        The first world that was wrong, if any was.
    """

    pipeline: str
    seed: int
    worlds: int
    events: int
    faults: Mapping[str, int]
    refused: int
    violation: Violation | None


def simulate(
    plan: Plan, *, seed: int, worlds: int, events: int, progress: Progress = lambda *_: None
) -> Report:
    """Run worlds of a pipeline until one is wrong.

    Parameters
    ----------
    seed
        The first world's; the others follow.
    worlds, events
        How many worlds are run at most, and how many events are made up for each.
    progress
        Told what is being done, and which part of it is done.

    Raises
    ------
    InputError
        No valid events or labels can be made up.
    """
    flow, made = DeclaredFlow(plan), WorldPlan(events=events)
    faults, refused, number = Counter[str](), 0, 0
    wrong: World | None = None
    for number in range(1, worlds + 1):
        progress(f"world {number} of {worlds}", (number - 1) / worlds)
        world = World(seed + number - 1, flow, made)
        world.run()
        faults.update(fault.kind for fault in world.faults.struck)
        refused += bool(world.refused)
        if world.wrong:
            wrong = world
            break
    violation = None if wrong is None else _violation(wrong, progress)
    return Report(plan.name, seed, number, events, dict(sorted(faults.items())), refused, violation)


def _violation(world: World, progress: Progress) -> Violation:
    progress(f"seed {world.seed} is wrong; looking for a smaller world", None)
    end = monotonic() + SHRINK_S
    small = shrink(world, go_on=lambda: monotonic() < end)
    return Violation(
        world.seed,
        headline(small),
        len(small.faults.struck),
        tuple(small.wrong),
        tuple(story(small)),
    )


def sentences(report: Report) -> list[str]:
    """Return what is said of a report, a line each."""
    total = sum(report.faults.values())
    kinds = sorted(report.faults.items(), key=lambda pair: (-pair[1], pair[0]))
    named = ", ".join(f"{kind} {count}" for kind, count in kinds)
    said = [
        f"{report.pipeline}: {report.worlds} worlds of {report.events} events from seed"
        f" {report.seed}, {total} faults ({named or 'none'}); {report.refused} worlds refused to"
        " go on after a loss, as they should."
    ]
    if report.violation is None:
        return [*said, "No violation: all of them are as the sequential fold has them."]
    return [*said, *_told(report.violation)]


def _told(violation: Violation) -> list[str]:
    said = [f"Violation in the world of seed {violation.seed}, made small ({violation.smallest}):"]
    said += [*violation.trace, *violation.wrong]
    if not violation.faults:
        said.append(
            "It needs no fault. Most likely a feature's function, a rule or the model does not"
            " depend on its input alone: a clock, a random number without a seed, a counter."
        )
    return said
