"""The base of every event and label: a pydantic model that guesses nothing.

Plain pydantic lets NaN pass, and naive times; it takes 12 for a time and ``"12"`` for 12. Here what
a publisher wrote either is what the declaration says, or is refused with a reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from headrace.streams.times import RFC_3339, TimeFormatError, read_time
from headrace.streams.validators import guard, post_init

NUMBER_MAX = 1e100
"""Largest absolute value of a number that declares no bound on that side.

Squares and sums over any window then stay finite: no event can put infinity into a state.
"""

INTEGER_MIN, INTEGER_MAX = -(2**63), 2**63 - 1
"""What an Avro long holds."""

TIME_FORMAT = "time_format"
"""Type of the validation error of what is no time."""

USUAL_TIME, OTHER_TIME = "headrace:usual-time", "headrace:time"
"""Last parts of the places of what is wrong with a time, in each of the ways that it is tried."""

TEXT_MAX = 4_096
"""Longest text, in characters, that declares no ``max_length`` of its own.

Texts stand in records, segments and states, which are bounded.
"""

_BOUNDS = {"float": (-NUMBER_MAX, NUMBER_MAX), "int": (INTEGER_MIN, INTEGER_MAX)}
_OPAQUE = frozenset({"metadata", "default", "expected", "serialization", "cls", "config"})
_INT_OR_FLOAT = ["{'type': 'float'}", "{'type': 'int'}"]
_OURS = "headrace_time"
_DESCRIBED = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\d[Tt ]"}
"""A time as JSON schema: a part of versions' identities (streams/canonical.py), so it stays."""


def _tightened(node: Any) -> Any:
    """Return a core schema with every time, number and integer narrowed.

    The rules go into the compiled schema, since a validator function for each field would cost more
    than the whole validation does. What is handed in stays as it is: it can be another class's.
    """
    if isinstance(node, list | tuple):
        return type(node)(_tightened(child) for child in node)
    if not isinstance(node, dict) or is_time(node):
        return node
    replaced = _REPLACED.get(str(node.get("type")), _kept)(node)
    if replaced is not None:
        return replaced
    inner = {key: child if key in _OPAQUE else _tightened(child) for key, child in node.items()}
    return inner | _bounds(node)


def _kept(node: dict[str, Any]) -> None:
    """Leave a node to be what it is."""


def _bounds(node: dict[str, Any]) -> dict[str, Any]:
    kind = node.get("type")
    if kind == "str":
        return {"max_length": node.get("max_length", TEXT_MAX)}
    bounds = {}
    if kind in _BOUNDS:
        least, most = _BOUNDS[kind]
        if "ge" not in node and "gt" not in node:
            bounds["ge"] = least
        if "le" not in node and "lt" not in node:
            bounds["le"] = most
    return bounds


def is_time(node: dict[str, Any]) -> bool:
    """Return whether a node of a core schema is what reads a time here."""
    return bool((node.get("metadata") or {}).get(_OURS))


def _whole(node: dict[str, Any]) -> CoreSchema | None:
    """Return what reads a ``Literal`` of integers: an integer first, as cells of tables hold it."""
    values = [*node["expected"]]
    if not all(type(value) is int for value in values):
        return None
    described = {"type": "integer", "enum": values}
    return core_schema.chain_schema(
        [core_schema.int_schema(strict=True), core_schema.literal_schema(values)],
        metadata={"pydantic_js_functions": [lambda schema, handler: {**described}]},
    )


def _number(node: dict[str, Any]) -> CoreSchema | None:
    """Return what reads ``int | float``: a number, which is a float whatever it came as."""
    if sorted(str(choice) for choice in node["choices"]) != _INT_OR_FLOAT:
        return None
    return core_schema.float_schema(strict=True, allow_inf_nan=False, ge=-NUMBER_MAX, le=NUMBER_MAX)


def _time(node: dict[str, Any]) -> CoreSchema:
    """Return what reads a time by the one rule (:mod:`headrace.streams.times`).

    What is usual is read in compiled code, and only what that refuses by the rule itself. What a
    validator of the user's hands on is read like what came in.
    """
    aware: Any = {**node, "tz_constraint": "aware", "strict": True}
    text = core_schema.chain_schema([*RFC_3339["steps"][:-1], {**aware, "strict": False}])
    other = core_schema.chain_schema(
        [core_schema.no_info_plain_validator_function(_read_time), aware]
    )
    return core_schema.json_or_python_schema(
        # The strict one is there for the serializer.
        json_schema=core_schema.lax_or_strict_schema(_first(text, other), aware, strict=False),
        python_schema=_first(aware, other),
        metadata={_OURS: True, "pydantic_js_functions": [lambda schema, handler: {**_DESCRIBED}]},
    )


def _first(usual: CoreSchema, other: CoreSchema) -> CoreSchema:
    choices: list[CoreSchema | tuple[CoreSchema, str]] = [(usual, USUAL_TIME), (other, OTHER_TIME)]
    return core_schema.union_schema(choices, mode="left_to_right")


def _read_time(value: Any) -> datetime:
    try:
        return read_time(value)
    except TimeFormatError as error:
        raise PydanticCustomError(TIME_FORMAT, "{text}", {"text": str(error)}) from error


_REPLACED: Mapping[str, Callable[[dict[str, Any]], CoreSchema | None]] = {
    "datetime": _time,
    "literal": _whole,
    "union": _number,
}


class Event(BaseModel):
    """One event, or one label, as its publisher wrote it.

    Subclasses declare fields with their types and constraints. Events are frozen; unknown fields
    are ignored, so that a publisher may write more than a pipeline reads; times carry an offset
    from UTC, or are epoch numbers (:mod:`headrace.streams.times`); numbers are finite, within
    :data:`NUMBER_MAX` unless they declare bounds of their own; integers fit 64 bits; texts have at
    most :data:`TEXT_MAX` characters unless they declare a ``max_length``. Types are strict:
    ``"12"`` is no number.

    Examples
    --------
    >>> from datetime import datetime
    >>> class Tick(Event):
    ...     symbol: str
    ...     at: datetime
    ...     price: float
    >>> Tick.model_validate_json('{"symbol": "A", "at": "2024-05-01T12:00:00Z", "price": 3}').price
    3.0
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True, extra="ignore", strict=True, allow_inf_nan=False, revalidate_instances="never"
    )

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema = handler(source)
        guard(schema)
        narrowed: CoreSchema = _tightened(schema)
        return narrowed

    def _post_init_guarded(self, context: Any) -> None:
        post_init(self, context)
