"""What MONITOR says: metric records, and the newest values for whoever asks the process."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache

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
        self._header = codecs.metric.header
        self._fields = codecs.metric.fields
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

    def records(
        self,
        figures: Mapping[str, Figure],
        segment: str,
        span: Span,
        now_ms: int,
        revision: int,
        *,
        final: bool,
    ) -> list[Emit]:
        """Return one record for each figure.

        Parameters
        ----------
        span
            The window; None is the whole run, whose end is ``now_ms``.
        revision
            The next offset of the counts topic.
        """
        name, (start, end) = self._window(span), span or (0, now_ms)
        place = f"{_quoted(segment)},{_quoted(name)},{start}"
        encode = self._fields
        # Field by field in the schema's order: what all records of a window share, once.
        where = encode["segment"](segment) + encode["window"](name)
        where += encode["window_start"](start) + encode["window_end"](end)
        state = encode["coverage"](figures["coverage"].value)
        state += encode["revision"](revision) + encode["final"](final)
        metric_of, value_of = encode["metric"], encode["value"]
        support_of, detail_of = encode["support"], encode["detail"]
        found, topic, header = [], self._topic, self._header
        for metric, (value, support, detail) in figures.items():
            parts = (header, metric_of(metric), where, value_of(value), support_of(support), state)
            body = b"".join((*parts, detail_of(detail)))
            found.append(Emit(topic, 0, f"[{_quoted(metric)},{place}]".encode(), body))
        return found

    def show(self, figures: dict[str, Figure], segment: str, span: Span) -> None:
        """Keep the newest values of a length of window; a newer window has none of an older."""
        name = self._window(span)
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

    def _window(self, span: Span) -> str:
        return WHOLE_RUN if span is None else self._names[span[1] - span[0]]
