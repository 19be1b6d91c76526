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

Missing = float | Literal["mean"] | None
"""What a model sees in place of null: a number, or ``"mean"``, the mean of the values learned so
far; None leaves the feature out."""


def _missing(missing: Missing) -> tuple[tuple[str, Any], ...]:
    """Return the option, if it is given: what is left alone is no part of a declaration's text."""
    return () if missing is None else (("missing", missing),)


def value(*names: str, missing: Missing = None, name: str | None = None) -> tuple[Feature, ...]:
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
    if name is not None and len(names) != 1:
        raise ValueError(f"value(name={name!r}) names one feature of {len(names)} fields")
    place, options = place_of_declaration(), (("missing", missing),)
    return tuple(
        Feature("value", name or each, (each,), options=options, place=place) for each in names
    )


def category(
    of: str, *, top: int = 50, values: Sequence[str] | None = None, name: str | None = None
) -> Feature:
    """Use a field of text, or of integers that are codes, as a category: dense 0/1 keys.

    Parameters
    ----------
    of
        The field. If its type is a ``Literal``, its values are the keys.
    top
        Else, without ``values``: the number of keys. It is no list of the most frequent values:
        each value's hash chooses one of so many keys, and values that meet in one are not told
        apart. Of 20 values among 50 keys some 6 share theirs (docs/features.md).
    values
        The keys; all other values share one more, ``<name>=other``.
    name
        Another name than the field's.
    """
    texts = None if values is None else tuple(str(each) for each in values)
    options = (("top", top), ("values", texts))
    return Feature("category", name or of, (of,), options=options, place=place_of_declaration())


def log1p(of: str, *, missing: Missing = None, name: str | None = None) -> Feature:
    """Use log(1 + x) of a numeric field; null where x <= -1."""
    label, options = name or f"log1p_{of}", _missing(missing)
    return Feature("log1p", label, (of,), options=options, place=place_of_declaration())


def hour(of: str, *, tz: str = "UTC", missing: Missing = None, name: str | None = None) -> Feature:
    """Use the hour of day, 0 to 23, of a datetime field in a time zone."""
    options = (("tz", tz), *_missing(missing))
    return Feature(
        "hour", name or f"hour_{of}", (of,), options=options, place=place_of_declaration()
    )


def apply(
    function: Function, *names: str, missing: Missing = None, name: str | None = None
) -> Feature:
    """Use a pure, module-level function of some fields; it is not called when one is null.

    Its return annotation says what the feature is: float, int, bool, str or a ``Literal`` of texts,
    and by ``| None`` that it may be null. The fields are named in the order of its parameters.
    """
    label = name or str(getattr(function, "__name__", "function"))
    place, options = place_of_declaration(), _missing(missing)
    return Feature("apply", label, tuple(names), function=function, options=options, place=place)


def _windowed(
    kind: str,
    short: str,
    name: str,
    over: str,
    current: bool,
    label: str | None,
    missing: Missing = None,
) -> Feature:
    public = label or "_".join(part for part in (short, name, over) if part)
    fields, options = (name,) if name else (), _missing(missing)
    place = place_of_declaration()
    return Feature(kind, public, fields, over=over, current=current, options=options, place=place)


def count(
    *, over: str, current: bool = True, missing: Missing = None, name: str | None = None
) -> Feature:
    """Count the entity's events in the window ``(t - over, t]``."""
    return _windowed("count", "count", "", over, current, name, missing)


def total(
    of: str,
    *,
    over: str,
    current: bool = True,
    missing: Missing = None,
    name: str | None = None,
) -> Feature:
    """Sum a field over the entity's window; null if the window has no value."""
    return _windowed("sum", "sum", of, over, current, name, missing)


def mean(
    of: str,
    *,
    over: str,
    current: bool = True,
    missing: Missing = None,
    name: str | None = None,
) -> Feature:
    """Average a field over the entity's window."""
    return _windowed("mean", "mean", of, over, current, name, missing)


def minimum(
    of: str,
    *,
    over: str,
    current: bool = True,
    missing: Missing = None,
    name: str | None = None,
) -> Feature:
    """Take the least value of a field over the entity's window."""
    return _windowed("min", "min", of, over, current, name, missing)


def maximum(
    of: str,
    *,
    over: str,
    current: bool = True,
    missing: Missing = None,
    name: str | None = None,
) -> Feature:
    """Take the greatest value of a field over the entity's window."""
    return _windowed("max", "max", of, over, current, name, missing)


def std(
    of: str,
    *,
    over: str,
    current: bool = True,
    missing: Missing = None,
    name: str | None = None,
) -> Feature:
    """Take the sample standard deviation of a field over the entity's window; null below two."""
    return _windowed("std", "std", of, over, current, name, missing)


def distinct(
    of: str,
    *,
    over: str,
    current: bool = True,
    missing: Missing = None,
    name: str | None = None,
) -> Feature:
    """Count the distinct values of a field over the entity's window, up to 1,000."""
    return _windowed("distinct", "distinct", of, over, current, name, missing)


def window(
    of: str,
    *,
    over: str | Sequence[str],
    agg: str | Sequence[str],
    current: bool = True,
    missing: Missing = None,
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
        _windowed(kind, kind, of, length, current, None, missing)
        for length in lengths
        for kind in kinds
    )


def since_last(*, missing: Missing = None, name: str = "since_last_s") -> Feature:
    """Take the seconds since the entity's event before this one.

    Null at its first event, and at one that comes out of order.
    """
    return Feature("since_last", name, options=_missing(missing), place=place_of_declaration())


def last(of: str, *, missing: Missing = None, name: str | None = None) -> Feature:
    """Take the value that a field had last, at the entity's events before this one.

    Null at its first event, and at one that comes out of order.
    """
    label, options = name or f"last_{of}", _missing(missing)
    return Feature("last", label, (of,), options=options, place=place_of_declaration())
