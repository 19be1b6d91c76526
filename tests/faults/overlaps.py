"""The faults: two or three at once."""

from __future__ import annotations

import signal
import time
from random import Random

from tests.faults.kinds import (
    Kind,
    Struck,
    armed,
    busy_slot,
    commit_fault,
    killed_before,
    take_over_fault,
)
from tests.faults.outages import down, heard
from tests.faults.stops import woken
from tests.faults.trial import Trial


def killed_without_valkey(trial: Trial, random: Random) -> Struck:
    """Kill a worker while Valkey is down, with its data or without."""
    slot, keeps = busy_slot(trial, random), random.random() < 0.5
    trial.stack.kill("redis")
    if not keeps:
        trial.stack.empty_valkey()
    trial.wait(random.random())
    slot.signal(signal.SIGKILL)
    done = down(trial, "redis", random.choice((0.5, 2.0, 5.0)))
    kept = "kept" if keeps else "gone"
    return done._replace(where=f"{slot} killed; {done.where}, its data {kept}")


def killed_beside_a_stopped_one(trial: Trial, random: Random) -> Struck | None:
    """Stop one worker within a commit, kill another meanwhile, and wake the first one."""
    zombie = busy_slot(trial, random)
    other = busy_slot(trial, random, zombie)
    fault = commit_fault(zombie, random, "stop")
    since_s = armed(trial, zombie, fault)
    if since_s is None:
        return None
    trial.wait(random.uniform(0.0, 6.0))  # its session is over, or not yet
    other.signal(signal.SIGKILL)
    return woken(trial, zombie, f"{zombie} {fault.point}; {other} killed", since_s, 10.0)


def broker_restarted_within_a_take_over(trial: Trial, random: Random) -> Struck | None:
    """Kill the broker while a worker stands within a take-over, and start it again."""
    slot = busy_slot(trial, random)
    fault = take_over_fault(slot, random, "stop")
    if killed_before(trial, slot, fault) is None:
        return None
    trial.stack.kill("kafka")
    slot.signal(signal.SIGCONT)
    done = down(trial, "kafka", random.choice((0.5, 2.0)))
    return done._replace(where=f"{slot} {fault.point}; {done.where}")


def all_at_once(trial: Trial, random: Random) -> Struck:
    """Kill broker, Valkey and a worker together."""
    slot = busy_slot(trial, random)
    slot.signal(signal.SIGKILL)
    for name in ("kafka", "redis"):
        trial.stack.kill(name)
    trial.wait(random.choice((0.5, 2.0)))
    said = heard(trial)
    trial.revive("redis")
    trial.revive("kafka")
    return Struck(f"{slot}, Kafka and Valkey killed", time.time(), said)


OVERLAPS = (
    Kind("worker killed, Valkey down", 8, killed_without_valkey),
    Kind("worker killed, another stopped", 8, killed_beside_a_stopped_one),
    Kind("broker killed within a take-over", 6, broker_restarted_within_a_take_over),
    Kind("broker, Valkey, worker killed", 3, all_at_once),
)
