"""The flows of the simulator's own tests, and how a world of one is run by its seed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from headrace.streams.load import load_pipeline
from headrace.streams.plan import plan_of
from headrace.streams.simulation.declared import DeclaredFlow
from headrace.streams.simulation.flow import Workload
from headrace.streams.simulation.shrink import shrink
from headrace.streams.simulation.story import headline, story
from headrace.streams.simulation.world import Plan, World
from tests.simulation.product import bearings, machines, presses
from tests.simulation.together import Together
from tests.simulation.toy import ToyFlow

SHRINK_S = 30.0
RIDES = Path(__file__).parents[2] / "examples" / "rides" / "pipeline.py"

FLOWS: Mapping[str, Callable[[], Workload]] = {
    "toy": ToyFlow,
    "product": lambda: DeclaredFlow(plan_of(machines)),
    "by reference": lambda: DeclaredFlow(plan_of(machines), inline_bytes_max=1),
    "long waits": lambda: DeclaredFlow(plan_of(bearings)),
    "regression": lambda: DeclaredFlow(plan_of(load_pipeline(RIDES))),
    "together": lambda: Together([DeclaredFlow(plan_of(each)) for each in (machines, presses)]),
}


@cache
def flow_named(name: str) -> Workload:
    return FLOWS[name]()


def run_world(
    seed: int, flow: str = "toy", plan: Plan | None = None, *, traced: bool = False
) -> World:
    """Run the world of a seed to its end."""
    world = World(seed, flow_named(flow), plan, traced=traced)
    world.run()
    return world


def told(world: World) -> str:
    """Return what is wrong with a world, and the story of the smallest like it."""
    end = time.monotonic() + SHRINK_S
    small = shrink(world, go_on=lambda: time.monotonic() < end)
    lines = [f"seed {world.seed}: " + "; ".join(world.wrong)[:1000]]
    lines += [f"made small: {headline(small)}; to keep it: {small.plan}", *story(small)]
    return "\n".join([*lines, *small.wrong])
