"""What happened in a world that is wrong, in as few lines as tell it."""

from __future__ import annotations

from headrace.streams.simulation.world import Step, World

LINES_MAX = 80
"""So many of the last lines are told."""

LINE_CHARS_MAX = 160


def story(world: World) -> list[str]:
    """Return the trace of a world that has run traced, a line for each step that matters.

    Single calls are left out, tasks to which nothing ever came, and processes of which there is
    nothing else to tell.
    """
    busy = {step.task for step in world.trace if step.what.startswith("processed")}
    told = [s for s in world.trace if not s.call and (s.task is None or s.task in busy)]
    seen = {step.who for step in told if step.what != "starts"}
    lines = [_line(step) for step in told if step.who in seen]
    left_out = len(lines) - LINES_MAX
    return [f"({left_out} lines before)", *lines[left_out:]] if left_out > 0 else lines


def headline(world: World) -> str:
    """Return what a world is made of, in one sentence."""
    records = len(world.published) if world.plan.kept is None else len(world.plan.kept)
    kinds = [fault.kind for fault in world.faults.struck]
    faults = ", ".join(kinds) if kinds else "no fault"
    return f"seed {world.seed}, {records} records, {faults}"


def _line(step: Step) -> str:
    what = step.what
    if len(what) > LINE_CHARS_MAX:
        what = what[: LINE_CHARS_MAX - 3] + "..."
    return f"{step.now_ms:6} {step.who:12} {what}"
