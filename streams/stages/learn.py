"""LEARN: tests the model on each example, then teaches it, in the one order of the examples topic.

At a batch's end it announces the state with its offset. A small state travels in the announcement.
A big one is dumped only now and then, as a checkpoint, and announced by reference in a *later*
batch, once the checkpoint is in the registry: a reference must never be committed before what it
refers to.

The state is the model's bundle, the examples that model lag looks back at, the first ones as long
as features are suspected of a leak, and the barriers under way.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from headrace.schemas.codec import Undecodable
from headrace.schemas.records import Codecs
from headrace.streams.decoding import Rejected
from headrace.streams.freshness import Freshest
from headrace.streams.leaks import Suspicions
from headrace.streams.model import Answer, Bundle, Dumps, Loads
from headrace.streams.observe import Observer
from headrace.streams.outcomes import MILLION
from headrace.streams.plan import Plan
from headrace.streams.protocol.stage import Context, Effects, View
from headrace.streams.records import Emit, Record
from headrace.streams.stages.barriers import Open, arrived, barrier_of, source_name
from headrace.streams.stages.lag import ModelLag
from headrace.streams.stages.output import Output

INLINE_BYTES_MAX = 256 * 1024
"""A bigger state is announced by reference to a checkpoint."""

SNAPSHOT_EXAMPLES = 2_000
"""After so many examples a batch's end is dumped for a checkpoint, if nobody has asked before."""

SNAPSHOT_BYTES_PER_EXAMPLE = 512
"""A big state is dumped more seldom: learning must cost more than dumping does."""

_Item = tuple[Record, Any]  # decoded fields, Rejected, or a barrier's name


class LearnStage:
    """LEARN: the single writer of a model's state.

    Parameters
    ----------
    plan, codecs
        The pipeline's.
    version
        The declaration's version.
    sources
        How many tasks send each barrier: JOIN's, or SCORE's in a pipeline without JOIN.
    dumps, loads
        Make a signed artifact of a state, and read it.
    inline_limit_bytes
        The biggest state that travels in an announcement.

    Attributes
    ----------
    snapshot_due
        Set by whoever keeps the time: the next batch's end is dumped, even that of an empty batch.
    """

    name = "learn"
    whole = True
    poison_keys: tuple[str, ...] = ()

    def __init__(
        self,
        plan: Plan,
        codecs: Codecs,
        version: int,
        sources: int,
        dumps: Dumps,
        loads: Loads,
        inline_limit_bytes: int = INLINE_BYTES_MAX,
    ) -> None:
        self._plan = plan
        self._codecs = codecs
        self._version = version
        sender = "join" if plan.labels == "topic" else "score"
        self._sources = [source_name(sender, number) for number in range(sources)]
        self._dumps = dumps
        self._loads = loads
        self._inline_limit_bytes = inline_limit_bytes
        self._observer = Observer(plan)
        self._freshest = Freshest(plan)
        self.snapshot_due = False
        self.reset(None)

    def reset(self, state: bytes | None) -> None:
        """Take up the state of a checkpoint; None is the fresh model."""
        known = {} if state is None else self._loads(state)
        self._bundle = Bundle(self._plan, known or None)
        self._lag = ModelLag(known.get("lag"))
        self._suspicions = Suspicions(self._plan, known.get("suspicions"))
        self._open: Open = known.get("barriers", {})
        self._learned_to: int = known.get("learned_to", 0)
        self._label_time: int | None = known.get("label_time")
        self._since_snapshot = 0
        self._big = state is not None and len(state) > self._inline_limit_bytes
        self._size_bytes = len(state or b"")
        self._withheld: list[
            tuple[str, int]
        ] = []  # barriers that wait for a checkpoint at least so far
        self._snapshot: tuple[int, int | None] = (-1, None)  # offset and label time of the last one
        self._saved: int | None = None
        self._referred = -1

    def dump(self) -> bytes:
        """Return the present state as a checkpoint holds it."""
        return self._dumps(
            {
                **self._bundle.state(),
                "lag": self._lag.state(),
                "suspicions": self._suspicions.state(),
                "barriers": {name: self._open[name] for name in sorted(self._open)},
                "learned_to": self._learned_to,
                "label_time": self._label_time,
            }
        )

    def saved(self, offset: int) -> None:
        """Hear that a checkpoint is in the registry; a big state is announced by it, once."""
        awaited = any(least <= offset for _, least in self._withheld)
        if self._big and (offset > self._referred or awaited):
            self._saved = offset

    @property
    def has_news(self) -> bool:
        """Whether an empty batch would announce something: process one."""
        return self._saved is not None

    @property
    def by_reference(self) -> bool:
        """Whether the state is too big to travel in an announcement."""
        return self._big

    @property
    def wants_checkpoint(self) -> bool:
        """Whether somebody waits at a barrier for a checkpoint: let one be due."""
        return bool(self._withheld)

    # -- a batch

    def load(self, view: View) -> None:
        """Do nothing: the state comes by :meth:`reset`."""

    def prepare(self, records: Sequence[Record]) -> list[_Item]:
        """Decode."""
        return [(record, self._read(record)) for record in records]

    def keys(self, prepared: Sequence[_Item]) -> Collection[str]:
        """Return nothing to be read."""
        return ()

    def apply(self, prepared: Sequence[_Item], view: View, context: Context) -> Effects:
        """Test and learn each example; announce the state at the end."""
        output = Output(self.name, 0, self._plan, self._codecs)
        seen, passed = self._bundle.seen, []
        for record, item in prepared:
            self._learned_to = record.offset + 1
            if type(item) is dict:
                x = self._door(item)
                # Asked in a restore too: a scaler notes the names that it is asked for, and what
                # fails to be learned then would leave it in another order.
                fresh = self._fresh(x)
                suspected = self._suspicions.take(item)
                if not context.restoring:
                    self._test(fresh, item, output)
                    _tell(suspected, output)
                self._learn(x, record, item, output)
            elif type(item) is Rejected:
                output.reject(record, item)
            elif arrived(self._open, str(item), record, self._sources):
                passed.append(str(item))
        self._since_snapshot += self._bundle.seen - seen
        if self._big:
            self._withheld += [(name, self._learned_to) for name in passed]
        if context.restoring:
            return Effects()
        return self._end(output, passed, learned=self._bundle.seen > seen)

    def poison(self, record: Record, error: Exception, view: View, context: Context) -> Effects:
        """Make a dead letter of a record that no rule foresaw."""
        output = Output(self.name, 0, self._plan, self._codecs)
        output.poison(record, error)
        return output.effects(restoring=context.restoring)

    def _read(self, record: Record) -> Any:
        barrier = barrier_of(record)
        if barrier is not None:
            return barrier
        example = self._codecs.example.decode(record.value)
        return Rejected(*example) if isinstance(example, Undecodable) else example

    # -- an example

    def _fresh(self, x: dict[str, Any]) -> Answer | None:
        """Return what the newest model says, if its loss tells anything."""
        return self._bundle.predict(dict(x)) if self._freshest.asks else None

    def _test(self, fresh: Answer | None, example: dict[str, Any], output: Output) -> None:
        """Count how the served prediction did, and how the newest model would have done."""
        asked = example["learned_to"], example["event_time"]
        self._observer.outcome(output.tally, example, self._lag.of(*asked))
        age_ms, later = self._lag.age_ms(*asked), self._lag.knows_after(example["event_time"])
        self._freshest.take(output.tally, example, fresh, age_ms, later=later)

    def _learn(
        self, x: dict[str, Any], record: Record, example: dict[str, Any], output: Output
    ) -> None:
        # ``x`` is this example's alone: a model may keep what it learns from.
        label_time = example["label_time"]
        self._lag.add(record.offset, label_time)
        try:
            self._bundle.learn(x, example["label"])
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - a user's model may raise anything
            said = f"The model failed to learn it: {type(error).__name__}: {error}"
            output.reject(record, Rejected("model_failed", said))
            return
        output.tally.count("learned", time_ms=example["event_time"])
        if label_time is not None:
            self._label_time = max(label_time, self._label_time or label_time)

    def _door(self, example: dict[str, Any]) -> dict[str, Any]:
        """Return an example's row at the model's door."""
        program = self._plan.features
        return program.door(program.row(example["features"]))

    # -- the batch's end

    def _end(self, output: Output, passed: list[str], *, learned: bool) -> Effects:
        """Announce what was learned, count it, pass barriers on behind both, and dump if due."""
        if self._big:
            passed = self._announce_saved(output)
        elif learned or passed:
            passed = self._announce_inline(output, passed)
        effects = output.effects(restoring=False)
        for name in passed:
            output.pass_barrier(name, self._plan.topics.counts)
        if self.snapshot_due or self._since_snapshot >= self._snapshot_examples():
            effects.snapshot = self.dump()
            self._size_bytes = len(effects.snapshot)
            self._snapshot = (self._learned_to, self._label_time)
            self.snapshot_due, self._since_snapshot = False, 0
        return effects

    def _snapshot_examples(self) -> int:
        return max(SNAPSHOT_EXAMPLES, self._size_bytes // SNAPSHOT_BYTES_PER_EXAMPLE)

    def _announce_inline(self, output: Output, passed: list[str]) -> list[str]:
        """Announce the state itself; return the barriers that were announced with it."""
        state = self._dumps(self._bundle.state())
        if len(state) > self._inline_limit_bytes:
            self._big, self._size_bytes = True, len(state)
            self._withheld = [(name, self._learned_to) for name in passed]
            self.snapshot_due = True  # so that a first reference comes soon
            return []
        first = passed[0] if passed else None
        time = self._label_time
        self._announce(output, self._learned_to, time, state=state, barrier=first)
        for name in passed[1:]:
            self._announce(output, self._learned_to, time, barrier=name)
        return passed

    def _announce_saved(self, output: Output) -> list[str]:
        """Announce the checkpoint that is in the registry; return the barriers that it covers."""
        if self._saved is None:
            return []
        offset, self._saved = self._saved, None
        self._referred = offset
        covered = [name for name, least in self._withheld if least <= offset]
        self._withheld = [(name, least) for name, least in self._withheld if least > offset]
        time = self._snapshot[1] if self._snapshot[0] == offset else None
        names: list[str | None] = [*covered] or [None]
        for name in names:
            self._announce(output, offset, time, checkpoint=offset, barrier=name)
        return covered

    def _announce(
        self,
        output: Output,
        learned_to: int,
        label_time: int | None,
        *,
        state: bytes | None = None,
        checkpoint: int | None = None,
        barrier: str | None = None,
    ) -> None:
        record = {
            "pipeline": self._plan.name,
            "version": self._version,
            "learned_to": learned_to,
            "state": state,
            "checkpoint": checkpoint,
            "label_time": label_time,
            "barrier": barrier,
        }
        value = self._codecs.model.encode(record)
        output.emits.append(Emit(self._plan.topics.models, 0, self._plan.name.encode(), value))


def _tell(suspected: Mapping[str, float], output: Output) -> None:
    """Count features that alone order the labels: each once in a version's life."""
    for name, area in suspected.items():
        output.tally.count(f"leak:{name}", round(MILLION * area))
        output.tally.count(f"leak_told:{name}")
