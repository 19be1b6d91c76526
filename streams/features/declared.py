"""Features as a user declares them: plain data, checked and compiled by a plan.

Each has a public name by one rule, ``<what>_<field>_<window>`` (``mean_dep_delay_min_3h``), that
``name=`` overrides. Nothing here looks at an event.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from headrace.streams.places import place_of_declaration

Function = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Feature:
    """One declared feature; made by the functions below.

    Attributes
    ----------
    kind
        What it is: ``value``, ``category``, ``mean`` ...
    name
        Its public name.
    fields
        The event's fields it reads.
    over
        Length of its window, if it has one.
    current
        Whether the event itself is in its window.
    function
        The user's function of ``apply``.
    options
        Further parameters, as ``(name, value)``.
    place
        ``file:line`` of the declaration.
    """

    kind: str
    name: str
    fields: tuple[str, ...] = ()
    over: str | None = None
    current: bool = True
    function: Function | None = None
    options: tuple[tuple[str, Any], ...] = ()
    place: str = field(default="", compare=False, repr=False)


Features = Feature | Sequence["Feature"]


def value(
    *names: str, missing: float | Literal["mean"] | None = None, name: str | None = None
) -> tuple[Feature, ...]:
    """Use fields as they are: numbers, integers and booleans.

    Parameters
    ----------
    names
        The fields; each becomes a feature of the same name.
    missing
        What the model sees instead of null: a number, or ``"mean"``, the mean of the values learned
        so far; None leaves the feature out.
    name
        Another name; for one field.

    Examples
    --------
    >>> [feature.name for feature in value("dep_delay_min", "distance_mi")]
    ['dep_delay_min', 'distance_mi']
    """
    place, options = place_of_declaration(), (("missing", missing),)
    label = name if len(names) == 1 else None
    return tuple(
        Feature("value", label or each, (each,), options=options, place=place) for each in names
    )


def category(
    of: str, *, top: int = 50, values: Sequence[str] | None = None, name: str | None = None
) -> Feature:
    """Use a text field as a category: dense 0/1 keys at the model's door.

    Parameters
    ----------
    of
        The field. If its type is a ``Literal``, its values are the keys.
    top
        Else: number of keys that values are hashed to (docs/features.md).
    values
        Else: the keys; all other values share one more.
    name
        Another name than the field's.
    """
    options = (("top", top), ("values", None if values is None else tuple(values)))
    return Feature("category", name or of, (of,), options=options, place=place_of_declaration())


def log1p(of: str, *, name: str | None = None) -> Feature:
    """Use log(1 + x) of a numeric field; null where x <= -1."""
    return Feature("log1p", name or f"log1p_{of}", (of,), place=place_of_declaration())


def hour(of: str, *, tz: str = "UTC", name: str | None = None) -> Feature:
    """Use the hour of day, 0 to 23, of a datetime field in a time zone."""
    return Feature(
        "hour", name or f"hour_{of}", (of,), options=(("tz", tz),), place=place_of_declaration()
    )


def apply(function: Function, *names: str, name: str | None = None) -> Feature:
    """Use a pure, module-level function of some fields; it is not called when one is null.

    Its return annotation says what the feature is: float, int, bool or a ``Literal`` of texts;
    it may return None. The names of the fields are given in the order of its parameters.
    """
    label = name or str(getattr(function, "__name__", "function"))
    return Feature("apply", label, tuple(names), function=function, place=place_of_declaration())


def _windowed(
    kind: str, short: str, name: str, over: str, current: bool, label: str | None
) -> Feature:
    public = label or "_".join(part for part in (short, name, over) if part)
    fields = (name,) if name else ()
    return Feature(kind, public, fields, over=over, current=current, place=place_of_declaration())


def count(*, over: str, current: bool = True, name: str | None = None) -> Feature:
    """Count the entity's events in the window ``(t - over, t]``."""
    return _windowed("count", "count", "", over, current, name)


def total(of: str, *, over: str, current: bool = True, name: str | None = None) -> Feature:
    """Sum a field over the entity's window; null if the window has no value."""
    return _windowed("sum", "sum", of, over, current, name)


def mean(of: str, *, over: str, current: bool = True, name: str | None = None) -> Feature:
    """Average a field over the entity's window."""
    return _windowed("mean", "mean", of, over, current, name)


def minimum(of: str, *, over: str, current: bool = True, name: str | None = None) -> Feature:
    """Take the least value of a field over the entity's window."""
    return _windowed("min", "min", of, over, current, name)


def maximum(of: str, *, over: str, current: bool = True, name: str | None = None) -> Feature:
    """Take the greatest value of a field over the entity's window."""
    return _windowed("max", "max", of, over, current, name)


def std(of: str, *, over: str, current: bool = True, name: str | None = None) -> Feature:
    """Take the sample standard deviation of a field over the entity's window; null below two."""
    return _windowed("std", "std", of, over, current, name)


def distinct(of: str, *, over: str, current: bool = True, name: str | None = None) -> Feature:
    """Count the distinct values of a field over the entity's window, up to 1,000."""
    return _windowed("distinct", "distinct", of, over, current, name)


def window(
    of: str, *, over: str | Sequence[str], agg: str | Sequence[str], current: bool = True
) -> tuple[Feature, ...]:
    """Take several aggregates of a field over several windows.

    Parameters
    ----------
    agg
        Of ``sum``, ``mean``, ``min``, ``max``, ``std``, ``distinct``.

    Examples
    --------
    >>> [feature.name for feature in window("delay", over=["1h", "3h"], agg=["max", "std"])]
    ['max_delay_1h', 'std_delay_1h', 'max_delay_3h', 'std_delay_3h']
    """
    lengths = (over,) if isinstance(over, str) else tuple(over)
    kinds = (agg,) if isinstance(agg, str) else tuple(agg)
    return tuple(
        _windowed(kind, kind, of, length, current, None) for length in lengths for kind in kinds
    )


def since_last(*, name: str = "since_last_s") -> Feature:
    """Take the seconds since the entity's event before this one.

    Null at its first event, and at one that comes out of order.
    """
    return Feature("since_last", name, place=place_of_declaration())


def last(of: str, *, name: str | None = None) -> Feature:
    """Take the value that a field had last, at the entity's events before this one.

    Null at its first event, and at one that comes out of order.
    """
    return Feature("last", name or f"last_{of}", (of,), place=place_of_declaration())
