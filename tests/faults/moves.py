"""The faults: workers that are stopped in good order, are there twice, are more or fewer."""

from __future__ import annotations

import time
from collections.abc import Sequence
from random import Random

from headrace.app.scaling import scale_in
from headrace.app.supervision import FENCED
from headrace.app.supervisor import Slot as Place
from headrace.streams.flow import ROLES
from tests.faults.kinds import Kind, Struck, any_slot
from tests.faults.trial import Trial

ROLLED = "rolling restart"


def restarted(trial: Trial, random: Random) -> Struck:
    trial.system.wait_running()  # who is starting knows no good order yet
    slot = any_slot(trial, random)
    since_s = time.time()
    code = slot.stop()
    assert code == 0, f"{slot} stopped with {code}"
    return Struck(str(slot), since_s)


def rolled(trial: Trial, random: Random, *, roles: Sequence[str] = ROLES) -> Struck:
    """Restart workers, one after another."""
    trial.system.wait_running()
    gaps = []
    for slot in [slot for slot in trial.system.slots.values() if slot.role in roles]:
        since_s = time.time()
        code = slot.stop()
        assert code == 0, f"{slot} stopped with {code}"
        slot.start()
        trial.system.wait_running()
        gaps.append(trial.watch.longest_gap_s(since_s))
    said = ", ".join(f"{gap:.1f}" for gap in gaps)
    return Struck(", ".join(roles), time.time(), f"gaps {said} s", max(gaps))


def doubled(trial: Trial, random: Random) -> Struck:
    """Start a second process in a slot: the first one must end, and stay so."""
    trial.system.wait_running()
    older = any_slot(trial, random)
    since_s = time.time()
    newer = trial.system.make_slot(older.role, older.number)
    trial.system.slots[str(newer)] = newer
    newer.start()
    try:
        seconds = trial.wait_for(older.ended, trial.limit_s, f"the older {older} ends")
    finally:
        older.kill()
    assert older.codes[-1] == FENCED, f"the older {older} ended with {older.codes[-1]}"
    return Struck(str(older), since_s, f"the older one was fenced after {seconds:.1f} s")


def scaled(trial: Trial, random: Random) -> Struck:
    """From one to four to what there was, as a new start with fewer slots does it."""
    role = random.choice(("score", "join"))
    trial.system.wait_running()
    had = sum(slot.role == role for slot in trial.system.slots.values())
    since_s = time.time()
    for count in (1, 4, had):
        _scale(trial, role, count)
        trial.system.wait_running()
        trial.wait(1.0)
    return Struck(role, since_s, gap_s=trial.watch.longest_gap_s(since_s))


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
    system = trial.system
    scale_in(system.services.kafka, system.plan, places, system.settings.transaction_ms)


MOVES = (
    Kind("restart in good order", 30, restarted),
    Kind(ROLLED, 8, rolled),
    Kind("two processes in one slot", 24, doubled),
    Kind("scaled 1, 4, 2", 8, scaled),
)
