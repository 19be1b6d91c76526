"""The base of every event and label: a pydantic model that guesses nothing.

Plain pydantic lets NaN pass, and naive times; it takes numbers for times and ``"12"`` for 12. Here
what a publisher wrote either is what the declaration says, or is refused with a reason.
"""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from headrace.streams.validators import guard, post_init

NUMBER_MAX = 1e100
"""Largest absolute value of a number that declares no bound on that side.

Squares and sums over any window then stay finite: no event can put infinity into a state.
"""

INTEGER_MIN, INTEGER_MAX = -(2**63), 2**63 - 1
"""What an Avro long holds."""

TEXT_MAX = 4_096
"""Longest text, in characters, that declares no ``max_length`` of its own.

Texts stand in records, segments and states, which are bounded.
"""

ISO_8601 = r"^\d{4}-\d\d-\d\d[Tt ]"
"""How a time begins in JSON; the rest is pydantic's to read."""

_BOUNDS = {"float": (-NUMBER_MAX, NUMBER_MAX), "int": (INTEGER_MIN, INTEGER_MAX)}
_OPAQUE = frozenset({"metadata", "default", "expected", "serialization", "cls", "config"})


def _tighten(node: Any) -> None:
    """Narrow every time, number and integer of a core schema, in place.

    The rules go into the compiled schema, since a validator function for each field would cost more
    than the whole validation does.
    """
    if isinstance(node, dict):
        kind = node.get("type")
        if kind == "datetime":
            _tighten_time(node)
            return
        if kind in _BOUNDS:
            _bound(node, *_BOUNDS[kind])
        elif kind == "str":
            node.setdefault("max_length", TEXT_MAX)
        node = [child for key, child in node.items() if key not in _OPAQUE]
    if isinstance(node, list):
        for child in node:
            _tighten(child)


def _bound(node: dict[str, Any], least: float, most: float) -> None:
    if "ge" not in node and "gt" not in node:
        node["ge"] = least
    if "le" not in node and "lt" not in node:
        node["le"] = most


def _tighten_time(node: dict[str, Any]) -> None:
    """Ask for an offset; in JSON for ISO 8601 too: pydantic reads ``"1700000000"`` as a time."""
    aware = {**node, "tz_constraint": "aware"}
    text = core_schema.str_schema(pattern=ISO_8601)
    parsed = {**aware, "strict": False}
    node.clear()
    node.update(
        core_schema.json_or_python_schema(
            json_schema=core_schema.chain_schema([text, parsed]),
            python_schema=aware,
        )
    )


class Event(BaseModel):
    """One event, or one label, as its publisher wrote it.

    Subclasses declare fields with their types and constraints. Events are frozen; unknown fields
    are ignored, so that a publisher may write more than a pipeline reads; times carry an offset
    from UTC; numbers are finite, within :data:`NUMBER_MAX` unless they declare bounds of their own;
    integers fit 64 bits; texts have at most :data:`TEXT_MAX` characters unless they declare a
    ``max_length``. Types are strict: ``"12"`` is no number and 1700000000 is no time.

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
        _tighten(schema)
        guard(schema)
        return schema

    def _post_init_guarded(self, context: Any) -> None:
        post_init(self, context)
