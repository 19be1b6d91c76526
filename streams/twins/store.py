"""The state store in memory: token, cut and states of each task, changed in one step."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from headrace.schemas.errors import ServiceError
from headrace.streams.protocol.ports import Cut, Lost, TaskId


@dataclass(slots=True)
class _Held:
    token: str | None = None
    cut: Cut | None = None
    states: dict[str, bytes] = field(default_factory=dict)


class _Before(NamedTuple):
    """What one step replaced: enough to take it back."""

    task: TaskId
    token: str | None
    cut: Cut | None
    states: dict[str, bytes | None]


class MemoryStore:
    """The protocol's ``Store``, with Redis' ways to fail.

    Parameters
    ----------
    undo_limit
        How many steps a fail-over can take back; 0 remembers none.

    Attributes
    ----------
    answers
        Whether it is there; else whoever asks hears a ``ServiceError``, and nothing is done.
    """

    def __init__(self, undo_limit: int = 0) -> None:
        self.answers = True
        self._held: dict[TaskId, _Held] = {}
        self._undo: deque[_Before] = deque(maxlen=undo_limit)

    def claim(self, task: TaskId, token: str) -> Cut | None:
        """Make ``token`` the task's owner and return the cut of its state."""
        self._see_that_it_answers()
        held = self._held.setdefault(task, _Held())
        self._undo.append(_Before(task, held.token, held.cut, {}))
        held.token = token
        return held.cut

    def read(
        self, task: TaskId, token: str, keys: Sequence[str]
    ) -> tuple[Cut | None, Mapping[str, bytes | None]]:
        """Return the cut and the states of some keys."""
        held = self._owned(task, token)
        return held.cut, {key: held.states.get(key) for key in keys}

    def read_all(self, task: TaskId, token: str) -> tuple[Cut | None, Mapping[str, bytes]]:
        """Return the cut and all states."""
        held = self._owned(task, token)
        return held.cut, dict(held.states)

    def write(
        self,
        task: TaskId,
        token: str,
        expected: Cut | None,
        new: Cut,
        puts: Mapping[str, bytes | None],
    ) -> None:
        """Write states, deletions and the new cut, if token and cut are as expected."""
        held = self._owned(task, token)
        if held.cut == new:
            return
        if held.cut != expected:
            raise Lost(f"{task}: the store holds {held.cut}, expected was {expected}")
        self._change(task, new, puts)

    def wipe(self) -> None:
        """Lose everything, as a server does that restarts without its data."""
        self._held.clear()
        self._undo.clear()

    def evict(self, task: TaskId) -> None:
        """Drop all of a task, as a server does whose memory is short and whose policy allows it."""
        held = self._held.pop(task, None)
        if held is not None:
            self._undo.append(_Before(task, held.token, held.cut, {**held.states}))

    def fail_over(self, steps: int) -> None:
        """Go back by some steps, as a replica does that was behind when it took over."""
        for _ in range(min(steps, len(self._undo))):
            before = self._undo.pop()
            held = self._held.setdefault(before.task, _Held())
            held.token, held.cut = before.token, before.cut
            _put(held.states, before.states)

    def peek(self, task: TaskId) -> tuple[Cut | None, Mapping[str, bytes]]:
        """Return cut and states without owning the task: for whoever checks."""
        held = self._held.get(task, _Held())
        return held.cut, held.states

    def owner(self, task: TaskId) -> str | None:
        """Return the token of a task's owner: for whoever checks."""
        return self._held.get(task, _Held()).token

    def _see_that_it_answers(self) -> None:
        if not self.answers:
            raise ServiceError("The store in memory does not answer.")

    def _owned(self, task: TaskId, token: str) -> _Held:
        self._see_that_it_answers()
        held = self._held.get(task)
        if held is None or held.token != token:
            raise Lost(f"{task}: the store knows another owner")
        return held

    def _change(self, task: TaskId, new: Cut | None, puts: Mapping[str, bytes | None]) -> None:
        held = self._held[task]
        if self._undo.maxlen:
            old = {key: held.states.get(key) for key in puts}
            self._undo.append(_Before(task, held.token, held.cut, old))
        held.cut = new
        _put(held.states, puts)


def _put(states: dict[str, bytes], puts: Mapping[str, bytes | None]) -> None:
    for key, packed in puts.items():
        if packed is None:
            states.pop(key, None)
        else:
            states[key] = packed
