"""Events and labels made up from their classes: valid ones, few enough values to meet again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from math import ceil
from random import Random
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from headrace.schemas.avro import plain_type
from headrace.schemas.errors import InputError
from headrace.streams.event import Event

TRIES = 50
"""So many times valid values of a class are looked for."""

_BOUNDS = ("ge", "gt", "le", "lt", "multiple_of", "min_length", "max_length")
_SPAN = 100
_GRID = 20
"""Numbers lie on so many steps between their bounds: a trace stays readable."""


class MadeUp:
    """Makes up instances of one class.

    Parameters
    ----------
    model
        An event's class, or a label's.
    rng
        Decides all values.
    """

    def __init__(self, model: type[Event], rng: Random) -> None:
        self._model = model
        self._rng = rng
        self._fields = {name: _Field(name, info) for name, info in model.model_fields.items()}

    def make(self, near: datetime, fixed: Mapping[str, Any]) -> Event:
        """Return an instance.

        Parameters
        ----------
        near
            A time; those that are not fixed lie around it.
        fixed
            The values of some fields.

        Raises
        ------
        InputError
            No valid one was found.
        """
        fault = ""
        for _ in range(TRIES):
            drawn = {n: f.drawn(self._rng, near) for n, f in self._fields.items() if n not in fixed}
            try:
                return self._model.model_validate({**drawn, **fixed})
            except ValidationError as error:
                first = error.errors(include_url=False)[0]
                where = ".".join(str(part) for part in first["loc"])
                fault = fault or f"{where or 'all fields'}: {first['msg']}"
        raise InputError(
            f"{self._model.__name__}: no valid values can be made up ({fault}). Say some:"
            " Field(examples=[...])."
        )

    def name(self, field: str, number: int) -> Any:
        """Return the value of a field that names something: equal for equal numbers alone.

        A type that has few values gives one of them.
        """
        return self._fields[field].named(number)


class _Field:
    """A field of a class, with what is known of its values."""

    def __init__(self, name: str, info: FieldInfo) -> None:
        self.name = name
        self.type, self.optional = plain_type(info.annotation)
        self.choices = list(info.examples or _choices(self.type))
        self.bounds = dict(_bounds([*info.metadata, *_metadata(info.annotation)]))

    def drawn(self, rng: Random, near: datetime) -> Any:
        """Return some value."""
        if self.optional and rng.random() < 0.15:
            return None
        if self.choices:
            return rng.choice(self.choices)
        if self.type is datetime:
            return near + timedelta(minutes=rng.choice([-90, -5, 0, 0, 5, 90]))
        if self.type in (int, float):
            return self.type(self._number(rng))
        text = self._text(rng.randrange(5))
        return text.encode() if self.type is bytes else text

    def named(self, number: int) -> Any:
        """Return the value that stands for a number."""
        if self.choices:
            return self.choices[number % len(self.choices)]
        if self.type is int:
            return ceil(self.bounds.get("ge", self.bounds.get("gt", 0))) + 1 + number
        return self._text(number)

    def _text(self, number: int) -> str:
        digits = self.bounds.get("min_length", 0) - 1
        return f"{self.name[0]}{number:0>{max(digits, 1)}}"[: self.bounds.get("max_length")]

    def _number(self, rng: Random) -> float:
        low = self.bounds.get("ge", self.bounds.get("gt"))
        high = self.bounds.get("le", self.bounds.get("lt"))
        if low is None:
            low = 0 if high is None else high - _SPAN
        if high is None:
            high = low + _SPAN
        step = self.bounds.get("multiple_of") or (high - low) / _GRID
        if self.type is int:
            step = max(1, round(step))
        first = ceil(low / step) + ("gt" in self.bounds)
        last = (int(high // step)) - ("lt" in self.bounds)
        return float(rng.randint(first, max(first, last)) * step)


def _choices(kind: Any) -> tuple[Any, ...]:
    """Return the values of a type that has few."""
    if kind is bool:
        return False, True
    return get_args(kind) if get_origin(kind) is Literal else ()


def _metadata(annotation: Any) -> Iterator[Any]:
    """Go through what stands beside the types within an annotation."""
    if get_origin(annotation) is Annotated:
        yield from annotation.__metadata__
    if get_origin(annotation) is not Literal:
        for inner in get_args(annotation):
            yield from _metadata(inner)


def _bounds(metadata: list[Any]) -> Iterator[tuple[str, Any]]:
    for item in metadata:
        nested = getattr(item, "metadata", None)
        if isinstance(nested, list):  # a Field(...) within an annotation
            yield from _bounds(nested)
        for name in _BOUNDS:
            if getattr(item, name, None) is not None:
                yield name, getattr(item, name)
