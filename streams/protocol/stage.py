"""What the protocol asks of a stage: pure functions from records and state to effects."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from headrace.streams.records import Emit, Record

State = Any
"""The state of one key: plain data (lists, dicts with string keys, numbers, strings, bytes, None).

The value that :meth:`View.get` returns may be changed in place; :meth:`View.put` makes the change
part of the batch. It is packed with msgpack, so tuples come back as lists.
"""


class View(Protocol):
    """A task's states as its stage sees them: what earlier batches left, committed or not."""

    def get(self, key: str) -> State:
        """Return the state of a key, None if it has none."""

    def put(self, key: str, state: State) -> None:
        """Set the state of a key; None deletes it."""

    def items(self) -> Iterable[tuple[str, State]]:
        """Go through all states in key order; for stages that hold their state whole."""


@dataclass(slots=True)
class Effects:
    """What a batch amounts to. Nothing outside has been touched.

    Attributes
    ----------
    emits
        Records to be written, in this order.
    meta
        New metadata of the cut; None leaves it as it was.
    snapshot
        LEARN only: the state behind the batch's last example, if it was dumped.
    """

    emits: list[Emit] = field(default_factory=list)
    meta: str | None = None
    snapshot: bytes | None = None


@dataclass(frozen=True, slots=True)
class Context:
    """What a batch is processed with, besides its records and state.

    Attributes
    ----------
    restoring
        Whether this is a replay of committed input: state changes, nothing is emitted.
    meta
        When restoring: the metadata of the committed offsets.
    model
        SCORE only: the model that is served (see ``headrace.streams.model.Served``).
    """

    restoring: bool = False
    meta: str = ""
    model: Any = None


class Stage(Protocol):
    """A stage of one task. Deterministic: equal records, states and context, equal effects.

    A state may depend on records and states alone, never on where a batch ends nor on
    ``context.model``: a restore has other batches and no model. So whatever a model raises is the
    stage's to answer (a prediction that is null), lest one record be poison once and not twice.
    """

    name: str
    """score, route, join, learn or monitor."""

    whole: bool
    """Whether the state is read whole when the task is taken over (and never evicted)."""

    poison_keys: tuple[str, ...]
    """The keys whose states :meth:`poison` will ask for."""

    def load(self, view: View) -> None:
        """Rebuild what is derived from a whole state (an index, say); else do nothing.

        Called when the state has been read, once more when it has been restored, and after a
        record that failed.
        """

    def prepare(self, records: Sequence[Record]) -> Any:
        """Decode and validate: everything that needs no state."""

    def keys(self, prepared: Any) -> Collection[str]:
        """Return the keys whose states :meth:`apply` will ask for, in a fixed order."""

    def apply(self, prepared: Any, view: View, context: Context) -> Effects:
        """Change states and return what is to be emitted."""

    def poison(self, record: Record, error: Exception, view: View, context: Context) -> Effects:
        """Return what a record amounts to that this stage failed on: a dead letter.

        The state is as it was before the record; what it may change depends on the record's
        coordinates and headers alone: whether it had been decoded, or which states besides
        ``poison_keys`` had been read, is not known here.
        """


class Indexed(Stage, Protocol):
    """JOIN with long waits: which states a batch needs is said by states, too.

    Attributes
    ----------
    layout
        A key that every such state has; one without it is of the time when it was read whole.
    entries
        How many entries the state has, about.
    """

    layout: str
    entries: int

    def more(self, prepared: Any, view: View) -> Collection[str]:
        """Return further keys that :meth:`apply` will ask for, as far as what was read says it.

        Asked again as long as one of them had to be read.
        """

    def upgraded(self, states: Mapping[str, State]) -> Mapping[str, State]:
        """Return what a state that was read whole lacks."""


def indexed(stage: Stage) -> Indexed | None:
    """Return a stage as one that reads by what was read; None if it is not one."""
    return cast(Indexed, stage) if not stage.whole and hasattr(stage, "more") else None


class Learner(Stage, Protocol):
    """LEARN: a stage whose state is a model, kept in checkpoints and not in the store."""

    def reset(self, state: bytes | None) -> None:
        """Take up the state of a checkpoint; None is the fresh model."""

    def dump(self) -> bytes:
        """Return the present state as a checkpoint holds it."""
