"""Whether a history stands in the order in which it came, and how much of it would be late.

Events are published as they stand. A history that is newest first, sorted by its key, shuffled, or
joined from files in the wrong order is then nearly all late: JOIN matches no label to what is
behind its partition's watermark, and SCORE gives what is behind its entity's newest event no past.
Whoever publishes a file can know that before: here the rules of the stages are applied to it.
"""

from __future__ import annotations

from dataclasses import dataclass

from headrace.streams.duration import duration_text
from headrace.streams.partitioner import partition_of
from headrace.streams.plan import Plan
from headrace.streams.stages.marks import crossed, raised
from headrace.streams.watermark import advance, fresh_clock

LATE_SHARE_MAX = 0.01
"""A larger share of late events is an order that nobody meant."""

ENTITIES_MAX = 1_000_000
"""Of so many entities it is known how far they have come; further ones are not looked at."""

_UNITS = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1))


@dataclass(frozen=True, slots=True)
class Step:
    """A step back in event time.

    Attributes
    ----------
    line
        Where it is: the line, or the number, of the event that lies behind an earlier one.
    behind_ms
        How far it lies behind the newest before it.
    """

    line: int
    behind_ms: int


class Ordering:
    """Counts what would be late, if events came as they stand.

    Parameters
    ----------
    plan
        The pipeline.
    partitions
        How many partitions the events topic has.
    marks
        Whether their publisher says now and then, on all partitions, how far it has come.
    step_ms
        Length of the slices of event time in which they are published, if they are: the publisher
        says at the end of each how far it has come.
    what
        What events are counted by: lines, say.

    Attributes
    ----------
    events
        How many there were.
    back
        How many lie behind an earlier one.
    never_learned
        How many would be too late for JOIN, so that no label is matched to them.
    without_past
        How many would be too late for their entities' windows.
    first, farthest
        The first step back, and the longest.
    """

    def __init__(
        self,
        plan: Plan,
        partitions: int = 1,
        *,
        marks: bool = True,
        step_ms: int | None = None,
        what: str = "line",
    ) -> None:
        self.events = self.back = self.never_learned = self.without_past = 0
        self.first: Step | None = None
        self.farthest: Step | None = None
        self._what = what
        self._plan = plan
        self._joined = plan.labels == "topic"
        self._stateful = plan.features.stateful
        self._clocks = [fresh_clock() for _ in range(partitions)]
        self._published = fresh_clock()
        self._newest_ms: int | None = None
        self._marks = marks
        self._step_ms = step_ms
        self._marked_ms: int | None = None
        self._entities: dict[bytes, int] = {}

    def take(self, time_ms: int, key: bytes, line: int) -> None:
        """Take in the next event.

        Parameters
        ----------
        time_ms, key
            Its time, and its entity's key.
        line
            Where it stands.
        """
        self.events += 1
        newest = self._newest_ms
        if newest is not None and time_ms < newest:
            self.back += 1
            self._note(Step(line, newest - time_ms))
        now = time_ms if newest is None else max(newest, time_ms)
        if self._step_ms and newest is not None and now // self._step_ms != newest // self._step_ms:
            self._say()
        self._judge(time_ms, key)
        self._newest_ms = now
        advance(self._published, now)
        if self._marks and self._step_ms is None:
            said, watermark = self._marked_ms, self._published[0]
            if crossed(said, watermark, self._plan.mark_step_ms):
                self._marked_ms = watermark
                self._say()

    @property
    def late(self) -> int:
        """How many events would miss what they are published for."""
        return max(self.never_learned, self.without_past)

    @property
    def is_meant(self) -> bool:
        """Whether so few are late that the order may be that of a history."""
        return self.late <= LATE_SHARE_MAX * self.events

    def _note(self, step: Step) -> None:
        self.first = self.first or step
        if self.farthest is None or step.behind_ms > self.farthest.behind_ms:
            self.farthest = step

    def _judge(self, time_ms: int, key: bytes) -> None:
        plan = self._plan
        watermark = advance(self._clocks[partition_of(key, len(self._clocks))], time_ms)
        if self._joined and watermark is not None:
            ahead_ms = plan.label_ahead_ms
            early = ahead_ms is not None and time_ms > watermark + ahead_ms
            self.never_learned += early or time_ms < watermark - plan.lateness_ms
        if not self._stateful:
            return
        newest = self._entities.get(key)
        if newest is not None:
            self.without_past += time_ms < newest - plan.lateness_ms
            self._entities[key] = max(newest, time_ms)
        elif len(self._entities) < ENTITIES_MAX:
            self._entities[key] = time_ms

    def _say(self) -> None:
        """Let all partitions hear how far event time has come, as a publisher's mark does."""
        watermark = self._published[0]
        if watermark is not None:
            for clock in self._clocks:
                raised(clock, watermark)

    def sentence(self, name: str) -> str | None:
        """Return what people should know of the order, None if nothing would be late.

        Parameters
        ----------
        name
            What was looked at: a file, say.
        """
        first, farthest = self.first, self.farthest
        if not self.late or first is None or farthest is None:
            return None
        told = f"{name} is not in order of time: {self._what} {first.line} is"
        told += f" {span_text(first.behind_ms)} behind one before it"
        if farthest != first:
            told += f", {self._what} {farthest.line} {span_text(farthest.behind_ms)}, the farthest"
        lateness = duration_text(self._plan.lateness_ms)
        told += f". Of {self.events:,} events, with a lateness of {lateness},"
        parts = []
        if self.never_learned:
            parts.append(f"{self.never_learned:,} come too late to be learned from")
        if self.without_past:
            parts.append(f"{self.without_past:,} too late for features of their entity's past")
        return f"{told} {' and '.join(parts)}."


def span_text(span_ms: int) -> str:
    """Return a length of time in its two largest units.

    Examples
    --------
    >>> span_text(93_784_005), span_text(3_600_000), span_text(0)
    ('1d 2h', '1h', '0ms')
    """
    told = []
    for unit, size in _UNITS:
        if span_ms >= size:
            told.append(f"{span_ms // size}{unit}")
            span_ms %= size
    return " ".join(told[:2]) or "0ms"
