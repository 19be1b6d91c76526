"""What MONITOR emits of the totals as metric records, and at which pace.

- *Final windows*, each once, whole; and, at the pace, those that late counts have changed.
- *The newest window of each length, and the whole run*, at the pace; of them only figures that are
  others than when they were emitted last.

The pace goes by the timestamps of the counts' records: so much must lie between a source's first
record after an emission and the one that brings the next. Each source is compared with itself
alone, since the clocks of two machines may differ for ever.

State keys: ``p:<window>:<segment>``, what was emitted last of a newest window's segment: the
window's end, and of each metric a digest of its figure with the coverage behind it.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b

from headrace.streams.figures import Figure
from headrace.streams.observe import ALL
from headrace.streams.protocol.stage import View
from headrace.streams.records import Emit
from headrace.streams.stages.bulletin import Body, Bulletin
from headrace.streams.stages.ledger import Ledger, Span
from headrace.streams.stages.terms import Meta, Terms, newest_spans
from headrace.streams.withholding import fair

PUBLISHED = "p:"
"""Prefix of the state keys of what was emitted last."""

DIGEST_BYTES = 8


class Emission:
    """What one batch of counts has MONITOR emit.

    Parameters
    ----------
    terms, ledger, bulletin
        MONITOR's.
    view
        Its state.
    meta
        What it knows; changed in place.

    Attributes
    ----------
    emits
        The records so far.
    """

    def __init__(
        self, terms: Terms, ledger: Ledger, bulletin: Bulletin, view: View, meta: Meta
    ) -> None:
        self.emits: list[Emit] = []
        self._terms = terms
        self._ledger = ledger
        self._bulletin = bulletin
        self._view = view
        self._meta = meta
        self._revision = 0
        self._restoring = False

    def begin(self, revision: int, *, restoring: bool) -> None:
        """Begin with a record of counts: ``revision`` is the offset behind it."""
        self.emits, self._revision, self._restoring = [], revision, restoring

    # -- the newest windows, at the pace

    def is_due(self, source: str, timestamp_ms: int) -> bool:
        """Note when a source has spoken; return whether the pace lets what changed be emitted.

        A clock that was set back holds nothing up.
        """
        first_ms = self._meta.setdefault("since", {}).setdefault(source, timestamp_ms)
        said = self._meta["said_at"] is not None
        return not said or abs(timestamp_ms - first_ms) >= self._terms.pace_ms

    def newest(self, source: str, timestamp_ms: int, *, settle: bool = False) -> None:
        """Emit what has changed since the last time.

        Parameters
        ----------
        source, timestamp_ms
            Whose record lets it be emitted, and when that was written.
        settle
            Whether the newest record of each key has to be exact. Else one whose figure is as it
            was is not written again only because its ``coverage`` is another one.
        """
        meta, terms = self._meta, self._terms
        if not meta["pending"] and not (settle and meta.get("unsettled")):
            return
        self._ledger.post(self._view)
        self.late()
        spans = newest_spans(terms, meta)
        final = meta["final"]
        finals = [] if final is None else [(final - width, final) for width in terms.widths]
        self._ledger.keep_only([*spans, *finals])
        end = spans[0][1] if spans[0] is not None else None
        # Of the whole run too all is emitted when the windows move on: else a count that never
        # changes again would be too far back in the log, or gone from it.
        whole = settle or meta["shown"] != end
        for span in spans:
            for segment in self._ledger.segments(span) if whole else self._changed(span):
                self._segment(span, segment, settle=settle)
        meta["shown"], meta["said_at"], meta["pending"] = end, timestamp_ms, {}
        meta["since"], meta["unsettled"] = {source: timestamp_ms}, not settle

    def _changed(self, span: Span) -> list[str]:
        """Return the segments of a window in which something has changed."""
        found: set[str] = set()
        for name, segments in self._meta["pending"].items():
            if span is None or span[0] <= int(name) < span[1]:
                found.update(segments)
        return sorted(found)

    def _segment(self, span: Span, segment: str, *, settle: bool) -> None:
        """Emit the figures of a newest window's segment that are others than those emitted last."""
        figures = self._figures(span, segment)
        if span is not None:
            figures = fair(figures)
        if not self._restoring:
            self._bulletin.show(figures, segment, span)
        key, end = f"{PUBLISHED}{self._bulletin.window(span)}:{segment}", self._end(span)
        before = self._view.get(key)
        known = before[1] if before is not None and before[0] == end else {}
        bodies = self._bulletin.bodies(figures)
        size = None if settle else DIGEST_BYTES
        digests, changed = dict(known), {}
        coverage = self._bulletin.coverage(figures)
        for name, body in bodies.items():
            digest = digest_of(body) + coverage
            if name not in known or known[name][:size] != digest[:size]:
                digests[name], changed[name] = digest, body
        if changed:
            self._view.put(key, [end, digests])
            self._emit(changed, coverage, segment, span, final=False)

    # -- final windows

    def final(self, end: int) -> None:
        """Emit the windows that end here, empty ones too while a longer one has anything."""
        if self._restoring:
            return
        self._ledger.post(self._view)
        silent = [ALL] if self._ledger.segments((end - self._terms.widths[-1], end)) else []
        for width in self._terms.widths:
            span = (end - width, end)
            for segment in self._ledger.segments(span) or silent:
                self._final(span, segment)

    def late(self) -> None:
        """Emit again the final windows that late counts have changed."""
        terms, late = self._terms, self._meta["late"]
        if not late:
            return
        final: int = self._meta["final"]
        spans: dict[tuple[int, int], set[str]] = {}
        for name, segments in late.items():
            tile = int(name)
            for width in terms.widths:
                for end in range(tile + terms.tile_ms, min(final, tile + width) + 1, terms.tile_ms):
                    spans.setdefault((end - width, end), set()).update(segments)
        for span in sorted(spans):
            for segment in sorted(spans[span]):
                self._final(span, segment)
        self._meta["late"] = {}

    def _final(self, span: tuple[int, int], segment: str) -> None:
        if self._restoring:
            return
        figures = self._figures(span, segment)
        bodies, coverage = self._bulletin.bodies(figures), self._bulletin.coverage(figures)
        self._emit(bodies, coverage, segment, span, final=True)

    # -- records

    def _figures(self, span: Span, segment: str) -> dict[str, Figure]:
        totals = self._ledger.kept_total(self._view, span, segment)
        return self._bulletin.figures(totals, segment)

    def _end(self, span: Span) -> int:
        """Return a window's end; the whole run's is that of the newest windows."""
        now = span or newest_spans(self._terms, self._meta)[0]
        return 0 if now is None else now[1]

    def _emit(
        self,
        bodies: Mapping[str, Body],
        coverage: bytes,
        segment: str,
        span: Span,
        *,
        final: bool,
    ) -> None:
        if self._restoring:
            return
        place = self._bulletin.place(segment, span, self._end(span))
        self.emits += self._bulletin.records(bodies, place, coverage, self._revision, final=final)


def digest_of(body: Body) -> bytes:
    """Return a digest of a figure: two in 10 to the 19th are the same by chance."""
    return blake2b(b"".join(body), digest_size=DIGEST_BYTES).digest()
