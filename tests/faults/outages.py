"""The faults: what befalls the services, and the ways to them."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from random import Random

from tests.faults.catalogue import Kind, Struck
from tests.faults.services import limit_files
from tests.faults.trial import WIRED, Trial

SERVICES = {"kafka": "Kafka", "redis": "Valkey", "registry": "PostgreSQL"}

_NO_ROOM = 4_096
"""A size that each file of a service has reached: nothing more is written behind it."""


def _heard(trial: Trial) -> str:
    """Return what the workers' health endpoints say that they wait for."""
    said = Counter(trial.health(slot) for slot in trial.system.slots.values())
    words = {"": "all is well", "?": "no answer"}
    return ", ".join(f"{n}: {words.get(what, what)}" for what, n in said.most_common())


def _down(trial: Trial, name: str, seconds: float) -> Struck:
    """Let a part that is dead be dead for a while, then start it."""
    trial.wait(seconds)
    heard = _heard(trial)
    return Struck(f"{SERVICES[name]}, {seconds:g} s", trial.revive(name), heard)


def killed(
    trial: Trial, random: Random, *, name: str, lasting: Sequence[float] = (2, 10, 10, 40)
) -> Struck:
    trial.stack.kill(name)
    return _down(trial, name, random.choice(lasting))


def stopped(trial: Trial, random: Random, *, name: str) -> Struck:
    seconds = random.choice((5.0, 20.0))
    trial.stack.signal(name, signal.SIGSTOP)
    trial.wait(seconds)
    heard = _heard(trial)
    trial.stack.signal(name, signal.SIGCONT)
    return Struck(f"{SERVICES[name]}, {seconds:g} s", time.time(), heard)


def emptied(trial: Trial, random: Random, *, lasting: Sequence[float] = (0, 2, 10)) -> Struck:
    """Kill Valkey, and let it come back without anything."""
    trial.stack.kill("redis")
    trial.stack.empty_valkey()
    return _down(trial, "redis", random.choice(lasting))


def set_back(trial: Trial, random: Random) -> Struck:
    """Kill Valkey, and let it come back as it was some seconds ago: a replica that was behind."""
    folder = trial.stack.state_folder
    older = folder.with_name("valkey-older")
    shutil.copytree(folder, older)
    trial.wait(random.choice((1.0, 5.0)))
    trial.stack.kill("redis")
    shutil.rmtree(folder)
    older.rename(folder)
    return _down(trial, "redis", 0.0)


def locked(trial: Trial, random: Random) -> Struck:
    """Hold SQLite's lock, so that nobody writes; or the registry's server is stopped."""
    if trial.stack.postgres:
        return stopped(trial, random, name="registry")
    seconds = random.choice((10.0, 15.0, 60.0))
    with sqlite3.connect(_sqlite(trial), isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        trial.wait(seconds)
        heard = _heard(trial)
        other.execute("ROLLBACK")
    other.close()
    return Struck(f"SQLite, {seconds:g} s", time.time(), heard)


def cut(trial: Trial, random: Random) -> Struck:
    """Cut the network between one worker and one service."""
    slot = random.choice(WIRED)
    names = ["kafka", "redis", *(["registry"] if trial.stack.postgres else [])]
    name, how = random.choice(names), random.choice(("silent", "refused"))
    seconds = random.choice((3.0, 10.0, 20.0))
    wire = getattr(trial.stack.wires[slot], name)
    (wire.hold if how == "silent" else wire.refuse)()
    trial.wait(seconds)
    heard = trial.health(trial.system.slots[slot]) or "all is well"
    wire.heal()
    return Struck(f"{slot} from {SERVICES[name]}, {how}, {seconds:g} s", time.time(), heard)


def full(trial: Trial, random: Random) -> Struck:
    """Let the files of one service grow no more: as if its disk were full."""
    names = ["kafka", "redis", *([] if trial.stack.postgres else ["registry"])]
    name, seconds = random.choice(names), random.choice((5.0, 10.0))
    return {"kafka": _kafka_full, "redis": _valkey_full, "registry": _sqlite_full}[name](
        trial, seconds
    )


def _valkey_full(trial: Trial, seconds: float) -> Struck:
    trial.stack.limit_files("redis", _NO_ROOM)
    trial.wait(seconds)
    heard = _heard(trial)
    if not trial.stack.part("redis").process.alive():
        return Struck("Valkey ended of it", trial.revive("redis"), heard)
    limit_files(trial.stack.pid("redis"))
    return Struck(f"Valkey, {seconds:g} s", time.time(), heard)


def _kafka_full(trial: Trial, seconds: float) -> Struck:
    """Kafka ends when its only log folder fails; it is started again when there is room."""
    trial.stack.limit_files("kafka", _NO_ROOM)
    alive = trial.stack.part("kafka").process.alive
    trial.wait_for(lambda: not alive(), 30, "Kafka ends")
    return _down(trial, "kafka", seconds)


def _sqlite_full(trial: Trial, seconds: float) -> Struck:
    """Limit whoever learns, the ones that are started meanwhile as well."""
    until = time.monotonic() + seconds + 10  # a learner saves about once in ten seconds
    learners = [slot for slot in trial.system.slots.values() if slot.role == "learn"]
    ended = sum(len(slot.codes) for slot in learners)
    while time.monotonic() < until:
        for slot in learners:
            if slot.pid is not None and not slot.ended():
                limit_files(slot.pid, _NO_ROOM)
        trial.wait(0.05)
    for slot in learners:
        if slot.pid is not None and not slot.ended():
            limit_files(slot.pid)
    ended = sum(len(slot.codes) for slot in learners) - ended
    return Struck(f"SQLite, {seconds + 10:g} s", time.time(), f"learners ended {ended} times")


def _sqlite(trial: Trial) -> str:
    return trial.system.services.registry_url.removeprefix("sqlite:///")


def outages(*, postgres: bool) -> tuple[Kind, ...]:
    """Return what befalls the services that a trial has."""
    found = [
        Kind("broker killed", 4, partial(killed, name="kafka")),
        Kind("broker stopped", 2, partial(stopped, name="kafka")),
        Kind("Valkey killed, its data kept", 4, partial(killed, name="redis")),
        Kind("Valkey stopped", 1, partial(stopped, name="redis")),
        Kind("Valkey killed, its data gone", 4, emptied),
        Kind("Valkey set back", 3, set_back),
        Kind("registry locked", 2, locked),
        Kind("network cut", 6, cut),
        Kind("disk full", 3, full),
    ]
    if postgres:
        found.append(Kind("PostgreSQL killed", 3, partial(killed, name="registry")))
    return tuple(found)
