"""Looks at a pipeline in two threads: one reads its logs, one asks how it stands."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event, Thread
from typing import Any

from headrace.app.remedies import Site
from headrace.app.standing import standing_of
from headrace.app.top.frame import Frame, frame_of
from headrace.app.top.latency import Latency
from headrace.app.top.observed import Observed
from headrace.app.top.series import Series
from headrace.schemas.errors import HeadraceError, ServiceError

LOOK_S = 2.0
"""How often the board, the committed offsets and the ends of topics are asked for."""

_FIRST_S = 60.0
"""How long the first look may take."""

_AGAIN_S = 1.0


class Looking:
    """How a pipeline stands and how well it does, at any moment.

    Parameters
    ----------
    site
        The pipeline.
    length
        Of windows; None: the longest.

    Attributes
    ----------
    trouble
        Why there is nothing newer, by thread.
    """

    def __init__(self, site: Site, length: str | None = None) -> None:
        self.trouble: dict[str, str] = {}
        self._failure: Exception | None = None
        self._site = site
        self._length = length
        self._observed = Observed(site.target.topics, site.kafka.partition_counts())
        self._latency = Latency(site.kafka, site.target.topics)
        self._rises: dict[str, Series] = {}
        self._standing: dict[str, Any] = {}
        self._looks = 0
        self._ended = Event()
        self._threads = [
            Thread(target=self._guarded, args=(work,), name=f"headrace-top-{name}", daemon=True)
            for name, work in (("log", self._read), ("board", self._look))
        ]

    def start(self) -> None:
        """Begin to look."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop looking."""
        self._ended.set()
        for thread in self._threads:
            thread.join(2 * LOOK_S)

    def wait(self) -> None:
        """Wait until all that is there has been seen, and two looks say how fast it rises.

        Raises
        ------
        ServiceError
            A service does not answer.
        """
        until = time.monotonic() + _FIRST_S
        while not (self._observed.caught_up() and self._looks > 1):
            self._raise_failure()
            if self.trouble:
                raise ServiceError(next(iter(self.trouble.values())))
            if time.monotonic() > until:
                raise ServiceError(
                    f"{self._site.name} could not be looked at within {_FIRST_S:.0f} s:"
                    " Kafka, Redis or the registry is slow."
                )
            time.sleep(0.05)

    def frame(self) -> Frame:
        """Return what there is to show now."""
        self._raise_failure()
        trouble = " ".join(self.trouble.values())
        if not self._standing:
            return Frame(self._site.name, self._site.version, trouble=trouble or "looking …")
        frame = frame_of(self._standing, self._observed, self._rises, time.time(), self._length)
        frame.latency_ms = self._latency.figures()._asdict()
        reading = "" if self._observed.caught_up() else "reading what was said before …"
        frame.trouble = trouble or reading or self.fault()
        return frame

    def fault(self) -> str:
        """Return what is wrong with the length of windows that was asked for, in a sentence."""
        lengths = self._observed.lengths()
        if self._length is None or not lengths or self._length in lengths:
            return ""
        return (
            f'{self._site.name} has no windows of "{self._length}" among its newest metrics:'
            f" there are {', '.join(lengths)}."
        )

    # -- the threads

    def _raise_failure(self) -> None:
        """Raise what ended a thread, if anything did: a view that stands still would lie."""
        if self._failure is not None:
            raise self._failure

    def _guarded(self, work: Callable[[], None]) -> None:
        """Go on with a thread's work until all ends, whatever does not answer meanwhile."""
        while not self._ended.is_set():
            try:
                work()
            except HeadraceError as error:
                self.trouble[work.__name__] = str(error)
                self._ended.wait(_AGAIN_S)
            except Exception as error:  # noqa: BLE001 - the main thread raises it
                self._failure = error
                return

    def _read(self) -> None:
        def go_on() -> bool:
            self.trouble.pop("_read", None)
            return not self._ended.is_set()

        self._observed.follow(self._site.kafka, go_on)

    def _look(self) -> None:
        self._standing = standing_of(self._site)
        now_s = time.time()
        self._rise("events", now_s, self._arrived())
        for name, report in self._standing["workers"].items():
            self._rise(name, report["time"], report.get("records", 0))
        self._latency.look()
        self.trouble.pop("_look", None)
        self._looks += 1
        self._ended.wait(LOOK_S if self._looks > 1 else LOOK_S / 2)

    def _rise(self, name: str, time_s: float, total: int) -> None:
        self._rises.setdefault(name, Series()).add(time_s, total)

    def _arrived(self) -> int:
        """Return how many records have come to the events topic."""
        topic = self._site.target.topics.events
        count = self._site.kafka.partition_counts().get(topic, 0)
        bounds = self._site.groups.bounds([(topic, number) for number in range(count)])
        return sum(end for _, end in bounds.values())
