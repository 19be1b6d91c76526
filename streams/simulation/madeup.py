"""Events and labels made up from their classes: valid ones, few enough values to meet again."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from math import ceil
from random import Random
from typing import Annotated, Any, Literal, get_args, get_origin
from uuid import UUID

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from headrace.schemas.avro import plain_type
from headrace.schemas.errors import InputError
from headrace.schemas.names import paths_of, placed
from headrace.streams.validation import faults_in, place_of

TRIES = 50
"""So many times valid values of a class are looked for."""

_BOUNDS = ("ge", "gt", "le", "lt", "multiple_of", "min_length", "max_length")
_SPAN = 100
GRID = 20
"""Numbers lie on so many steps between their bounds: a trace stays readable."""


class MadeUp:
    """Makes up instances of one class.

    Parameters
    ----------
    model
        An event's class, or a label's.
    rng
        Decides all values.
    grid
        Numbers lie on so many steps between their bounds.
    """

    def __init__(self, model: type[BaseModel], rng: Random, grid: int = GRID) -> None:
        self._model = model
        self._rng = rng
        self._paths = {name: paths[0] for name, paths in paths_of(model).items()}
        fields = model.model_fields.items()
        self._fields = {name: _Field(name, info, grid) for name, info in fields}

    def make(self, near: datetime, fixed: Mapping[str, Any]) -> Any:
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
                return self._model.model_validate(placed({**drawn, **fixed}, self._paths))
            except ValidationError as error:
                first = faults_in(error)[0]
                fault = fault or f"{place_of(first) or 'all fields'}: {first['msg']}"
            except Exception as error:  # noqa: BLE001 - a user's validator may raise anything
                fault = fault or f"a validator raised {type(error).__name__}: {error}"
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

    def __init__(self, name: str, info: FieldInfo, grid: int) -> None:
        self.name = name
        self._grid = grid
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
        if self.type in (str, bytes):
            text = self._text(rng.randrange(5))
            return text.encode() if self.type is bytes else text
        return self._other(self.type, rng, near)

    def _other(self, kind: Any, rng: Random, near: datetime) -> Any:
        """Return a value of a type that JSON alone carries; some text, if the type is not known."""
        made = _OTHERS.get(kind)
        if made is not None:
            return made(self._number(rng), near)
        origin = get_origin(kind)
        if origin in (list, tuple, set, frozenset) and get_args(kind):
            item = _Field(self.name, FieldInfo.from_annotation(get_args(kind)[0]), self._grid)
            return origin([item.drawn(rng, near)])
        if origin is dict:
            held = FieldInfo.from_annotation(get_args(kind)[1])
            return {self._text(0): _Field(self.name, held, self._grid).drawn(rng, near)}
        if inspect.isclass(kind) and issubclass(kind, BaseModel):
            return MadeUp(kind, rng, self._grid).make(near, {})
        return self._text(rng.randrange(5))

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
        step = self.bounds.get("multiple_of") or (high - low) / self._grid
        if self.type is int:
            step = max(1, round(step))
        first = ceil(low / step) + ("gt" in self.bounds)
        last = (int(high // step)) - ("lt" in self.bounds)
        return float(rng.randint(first, max(first, last)) * step)


_OTHERS: Mapping[Any, Callable[[float, datetime], Any]] = {
    Decimal: lambda number, near: Decimal(repr(number)),
    UUID: lambda number, near: UUID(int=int(abs(number) * 10**20)),
    date: lambda number, near: (near + timedelta(days=number)).date(),
    time: lambda number, near: (near + timedelta(minutes=number)).time(),
    timedelta: lambda number, near: timedelta(seconds=number),
}


def _choices(kind: Any) -> tuple[Any, ...]:
    """Return the values of a type that has few."""
    if kind is bool:
        return False, True
    if inspect.isclass(kind) and issubclass(kind, Enum):
        return tuple(kind)
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
