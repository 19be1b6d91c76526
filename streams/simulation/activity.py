"""A computation in a world: it makes one call at a time, and faults strike between any two."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from headrace.schemas.errors import ServiceError
from headrace.streams.protocol.ports import ProtocolError, UnknownOutcome
from headrace.streams.protocol.steps import Call, Steps
from headrace.streams.simulation.strikes import OLD_OFFSETS, older

if TYPE_CHECKING:
    from headrace.streams.simulation.world import World

QUIET = frozenset({"log.poll", "consume", "follow", "log.topic_id", "log.partition_count"})
"""Calls that change nothing, and happen all the time."""

_SERVICES = ("log.", "registry.")


class Answer(NamedTuple):
    """What a call came to, not yet told to whoever asked."""

    value: Any = None
    error: Exception | None = None


class Activity:
    """A computation of one process: each step makes its call, or hears the answer."""

    def __init__(self, world: World, name: str, steps: Steps[Any]) -> None:
        self.world = world
        self.name = name
        self._steps = steps
        self._call: Call[Any] | None = None
        self._answer: Answer | None = Answer()
        self.waits_until = 0

    def step(self) -> None:
        """Take one step; an error of the process, or its end, comes out of here."""
        if self._answer is None:
            assert self._call is not None
            self._answer = self._make(self._call)
            return
        answer, self._answer = self._answer, None
        if answer.error is not None:
            self._call = self._steps.throw(answer.error)
        else:
            self._call = self._steps.send(answer.value)

    def standing(self) -> str:
        """Return between which calls it stands."""
        if self._call is None:
            return "at its beginning"
        return f"{'before' if self._answer is None else 'after'} {self._call.point}"

    def _make(self, call: Call[Any]) -> Answer | None:
        world, point = self.world, call.point
        if self._is_slow(point):
            return None
        if point.startswith(_SERVICES) and self._is_given_up(call):
            return Answer(error=UnknownOutcome(point))
        answer = self._answered(call)
        if world.traced and (point not in QUIET or answer.error is not None):
            came = answer.value if answer.error is None else answer.error
            said = point if came is None else f"{point} -> {came!r}"
            world.note(self.name, said[:200], call=True)
        if point.startswith(_SERVICES) and world.hit("unanswered"):
            world.note(self.name, f"{point} times out, and was done")
            return Answer(error=UnknownOutcome(point))
        if point.startswith("store.") and world.hit("lostreply"):
            world.note(self.name, f"{point} is not answered, and made again")
            return None  # the client did not hear the answer, and asks again
        if point.startswith("store.") and (late := world.hit("late")):
            world.later(late.choice([1, 30, 200]), partial(self._arrive_late, call))
        return answer

    def _answered(self, call: Call[Any]) -> Answer:
        """Make a call; committed offsets are older than they are, at times."""
        try:
            value = call.make()
        except Exception as error:  # noqa: BLE001 - told to whoever asked
            return Answer(error=error)
        old = self.world.hit(OLD_OFFSETS) if call.point == "log.committed" else None
        return Answer(value if old is None else older(self.world, value, old))

    def _is_slow(self, point: str) -> bool:
        """Let a call take long, at times; say whether it is yet to be made."""
        slow = self.world.hit("slow")
        if slow is None:
            return False
        self.waits_until = self.world.broker.now_ms + slow.choice([5, 50, 200])
        self.world.note(self.name, f"{point} is slow, until {self.waits_until}")
        return slow.random() < 0.5

    def _is_given_up(self, call: Call[Any]) -> bool:
        """Let a call time out, at times, undone; the end of a transaction may arrive later yet."""
        timeout = self.world.hit("timeout")
        if timeout is None:
            return False
        self.world.note(self.name, f"{call.point} times out, and was not done")
        if call.point == "log.end" and timeout.random() < 0.5:
            self.world.later(timeout.choice([1, 30, 200]), partial(self._arrive_late, call))
        return True

    def _arrive_late(self, call: Call[Any]) -> None:
        """Have a request arrive that was given up long ago: nobody hears of it."""
        self.world.note(self.name, f"{call.point} arrives, late")
        with suppress(ProtocolError, ServiceError):
            call.make()
