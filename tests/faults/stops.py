"""The faults: workers that stand still, and wake when their tasks are another's."""

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

_WOKEN_S = 1.0
"""So long after it woke it is seen what became of it."""


def woken(trial: Trial, slot: Slot, where: str, since_s: float, seconds: float) -> Struck:
    """Wake a stopped worker after a while, when its tasks have moved."""
    stopped_pid = slot.pid
    trial.wait(max(0.0, since_s + seconds - time.time()))
    ended = len(slot.codes)
    slot.signal(signal.SIGCONT)
    trial.wait(_WOKEN_S)
    alive = slot.pid == stopped_pid
    said = "lives on" if alive else f"ended with {slot.codes[ended:]}"
    return Struck(f"{where} for {seconds:g} s", since_s, f"woken, it {said}")


def _stop_s(random: Random) -> float:
    (seconds,) = random.choices((10.0, 35.0), (9, 1))
    return seconds


def stopped(trial: Trial, random: Random) -> Struck:
    slot = any_slot(trial, random)
    since_s = time.time()
    slot.signal(signal.SIGSTOP)
    return woken(trial, slot, str(slot), since_s, _stop_s(random))


def stopped_at_commit(trial: Trial, random: Random) -> Struck | None:
    slot = busy_slot(trial, random)
    fault = commit_fault(slot, random, "stop")
    if slot.role != "learn" and random.random() < 0.2:
        fault = Fault("stop", "before:store.write")
    since_s = armed(trial, slot, fault)
    if since_s is None:
        return None
    return woken(trial, slot, f"{slot} {fault.point}", since_s, _stop_s(random))


def stopped_at_take_over(trial: Trial, random: Random) -> Struck | None:
    slot = busy_slot(trial, random)
    fault = take_over_fault(slot, random, "stop", replaying=False)
    since_s = killed_before(trial, slot, fault)
    if since_s is None:
        return None
    return woken(trial, slot, f"{slot} {fault.point}", since_s, _stop_s(random))


STOPS = (
    Kind("SIGSTOP at any moment", 14, stopped),
    Kind("SIGSTOP within a commit", 22, stopped_at_commit),
    Kind("SIGSTOP within a take-over", 12, stopped_at_take_over),
)
