"""A pipeline's features, compiled: from an event and its entity's state to a row of values."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from operator import attrgetter
from typing import Any, get_type_hints

from headrace.schemas.avro import literal_values, plain_type
from headrace.streams.duration import duration_ms
from headrace.streams.features.declared import Feature
from headrace.streams.features.distinct import Distinct
from headrace.streams.features.door import Entry, declared_entry, hashed_entry, number_entry
from headrace.streams.features.values import Read, number_reader, reader_of
from headrace.streams.features.windows import Windows

WINDOWED = frozenset({"count", "sum", "mean", "min", "max", "std"})
"""Aggregates of numbers over tiles."""

STATEFUL = WINDOWED | {"distinct", "since_last", "last"}
"""Features that need their entity's past."""

Row = list[Any]
"""Feature values in order; None is null."""

Inputs = list[Any]
"""What an entity's state takes in of one event."""

EntityState = list[Any]
"""``[newest event time in ms, newest values, tiles of each width, distinct values]``."""

_KINDS: Mapping[Any, str] = {float: "number", int: "integer", bool: "boolean", str: "category"}


def kind_of(feature: Feature, field_type: Any) -> str | None:
    """Return what a feature is in records: number, integer, boolean or category.

    Parameters
    ----------
    field_type
        The plain type of the first field it reads, if it reads any.

    Returns
    -------
    str or None
        None if the type has no kind; the declaration's checks say so.
    """
    if feature.kind in ("category", "count", "hour", "distinct"):
        return "category" if feature.kind == "category" else "integer"
    if feature.kind in ("value", "last"):
        return "category" if literal_values(field_type) else _KINDS.get(field_type)
    if feature.kind == "apply":
        returned = returned_type(feature.function)
        return "category" if literal_values(returned) else _KINDS.get(returned)
    return "number"


def returned_type(function: Any) -> Any:
    """Return the plain type that a function's annotation promises; None if it has none."""
    try:
        hints = get_type_hints(function, include_extras=True)
    except (NameError, TypeError, AttributeError):
        return None
    return plain_type(hints["return"])[0] if "return" in hints else None


def returns_none(function: Any) -> bool:
    """Return whether a function's annotation allows None."""
    return plain_type(get_type_hints(function, include_extras=True).get("return"))[1]


class FeatureProgram:
    """Compiled features. Pure: what is remembered of an entity is handed in and out.

    Parameters
    ----------
    features
        The declared features, in order.
    kinds
        Each one's kind in records.
    literals
        Declared values of fields whose type is a ``Literal``, by field.
    lateness_ms
        How far behind its entity's newest event an event may come.
    integers
        The fields that are integers.

    Attributes
    ----------
    names, kinds
        Of each feature, in order.
    vocabularies
        The declared values of each category; empty for other features and hashed categories.
    stateful
        Whether any feature needs its entity's past.
    """

    def __init__(
        self,
        features: Sequence[Feature],
        kinds: Sequence[str],
        literals: Mapping[str, Sequence[str]],
        lateness_ms: int,
        integers: Collection[str] = (),
    ) -> None:
        self.features = tuple(features)
        self.names = tuple(feature.name for feature in features)
        self.kinds = tuple(kinds)
        self.stateful = any(feature.kind in STATEFUL for feature in features)
        self._lateness_ms = lateness_ms
        self._integers = integers
        self._plain: list[tuple[int, Read]] = []
        self._inputs: dict[tuple[str, str], int] = {}
        self._reads: list[Read] = []
        self._windows: dict[int, Windows] = {}
        self._distinct: dict[tuple[int, int], Distinct] = {}
        self._last: dict[int, list[int]] = {}
        self._since: list[int] = []
        for column, feature in enumerate(features):
            self._compile(column, feature)
        self._groups = tuple(self._windows.values())
        self._sets = tuple(self._distinct.values())
        self._newest = tuple(self._last.items())
        self._empty: Row = [None] * len(features)
        self.vocabularies = tuple(_vocabulary(feature, literals) for feature in features)
        self._entries = [
            _entry(feature, kind, vocabulary)
            for feature, kind, vocabulary in zip(features, kinds, self.vocabularies, strict=True)
        ]

    def _compile(self, column: int, feature: Feature) -> None:
        kind = feature.kind
        if kind not in STATEFUL:
            codes = kind == "category" and feature.fields[0] in self._integers
            self._plain.append((column, reader_of(feature, self.kinds[column], codes=codes)))
        elif kind == "since_last":
            self._since.append(column)
        elif kind == "last":
            self._last.setdefault(self._input(feature.fields[0], attrgetter), []).append(column)
        elif kind == "distinct":
            self._distinct_of(feature).ask(column, feature.current)
        else:
            width = duration_ms(feature.over or "")
            windows = self._windows.setdefault(width, Windows(width, self._lateness_ms))
            field = self._input(feature.fields[0], number_reader) if feature.fields else None
            windows.ask(column, kind, field, feature.current)

    def _distinct_of(self, feature: Feature) -> Distinct:
        width = duration_ms(feature.over or "")
        field = self._input(feature.fields[0], attrgetter)
        if (width, field) not in self._distinct:
            self._distinct[width, field] = Distinct(width, self._lateness_ms, field)
        return self._distinct[width, field]

    def _input(self, name: str, reader: Callable[[str], Read]) -> int:
        """Return the place of a field among the inputs, as ``reader`` reads it."""
        key = (name, getattr(reader, "__name__", ""))
        if key not in self._inputs:
            self._inputs[key] = len(self._inputs)
            self._reads.append(reader(name))
        return self._inputs[key]

    # -- one event

    def derive(self, event: Any) -> tuple[Row, Inputs]:
        """Return the row without its entity's past, and what that past needs of the event.

        The user's functions run here: one that fails raises FeatureError, which names it.
        """
        row = self._empty.copy()
        for column, read in self._plain:
            row[column] = read(event)
        return row, [read(event) for read in self._reads]

    def step(
        self, state: EntityState | None, row: Row, inputs: Inputs, time_ms: int
    ) -> tuple[EntityState, bool]:
        """Complete a row with its entity's past, and take the event into that past.

        Parameters
        ----------
        state
            The entity's state, None for a new one; it is changed in place.
        row, inputs
            What :meth:`derive` returned; the row is completed in place.
        time_ms
            Event time.

        Returns
        -------
        state, late
            ``late``: the event came too late for its entity; what needs the past is null, and the
            entity's past is as it was.
        """
        if state is None:
            state = self._fresh(time_ms)
        elif time_ms >= state[0]:
            self._since_newest(state, row, time_ms)
        elif time_ms < state[0] - self._lateness_ms:
            return state, True
        if time_ms >= state[0]:
            self._renew(state, inputs, time_ms)
        for windows, tiles in zip(self._groups, state[2], strict=True):
            windows.step(tiles, row, inputs, time_ms)
        for distinct, seen in zip(self._sets, state[3], strict=True):
            distinct.step(seen, row, inputs, time_ms)
        return state, False

    def _fresh(self, time_ms: int) -> EntityState:
        tiles = [windows.fresh() for windows in self._groups]
        return [time_ms, [None] * len(self._newest), tiles, [{} for _ in self._sets]]

    def _since_newest(self, state: EntityState, row: Row, time_ms: int) -> None:
        """Fill in what speaks of the event before; of an out-of-order event it is not known."""
        for column in self._since:
            row[column] = (time_ms - state[0]) / 1000
        for position, (_, columns) in enumerate(self._newest):
            for column in columns:
                row[column] = state[1][position]

    def _renew(self, state: EntityState, inputs: Inputs, time_ms: int) -> None:
        state[0] = time_ms
        for position, (field, _) in enumerate(self._newest):
            if inputs[field] is not None:
                state[1][position] = inputs[field]

    # -- doors

    def record(self, row: Row) -> dict[str, Any]:
        """Return a row as the ``features`` field of a record."""
        return dict(zip(self.names, row, strict=True))

    def row(self, record: Mapping[str, Any]) -> Row:
        """Return the row that :meth:`record` made a record of."""
        return [record[name] for name in self.names]

    def door(self, row: Row) -> dict[str, Any]:
        """Return what the model sees of a row: floats; null is an absent key (docs/features.md)."""
        keys: dict[str, Any] = {}
        for entry, value in zip(self._entries, row, strict=True):
            entry(keys, value)
        return keys


def _entry(feature: Feature, kind: str, vocabulary: Sequence[str]) -> Entry:
    """Return how a feature enters at the model's door."""
    options = dict(feature.options)
    if kind != "category":
        return number_entry(feature.name, options.get("missing"))
    if vocabulary:
        return declared_entry(feature.name, vocabulary, other=bool(options.get("values")))
    return hashed_entry(feature.name, options.get("top", 50))


def _vocabulary(feature: Feature, literals: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return the declared values of a category; none if it has none, or is no category."""
    if feature.kind == "apply":
        return literal_values(returned_type(feature.function))
    if feature.kind not in ("category", "last"):
        return ()
    return tuple(dict(feature.options).get("values") or literals.get(feature.fields[0], ()))
