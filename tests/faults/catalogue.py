"""The faults: what befalls workers."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence
from random import Random
from typing import NamedTuple

from headrace.app.running import scale_in
from headrace.app.supervision import FENCED
from headrace.app.supervisor import Slot as Place
from headrace.streams.engine.groups import Groups
from headrace.streams.flow import ROLES
from tests.faults.slots import NONE, Fault, Slot
from tests.faults.trial import Trial

COMMIT = (
    "before:log.begin", "after:log.begin", "after:log.produce", "after:log.send_offsets",
)  # fmt: skip
"""Between two steps of a commit, up to where its outcome is unknown."""

STORED = (*COMMIT, "after:log.end", "after:store.write")
LEARNED = (*COMMIT, "after:log.end", "after:registry.insert_checkpoint")
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

POINT_S = 12.0
"""So long a worker may take to reach a point; a learner saves about once in ten seconds."""


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
    """

    where: str
    since_s: float
    note: str = ""


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


def _slot(trial: Trial, random: Random, role: str | None = None) -> Slot:
    slots = [slot for slot in trial.system.slots.values() if role in (None, slot.role)]
    return random.choice(slots)


def _struck(trial: Trial, slot: Slot) -> float | None:
    """Wait until a worker's fault strikes; return when, None if it does not."""
    try:
        trial.wait_for(slot.struck, POINT_S, "the point is reached")
    except AssertionError:
        if slot.struck():
            raise
        slot.arm(NONE)
        return None
    return slot.told.stat().st_mtime


# -- killed


def killed(trial: Trial, random: Random) -> Struck:
    slot = _slot(trial, random)
    trial.wait(random.random())
    since_s = time.time()
    slot.signal(signal.SIGKILL)
    return Struck(str(slot), since_s)


def killed_at_commit(trial: Trial, random: Random) -> Struck | None:
    slot = _slot(trial, random)
    point = random.choice(LEARNED if slot.role == "learn" else STORED)
    slot.arm(Fault("kill", point, random.randint(1, 3)))
    since_s = _struck(trial, slot)
    return None if since_s is None else Struck(f"{slot} {point}", since_s)


def _killed_before(trial: Trial, slot: Slot, fault: Fault) -> float | None:
    """Kill a worker behind a commit that is not yet in its state; the next one has a fault."""
    slot.arm(Fault("kill", "after:log.end"))
    if _struck(trial, slot) is None:
        return None
    while not slot.ended():
        time.sleep(0.01)
    slot.start(fault)
    return _struck(trial, slot)


def killed_at_take_over(trial: Trial, random: Random) -> Struck | None:
    slot = _slot(trial, random)
    learns = slot.role == "learn"
    replayed = ("after:log.read",) if learns else ("after:log.read", "before:store.write")
    point = random.choice([*(LEARNED_TAKE_OVER if learns else STORED_TAKE_OVER), *replayed])
    since_s = _killed_before(trial, slot, Fault("kill", point))
    return None if since_s is None else Struck(f"{slot} {point}", since_s)


def killed_together(trial: Trial, random: Random) -> Struck:
    since_s = time.time()
    for slot in trial.system.slots.values():
        slot.signal(signal.SIGKILL)
    return Struck("all", since_s)


# -- stopped


def _woken(trial: Trial, slot: Slot, where: str, since_s: float, seconds: float) -> Struck:
    """Wake a stopped worker after a while, when its tasks have moved."""
    stopped = slot.pid
    trial.wait(max(0.0, since_s + seconds - time.time()))
    ended = len(slot.codes)
    slot.signal(signal.SIGCONT)
    trial.wait(2.0)
    alive = slot.pid == stopped
    said = "lives on" if alive else f"ended with {slot.codes[ended:]}"
    return Struck(f"{where} for {seconds:g} s", since_s, f"woken, it {said}")


def _stop_s(random: Random) -> float:
    return random.choice((10.0, 10.0, 35.0))


def stopped(trial: Trial, random: Random) -> Struck:
    slot = _slot(trial, random)
    since_s = time.time()
    slot.signal(signal.SIGSTOP)
    return _woken(trial, slot, str(slot), since_s, _stop_s(random))


def stopped_at_commit(trial: Trial, random: Random) -> Struck | None:
    slot = _slot(trial, random)
    point = random.choice(LEARNED if slot.role == "learn" else (*STORED, "before:store.write"))
    slot.arm(Fault("stop", point, random.randint(1, 3)))
    since_s = _struck(trial, slot)
    if since_s is None:
        return None
    return _woken(trial, slot, f"{slot} {point}", since_s, _stop_s(random))


def stopped_at_take_over(trial: Trial, random: Random) -> Struck | None:
    slot = _slot(trial, random)
    learns = slot.role == "learn"
    point = random.choice(LEARNED_TAKE_OVER if learns else STORED_TAKE_OVER)
    since_s = _killed_before(trial, slot, Fault("stop", point))
    if since_s is None:
        return None
    return _woken(trial, slot, f"{slot} {point}", since_s, _stop_s(random))


def hung(trial: Trial, random: Random) -> Struck | None:
    """Let a thread stand still: the guard must see it, and end the process."""
    slot = _slot(trial, random)
    point = random.choice(("agent", "after:log.begin", "after:log.end"))
    pid = slot.pid
    slot.arm(Fault("hang", point))
    since_s = _struck(trial, slot)
    if since_s is None:
        return None
    limit_s = trial.system.settings.stall_s + trial.limit_s
    seconds = trial.wait_for(lambda: slot.pid != pid, limit_s, f"{slot} is ended by its guard")
    return Struck(f"{slot} {point}", time.time(), f"ended by its guard after {seconds:.1f} s")


# -- stopped in good order


def restarted(trial: Trial, random: Random) -> Struck:
    slot = _slot(trial, random)
    code = slot.stop()
    assert code == 0, f"{slot} stopped with {code}"
    return Struck(str(slot), time.time())


def rolled(trial: Trial, random: Random, *, roles: Sequence[str] = ROLES) -> Struck:
    """Restart workers, one after another, each when a process is ready to take its place."""
    gaps = []
    for slot in [slot for slot in trial.system.slots.values() if slot.role in roles]:
        trial.wait_for(trial.system.has_spare, trial.limit_s, "a process is ready")
        since_s = time.time()
        code = slot.stop()
        assert code == 0, f"{slot} stopped with {code}"
        slot.start()
        trial.system.wait_running()
        gaps.append(trial.watch.longest_gap_s(since_s))
    said = ", ".join(f"{gap:.1f}" for gap in gaps)
    return Struck(", ".join(roles), time.time(), f"longest gap {max(gaps):.1f} s ({said})")


def doubled(trial: Trial, random: Random) -> Struck:
    """Start a second process in a slot: the first one must end, and stay so."""
    older = _slot(trial, random)
    since_s = time.time()
    newer = trial.system.make_slot(older.role, older.number)
    trial.system.slots[str(newer)] = newer
    newer.start()
    seconds = trial.wait_for(older.ended, trial.limit_s, f"the older {older} ends")
    assert older.codes[-1] == FENCED, f"the older {older} ended with {older.codes[-1]}"
    return Struck(str(older), since_s, f"the older one was fenced after {seconds:.1f} s")


def scaled(trial: Trial, random: Random) -> Struck:
    """From one to four to what there was, as a new start with fewer slots does it."""
    role = random.choice(("score", "join"))
    had = sum(slot.role == role for slot in trial.system.slots.values())
    since_s = time.time()
    for count in (1, 4, had):
        _scale(trial, role, count)
        trial.system.wait_running()
        trial.wait(2.0)
    return Struck(role, since_s, f"longest gap {trial.watch.longest_gap_s(since_s):.1f} s")


def _scale(trial: Trial, role: str, count: int) -> None:
    slots = trial.system.slots
    for name in [
        name for name, slot in slots.items() if slot.role == role and slot.number >= count
    ]:
        code = slots.pop(name).stop()
        assert code == 0, f"{name} stopped with {code}"
    places = [Place(slot.role, slot.number) for slot in slots.values()]
    have = {place.number for place in places if place.role == role}
    for number in set(range(count)) - have:
        trial.system.slot(role, number).start()
        places.append(Place(role, number))
    scale_in(Groups(trial.system.services.kafka), trial.system.name, places)


WORKERS = (
    Kind("kill -9 at any moment", 6, killed),
    Kind("kill -9 within a commit", 12, killed_at_commit),
    Kind("kill -9 within a take-over", 8, killed_at_take_over),
    Kind("kill -9 of all at once", 2, killed_together),
    Kind("SIGSTOP at any moment", 3, stopped),
    Kind("SIGSTOP within a commit", 6, stopped_at_commit),
    Kind("SIGSTOP within a take-over", 4, stopped_at_take_over),
    Kind("a thread hangs", 2, hung),
    Kind("restart in good order", 4, restarted),
    Kind("rolling restart", 2, rolled),
    Kind("two processes in one slot", 3, doubled),
    Kind("scaled 1, 4, 2", 2, scaled),
)
