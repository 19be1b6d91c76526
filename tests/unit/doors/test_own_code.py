"""Code of a user's own classes: whatever it raises is one record's matter, at every door."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    WrapValidator,
    computed_field,
    field_serializer,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError, PydanticUseDefault, core_schema
from river import linear_model

from headrace.schemas.avro import avro_schema_of
from headrace.schemas.codec import Codec
from headrace.schemas.errors import InputError
from headrace.streams.decoding import Rejected, decoder_of
from headrace.streams.event import Event
from headrace.streams.outgoing import outgoing_event
from headrace.streams.pipeline import Labels, Pipeline, Source, hour, value
from headrace.streams.plan import plan_of
from headrace.streams.replay import replay
from headrace.streams.rows import read_rows
from headrace.streams.validators import guard, told

KM = {"km": 1.0, "mi": 1.609344}
START = datetime(2024, 5, 1, 12, tzinfo=UTC)


class Trip(Event):
    trip: str
    at: datetime
    km: float = 1.0
    unit: str = "km"


def tabled(value: str) -> str:
    KM[value]
    return value


def wrapping(value: Any, handler: Any) -> Any:
    return tabled(handler(value))


def untyped(value: Any) -> Any:
    return value + (1 if value == "parsec" else "")


def divided(value: Any) -> Any:
    1 / (value != "parsec")
    return value


class Tabled(Trip):
    @field_validator("unit")
    @classmethod
    def known(cls, value: str) -> str:
        return tabled(value)


class Before(Trip):
    unit: Annotated[str, BeforeValidator(untyped)] = "km"


class After(Trip):
    unit: Annotated[str, AfterValidator(divided)] = "km"


class Wrapped(Trip):
    unit: Annotated[str, WrapValidator(wrapping)] = "km"


class BeforeAll(Trip):
    @model_validator(mode="before")
    @classmethod
    def looked_up(cls, data: Any) -> Any:
        KM[data.get("unit", "km") if isinstance(data, dict) else "km"]
        return data


class AfterAll(Trip):
    @model_validator(mode="after")
    def looked_up(self) -> AfterAll:
        KM[self.unit]
        return self


class AtTheEnd(Trip):
    def model_post_init(self, context: Any) -> None:
        KM[self.unit]


class Made(Trip):
    factor: float = Field(default_factory=lambda data: KM[data["unit"]])


class MadeBadly(Trip):
    """A factory's ValueError is no validator's: pydantic passes it on as it is."""

    factor: int = Field(default_factory=lambda data: int("1" if data["unit"] == "km" else "one"))


CASES = {
    Tabled: ("unit", "validator Tabled.known", "KeyError: 'parsec'"),
    Before: ("unit", "validator untyped", "TypeError: "),
    After: ("unit", "validator divided", "ZeroDivisionError: division by zero"),
    Wrapped: ("unit", "validator wrapping", "KeyError: 'parsec'"),
    BeforeAll: (None, "validator BeforeAll.looked_up", "KeyError: 'parsec'"),
    AfterAll: (None, "validator AfterAll.looked_up", "KeyError: 'parsec'"),
    AtTheEnd: (None, "method AtTheEnd.model_post_init", "KeyError: 'parsec'"),
    Made: ("factor", "default factory Made.<lambda>", "KeyError: 'parsec'"),
    MadeBadly: ("factor", "default factory MadeBadly.<lambda>", "ValueError: invalid literal"),
}
EACH = pytest.mark.parametrize("model", CASES, ids=lambda model: model.__name__)


def row(unit: str = "parsec", number: int = 0) -> dict[str, Any]:
    at = START + timedelta(minutes=number)
    return {"trip": f"t{number}", "at": at.isoformat(), "km": 2.0, "unit": unit}


def check_named(model: type[Event], said: str) -> None:
    _, name, error = CASES[model]  # type: ignore[index]
    assert f"{name} raised {error}" in said


@EACH
def test_a_record_of_json_is_refused_with_field_validator_and_exception(model: type[Event]) -> None:
    refused = decoder_of(model, "json")(json.dumps(row()).encode())
    assert isinstance(refused, Rejected)
    assert (refused.code, refused.field) == ("invalid", CASES[model][0])  # type: ignore[index]
    check_named(model, refused.detail)
    good = json.dumps(row("km")).encode()
    assert type(decoder_of(model, "json")(good)) is model


@EACH
def test_a_record_of_avro_is_refused_likewise(model: type[Event]) -> None:
    fields = ["trip", "at", "km", "unit"]
    schema = avro_schema_of(model)
    schema = {**schema, "fields": [f for f in schema["fields"] if f["name"] in fields]}
    codec = Codec(schema, 1)
    value = codec.encode({**row(), "at": 1_714_564_800_000_000})
    refused = decoder_of(model, "avro", codec)(value)
    assert isinstance(refused, Rejected)
    assert (refused.code, refused.field) == ("invalid", CASES[model][0])  # type: ignore[index]
    check_named(model, refused.detail)


@EACH
@pytest.mark.parametrize("name", ["trips.csv", "trips.jsonl"])
def test_a_row_of_a_file_is_refused_with_its_line(
    model: type[Event], name: str, tmp_path: Path
) -> None:
    rows = [row("km"), row(number=1)]
    path = tmp_path / name
    if name.endswith("csv"):
        lines = [",".join(rows[0]), *(",".join(map(str, each.values())) for each in rows)]
    else:
        lines = ["", *map(json.dumps, rows)]
    path.write_text("\n".join(lines))
    with pytest.raises(InputError) as error:
        list(read_rows(path, model))
    field = CASES[model][0]  # type: ignore[index]
    assert f"{path}, line 3{f', column {field}' if field else ''}: " in str(error.value)
    check_named(model, str(error.value))


@EACH
def test_an_instance_is_refused_where_it_is_made(model: type[Event]) -> None:
    with pytest.raises((ValidationError, PydanticCustomError)) as error:
        model(**{**row(), "at": START})
    check_named(model, str(error.value))


def pipeline(model: type[Event], label: type[Event] = Trip) -> Pipeline:
    return Pipeline(
        name="trips",
        events=Source(model, id="trip", key="trip", time="at"),
        features=[value("km")],
        model=linear_model.LinearRegression(),
        labels=Labels(label, id="trip", value="km", time="at"),
    )


@EACH
def test_a_stage_buries_it_as_invalid_and_goes_on(model: type[Event]) -> None:
    rows = [row("km"), row(number=1), row("km", 2)]
    result = replay(pipeline(model, model), rows, rows)
    assert [each["event_id"] for each in result.predictions] == ["t0", "t2"]
    letters = [(each["reason"], each["stage"]) for each in result.dead_letters]
    assert letters == [("invalid", "score"), ("invalid", "route")]
    check_named(model, result.dead_letters[0]["detail"])
    assert result.summary["examples"] == 2


def test_a_time_at_the_calendars_end_has_no_hour_and_stops_nothing() -> None:
    class Dated(Trip):
        since: datetime

    hours = replace(pipeline(Dated), features=[hour("since", tz="America/New_York")])
    rows = [{**row("km", n), "since": since} for n, since in enumerate(["0001-01-01T00:00Z"] * 2)]
    result = replay(hours, [*rows, {**row("km", 3), "since": row()["at"]}])
    assert [each["reason"] for each in result.dead_letters] == ["feature_failed"] * 2
    assert len(result.predictions) == 1


class Computed(Trip):
    @computed_field  # type: ignore[prop-decorator]
    @property
    def way(self) -> float:
        return KM[self.unit]


class Serialized(Trip):
    @field_serializer("unit")
    def shown(self, unit: str) -> str:
        return unit if KM[unit] else ""


def test_what_cannot_be_written_is_refused_by_its_publisher() -> None:
    plan = plan_of(pipeline(Serialized))
    assert outgoing_event(plan, Serialized(**{**row("km"), "at": START})).key == b"t0"
    with pytest.raises(InputError, match=r"trips: this Serialized cannot be written: .*pars"):
        outgoing_event(plan, Serialized(**{**row(), "at": START}))


def test_what_a_class_computes_is_not_written() -> None:
    written = outgoing_event(plan_of(pipeline(Computed)), Computed(**{**row(), "at": START}))
    assert set(json.loads(written.value)) == set(Trip.model_fields)


class Unwritable:
    def __str__(self) -> str:
        raise OSError("no such unit")


def test_a_mapping_that_is_no_json_is_refused_with_its_number() -> None:
    rows = [row("km"), {**row("km", 1), "unit": Unwritable()}]
    with pytest.raises(InputError, match="event 2: it cannot be written as JSON: OSError: no such"):
        replay(pipeline(Trip), rows)


class Omitting(Trip):
    @field_validator("unit", mode="before")
    @classmethod
    def known(cls, value: str) -> str:
        if value not in KM:
            raise PydanticUseDefault
        return value

    @field_validator("km")
    @classmethod
    def short(cls, value: float) -> float:
        if value > 100:
            raise ValueError("a trip is short")
        return value


def test_what_pydantic_understands_means_what_it_did() -> None:
    assert Omitting(**{**row(), "at": START}).unit == "km"
    with pytest.raises(ValidationError, match="Value error, a trip is short"):
        Omitting(**{**row("km"), "at": START, "km": 101.0})


def exhausted(value: Any) -> Any:
    raise MemoryError


class Exhausting(Trip):
    unit: Annotated[str, AfterValidator(exhausted)] = "km"


class ExhaustedText:
    def __str__(self) -> str:
        raise MemoryError


def test_memory_that_runs_out_is_no_records_fault(tmp_path: Path) -> None:
    with pytest.raises(MemoryError):
        replay(pipeline(Trip), [{**row(), "unit": ExhaustedText()}])
    with pytest.raises(MemoryError):
        decoder_of(Exhausting, "json")(json.dumps(row()).encode())
    path = tmp_path / "trips.jsonl"
    path.write_text(json.dumps(row()))
    with pytest.raises(MemoryError):
        list(read_rows(path, Exhausting))
    with pytest.raises(MemoryError):
        replay(pipeline(Exhausting), [row()])


def kind_of(data: Any) -> str:
    return {"a": "a"}[data["kind"]]


class A(Event):
    kind: Literal["a"] = "a"


class Either(Event):
    part: Annotated[Annotated[A, Tag("a")] | Annotated[Trip, Tag("b")], Discriminator(kind_of)]


def test_discriminators_and_classes_within_classes_are_guarded_too() -> None:
    refused = decoder_of(Either, "json")(b'{"part": {"kind": "c"}}')
    said = "The discriminator kind_of raised KeyError: 'c'."
    assert refused == Rejected("invalid", said, "part")

    class Day(Event):
        first: Tabled
        rest: list[Tabled] = Field(default_factory=list)

    with pytest.raises(ValidationError, match=r"rest.0.unit\n.*Tabled.known raised KeyError"):
        Day.model_validate({"first": {**row("km"), "at": START}, "rest": [{**row(), "at": START}]})


class Raising:
    """A class whose schema calls what is no function."""

    def __call__(self, value: Any) -> Any:
        return KM[value]

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        return core_schema.no_info_plain_validator_function(cls())


def test_what_is_called_and_is_no_function_is_named_by_its_class() -> None:
    class Odd(Event):
        unit: Raising

    with pytest.raises(ValidationError, match="The validator Raising raised KeyError"):
        Odd.model_validate({"unit": "x"})
    schema = {"type": "function-plain", "function": {"type": "no-info", "function": Raising()}}
    guard(schema)
    once = schema["function"]["function"]  # type: ignore[index]
    guard(schema)
    assert schema["function"]["function"] is once  # type: ignore[index]


@pytest.mark.parametrize(
    ("error", "said"),
    [(KeyError(), "KeyError"), (OSError("a\nb"), "OSError: a b"), (OSError("x" * 999), None)],
)
def test_an_exception_is_told_on_one_line_within_bounds(error: Exception, said: str | None) -> None:
    assert told(error) == (said or f"OSError: {'x' * 200}")


def refusing(value: Any) -> Any:
    raise OSError


def test_a_class_that_raises_past_all_care_refuses_one_record() -> None:
    """Were it not guarded: the last resort of who decodes."""
    decode = decoder_of(Trip, "json")
    assert isinstance(decode(b"{}"), Rejected)

    class Bare(Trip):
        @classmethod
        def __get_pydantic_core_schema__(cls, source: Any, handler: Callable[..., Any]) -> Any:
            return core_schema.no_info_after_validator_function(refusing, handler(source))

    refused = decoder_of(Bare, "json")(json.dumps(row("km")).encode())
    assert refused == Rejected("invalid", "Its class raised OSError.")
