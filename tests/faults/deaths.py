"""The faults: workers, or a part of one, that die."""

from __future__ import annotations

import signal
import time
from random import Random

from tests.faults.kinds import (
    Kind,
    Struck,
    any_slot,
    armed,
    busy_slot,
    commit_fault,
    killed_before,
    take_over_fault,
)
from tests.faults.slots import Fault, Slot
from tests.faults.trial import Trial


def killed(trial: Trial, random: Random) -> Struck:
    slot = any_slot(trial, random)
    trial.wait(random.random())
    since_s = time.time()
    slot.signal(signal.SIGKILL)
    return Struck(str(slot), since_s)


def killed_at_commit(trial: Trial, random: Random) -> Struck | None:
    slot = busy_slot(trial, random)
    fault = commit_fault(slot, random, "kill")
    since_s = armed(trial, slot, fault)
    return None if since_s is None else Struck(f"{slot} {fault.point}", since_s)


def killed_at_take_over(trial: Trial, random: Random) -> Struck | None:
    slot = busy_slot(trial, random)
    fault = take_over_fault(slot, random, "kill")
    since_s = killed_before(trial, slot, fault)
    return None if since_s is None else Struck(f"{slot} {fault.point}", since_s)


def killed_together(trial: Trial, random: Random) -> Struck:
    since_s = time.time()
    for slot in trial.system.slots.values():
        slot.signal(signal.SIGKILL)
    return Struck("all", since_s)


def not_replaced(trial: Trial, random: Random) -> Struck | None:
    """Kill a worker, and start none in its place before others of its role have its tasks."""
    slot = busy_slot(trial, random)
    if sum(slot.role == other.role for other in trial.system.slots.values()) < 2:
        return None
    settings = trial.system.settings
    limit_s = (settings.session_ms + settings.transaction_ms) / 1000 + MOVED_S
    slot.left_empty = True
    try:
        since_s = time.time()
        slot.signal(signal.SIGKILL)
        seconds = trial.wait_for(
            lambda: not trial.watch.silent(since_s), limit_s, f"others have the tasks of {slot}"
        )
    finally:
        slot.left_empty = False
    return Struck(str(slot), since_s, f"others had its tasks after {seconds:.1f} s")


def hung(trial: Trial, random: Random) -> Struck | None:
    """Let a thread stand still: the guard must see it, and end the process."""
    point = random.choice(("agent", "after:log.begin", "after:log.end"))
    return _ended_by_itself(trial, busy_slot(trial, random), Fault("hang", point))


def agent_died(trial: Trial, random: Random) -> Struck | None:
    """Let an agent raise, be cancelled or come to its end, or stop its event loop."""
    kind = random.choice(("raise", "cancel", "leave", "stop loop"))
    return _ended_by_itself(trial, busy_slot(trial, random), Fault(kind, "agent"))


def _ended_by_itself(trial: Trial, slot: Slot, fault: Fault) -> Struck | None:
    pid = slot.pid
    if armed(trial, slot, fault) is None:
        return None
    limit_s = trial.system.settings.stall_s + trial.limit_s
    seconds = trial.wait_for(lambda: slot.pid != pid, limit_s, f"{slot} is ended")
    where = f"{slot} {fault.kind} at {fault.point}"
    return Struck(where, time.time(), f"ended after {seconds:.1f} s")


MOVED_S = 10.0
"""So long, and a session and a transaction's time-out, until tasks go on elsewhere."""

KILLED = "kill -9"
"""Kinds that begin with it: workers whose slots are filled again at once."""

DEATHS = (
    Kind(f"{KILLED} at any moment", 60, killed),
    Kind(f"{KILLED} within a commit", 130, killed_at_commit),
    Kind(f"{KILLED} within a take-over", 80, killed_at_take_over),
    Kind(f"{KILLED} of all at once", 16, killed_together),
    Kind("killed and not replaced", 12, not_replaced),
    Kind("a thread hangs", 10, hung),
    Kind("an agent dies", 20, agent_died),
)
