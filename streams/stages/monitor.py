"""MONITOR: adds up what the stages count, and says what it amounts to (docs/metrics.md).

All that is emitted, and when, is a function of the counts' log: never of where a batch ends nor of
a clock (:mod:`headrace.streams.stages.turn` says when what is said).

State keys: ``m``, marks and what is yet to be said; ``r``, the reference of drift; ``s``, those of
segments; ``w``, what the detectors know (``lookout``); and the totals (``ledger``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from headrace.schemas.codec import Undecodable
from headrace.schemas.counts import is_packed
from headrace.schemas.records import Codecs
from headrace.streams.decoding import Rejected
from headrace.streams.drift import Reference
from headrace.streams.observe import NO_TILE
from headrace.streams.plan import Plan
from headrace.streams.protocol.stage import Context, Effects, View
from headrace.streams.records import BARRIER, Emit, Record
from headrace.streams.stages.barriers import (
    FLUSH,
    barrier_of,
    barrier_source,
    is_step,
    pass_on,
    source_name,
)
from headrace.streams.stages.bulletin import Bulletin, Latest
from headrace.streams.stages.emission import PUBLISHED
from headrace.streams.stages.ledger import Ledger
from headrace.streams.stages.lookout import Lookout
from headrace.streams.stages.output import Output
from headrace.streams.stages.terms import Terms, fresh_meta, newest_spans
from headrace.streams.stages.turn import META, REFERENCE, SEGMENT_REFERENCES, Turn
from headrace.streams.withholding import fair

STAGES = frozenset({"score", "route", "join", "learn", "monitor"})
NAME_CHARS_MAX = 1_000
"""Of a segment's name; a count's is cut where it is made."""

_Item = tuple[Record, Any]  # decoded fields, Rejected, or a barrier's name


class MonitorStage:
    """MONITOR of a pipeline.

    Parameters
    ----------
    plan, codecs
        The pipeline's.

    Attributes
    ----------
    flush_due
        Set by whoever keeps the time, when counts have stopped: an empty batch then writes a record
        that lets the rest be emitted.
    unemitted
        Whether anything has changed that is yet to be emitted.
    """

    name = "monitor"
    whole = True
    poison_keys: tuple[str, ...] = ()
    flush_due = False
    unemitted = False

    def __init__(self, plan: Plan, codecs: Codecs) -> None:
        self._plan = plan
        self._codecs = codecs
        self._terms = Terms.of(plan)
        self._ledger = Ledger(self._terms.tile_ms)
        self._bulletin = Bulletin(plan, codecs)
        self._lookout = Lookout(plan, codecs, self._ledger)

    def load(self, view: View) -> None:
        """Rebuild what is derived from the state: indexes, the reference, the newest values."""
        self._ledger.load(view)
        reference = view.get(REFERENCE)
        self._bulletin.reference = None if reference is None else Reference(reference["totals"])
        of_segments = view.get(SEGMENT_REFERENCES) or {}
        self._bulletin.references = {
            segment: Reference(totals) for segment, totals in of_segments.get("totals", {}).items()
        }
        self._lookout.load(view)
        self._refresh(view)

    def prepare(self, records: Sequence[Record]) -> list[_Item]:
        """Decode."""
        return [(record, self._read(record)) for record in records]

    def keys(self, prepared: Sequence[_Item]) -> Collection[str]:
        """Return nothing to be read: the state is in memory, whole."""
        return ()

    def apply(self, prepared: Sequence[_Item], view: View, context: Context) -> Effects:
        """Add up, and say what has changed."""
        if not prepared:
            return self._flush()
        output, meta = self._output(), self._meta(view)
        turn = Turn(self._terms, self._ledger, self._bulletin, self._lookout, view, meta)
        for record, item in prepared:
            if type(item) is dict:
                output.emits += turn.take(record, item, restoring=context.restoring)
            elif type(item) is Rejected:
                output.reject(record, item)
            else:
                output.emits += self._at_barrier(turn, record, item, restoring=context.restoring)
        view.put(META, meta)
        self.unemitted = bool(meta["pending"])
        if turn.failures:
            output.tally.count("watch_failed", turn.failures)
        return output.effects(restoring=context.restoring)

    def _flush(self) -> Effects:
        """Write the record that lets the rest be emitted, if counts have stopped."""
        due, self.flush_due = self.flush_due and self.unemitted, False
        own = source_name(self.name, 0)
        return Effects([pass_on(FLUSH, own, self._plan.topics.counts, 0)] if due else [])

    def _at_barrier(self, turn: Turn, record: Record, name: str, *, restoring: bool) -> list[Emit]:
        """Emit what a barrier lets be emitted, and pass it on; but for one of MONITOR's own."""
        own, source = source_name(self.name, 0), barrier_source(record)
        if source == own:
            return turn.settle(record, source, restoring=restoring, whole=False)
        emits = [] if is_step(name) else turn.settle(record, source, restoring=restoring)
        return [
            *emits,
            pass_on(name, own, self._plan.topics.metrics, 0, key=f"{BARRIER}:{name}".encode()),
        ]

    def poison(self, record: Record, error: Exception, view: View, context: Context) -> Effects:
        """Make a dead letter of a record that no rule foresaw.

        One of MONITOR's own counts is not counted again: that would be read here, and go on.
        """
        output = self._output()
        output.poison(record, error)
        if self._is_own(record):
            return Effects([] if context.restoring else output.emits)
        return output.effects(restoring=context.restoring)

    def latest(self) -> list[Latest]:
        """Return metric, segment, window and value of the newest windows and the whole run."""
        return self._bulletin.latest()

    def alerts(self) -> Mapping[str, int] | None:
        """Return how many alerts that are not over there are, by kind; None without alarms."""
        return self._lookout.active

    def _output(self) -> Output:
        return Output(self.name, 0, self._plan, self._codecs)

    # -- records

    def _read(self, record: Record) -> Any:
        barrier = barrier_of(record)
        if barrier is not None:
            return barrier
        found = self._codecs.count.decode(record.value)
        if isinstance(found, Undecodable):
            return Rejected(*found)
        fault = _fault(found)
        return found if fault is None else Rejected("out_of_range", fault)

    def _is_own(self, record: Record) -> bool:
        found = self._codecs.count.decode(record.value)
        return isinstance(found, dict) and found["stage"] == self.name

    # -- state

    def _meta(self, view: View) -> dict[str, Any]:
        """Return marks and what is to be said; if tiles have changed, windows begin anew.

        Windows are no part of a declaration's version, so the shortest may change under a state.
        """
        meta: dict[str, Any] = view.get(META) or fresh_meta(self._terms.tile_ms)
        if meta["tile_ms"] != self._terms.tile_ms:
            self._ledger.retire(view, 2**63)
            for key in [key for key, _ in view.items() if key.startswith(PUBLISHED)]:
                view.put(key, None)
            kept = {name: meta[name] for name in ("marks", "lost", "segments")}
            meta = {**fresh_meta(self._terms.tile_ms), **kept}
        return meta

    def _refresh(self, view: View) -> None:
        """Make the newest values anew from the state."""
        self._bulletin.forget()
        meta = view.get(META)
        self.unemitted = bool(meta and meta["pending"])
        if meta is None or meta["tile_ms"] != self._terms.tile_ms:
            self._ledger.keep_only(())
            return
        unposted = self._ledger.unposted(view)
        spans = newest_spans(self._terms, meta)
        for span in spans:
            for segment in self._ledger.segments(span):
                totals = self._ledger.total_so_far(view, span, segment, unposted)
                figures = self._bulletin.figures(totals, segment)
                self._bulletin.show(figures if span is None else fair(figures), segment, span)
        # A restore comes here with each of its chunks: then the sums need not be made anew.
        self._ledger.keep_only(spans)


def _fault(count: dict[str, Any]) -> str | None:
    """Return why a count cannot be one of a stage's, None if it can."""
    if count["stage"] not in STAGES or not 0 <= count["partition"] < 1 << 20:
        return f"stage is {count['stage'][:50]!r}, partition is {count['partition']}."
    for cell in count["cells"]:
        if not NO_TILE <= cell["tile"] < 1 << 53 or len(cell["segment"]) > NAME_CHARS_MAX:
            return f"tile is {cell['tile']}, segment is {cell['segment'][:50]!r}."
        for family, data in cell["buckets"].items():
            if not is_packed(data):
                return f"buckets of {family[:50]!r} have {len(data)} bytes."
        for name, column in cell["columns"].items():
            if len(column) != len(cell["segments"]):
                return f"{name[:50]!r} is counted of {len(column)} segments."
    return None
