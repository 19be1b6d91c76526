"""Rows as a declaration allows them, with labels: what a model's laws are tried on.

They are always the same for the same plan. A number lies within its field's declared bounds, its
least value among them; a feature is null only where it may be: a field that is null, a standard
deviation of less than two values, an entity's first event. An event that is late for its entity has
none of its past (:func:`late_examples`), whatever the model can do without.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from math import ceil, floor, inf, log1p
from typing import Any, NamedTuple

from headrace.schemas.avro import field_types, literal_values
from headrace.streams.event import INTEGER_MAX, INTEGER_MIN, NUMBER_MAX
from headrace.streams.features.declared import Feature
from headrace.streams.features.program import STATEFUL, returns_none
from headrace.streams.features.values import reader_of
from headrace.streams.model_checks import class_names
from headrace.streams.pipeline import Labels
from headrace.streams.plan import Plan

Example = tuple[dict[str, Any], Any]

ROWS = 60
LATE_ROWS = (20, 40)
"""Which of the rows are those of late events, where late events are tried."""

_MODULUS = 2**31 - 1
_EDGE = 11
"""One of so many numbers is the least one allowed."""

_WIDTH = 100.0
"""So wide is a range that is bounded on one side alone."""

_EPOCH = datetime(2024, 1, 1, tzinfo=UTC)

_NEVER_NULL = frozenset({"count", "distinct"})
_SOMETIMES_NULL = frozenset({"std", "since_last", "last"})


class Chance:
    """Numbers that look random and are the same everywhere (Park and Miller, 1988)."""

    def __init__(self) -> None:
        self._state = 20_240_229

    def below(self, bound: int) -> int:
        """Return a number from 0 to ``bound - 1``."""
        self._state = self._state * 48_271 % _MODULUS
        return self._state % bound


class Domain(NamedTuple):
    """What values a field may have.

    Attributes
    ----------
    plain
        Its type.
    optional
        Whether it may be null.
    least, most
        Its bounds; infinite where it declares none of its own.
    open_below, open_above
        Whether ``least``, and ``most``, are outside themselves.
    """

    plain: Any
    optional: bool
    least: float = -inf
    most: float = inf
    open_below: bool = False
    open_above: bool = False

    def draw(self, chance: Chance) -> Any:
        """Return one value, never null."""
        known = literal_values(self.plain)
        if known or self.plain is str:
            names = known or [f"v{number}" for number in range(8)]
            return names[chance.below(len(names))]
        if self.plain is bool:
            return chance.below(2) == 1
        if self.plain is datetime:
            return _EPOCH + timedelta(hours=chance.below(1_000))
        return self._integer(chance) if self.plain is int else self._number(chance)

    def _integer(self, chance: Chance) -> int:
        least, most = self._ends(0.0, 23.0)
        first = floor(least) + 1 if self.open_below else ceil(least)
        last = ceil(most) - 1 if self.open_above else floor(most)
        return first + chance.below(max(1, last - first + 1))

    def _number(self, chance: Chance) -> float:
        least, most = self._ends(-40.0, 60.0)
        if not self.open_below and self.least > -inf and chance.below(_EDGE) == 0:
            return least
        # Inside, so that a bound that is itself outside is not met.
        return least + (most - least) * (chance.below(99_999) + 1) / 100_000

    def _ends(self, least: float, most: float) -> tuple[float, float]:
        """Return where values lie; the default's ends where a side is not bounded."""
        if self.least > -inf:
            return self.least, min(self.most, self.least + _WIDTH)
        if self.most < inf:
            return self.most - _WIDTH, self.most
        return least, most


def domains_of(owner: Any) -> dict[str, Domain]:
    """Return the domain of each field of an event's or a label's class."""
    rules = owner.model_json_schema(by_alias=False)["properties"]
    return {
        name: Domain(plain, optional, *_bounds(rules.get(name, {})))
        for name, (plain, optional) in field_types(owner).items()
    }


def _bounds(rule: dict[str, Any]) -> tuple[float, float, bool, bool]:
    """Return least and most of a field's JSON schema, and whether each is outside itself."""
    for part in rule.get("anyOf", ()):
        if part.get("type") != "null":
            rule = part
    whole = [value for value in rule.get("enum", ()) if type(value) is int]
    if whole:  # of a Literal of integers
        return min(whole), max(whole), False, False
    above, below = rule.get("exclusiveMinimum"), rule.get("exclusiveMaximum")
    least = rule.get("minimum", -inf) if above is None else above
    most = rule.get("maximum", inf) if below is None else below
    limits = (-NUMBER_MAX, NUMBER_MAX, INTEGER_MIN, INTEGER_MAX)
    return (
        -inf if least in limits else least,
        inf if most in limits else most,
        above is not None,
        below is not None,
    )


def may_be_null(feature: Feature, domains: dict[str, Domain]) -> bool:
    """Return whether a feature of an event that is not late can be null."""
    kind = feature.kind
    if kind in _NEVER_NULL or kind in _SOMETIMES_NULL:
        return kind in _SOMETIMES_NULL
    fields = [domains[name] for name in feature.fields]
    if any(field.optional for field in fields):
        return True
    if kind == "apply":
        return returns_none(feature.function)
    if kind == "log1p":
        return fields[0].least < -1 or (fields[0].least == -1 and not fields[0].open_below)
    return feature.over is not None and not feature.current


def synthetic_examples(plan: Plan, *, without: Sequence[str] | None = None) -> list[Example]:
    """Return rows at the model's door with labels.

    Parameters
    ----------
    without
        Names of features: rows then lack these, one after the other, and no others; None: any that
        may be null.
    """
    domains = domains_of(plan.pipeline.events.event)
    features = plan.features.features
    nullable = [
        may_be_null(each, domains) if without is None else each.name in without for each in features
    ]

    def absent(number: int, column: int) -> bool:
        return nullable[column] and ((number + column) % 7 == 0 or number == ROWS // 2 + 5)

    return _examples(plan, domains, absent)


def late_examples(plan: Plan) -> list[Example]:
    """Return the same rows with two late events among them, which lack their entity's past."""
    domains = domains_of(plan.pipeline.events.event)
    features = plan.features.features
    past = [each.kind in STATEFUL for each in features]
    return _examples(plan, domains, lambda number, column: number in LATE_ROWS and past[column])


def _examples(plan: Plan, domains: dict[str, Domain], absent: Any) -> list[Example]:
    chance, program = Chance(), plan.features
    label = _label_domain(plan)
    examples: list[Example] = []
    for number in range(ROWS):
        row = []
        for column, feature in enumerate(program.features):
            kind, vocabulary = program.kinds[column], program.vocabularies[column]
            drawn = _value(feature, kind, vocabulary, domains, chance)
            row.append(None if absent(number, column) else drawn)
        examples.append((program.door(row), _label(plan, label, number, chance)))
    return examples


def _value(
    feature: Feature,
    kind: str,
    vocabulary: Sequence[str],
    domains: dict[str, Domain],
    chance: Chance,
) -> Any:
    if feature.kind == "apply":
        return _applied(feature, kind, vocabulary, domains, chance)
    if kind == "category":
        known = vocabulary or [f"v{number}" for number in range(8)]
        return known[chance.below(len(known))]
    derived = _DERIVED.get(feature.kind)
    if derived is not None:
        return derived(feature, chance)
    drawn = domains[feature.fields[0]].draw(chance)
    if feature.kind == "log1p":
        return log1p(drawn) if drawn > -1 else None
    return drawn


_DERIVED: dict[str, Any] = {
    "count": lambda feature, chance: chance.below(24) + feature.current,
    "distinct": lambda feature, chance: chance.below(24),
    "hour": lambda feature, chance: chance.below(24),
    "std": lambda feature, chance: chance.below(50_000) / 1_000,
    "since_last": lambda feature, chance: chance.below(100_000) / 1_000,
}


def _applied(
    feature: Feature,
    kind: str,
    vocabulary: Sequence[str],
    domains: dict[str, Domain],
    chance: Chance,
) -> Any:
    """Return what a user's function makes of such fields; any value of its kind if it raises."""
    drawn = {name: domains[name].draw(chance) for name in feature.fields}
    try:
        return reader_of(feature, kind)(_Fields(drawn))
    except Exception:  # noqa: BLE001 - a user's function may raise anything
        plain = {"category": str, "boolean": bool, "integer": int}.get(kind, float)
        if vocabulary:
            return vocabulary[chance.below(len(vocabulary))]
        return Domain(plain, optional=False).draw(chance)


class _Fields:
    """Fields as attributes, as an event has them."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self.__dict__.update(fields)


def _label_domain(plan: Plan) -> Domain:
    labels: Any = plan.pipeline.labels
    if labels is None:
        return Domain(None, optional=True)
    owner = labels.label if isinstance(labels, Labels) else plan.pipeline.events.event
    return domains_of(owner)[labels.value]


def _label(plan: Plan, domain: Domain, number: int, chance: Chance) -> Any:
    if plan.labels == "none":
        return None
    if plan.task == "regression":
        if (domain.least, domain.most) == (-inf, inf):
            domain = domain._replace(least=0.0)
        return float(domain.draw(chance))
    if plan.task != "multiclass":
        return (number + chance.below(2)) % 3 == 0
    known = class_names(plan.pipeline) or ("a", "b", "c")
    return known[chance.below(len(known))]
