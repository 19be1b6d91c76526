"""What can be wrong with declared features."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from math import isfinite
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from headrace.schemas.avro import avro_type, literal_values
from headrace.streams.duration import DAY_MS, duration_ms, duration_text
from headrace.streams.features.declared import Feature
from headrace.streams.features.program import STATEFUL, kind_of, returned_type
from headrace.streams.features.windows import TILES
from headrace.streams.places import Fault, suggestion
from headrace.streams.ways_out import type_name, way_out

TILES_MAX = 1_024
"""Most tiles that one entity may hold of one width."""

TOP_MAX = 1_000
"""Most keys of a category."""

TOP_DEFAULT = 50

TEXT_AS_NUMBER = "uses text as a number."

Types = Mapping[str, tuple[Any, bool]]
"""Of each field of an event: its plain type, and whether it may be null."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_NUMERIC = (int, float, bool)
_VALUES = {"value", "category", "log1p", "hour", "apply"}
_AGGREGATES = ("sum", "mean", "min", "max", "std", "distinct")
_DECLARED_BY = {"sum": "total", "min": "minimum", "max": "maximum"}


class Limits(NamedTuple):
    """What windows are held against, in ms.

    Attributes
    ----------
    lateness
        How far behind its entity's newest event an event may come.
    kept
        How long the events topic keeps its records: state is made from them.
    """

    lateness: int
    kept: int


def feature_faults(
    features: Sequence[Any], event: type, types: Types, limits: Limits, hidden: str | None
) -> Iterator[Fault]:
    """Yield what is wrong with some features.

    Parameters
    ----------
    event
        The event's class; ``types`` are its fields.
    limits
        What windows are held against.
    hidden
        The field that holds the label, if the event does.
    """
    if not features:
        yield Fault("it has no features.", 'Name at least one field, as value("price").')
    declared = [each for each in features if isinstance(each, Feature)]
    for each in features:
        if not isinstance(each, Feature):
            yield Fault(f"{each!r} in features= is no feature.", f'Write value("{each}").')
    for feature in declared:
        shown = call_of(feature)
        for what, hint in _faults_of(feature, event, types, limits, hidden):
            yield Fault(f"feature {shown} {what}", hint, feature.place)
    yield from _name_faults(declared)


def call_of(feature: Feature) -> str:
    """Return how a feature was declared, for messages.

    Examples
    --------
    >>> call_of(Feature("mean", "mean_delay_3h", ("delay",), over="3h"))
    'mean("delay", over="3h")'
    """
    parts = [f'"{name}"' for name in feature.fields]
    if feature.function is not None:
        parts.insert(0, getattr(feature.function, "__name__", repr(feature.function)))
    if feature.over is not None:
        parts.append(f'over="{feature.over}"')
    return f"{_DECLARED_BY.get(feature.kind, feature.kind)}({', '.join(parts)})"


Said = Iterator[tuple[str, str]]
"""Pairs of what is wrong and what to do."""


def _faults_of(
    feature: Feature, event: type, types: Types, limits: Limits, hidden: str | None
) -> Said:
    if feature.kind not in STATEFUL | _VALUES:
        yield f"asks for {feature.kind!r}.", suggestion(feature.kind, _AGGREGATES)
        return
    unknown = [name for name in feature.fields if name not in types]
    for name in unknown:
        yield f"names a field that {event.__name__} does not have.", suggestion(name, types)
    if hidden is not None and hidden in feature.fields:
        yield f"reads {hidden!r}, the label: the answer would leak into the question.", "Leave it."
    if not unknown and (feature.fields or feature.kind == "apply"):
        yield from _CHECKS.get(feature.kind, _number_faults)(feature, types)
    if not unknown:
        yield from _missing_faults(feature, types)
    if feature.over is not None:
        yield from _window_faults(feature.over, limits)


def _missing_faults(feature: Feature, types: Types) -> Said:
    missing: Any = dict(feature.options).get("missing")
    number = type(missing) in (int, float) and isfinite(missing)
    if missing is not None and missing != "mean" and not number:
        yield f"has missing={missing!r}.", 'Give a number, or "mean", or leave it.'
    plain = types[feature.fields[0]][0] if feature.fields else None
    if missing is not None and kind_of(feature, plain) == "category":
        yield "is a text, and missing= is for numbers.", "Leave it: null is no key."


def _is_text(plain: Any) -> bool:
    return plain is str or bool(literal_values(plain))


def _hint(plain: Any) -> str:
    """Return what to declare in place of a type that no feature takes."""
    return way_out(plain) if avro_type(plain) is None else ""


def _number_faults(feature: Feature, types: Types) -> Said:
    plain = types[feature.fields[0]][0]
    if plain not in _NUMERIC:
        yield f"needs a number; the field is {type_name(plain)}.", _hint(plain)


def _value_faults(feature: Feature, types: Types) -> Said:
    name = feature.fields[0]
    plain = types[name][0]
    if _is_text(plain):
        yield TEXT_AS_NUMBER, f'Write category("{name}").'
    elif plain is datetime:
        yield "uses a time as a number.", f'Write hour("{name}").'
    elif plain not in _NUMERIC:
        yield f"needs a number; the field is {type_name(plain)}.", _hint(plain)


def _category_faults(feature: Feature, types: Types) -> Said:
    options = dict(feature.options)
    plain = types[feature.fields[0]][0]
    if not _is_text(plain) and plain is not int:
        hint = "Use value(...), or apply(f, ...) with a function that returns a text."
        said = f"is no text and no code; the field is {type_name(plain)}."
        yield said, _hint(plain) or hint
    if not 1 <= options["top"] <= TOP_MAX:
        yield f"has top={options['top']}.", f"Use 1 to {TOP_MAX:,} keys."
    values = options["values"]
    if values is not None and (not values or len(set(values)) < len(values)):
        yield f"has values={list(values)}.", "Name each value once, and at least one."
    if options["top"] != TOP_DEFAULT and (values or literal_values(plain)):
        yield (
            f"has top={options['top']}, which has no effect: the keys are known values.",
            "Leave it: top= is for a text of any values.",
        )


def _hour_faults(feature: Feature, types: Types) -> Said:
    plain = types[feature.fields[0]][0]
    if plain is not datetime:
        yield f"needs a datetime; the field is {type_name(plain)}.", _hint(plain)
    zone = dict(feature.options)["tz"]
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        yield f"names the time zone {zone!r}, which is not known.", 'Write "Europe/Berlin", say.'


def _any_faults(feature: Feature, types: Types) -> Said:
    plain = types[feature.fields[0]][0]
    if plain not in _NUMERIC and not _is_text(plain):
        yield f"needs a number or text; the field is {type_name(plain)}.", _hint(plain)


def _apply_faults(feature: Feature, types: Types) -> Said:
    yield from function_faults(feature.function, len(feature.fields))
    if callable(feature.function) and kind_of(feature, None) is None:
        returned = returned_type(feature.function)
        said = "does not say what it returns" if returned is None else f"returns {returned}"
        yield f"{said}.", "Annotate it with float, int, bool or a Literal of texts."
    if not feature.fields:
        yield "names no field.", "Name the fields that the function takes, in their order."


_CHECKS: Mapping[str, Callable[[Feature, Types], Said]] = {
    "value": _value_faults,
    "category": _category_faults,
    "hour": _hour_faults,
    "apply": _apply_faults,
    "last": _any_faults,
    "distinct": _any_faults,
}


def function_faults(function: Any, arguments: int) -> Said:
    """Yield what is wrong with a user's function that is to take so many arguments."""
    name = getattr(function, "__qualname__", repr(function))
    if not inspect.isfunction(function) or "<" in name:
        yield (
            f"is given {name}, which has no source of its own to be told apart by.",
            "Define it by def at the top of a module.",
        )
        return
    try:
        inspect.signature(function).bind(*range(arguments))
    except TypeError as error:
        yield f"calls {name} with {arguments} values: {error}.", "Name one field per parameter."


def _window_faults(over: str, limits: Limits) -> Said:
    lateness_ms, kept_ms = limits
    try:
        width = duration_ms(over)
    except ValueError as error:
        yield f"has a window that cannot be read: {error}.", ""
        return
    if width + lateness_ms > kept_ms:
        needed = duration_text(-(-(width + lateness_ms) // DAY_MS) * DAY_MS)
        most = max(0, kept_ms - lateness_ms) // DAY_MS
        yield (
            f"looks back {over}; with lateness that is longer than the log is kept"
            f" ({duration_text(kept_ms)}), so its state could not be rebuilt.",
            f'Use {most}d or less, or keep the log longer: Pipeline(retention="{needed}").',
        )
    if TILES + lateness_ms * TILES // width > TILES_MAX:
        least = -(-lateness_ms * TILES // (TILES_MAX - TILES))
        yield (
            f"is short beside a lateness of {duration_text(lateness_ms)}: each entity would keep"
            f" more than {TILES_MAX:,} tiles.",
            f"Use {duration_text(least)} or more, or a shorter lateness.",
        )


def _name_faults(features: Sequence[Feature]) -> Iterator[Fault]:
    first: dict[str, Feature] = {}
    for feature in features:
        name = feature.name
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            what = f"feature {call_of(feature)} is called {name!r}."
            yield Fault(what, "Use letters, digits and _, and no digit first.", feature.place)
        elif name in first:
            what = f"two features are called {name!r}: {call_of(first[name])} and"
            what += f" {call_of(feature)}."
            yield Fault(what, "Give one another name by name=.", feature.place)
        first.setdefault(name, feature)
