"""What a kind of fault is, and how a worker is brought to a point at which one strikes."""

from __future__ import annotations

import time
from collections.abc import Callable
from random import Random
from typing import NamedTuple

from tests.faults.slots import NONE, Fault, Slot
from tests.faults.trial import Trial

COMMIT = (
    "before:log.begin", "after:log.begin", "after:log.produce", "after:log.send_offsets",
)  # fmt: skip
"""Between two steps of a commit, up to where its outcome is unknown."""

SAVED = "after:registry.insert_checkpoint"
STORED = (*COMMIT, "after:log.end", "after:store.write")
LEARNED = (*COMMIT, "after:log.end", SAVED)
"""Points of a commit: of a task whose state is stored, and of a learner."""

TAKE_OVER = (
    "before:registry.witness", "after:registry.witness", "after:log.committed",
    "after:log.topic_id", "after:log.partition_count",
)  # fmt: skip
STORED_TAKE_OVER = ("after:store.claim", *TAKE_OVER)
LEARNED_TAKE_OVER = (
    "after:registry.checkpoint_head", *TAKE_OVER, "after:registry.newest_checkpoint",
)  # fmt: skip
"""Points of each take-over; what is replayed has points of its own."""

POINT_S = 5.0
"""So long a worker may take to reach a point: it commits some times in a second."""
TAKE_OVER_S = 10.0
"""And so long to be started, to be given its tasks, and to reach a point of taking them over."""

_DISARMED_S = 0.1
"""So long after it was disarmed a fault may still strike."""


class Struck(NamedTuple):
    """What a fault did.

    Attributes
    ----------
    where
        To whom, and at which point.
    since_s
        From when the time to the next output counts: the stroke, or the return of a part.
    note
        What else was seen.
    gap_s
        For how long nothing came to an output or was committed, where that is what counts.
    """

    where: str
    since_s: float
    note: str = ""
    gap_s: float | None = None


Act = Callable[[Trial, Random], Struck | None]
"""Does a fault and all that belongs to it; None if its point was not reached."""


class Kind(NamedTuple):
    """A kind of fault.

    Attributes
    ----------
    odds
        How often it is drawn, compared with others.
    """

    name: str
    odds: int
    act: Act


def any_slot(trial: Trial, random: Random) -> Slot:
    """Return any worker's place."""
    return random.choice(list(trial.system.slots.values()))


def busy_slot(trial: Trial, random: Random, *but: Slot) -> Slot:
    """Return the place of a worker that holds tasks by its own word, of a role drawn first."""
    busy = [slot for slot in trial.busy() if slot not in but]
    roles = sorted({slot.role for slot in busy})
    assert roles, "no worker says that it holds tasks"
    role = random.choice(roles)
    return random.choice([slot for slot in busy if slot.role == role])


def commit_fault(slot: Slot, random: Random, kind: str) -> Fault:
    """Return a fault at a point of the commits of a worker's role."""
    point = random.choice(LEARNED if slot.role == "learn" else STORED)
    return Fault(kind, point, 1 if point == SAVED else random.randint(1, 3))


def take_over_fault(slot: Slot, random: Random, kind: str, *, replaying: bool = True) -> Fault:
    """Return a fault at a point of a take-over by a worker's role.

    Parameters
    ----------
    replaying
        Whether it may be a point that is reached only if there is something to replay.
    """
    learns = slot.role == "learn"
    points = list(LEARNED_TAKE_OVER if learns else STORED_TAKE_OVER)
    if replaying:
        points += ["after:log.read"] if learns else ["after:log.read", "before:store.write"]
    return Fault(kind, random.choice(points))


def armed(trial: Trial, slot: Slot, fault: Fault) -> float | None:
    """Let a fault befall a worker that runs; return when it struck, None if it did not.

    A learner saves its model seldom, but always before it stops: so it is told to stop.
    """
    slot.arm(fault)
    if fault.point == SAVED:
        slot.ask_to_stop()
    return struck(trial, slot, POINT_S)


def struck(trial: Trial, slot: Slot, limit_s: float) -> float | None:
    """Wait until a worker's fault strikes; return when, None if it does not.

    Who was killed may be started again before we look: what is looked at is this process' word.
    """
    told, pid = slot.told, slot.pid
    if not trial.comes(told.exists, limit_s):
        if slot.pid == pid:
            slot.arm(NONE)
        time.sleep(_DISARMED_S)
        if not told.exists():
            return None
    return told.stat().st_mtime


def killed_before(trial: Trial, slot: Slot, fault: Fault) -> float | None:
    """Kill a worker behind a commit that is not yet in its state; the next one has a fault."""
    slot.following = fault
    if armed(trial, slot, Fault("kill", "after:log.end")) is None:
        slot.following = NONE
        return None
    trial.wait_for(lambda: slot.fault == fault, POINT_S, f"{slot} is started again")
    return struck(trial, slot, TAKE_OVER_S)
