"""How far event time has come, and what is decided: a function of the counts' log alone.

A stage's counts carry marks: SCORE its partition's watermark, JOIN the event time before which all
is settled. What lies before the lowest of them is decided. A source that stands still while others
go on is waited for no longer than :attr:`Horizon.idle_ms` of event time (docs/adr/0008): so an
idle partition holds no window open for ever. If it moves again, what it says is a correction. A
source that is behind and moves, as in a replay of a long history, is given two weeks of tiles more.
"""

from __future__ import annotations

from typing import Any

from headrace.streams.observe import NO_TILE, tile_ms_of
from headrace.streams.plan import Plan

Marks = dict[str, Any]
"""``{"score": {partition: ms or None}, "join": ..., "learn": ...}``, partitions as text; and
``"moved"``, how far event time had come when each mark moved last."""

CATCH_UP_TILES = 336
"""So many tiles more a source may be behind as long as it moves: they are kept in memory."""


def fresh_marks() -> Marks:
    """Return marks of sources none of which has spoken."""
    return {"score": {}, "join": {}, "learn": {}, "moved": {}}


class Horizon:
    """Reads marks.

    Parameters
    ----------
    plan
        The pipeline's plan.

    Attributes
    ----------
    idle_ms
        How far behind the farthest watermark a source that stands still may be and still be waited
        for, and how far that may come until the source is said to stand still: the longest window
        and all that the declaration lets pass between an event and its label's coming.
    catch_up_ms
        The same of a source that moves.
    """

    def __init__(self, plan: Plan) -> None:
        self._lateness_ms = plan.lateness_ms
        self._joined = plan.labels == "topic"
        self._wait_ms = plan.wait_ms
        wait_ms = plan.wait_ms + plan.label_lateness_ms
        self.idle_ms = max(plan.windows_ms) + plan.lateness_ms + wait_ms
        self.catch_up_ms = self.idle_ms + CATCH_UP_TILES * tile_ms_of(plan)

    def mark(self, marks: Marks, record: dict[str, Any]) -> bool:
        """Take in a count's mark; say whether any moved. A mark never goes back."""
        stage, name = record["stage"], str(record["partition"])
        mine = marks.get(stage)
        if mine is None:
            return False
        said = _said(stage, record)
        before = mine.get(name)
        if name in mine and (said is None or (before is not None and said <= before)):
            return False
        mine[name] = said
        marks["moved"][f"{stage}-{name}"] = self.newest(marks) or 0
        return True

    def newest(self, marks: Marks) -> int | None:
        """Return the farthest watermark: what "now" is in event time."""
        return max((mark for mark in marks["score"].values() if mark is not None), default=None)

    def events(self, marks: Marks, newest: int) -> int:
        """Return before which event time no event is awaited any more."""
        return self._lowest(marks, "score", self._lateness_ms, newest)

    def decided(self, marks: Marks, newest: int, events: int) -> int:
        """Return before which event time neither events nor labels are awaited any more.

        Parameters
        ----------
        events
            Before which no event is: what :meth:`events` returns.
        """
        return min(events, self._lowest(marks, "join", 0, newest)) if self._joined else events

    def labels(self, marks: Marks, newest: int) -> int:
        """Return before which time no label is awaited any more: JOIN's marks lie a wait before."""
        return self._lowest(marks, "join", 0, newest) + self._wait_ms

    def overdue(self, marks: Marks, newest: int) -> int:
        """Return before which event time a sum that does not come out is waited for no more."""
        learned = [
            max(at, self._abandoned(marks, "learn", name, newest))
            for name, at in marks["learn"].items()
            if at is not None
        ]
        farthest: int = min([newest, *learned])
        return farthest - 2 * self.idle_ms

    def _lowest(self, marks: Marks, stage: str, behind_ms: int, newest: int) -> int:
        """Return the lowest mark of a stage's sources, none further behind than is waited for."""
        found = []
        for name, mark in marks[stage].items():
            abandoned = self._abandoned(marks, stage, name, newest)
            found.append(abandoned if mark is None else max(abandoned, mark - behind_ms))
        return min(found, default=newest - self.catch_up_ms)

    def _abandoned(self, marks: Marks, stage: str, name: str, newest: int) -> int:
        """Return before which event time a source is not waited for."""
        moves = newest - marks["moved"][f"{stage}-{name}"] <= self.idle_ms
        return newest - (self.catch_up_ms if moves else self.idle_ms)


def _said(stage: str, record: dict[str, Any]) -> int | None:
    """Return what a count says of how far its source has come; LEARN's is its newest example."""
    if stage == "score":
        return record["watermark"]  # type: ignore[no-any-return]
    if stage == "join":
        return record["settled"]  # type: ignore[no-any-return]
    tiles = [cell["tile"] for cell in record["cells"] if cell["tile"] != NO_TILE]
    return max(tiles, default=None)
