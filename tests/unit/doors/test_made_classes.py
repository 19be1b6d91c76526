"""Classes and events of all kinds: what is written of one is read as the same, at every door."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import (
    AliasChoices,
    AliasPath,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    create_model,
)
from pydantic.alias_generators import to_camel

from headrace.schemas.names import column_of, paths_of
from headrace.streams.decoding import Rejected, decoder_of, encoder_of
from headrace.streams.event import NUMBER_MAX, Event
from headrace.streams.roundtrip import round_trip
from headrace.streams.rows import read_rows

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Place(BaseModel):
    city: str = Field(alias="cityName")
    height: float = 0.0


# -- classes and events, generated

MOMENTS = st.datetimes(
    min_value=datetime(1900, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
    max_value=datetime(2300, 1, 1),  # noqa: DTZ001 - same
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=-5, minutes=-30))]),
)
FLOATS = st.floats(-NUMBER_MAX, NUMBER_MAX)
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)
TYPES: dict[str, tuple[Any, st.SearchStrategy[Any]]] = {
    "str": (str, TEXTS),
    "short": (Annotated[str, Field(min_length=1, max_length=3)],
              TEXTS.filter(bool).map(lambda t: t[:3])),
    "int": (int, st.integers(-(2**63), 2**63 - 1)),
    "float": (float, FLOATS),
    "positive": (Annotated[float, Field(gt=0)], st.floats(0, 1e9, exclude_min=True)),
    "number": (int | float, st.integers(-5, 5) | FLOATS),
    "bool": (bool, st.booleans()),
    "flag": (Annotated[bool, Field(strict=False)], st.booleans()),
    "loose": (Annotated[float, Field(strict=False)], FLOATS),
    "datetime": (datetime, MOMENTS),
    "aware": (AwareDatetime, MOMENTS),
    "literal": (Literal["a", "b c"], st.sampled_from(["a", "b c"])),
    "binary": (Literal[0, 1], st.sampled_from([0, 1])),
    "stripped": (Annotated[str, BeforeValidator(lambda v: v.strip() if isinstance(v, str) else v)],
                 TEXTS.map(str.strip)),
    "believed": (Annotated[datetime, BeforeValidator(
        lambda v: NOON if v == "noon" else v)], MOMENTS),
}  # fmt: skip
JSON_TYPES: dict[str, tuple[Any, st.SearchStrategy[Any]]] = {
    "decimal": (Decimal, st.decimals(-1_000_000, 1_000_000, places=3)),
    "uuid": (UUID, st.uuids()),
    "date": (date, st.dates()),
    "enum": (Colour, st.sampled_from(Colour)),
    "list": (list[float], st.lists(FLOATS, max_size=3)),
    "place": (Place, st.builds(lambda c, h: Place(cityName=c, height=h), TEXTS, FLOATS)),
    "bytes": (bytes, TEXTS.map(str.encode)),
}
ALIASES: list[Callable[[str], dict[str, Any]]] = [
    lambda name: {},
    lambda name: {},
    lambda name: {"alias": f"the-{name}"},
    lambda name: {"alias": f"the_{name}"},
    lambda name: {"validation_alias": f"{name}Read", "serialization_alias": f"{name}Written"},
    lambda name: {"serialization_alias": f"{name}Written"},
    lambda name: {"validation_alias": AliasPath("payload", name)},
    lambda name: {"validation_alias": AliasPath("deep", "values", int(name[1:]))},
    lambda name: {"validation_alias": AliasChoices(f"{name}New", AliasPath("old", name))},
]
CONFIGS: list[ConfigDict] = [
    {},
    {},
    {"populate_by_name": True},
    {"validate_by_name": True, "validate_by_alias": False},
    {"alias_generator": to_camel},
    {"alias_generator": to_camel, "populate_by_name": True},
    {"serialize_by_alias": True},
    {"extra": "forbid"},
    {"extra": "allow"},
]


class Case(NamedTuple):
    model: type[Event]
    fields: dict[str, Any]
    avro: bool


@st.composite
def cases(draw: st.DrawFn, types: dict[str, Any] = TYPES | JSON_TYPES) -> Case:
    fields: dict[str, Any] = {}
    values = {}
    kinds = draw(st.lists(st.sampled_from(sorted(types)), min_size=1, max_size=6))
    for number, kind in enumerate(kinds):
        annotation, strategy = types[kind]
        name = f"f{number}"
        rest = draw(st.sampled_from(ALIASES))(name)
        optional = draw(st.booleans())
        if optional:
            annotation, strategy = annotation | None, st.none() | strategy
            rest["default"] = None
        fields[name] = (annotation, Field(**rest))
        values[name] = draw(strategy)
    config = draw(st.sampled_from(CONFIGS))
    base = type("Base", (Event,), {"model_config": config, "__module__": __name__})
    make: Callable[..., Any] = create_model
    made = make("Made", __base__=base, **fields)
    return Case(made, values, not set(kinds) & set(JSON_TYPES))


def built(case: Case) -> Event:
    validate = case.model.__pydantic_validator__.validate_python
    event: Event = validate(case.fields, by_alias=False, by_name=True)
    return event


def equal(one: Event, other: Any) -> bool:
    return not isinstance(other, Rejected) and one.__dict__ == other.__dict__


@settings(deadline=None, suppress_health_check=list(HealthCheck))
@given(cases())
def test_json_and_avro_give_back_what_was_written(case: Case) -> None:
    event = built(case)
    for form in ("json", "avro") if case.avro else ("json",):
        encode, decode = encoder_of(case.model, form), decoder_of(case.model, form)
        assert equal(event, decode(encode(event))), (form, encode(event))
        assert round_trip(case.model, encode, decode).fault is None
    assert equal(event, case.model.model_validate(json.loads(encoder_of(case.model, "json")(event)),
                                                  strict=False)) or not case.avro  # fmt: skip


def cell(anything: Any) -> str:
    if isinstance(anything, bool):
        return str(anything).lower()
    return "" if anything is None else str(anything)


@settings(deadline=None, suppress_health_check=list(HealthCheck))
@given(cases(TYPES))
def test_a_table_is_read_by_the_same_names(case: Case) -> None:
    event = built(case)
    paths = {name: at[0] for name, at in paths_of(case.model).items()}
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([column_of(path) for path in paths.values()])
    writer.writerow([cell(case.fields[name]) for name in paths])
    writer.writerow([cell(case.fields[name]) for name in paths])
    with TemporaryDirectory() as folder:
        path = Path(folder) / "rows.csv"
        path.write_bytes(text.getvalue().encode())
        blank = not "".join(cell(given) for given in case.fields.values())
        rows = [] if blank else list(read_rows(path, case.model))
    for row in rows:
        for name, read in row.__dict__.items():
            written = event.__dict__[name]
            empty = written == "" and not case.model.model_fields[name].is_required()
            assert read == (None if empty else written), name
