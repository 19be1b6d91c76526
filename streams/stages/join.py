"""JOIN: from a prediction and its label, whichever comes first, to an example.

The law is in ``matching``; here are the records around it.

State keys: ``w``, the clocks of all source partitions as the records have carried them; ``b``, the
barriers under way; ``i:<event id>``, what waits or marks. Where labels may take longer than
:data:`WHOLE_WAIT_MS_MAX`, the state is not held whole in memory, and an index by time is a part of
it (``due``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from headrace.schemas.codec import Undecodable
from headrace.schemas.errors import Refused
from headrace.schemas.labelling import Labelling
from headrace.schemas.records import Codecs
from headrace.streams.decoding import Rejected
from headrace.streams.duration import DAY_MS
from headrace.streams.plan import Plan
from headrace.streams.protocol.cache import Cache
from headrace.streams.protocol.stage import Context, Effects, View
from headrace.streams.records import Emit, Record
from headrace.streams.stages.barriers import arrived, barrier_of, source_name
from headrace.streams.stages.due import NUMBERS, SPAN, Pages
from headrace.streams.stages.marks import Mark, mark_of
from headrace.streams.stages.matching import (
    Arrival,
    Clocks,
    Matching,
    Outcome,
    Rules,
    fresh_clocks,
    newest,
    raise_clock,
)
from headrace.streams.stages.output import Output
from headrace.streams.topics import Partitions

CLOCKS = "w"
BARRIERS = "b"
WHOLE_WAIT_MS_MAX = DAY_MS
"""A state of longer waits is read by key, and not held whole in memory."""

WAITING_MAX = 250_000
KEPT_MAX = 2_500_000
"""How much may wait in a task: of a state in memory, and of one that is read by key."""

FULL = 2
"""How many times the waiting limit may wait before JOIN stops."""

_Item = tuple[Record, Any]  # decoded fields, Rejected, a Mark, or a barrier's name


class JoinStage:
    """JOIN of one partition of predictions and routed labels.

    Parameters
    ----------
    plan, codecs
        The pipeline's.
    partition
        The partition of both inputs.
    partitions
        How many partitions the topics have.
    waiting_limit
        How many predictions and labels may wait before the inputs are read in order of event time.
        It must exceed (wait + lateness) times the rate of this partition. None is
        :data:`WAITING_MAX`; of waits so long that the state is read by key, :data:`KEPT_MAX`, and
        then predictions that have had their label count, too: they are remembered for as long.
    span
        See :class:`Pages`.

    Attributes
    ----------
    whole
        Whether the state is held whole in memory: where no label takes longer than
        :data:`WHOLE_WAIT_MS_MAX`.
    layout
        A key that every state has which is read by key.
    """

    name = "join"
    poison_keys: tuple[str, ...] = ()
    layout = NUMBERS

    def __init__(
        self,
        plan: Plan,
        codecs: Codecs,
        partition: int,
        partitions: Partitions,
        waiting_limit: int | None = None,
        span: int = SPAN,
    ) -> None:
        self._plan = plan
        self._codecs = codecs
        self._partition = partition
        self._partitions = partitions
        self.whole = plan.wait_ms <= WHOLE_WAIT_MS_MAX
        self._waiting_limit = waiting_limit or (WAITING_MAX if self.whole else KEPT_MAX)
        self._labelling = Labelling(codecs.prediction, codecs.example)
        self._pages = None if self.whole else Pages(span)
        self._matching = Matching(
            Rules(plan.wait_ms, plan.lateness_ms, plan.label_lateness_ms, plan.label_ahead_ms),
            self._pages,
        )
        self._clocks = self._fresh_clocks()
        self._sources = [
            *(source_name("score", number) for number in range(partitions.events)),
            *(source_name("route", number) for number in range(partitions.labels)),
        ]

    def load(self, view: View) -> None:
        """Rebuild the index of what waits."""
        self._clocks = view.get(CLOCKS) or self._fresh_clocks()
        self._matching.load(view)

    def prepare(self, records: Sequence[Record]) -> list[_Item]:
        """Decode."""
        return [(record, self._read(record)) for record in records]

    def keys(self, prepared: Sequence[_Item]) -> Collection[str]:
        """Return what is to be read first: nothing if the state is in memory, whole."""
        if self._pages is None:
            return ()
        keys = [CLOCKS, BARRIERS, *self._pages.roots()]
        for record, item in prepared:
            if type(item) is dict:
                scored = record.topic == self._plan.topics.predictions
                places = self._pages.first_keys if scored else self._pages.label_keys
                keys += [f"i:{item['event_id']}", *places(record.offset)]
        return list(dict.fromkeys(keys))

    def more(self, prepared: Sequence[_Item], view: View) -> Collection[str]:
        """Return what is to be read because of what was: all that will be due, and its index."""
        assert self._pages is not None, "a state that is held whole lacks nothing"
        clocks: Clocks = [list(clock) for clock in view.get(CLOCKS) or self._fresh_clocks()]
        needed: list[str] = []
        for record, item in prepared:
            self._raise_clocks(clocks, record, item)
            if type(item) is dict and record.topic == self._plan.topics.predictions:
                _, labels = view.get(f"i:{item['event_id']}") or ((), ())
                for label in labels:
                    needed += self._pages.label_keys(label[0])
        return list(dict.fromkeys(needed + self._matching.due_keys(view, clocks)))

    def upgraded(self, states: Mapping[str, Any]) -> dict[str, Any]:
        """Return the index of a state that was held whole before it was read by key."""
        index = Cache(0, whole=True)
        self._matching.begin(index)
        self._matching.upgrade(index, states.items(), states.get(CLOCKS) or self._fresh_clocks())
        return dict(index.items())

    def apply(self, prepared: Sequence[_Item], view: View, context: Context) -> Effects:
        """Match what came, then let go of all that can match nothing any more."""
        output = self._output()
        clocks = self._clocks = view.get(CLOCKS) or self._fresh_clocks()
        self._matching.begin(view)
        for record, item in prepared:
            if type(item) is dict:
                outcome = self._arrive(record, item, clocks, view)
                self._emit(item["event_id"], outcome, output)
            elif type(item) is Rejected:
                output.reject(record, item)
            elif type(item) is Mark:
                self._raise_clocks(clocks, record, item)
            else:
                self._barrier(record, item, view, output)
        for name, time_ms in self._matching.collect(view, clocks):
            output.tally.count(name, time_ms=time_ms)
        self._matching.finish(view)
        view.put(CLOCKS, clocks)
        return output.effects(restoring=context.restoring, settled=self._matching.settled(clocks))

    def poison(self, record: Record, error: Exception, view: View, context: Context) -> Effects:
        """Make a dead letter of a record that no rule foresaw."""
        output = self._output()
        output.poison(record, error)
        return output.effects(restoring=context.restoring)

    # -- the bound

    @property
    def waiting(self) -> int:
        """How many predictions and labels wait for each other."""
        return self._matching.events_waiting + self._matching.labels_waiting

    @property
    def entries(self) -> int:
        """How many entries there are in the state, those too that had their label."""
        return self._matching.firsts_kept + self._matching.labels_waiting

    @property
    def held(self) -> int:
        """What counts against the limit: what waits; of a state read by key, every entry."""
        return self.waiting if self.whole else self.entries

    @property
    def limit(self) -> int:
        """How much may be held before an input pauses."""
        return self._waiting_limit

    def prefer(self) -> str | None:
        """Return the input to be read next when too many wait: the one behind in event time.

        Returns
        -------
        str or None
            A topic; None as long as both may be read.

        Raises
        ------
        Refused
            Twice the limit waits, although the inputs were read in order of event time. Nothing
            is ever evicted: that could change an outcome.
        """
        if self.held <= self._waiting_limit:
            return None
        if self.held > FULL * self._waiting_limit:
            raise Refused(
                f"{self._plan.name}/join/{self._partition}: {self._matching.events_waiting}"
                f" predictions and {self._matching.labels_waiting} labels wait for each other,"
                f" {self.entries} entries in all; the limit is {self._waiting_limit}, at {FULL}"
                " times of which JOIN stops.",
                "Set the limit above events per second x (wait + lateness), shorten the wait, or"
                " see that every partition of both inputs is published to: watermarks stand still"
                " at the slowest.",
            )
        events, labels = newest(self._clocks[0]), newest(self._clocks[1])
        topics = self._plan.topics
        labels_behind = labels is None or (events is not None and labels < events)
        return topics.labels_routed if labels_behind else topics.predictions

    # -- records

    def _raise_clocks(self, clocks: Clocks, record: Record, item: Any) -> None:
        """Take in the watermark that a mark, a prediction or a label carries."""
        side = record.topic != self._plan.topics.predictions
        if type(item) is Mark:
            raise_clock(clocks[side], item.source, item.watermark)
        elif type(item) is dict:
            raise_clock(clocks[side], item["source_partition"], item["watermark"])

    def _fresh_clocks(self) -> Clocks:
        return fresh_clocks(self._partitions.events, self._partitions.labels)

    def _output(self) -> Output:
        return Output(self.name, self._partition, self._plan, self._codecs)

    def _read(self, record: Record) -> Any:
        said = barrier_of(record) or mark_of(record)
        if type(said) is str:
            return said
        scored = record.topic == self._plan.topics.predictions
        sources = self._partitions.events if scored else self._partitions.labels
        if type(said) is Mark:
            return _out_of_range(said.source, sources) or said
        decode = self._labelling.arrival if scored else self._codecs.routed_label.decode
        found = decode(record.value)
        if isinstance(found, Undecodable):
            return Rejected(*found)
        return _out_of_range(found["source_partition"], sources) or found

    def _arrive(self, record: Record, item: dict[str, Any], clocks: Clocks, view: View) -> Outcome:
        event_id, source = item["event_id"], item["source_partition"]
        if record.topic == self._plan.topics.predictions:
            time_ms = item["event_time"]
            event = Arrival(event_id, record.offset, time_ms, source, item["watermark"])
            return self._matching.event(view, clocks, event, record.value or b"")
        time_ms = item["label_time"]
        label = Arrival(event_id, record.offset, time_ms, source, item["watermark"])
        state = [record.offset, time_ms, item["label"], source, item["source_offset"]]
        return self._matching.label(view, clocks, label, state)

    def _emit(self, event_id: str, outcome: Outcome, output: Output) -> None:
        for name, time_ms in outcome.counts:
            output.tally.count(name, time_ms=time_ms)
        if outcome.match is None:
            return
        _, time_ms, label, partition, offset = outcome.match.label
        value = self._labelling.example(
            outcome.match.prediction,
            {
                "label": label,
                "label_time": time_ms,
                "label_partition": partition,
                "label_offset": offset,
            },
        )
        output.emits.append(Emit(self._plan.topics.examples, 0, event_id.encode(), value))

    def _barrier(self, record: Record, name: str, view: View, output: Output) -> None:
        opened = view.get(BARRIERS) or {}
        if arrived(opened, name, record, self._sources):
            output.pass_barrier(name, self._plan.topics.examples)
        ordered = {each: opened[each] for each in sorted(opened)}
        view.put(BARRIERS, ordered or None)


def _out_of_range(source: int, sources: int) -> Rejected | None:
    """Return what is wrong with the number of a source partition, if anything."""
    if 0 <= source < sources:
        return None
    return Rejected("out_of_range", f"source_partition is {source}; there are {sources}.")
