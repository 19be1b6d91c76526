"""Systems under test: what takes published bytes and gives back the records of its topics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from headrace.streams.plan import Plan
from tests.oracle.logs import Logs


class Message(NamedTuple):
    """Bytes to be published, on the partition of their key."""

    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    timestamp_ms: int | None = None


class System(Protocol):
    """A running pipeline, seen from outside.

    Attributes
    ----------
    plan
        The pipeline's, with the registered codecs of its inputs.
    """

    plan: Plan

    def publish(self, what: str, messages: Sequence[Message]) -> None:
        """Publish to ``events`` or ``labels``, in order."""

    def settle(self) -> None:
        """Wait until everything that was published has gone through all stages."""

    def logs(self) -> Logs:
        """Return all records of the run so far."""
