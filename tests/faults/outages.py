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

from tests.faults.kinds import Kind, Struck
from tests.faults.services import limit_files
from tests.faults.trial import WIRED, Trial

SERVICES = {"kafka": "Kafka", "redis": "Valkey", "registry": "PostgreSQL"}

_NO_ROOM = 4_096
"""A size that each file of a service has reached: nothing more is written behind it."""

_SAVES_S = 15.0
"""Within this time a learner saves its model: once in ten seconds."""


def heard(trial: Trial) -> str:
    """Return what the workers' health endpoints say that they wait for."""
    said = Counter(trial.health(slot) for slot in trial.system.slots.values())
    words = {"": "all is well", "?": "no answer"}
    return ", ".join(f"{n}: {words.get(what, what)}" for what, n in said.most_common())


def down(trial: Trial, name: str, seconds: float) -> Struck:
    """Let a part that is dead be dead for a while, then start it."""
    trial.wait(seconds)
    said = heard(trial)
    return Struck(f"{SERVICES[name]}, {seconds:g} s", trial.revive(name), said)


def killed(
    trial: Trial, random: Random, *, name: str, lasting: Sequence[float] = (2, 2, 2, 10, 10, 40)
) -> Struck:
    trial.stack.kill(name)
    return down(trial, name, random.choice(lasting))


def stopped(trial: Trial, random: Random, *, name: str) -> Struck:
    seconds = random.choice((5.0, 5.0, 20.0))
    trial.stack.signal(name, signal.SIGSTOP)
    trial.wait(seconds)
    said = heard(trial)
    trial.stack.signal(name, signal.SIGCONT)
    return Struck(f"{SERVICES[name]}, {seconds:g} s", time.time(), said)


def emptied(trial: Trial, random: Random, *, lasting: Sequence[float] = (0, 2, 10)) -> Struck:
    """Kill Valkey, and let it come back without anything."""
    trial.stack.kill("redis")
    trial.stack.empty_valkey()
    return down(trial, "redis", random.choice(lasting))


def set_back(trial: Trial, random: Random) -> Struck:
    """Kill Valkey, and let it come back as it was some seconds ago: a replica that was behind."""
    folder = trial.stack.state_folder
    older = folder.with_name("valkey-older")
    shutil.copytree(folder, older)
    trial.wait(random.choice((1.0, 5.0)))
    trial.stack.kill("redis")
    shutil.rmtree(folder)
    older.rename(folder)
    return down(trial, "redis", 0.0)


def failed_over(trial: Trial, random: Random) -> Struck:
    """Put a replica that is some seconds behind in Valkey's place; later it hands back."""
    seconds = random.choice((0.5, 2.0))
    with trial.stack.replica() as replica:
        trial.wait_for(replica.follows, 20, "a replica follows Valkey")
        replica.wire.hold()
        trial.wait(seconds)
        trial.stack.kill("redis")
        replica.promote()
        since_s = time.time()
        behind_s, _ = trial.recovered_s(since_s)
        replica.hand_over(trial.stack.state_folder)
    trial.revive("redis")
    return Struck(f"Valkey, {seconds:g} s behind", since_s, f"went on after {behind_s:.1f} s")


def locked(trial: Trial, random: Random) -> Struck:
    """Hold SQLite's lock, so that nobody writes; or the registry's server is stopped."""
    if trial.stack.postgres:
        return stopped(trial, random, name="registry")
    seconds = random.choice((5.0, 10.0, 60.0))
    with sqlite3.connect(_sqlite(trial), isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        trial.wait(seconds)
        said = heard(trial)
        other.execute("ROLLBACK")
    other.close()
    return Struck(f"SQLite, {seconds:g} s", time.time(), said)


def cut(trial: Trial, random: Random) -> Struck:
    """Cut the network between one worker and one service."""
    slot = random.choice(WIRED)
    names = ["kafka", "redis", *(["registry"] if trial.stack.postgres else [])]
    name, how = random.choice(names), random.choice(("silent", "refused"))
    seconds = random.choice((3.0, 5.0, 10.0, 20.0))
    wire = getattr(trial.stack.wires[slot], name)
    (wire.hold if how == "silent" else wire.refuse)()
    trial.wait(seconds)
    said = trial.health(trial.system.slots[slot]) or "all is well"
    wire.heal()
    return Struck(f"{slot} from {SERVICES[name]}, {how}, {seconds:g} s", time.time(), said)


def valkey_full(trial: Trial, random: Random) -> Struck:
    """Let Valkey's files grow no more: as if its disk were full."""
    seconds = random.choice((5.0, 10.0))
    trial.stack.limit_files("redis", _NO_ROOM)
    trial.wait(seconds)
    said = heard(trial)
    if not trial.stack.part("redis").process.alive():
        return Struck("Valkey ended of it", trial.revive("redis"), said)
    limit_files(trial.stack.pid("redis"))
    return Struck(f"Valkey, {seconds:g} s", time.time(), said)


def kafka_full(trial: Trial, random: Random) -> Struck:
    """Kafka ends when its only log folder fails; it is started again when there is room."""
    trial.stack.limit_files("kafka", _NO_ROOM)
    alive = trial.stack.part("kafka").process.alive
    trial.wait_for(lambda: not alive(), 30, "Kafka ends")
    return down(trial, "kafka", random.choice((2.0, 10.0)))


def sqlite_full(trial: Trial, random: Random) -> Struck:
    """Let SQLite's file have no more pages than it has, for all, until a learner ended of it."""
    slots = trial.system.slots.values()
    before = sum(len(slot.codes) for slot in slots if slot.role == "learn")

    def ended() -> int:
        return sum(len(slot.codes) for slot in slots if slot.role == "learn") - before

    trial.system.set_disk(full=True)
    trial.comes(lambda: ended() > 0, _SAVES_S)
    trial.wait(random.choice((1.0, 5.0)))
    said = heard(trial)
    trial.system.set_disk(full=False)
    return Struck("SQLite", time.time(), f"learners ended {ended()} times; {said}")


def _sqlite(trial: Trial) -> str:
    return trial.system.services.registry_url.removeprefix("sqlite:///")


def outages(*, postgres: bool) -> tuple[Kind, ...]:
    """Return what befalls the services that a trial has."""
    found = [
        Kind("broker killed", 14, partial(killed, name="kafka")),
        Kind("broker stopped", 6, partial(stopped, name="kafka")),
        Kind("Valkey killed, its data kept", 12, partial(killed, name="redis")),
        Kind("Valkey stopped", 6, partial(stopped, name="redis")),
        Kind("Valkey killed, its data gone", 12, emptied),
        Kind("Valkey set back", 6, set_back),
        Kind("Valkey fails over, behind", 8, failed_over),
        Kind("registry locked", 5, locked),
        Kind("network cut", 22, cut),
        Kind("Kafka's disk full", 4, kafka_full),
        Kind("Valkey's disk full", 4, valkey_full),
    ]
    if postgres:
        found.append(Kind("PostgreSQL killed", 8, partial(killed, name="registry")))
    else:
        found.append(Kind("SQLite's disk full", 4, sqlite_full))
    return tuple(found)
