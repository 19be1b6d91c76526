from datetime import UTC, datetime, timedelta, timezone
from typing import Annotated, Literal, NewType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AwareDatetime, BaseModel, Field

from headrace.schemas.avro import (
    avro_schema_of,
    datetime_fields,
    field_types,
    literal_values,
    plain_type,
    to_avro,
    to_micros,
    to_millis,
)
from headrace.schemas.codec import Codec
from headrace.schemas.errors import SchemaError


class Ride(BaseModel):
    ride: str
    at: datetime
    fare: Annotated[float, Field(gt=0)]
    tip: Annotated[float, Field(ge=0)] | None = None
    seats: int = 1
    shared: bool = False
    zone: Literal["north", "south"] | None = None
    raw: bytes = b""
    ended: datetime | None = None


def test_a_model_becomes_a_record() -> None:
    time = {"type": "long", "logicalType": "timestamp-micros"}
    assert avro_schema_of(Ride, "city") == {
        "type": "record",
        "name": "Ride",
        "namespace": "city",
        "fields": [
            {"name": "ride", "type": "string"},
            {"name": "at", "type": time},
            {"name": "fare", "type": "double"},
            {"name": "tip", "type": ["null", "double"], "default": None},
            {"name": "seats", "type": "long"},
            {"name": "shared", "type": "boolean"},
            {"name": "zone", "type": ["null", "string"], "default": None},
            {"name": "raw", "type": "bytes"},
            {"name": "ended", "type": ["null", time], "default": None},
        ],
    }


def test_what_has_no_avro_type_is_said_with_its_place() -> None:
    class Odd(BaseModel):
        shape: dict[str, int]

    with pytest.raises(SchemaError, match=r"Odd\.shape: .* has no Avro type\. Use str"):
        avro_schema_of(Odd)


def test_a_literal_of_numbers_is_no_text() -> None:
    assert literal_values(Literal[1, 2]) == ()
    assert literal_values(Literal["a", "b"]) == ("a", "b")
    assert literal_values(str) == ()


def test_types_are_seen_through_constraints_and_unions() -> None:
    assert plain_type(Annotated[Annotated[float, Field(gt=0)] | None, "note"]) == (float, True)
    assert plain_type(int | str) == (int | str, False)
    assert plain_type(NewType("Metres", float) | None) == (float, True)
    assert plain_type(AwareDatetime) == (datetime, False)
    assert plain_type(Annotated[float, "m"] | Annotated[float, "km"]) == (float, False)
    assert plain_type(Annotated[float, "m"] | int | None) == (float, True)
    assert field_types(Ride)["tip"] == (float, True)
    assert datetime_fields(Ride) == ("at", "ended")


AWARE = st.datetimes(
    min_value=datetime(1900, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=-5, minutes=-30))]),
)


@given(AWARE)
def test_times_keep_every_microsecond(at: datetime) -> None:
    assert datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=to_micros(at)) == at
    assert to_millis(at) == to_micros(at) // 1000


def test_an_event_is_written_as_its_schema_says() -> None:
    at = datetime(2024, 5, 1, 12, 0, 0, 250, tzinfo=UTC)
    ride = Ride(ride="r", at=at, fare=3)
    codec = Codec(avro_schema_of(Ride), 1)
    assert codec.decode(codec.encode(to_avro(ride))) == {
        **ride.model_dump(),
        "at": to_micros(at),
    }
