"""What MONITOR says: metric records, and the newest values for whoever asks the process."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import NamedTuple

from headrace.schemas.records import Codecs
from headrace.streams.drift import Reference
from headrace.streams.duration import duration_text
from headrace.streams.figures import Figure
from headrace.streams.metrics import Metrics
from headrace.streams.observe import ALL
from headrace.streams.plan import Plan
from headrace.streams.records import Emit
from headrace.streams.stages.ledger import Span
from headrace.streams.totals import Totals

WHOLE_RUN = "all"
"""Window of the whole run."""

_quoted = lru_cache(maxsize=4_096)(json.dumps)

_NAMES_KEPT = 10_000

EMPTY = b"\x00"
"""An empty map in Avro."""

Body = tuple[bytes, bytes]
"""What is written of one figure: value and support, and detail."""


class Place(NamedTuple):
    """What all records of a segment in a window share: how their keys end, and its fields."""

    key: bytes
    fields: bytes


class _Named(dict[str, tuple[bytes, bytes]]):
    """How keys of a metric begin, and its records: remembered, since names come again and again."""

    def __init__(self, header: bytes, encode: Callable[[str], bytes]) -> None:
        super().__init__()
        self._header = header
        self._encode = encode

    def __missing__(self, metric: str) -> tuple[bytes, bytes]:
        found = (b"[" + json.dumps(metric).encode(), self._header + self._encode(metric))
        if len(self) < _NAMES_KEPT:
            self[metric] = found
        return found


Latest = tuple[str, str, str, float | None]
"""Metric, segment, window, value."""


class Bulletin:
    """Makes figures of totals, and records of figures.

    Parameters
    ----------
    plan, codecs
        The pipeline's.

    Attributes
    ----------
    reference
        What drift is measured against; None as long as there is none.
    references
        The same of segments, whose features are counted.
    """

    def __init__(self, plan: Plan, codecs: Codecs) -> None:
        self._metrics = Metrics(plan)
        self._topic = plan.topics.metrics
        self._fields = codecs.metric.fields
        self._named = _Named(codecs.metric.header, self._fields["metric"])
        self._names = {width: duration_text(width) for width in plan.windows_ms}
        self._latest: dict[str, tuple[Span, dict[str, dict[str, Figure]]]] = {}
        self.reference: Reference | None = None
        self.references: dict[str, Reference] = {}

    def figures(self, totals: Totals, segment: str) -> dict[str, Figure]:
        """Return all that is to be said of a segment in a window."""
        if segment != ALL:
            return self._of_segment(totals, segment)
        found = self._metrics.figures(totals)
        if self.reference is not None:
            found.update(self.reference.figures(totals))
        return found

    def _of_segment(self, totals: Totals, segment: str) -> dict[str, Figure]:
        found = self._metrics.figures(totals, segment=True)
        reference = self.references.get(segment)
        if reference is not None:
            drift = reference.figures(totals).items()
            found.update((name, figure) for name, figure in drift if figure.support)
        return found

    def bodies(self, figures: Mapping[str, Figure]) -> dict[str, Body]:
        """Return what is written of each figure: its value and support, and its detail."""
        value_of, support_of = self._fields["value"], self._fields["support"]
        detail_of = self._fields["detail"]
        return {
            metric: (value_of(value) + support_of(support), detail_of(detail) if detail else EMPTY)
            for metric, (value, support, detail) in figures.items()
        }

    def coverage(self, figures: Mapping[str, Figure]) -> bytes:
        """Return a window's coverage as it is written."""
        return self._fields["coverage"](figures["coverage"].value)

    def place(self, segment: str, span: Span, until_ms: int) -> Place:
        """Return what all records of a segment in a window share.

        Parameters
        ----------
        span
            The window; None is the whole run.
        until_ms
            Its end.
        """
        name, start, encode = self.window(span), span[0] if span is not None else 0, self._fields
        where = encode["segment"](segment) + encode["window"](name)
        where += encode["window_start"](start) + encode["window_end"](until_ms)
        return Place(f",{_quoted(segment)},{_quoted(name)},{start}]".encode(), where)

    def records(
        self,
        bodies: Mapping[str, Body],
        place: Place,
        coverage: bytes,
        revision: int,
        *,
        final: bool,
    ) -> list[Emit]:
        """Return one record for each figure.

        Parameters
        ----------
        bodies, place, coverage
            What :meth:`bodies`, :meth:`place` and :meth:`coverage` say.
        revision
            The next offset of the counts topic.
        """
        # Field by field in the schema's order: what all records of a window share, once.
        state = coverage + self._fields["revision"](revision) + self._fields["final"](final)
        topic, named, (key, where) = self._topic, self._named, place
        return [
            Emit(topic, 0, begins + key, b"".join((head, where, value, state, detail)))
            for (begins, head), (value, detail) in (
                (named[metric], body) for metric, body in bodies.items()
            )
        ]

    def show(self, figures: dict[str, Figure], segment: str, span: Span) -> None:
        """Keep the newest values of a length of window; a newer window has none of an older."""
        name = self.window(span)
        before = self._latest.get(name)
        shown = before[1] if before is not None and before[0] == span else {}
        shown[segment] = figures
        self._latest[name] = (span, shown)

    def forget(self) -> None:
        """Forget the newest values."""
        self._latest = {}

    def latest(self) -> list[Latest]:
        """Return the newest values of each length of window."""
        return [
            (metric, segment, window, figure.value)
            for window, (_, shown) in list(self._latest.items())
            for segment, figures in list(shown.items())
            for metric, figure in list(figures.items())
        ]

    def window(self, span: Span) -> str:
        """Return the name of a window's length."""
        return WHOLE_RUN if span is None else self._names[span[1] - span[0]]
