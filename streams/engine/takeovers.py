"""Tasks that are being taken over, a call at a time, while the others go on.

A take-over may wait for a predecessor's open transaction (13 s were seen) and may replay much of
the log; the Kafka thread drives its steps between its other work, so nobody waits with it.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from typing import Any

import structlog

from headrace.streams.engine.roles import RoleSpec
from headrace.streams.engine.waits import Waits, call_in_words
from headrace.streams.protocol.ports import Lost
from headrace.streams.protocol.steps import UNBROKEN, Call, Hook, Steps, advance
from headrace.streams.protocol.takeover import Ports, take_over
from headrace.streams.protocol.task import Spec, Task

SLICE_S = 0.02
"""So long a take-over is driven before the Kafka thread looks after the other tasks.

A transaction is brought to its end first: the other tasks' commits use the same producer.
"""

_TAKE_OVER, _CLAIM = "take-over", "claim"
"""Who waits."""

_log = structlog.get_logger("headrace.engine")


class TakeOvers:
    """The queue of tasks to be taken over.

    Parameters
    ----------
    role, ports
        What runs, and on what.
    waits
        Where it is noted for what a take-over waits.
    hook
        Told each call's point.
    """

    def __init__(
        self, role: RoleSpec, ports: Ports, waits: Waits, hook: Hook | None = None
    ) -> None:
        self._role = role
        self._ports = ports
        self._waits = waits
        self._hook = hook
        self._wanted: list[Spec] = []
        self._steps: Steps[Task] | None = None
        self._call: Call[Any] | None = None
        self._begun_s = 0.0

    @property
    def current(self) -> Spec | None:
        """The task that is being taken over, or the next one."""
        return self._wanted[0] if self._wanted else None

    def want(self, specs: Sequence[Spec]) -> None:
        """Put tasks into the queue."""
        self._wanted += [spec for spec in specs if spec not in self._wanted]

    def clear(self) -> None:
        """Forget all: the partitions have been taken away."""
        self._abandon()
        self._waits.end(_CLAIM)
        self._wanted.clear()

    def advance(self) -> Task | None:
        """Go on for a moment; return a task that is taken over."""
        if not self._wanted:
            return None
        until = time.monotonic() + SLICE_S
        if self._steps is None:
            self._begin()
        try:
            while time.monotonic() < until or self._in_transaction:
                assert self._steps is not None
                assert self._call is not None
                self._note(self._call.point)
                self._call = advance(self._steps, self._call, self._hook)
        except StopIteration as end:
            return self._end(end.value)
        except Lost:  # somebody else claimed it: the group is polled before the next attempt
            _log.info("task is claimed by another", task=str(self._wanted[0].id))
            self._waits.begin(_CLAIM, f"another worker, which claims {self._wanted[0].id} as well")
            self._abandon()
        return None

    def _note(self, point: str) -> None:
        """Note for what the take-over waits, if it stays at this call."""
        if point != "log.wait":  # a pause between two answers of the same call
            self._waits.begin(_TAKE_OVER, f"{call_in_words(point)}, for {self._wanted[0].id}")

    @property
    def _in_transaction(self) -> bool:
        return self._call is not None and self._call.point in UNBROKEN

    def _begin(self) -> None:
        spec = self._wanted[0]
        stage = self._role.stage(spec.id.stage).make(spec.id.partition)
        self._begun_s = time.monotonic()
        _log.info("taking over", task=str(spec.id))
        token, at_end = secrets.token_hex(16), self._role.start_at_end
        self._steps = take_over(spec, stage, self._ports, token, start_at_end=at_end)
        self._call = next(self._steps)

    def _end(self, task: Task) -> Task:
        seconds = round(time.monotonic() - self._begun_s, 3)
        _log.info("taken over", task=str(task.spec.id), seconds=seconds, at=task.position.encode())
        self._wanted.pop(0)
        self._abandon()
        self._waits.end(_CLAIM)
        return task

    def _abandon(self) -> None:
        if self._steps is not None:
            self._steps.close()
        self._waits.end(_TAKE_OVER)
        self._steps = self._call = None
