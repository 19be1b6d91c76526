"""Remote calls as values: the protocol says *what* is asked and in which order, a driver asks it.

Each function of the protocol is a generator of :class:`Call` objects. Production drives it with
:func:`drive`, which makes each call at once; the simulator makes the same calls one at a time,
and crashes, stalls, fences or loses an answer between any two of them. Nothing else differs.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One call to a port.

    Attributes
    ----------
    point
        The name by which logs and fault tests know it, such as ``store.claim``.
    make
        Makes the call and returns its answer; raises what the port raises.
    """

    point: str
    make: Callable[[], T]


Steps = Generator[Call[Any], Any, T]
"""A computation that makes remote calls and returns a ``T``."""


def ask(point: str, make: Callable[[], T]) -> Steps[T]:
    """Make one call, and return its answer: ``cut = yield from ask("store.claim", ...)``."""
    answer: T = yield Call(point, make)
    return answer


UNBROKEN = frozenset({"log.produce", "log.send_offsets", "log.end"})
"""Points of calls that belong to an open transaction.

A process has one producer, so one transaction at a time: whoever drives several computations by
turns makes these calls without a break, and does not give up the computation between them.
"""

Hook = Callable[[str], None]
"""Called with ``before:<point>`` and ``after:<point>`` around each call; tests alone set one."""


def advance(steps: Steps[T], call: Call[Any], hook: Hook | None = None) -> Call[Any]:
    """Make one call and hand its answer, or its exception, to whoever asked; return the next.

    Raises
    ------
    StopIteration
        The steps have come to their end; its value is what they return.
    """
    try:
        if hook is not None:
            hook(f"before:{call.point}")
        answer = call.make()
        if hook is not None:
            hook(f"after:{call.point}")
    except Exception as error:  # noqa: BLE001 - handed to the asker, not swallowed
        return steps.throw(error)
    return steps.send(answer)


def drive(steps: Steps[T], hook: Hook | None = None) -> T:
    """Run steps to their end in the calling thread, each call at once.

    An exception of a call is thrown into the generator, at the place that asked.
    """
    try:
        call = next(steps)
        while True:
            call = advance(steps, call, hook)
    except StopIteration as end:
        result: T = end.value
        return result
