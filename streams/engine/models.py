"""How a scorer follows ``<p>.models``: the newest announced state, made ready in the background.

The Kafka thread hands over what it read; a thread of its own makes a model of the newest state
only, so that a model that is slow to load delays no prediction. ``served`` is one object, replaced
at once: a batch is scored by one model.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from headrace.registry.kept import Checkpoint
from headrace.schemas.codec import Undecodable
from headrace.schemas.records import Codecs
from headrace.streams.model import Loads, Served, announced, fresh_served, served_from
from headrace.streams.plan import Plan
from headrace.streams.records import Record, TopicPartition

LOOK_BACK_RECORDS = 64
"""At the start so many offsets before the end are looked at for an announced state."""


class Ranges(Protocol):
    """What of the log is read at the start."""

    def bounds(self, tp: TopicPartition) -> tuple[int, int]:
        """Return the first offset that is kept, and the last stable offset."""

    def read(self, tp: TopicPartition, start: int, stop: int) -> Sequence[Record]:
        """Return records of a range, some or all of them."""


class Follower:
    """What a scorer serves.

    Parameters
    ----------
    plan, codecs, version
        The pipeline's.
    loads
        Reads a signed state.
    checkpoint_at
        Returns the state of the checkpoint at an offset, None if there is none.
    newest_checkpoint
        Returns the newest checkpoint, None if there is none.

    Attributes
    ----------
    changed
        Called, from the loading thread, whenever another model is served.
    topic
        What is to be read: its only partition.
    served
        The model to predict with; the fresh one until something better is known.
    failure
        What loading a state raised; whoever looks ends the process.
    loading
        Whether a newer state has arrived that is not served yet.
    """

    def __init__(
        self,
        plan: Plan,
        codecs: Codecs,
        version: int,
        loads: Loads,
        checkpoint_at: Callable[[int], bytes | None],
        newest_checkpoint: Callable[[], Checkpoint | None],
    ) -> None:
        self.changed: Callable[[], None] = lambda: None
        self.topic = plan.topics.models
        self.served: Served = fresh_served(plan, version)
        self.failure: BaseException | None = None
        self._plan = plan
        self._codec = codecs.model
        self._version = version
        self._loads = loads
        self._checkpoint_at = checkpoint_at
        self._newest_checkpoint = newest_checkpoint
        self.loading = False
        self._newest: Mapping[str, Any] | None = None
        self._arrived = threading.Event()

    def begin(self, log: Ranges) -> int:
        """Serve the last announced state, else the newest checkpoint; then follow.

        Returns
        -------
        int
            The offset from which on the topic is to be fetched.
        """
        tp = (self.topic, 0)
        first, end = log.bounds(tp)
        records = log.read(tp, max(first, end - LOOK_BACK_RECORDS), end)
        announcement = self._last_state(records)
        if announcement is None or not self._load(announcement):
            checkpoint = self._newest_checkpoint()
            if checkpoint is not None:
                self.served = served_from(self._plan, self._version, *checkpoint, self._loads)
        threading.Thread(target=self._follow, name="headrace-models", daemon=True).start()
        return end

    def receive(self, records: Sequence[Record]) -> None:
        """Take announcements that arrived; of several the last one counts."""
        announcement = self._last_state(records)
        if announcement is not None:
            self._newest, self.loading = announcement, True
            self._arrived.set()

    def _last_state(self, records: Sequence[Record]) -> Mapping[str, Any] | None:
        for record in reversed(records):
            found = self._codec.decode(record.value)
            if isinstance(found, Undecodable) or found["version"] != self._version:
                continue
            if found["state"] is not None or found["checkpoint"] is not None:
                return found
        return None

    def _follow(self) -> None:
        while self.failure is None:
            self._arrived.wait()
            self._arrived.clear()
            announcement, self._newest = self._newest, None
            if announcement is None:
                continue
            try:
                self._load(announcement)
            except Exception as error:  # noqa: BLE001 - handed to the Kafka thread, which ends
                self.failure = error
            self.loading = self._newest is not None
            self.changed()

    def _load(self, announcement: Mapping[str, Any]) -> bool:
        """Serve what an announcement says, if it is newer; return whether its state is there.

        A registry that was restored from a backup, or pruned, may lack a state that is referred to.
        """
        version, loads = self._version, self._loads
        found = announced(self._plan, version, announcement, loads, self._checkpoint_at)
        if found is not None and found.learned_to >= self.served.learned_to:
            self.served = found
        return found is not None
