"""A failing world is made small, and told in few lines."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import pytest

from headrace.streams.simulation.shrink import shrink
from headrace.streams.simulation.story import LINES_MAX, headline, story
from headrace.streams.simulation.world import World
from tests.simulation.bugs import BUGS
from tests.simulation.run import flow_named, run_world

pytestmark = [pytest.mark.simulation, pytest.mark.timeout(300)]

NAMED = {bug.name: bug for bug in BUGS}
RUNS_MAX = 80


def worlds_with(name: str) -> Iterator[World]:
    """Go through the worlds in which a planted bug is seen."""
    for seed in range(300):
        world = run_world(seed, "toy", NAMED[name].plan)
        if world.wrong:
            yield world


def found(name: str) -> World:
    """Return the first world in which a planted bug is seen."""
    return next(worlds_with(name))


@pytest.mark.parametrize("name", ["the store before the log", "checkpoint before the commit"])
def test_a_planted_bug_is_told_by_few_faults_and_few_records(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    NAMED[name].plant(monkeypatch)
    world = found(name)
    small = shrink(world, runs_max=RUNS_MAX)
    print(headline(small))
    print("\n".join(story(small)))
    assert small.wrong
    assert len(small.faults.struck) <= 3
    assert len(small.plan.kept or ()) <= 6 < len(world.published)
    assert len(story(small)) <= 40 < LINES_MAX


def test_of_many_faults_those_are_left_that_a_bug_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the middle one of three worlds: now and then one needs nearly all that befell it."""
    bug = NAMED["states and cut in two scripts"]
    bug.plant(monkeypatch)
    left = []
    for world in islice(worlds_with(bug.name), 3):
        small = shrink(world, runs_max=RUNS_MAX)
        print(headline(small))
        assert small.wrong
        assert 0 < len(small.faults.struck) < len(world.faults.struck)
        left.append(len(small.faults.struck))
    assert sorted(left)[1] <= 10


def test_a_small_world_is_its_plan_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    bug = NAMED["the store before the log"]
    with monkeypatch.context() as patch:
        bug.plant(patch)
        small = shrink(found(bug.name), runs_max=30)
        again = World(small.seed, flow_named("toy"), small.plan, traced=True)
        assert again.run() == small.wrong
        assert again.trace == small.trace
    assert not World(small.seed, flow_named("toy"), small.plan).run()


def test_no_more_worlds_are_run_than_there_is_time_for(monkeypatch: pytest.MonkeyPatch) -> None:
    bug = NAMED["the store before the log"]
    bug.plant(monkeypatch)
    world, asked = found(bug.name), []

    def go_on() -> bool:
        asked.append(1)
        return len(asked) < 5

    assert shrink(world, go_on=go_on).wrong
    assert len(asked) == 5
