"""One rule for times at every door: each form that has one meaning is read, every other refused."""

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError, field_validator
from river import linear_model

from headrace.schemas.avro import avro_schema_of
from headrace.schemas.codec import Codec
from headrace.streams.decoding import Rejected, decoder_of
from headrace.streams.event import Event
from headrace.streams.pipeline import InEvent, Pipeline, Source, value
from headrace.streams.plan import plan_of
from headrace.streams.times import SECONDS_END, SECONDS_MIN, UNITS, TimeFormatError, read_time
from headrace.streams.validation import faults_in


class Tick(Event):
    at: datetime
    late: Annotated[datetime, Field(gt=datetime(2000, 1, 1, tzinfo=UTC))] | None = None
    time: int = 0


NOON = "2024-05-01T12:00:00+00:00"

READ: list[tuple[Any, str]] = [
    ("2024-05-01T12:00:00Z", NOON),
    ("2024-05-01t12:00:00z", NOON),
    ("2024-05-01 12:00:00+00:00", NOON),
    ("2024-05-01 12:00:00+00", NOON),  # PostgreSQL
    ("2024-05-01 17:30:00+05:30", NOON),
    ("2024-05-01T06:30:00-0530", NOON),
    ("2024-05-01T17:30:15+05:30:15", NOON),
    ("2024-05-01T12:00:00-00:00", NOON),
    ("2024-05-01T07:00:00\u221205:00", NOON),
    ("2024-05-01T12:00Z", NOON),
    ("2024-05-01T12:00:00.000Z", NOON),
    ("2024-05-01T12:00:00Z[UTC]", NOON),  # Java
    ("2024-05-01T14:00:00+02:00[Europe/Berlin]", NOON),
    ("2024-05-01 12:00:00 UTC", NOON),  # BigQuery
    ("2024-05-01 12:00:00 utc", NOON),
    ("2024-05-01 12:00:00 GMT", NOON),
    ("2024-05-01 12:00:00.0000000 +00:00", NOON),  # SQL Server
    ("2024-05-01 12:00:00 +0000", NOON),  # Ruby, Git
    ("2024-05-01 12:00:00 +0000 UTC", NOON),  # Go
    ("2024-05-01 14:00:00 +0200 CEST", NOON),
    (" 2024-05-01T12:00:00Z\n", NOON),
    ("20240501T120000Z", NOON),
    ("20240501T1200Z", NOON),
    ("20240501T140000+0200", NOON),
    ("2024-05-01T12:00:00,25Z", "2024-05-01T12:00:00.250000+00:00"),
    ("2024-05-01T12:00:00.123456789Z", "2024-05-01T12:00:00.123456+00:00"),
    ("2024-05-01 12:00:00.1239999 UTC", "2024-05-01T12:00:00.123999+00:00"),
    ("20240501T120000.5Z", "2024-05-01T12:00:00.500000+00:00"),
    ("2024-04-30T24:00:00Z", "2024-05-01T00:00:00+00:00"),
    ("2024-12-31T24:00Z", "2025-01-01T00:00:00+00:00"),
    ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00+00:00"),
    ("2017-01-01T00:59:60.5+01:00", "2017-01-01T00:00:00.500000+00:00"),
    ("Wed, 01 May 2024 12:00:00 +0000", NOON),
    ("Wed, 1 May 2024 12:00:00 GMT", NOON),
    ("1 May 2024 07:00 EST", NOON),
    ("wed, 01 may 2024 05:00:00 PDT", NOON),
    ("Wed, 01 May 2024 12:00:00 -0000 (UTC)", NOON),
    ("Sat, 31 Dec 2016 23:59:60 +0000", "2017-01-01T00:00:00+00:00"),
    ("1985-01-01T00:00:00Z", "1985-01-01T00:00:00+00:00"),
    (1_714_564_800, NOON),
    (1_714_564_800.0, NOON),
    (1_714_564_800.123, "2024-05-01T12:00:00.123000+00:00"),
    (1_714_564_800_123, "2024-05-01T12:00:00.123000+00:00"),
    (1_714_564_800_123.5, "2024-05-01T12:00:00.123500+00:00"),
    (1_714_564_800_123_456, "2024-05-01T12:00:00.123456+00:00"),
    (1_714_564_800_123_456_789, "2024-05-01T12:00:00.123456+00:00"),
    ("1714564800", NOON),
    ("1714564800.123", "2024-05-01T12:00:00.123000+00:00"),
    ("1714564800123", "2024-05-01T12:00:00.123000+00:00"),
    ("1714564800123456", "2024-05-01T12:00:00.123456+00:00"),
    ("1714564800123456789", "2024-05-01T12:00:00.123456+00:00"),
    (SECONDS_MIN, "1991-01-01T00:00:00+00:00"),
    (SECONDS_END * 1000 - 1, "2199-12-31T23:59:59.999000+00:00"),
]

REFUSED: list[tuple[Any, str]] = [
    ("2024-05-01T12:00:00", "no offset from UTC"),
    ("2024-05-01 12:00:00", "no offset from UTC"),
    ("20240501T120000", "no offset from UTC"),
    ("2024-05-01", "no offset from UTC"),
    ("2024-05-01 12:00:00 CET", "no offset from UTC"),
    ("2024-05-01 12:00:00 Europe/Berlin", "no offset from UTC"),
    ("2024-05-01T12:00:00[Europe/Berlin]", "no offset from UTC"),
    ("2024-13-01T12:00:00Z", "month must be in 1..12"),
    ("2024-02-30 12:00:00 UTC", "is no time (day"),
    ("0000-01-01T00:00:00Z", "is no time (year"),
    ("2024-05-01T24:00:01Z", "is no time (hour"),
    ("2024-05-01T25:00:00Z", "is no time (hour"),
    ("9999-12-31T24:00:00Z", "is no time ("),
    ("2024-05-01T12:00:60Z", "second 60 is at the end of a month"),
    ("2024-05-01T23:59:60Z", "second 60 is at the end of a month"),
    ("2024-05-01T12:00:61Z", "is no time (second"),
    ("2024-05-01T12:00:00+24:00", "is no time."),
    ("2024-05-01T12:00:00+02:60", "is no time."),
    ("Tue, 01 May 2024 12:00:00 GMT", "that day is a Wed"),
    ("Wed, 01 May 24 12:00:00 GMT", "is no time."),
    ("05/01/2024 12:00", "is no time."),
    ("01.05.2024", "is no time."),
    ("12:00:00Z", "is no time."),
    ("yesterday", "is no time."),
    ("", "is no time."),
    ("NaT", "is no time."),
    ("1.71456E+12", "is no time."),  # a spreadsheet has cut its digits
    ("1_714_564_800", "is no time."),
    ("-1714564800", "is no time."),
    ("x" * 200, "xxx... is no time."),
    ("12", "'12' is no time: a number is read as seconds, milliseconds"),
    (20_240_501, "the years 1991 to 2199; none does. Write RFC 3339"),
    ("20240501", "none does"),
    (202_405_011_200, "none does"),
    ("20240501120000", "none does"),
    (20_240_501_120_000_000, "none does"),
    (45_413.5, "none does"),  # a spreadsheet's day
    (638_501_616_000_000_000, "none does"),  # .NET ticks
    (133_590_384_000_000_000, "none does"),  # a Windows file time
    (0, "none does"),
    (-1_714_564_800, "none does"),
    (1e300, "none does"),
    (SECONDS_MIN - 1, "none does"),
    (SECONDS_END, "none does"),
    (True, "True is no time."),
    ([], "[] is no time."),
]


def doors() -> dict[str, Any]:
    return {
        "json": lambda given: Tick.model_validate_json(json.dumps({"at": given})),
        "python": lambda given: Tick(at=given),
        "strings": lambda given: Tick.model_validate_strings({"at": str(given)}),
    }


@pytest.mark.parametrize("door", ["json", "python", "strings"])
@pytest.mark.parametrize(("given", "meant"), READ, ids=str)
def test_a_form_with_one_meaning_is_read_at_every_door(door: str, given: Any, meant: str) -> None:
    if door == "strings" and isinstance(given, float):
        given = f"{given:.3f}"
    found = doors()[door](given).at
    assert found.astimezone(UTC).isoformat() == meant
    assert read_time(given) == found


@pytest.mark.parametrize("door", ["json", "python"])
@pytest.mark.parametrize(("given", "said"), REFUSED, ids=lambda case: str(case)[:30])
def test_every_other_is_refused_with_the_remedy(door: str, given: Any, said: str) -> None:
    with pytest.raises(ValidationError) as error:
        doors()[door](given)
    (fault,) = faults_in(error.value)
    assert fault["loc"] == ("at",)
    assert said in fault["msg"]
    assert 'Write RFC 3339, as "2024-05-01T12:00:00Z"' in fault["msg"]


def test_python_has_forms_of_its_own() -> None:
    assert read_time(Decimal("1714564800.5")).isoformat() == "2024-05-01T12:00:00.500000+00:00"
    for wrong in (datetime(2024, 5, 1), None, Decimal("NaN"), float("nan"), b"2024"):  # noqa: DTZ001
        with pytest.raises(TimeFormatError):
            read_time(wrong)
        with pytest.raises(ValidationError):
            Tick(at=wrong)  # type: ignore[arg-type]  # on purpose


def test_bounds_hold_however_a_time_is_written() -> None:
    for text in ('"1999-01-01T00:00:00Z"', "915148800", '"1999-01-01 00:00:00 UTC"'):
        found = decoder_of(Tick, "json")(f'{{"at": 1714564800, "late": {text}}}'.encode())
        assert isinstance(found, Rejected)
        assert (found.code, found.field) == ("out_of_range", "late")


def test_a_field_called_time_is_told_by_its_name() -> None:
    found = decoder_of(Tick, "json")(b'{"at": 1714564800, "time": "x"}')
    assert isinstance(found, Rejected)
    assert found.field == "time"


MOMENTS = st.datetimes(
    min_value=datetime(1991, 1, 2),  # noqa: DTZ001 - hypothesis adds the zone
    max_value=datetime(2199, 12, 30),  # noqa: DTZ001 - same
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=-5, minutes=-30))]),
)


@given(MOMENTS, st.sampled_from(sorted(UNITS)))
def test_a_number_has_one_unit(at: datetime, unit: str) -> None:
    since = (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    number = since * UNITS[unit] // 1_000_000
    kept = timedelta(seconds=1) / min(UNITS[unit], 1_000_000)
    for number_or_text in (number, str(number)):
        assert timedelta() <= at - read_time(number_or_text) < max(kept, timedelta.resolution * 2)
    fits = [u for u, n in UNITS.items() if SECONDS_MIN * n <= number < SECONDS_END * n]
    assert fits == [unit]


@given(MOMENTS, st.sampled_from(["%Y-%m-%dT%H:%M:%S.%f%z", "%Y-%m-%d %H:%M:%S.%f %z",
                                 "%Y%m%dT%H%M%S.%f%z"]))  # fmt: skip
def test_texts_are_read_exactly(at: datetime, form: str) -> None:
    text = at.strftime(form)
    assert read_time(text) == at
    assert Tick.model_validate_json(json.dumps({"at": text})).at == at
    assert Tick(at=text).at == at  # type: ignore[arg-type]  # on purpose


@given(
    st.text(max_size=40)
    | st.from_regex(r"\d{4}-?\d\d-?\d\d[T ]\d\d:?\d\d.{0,12}")
    | st.integers()
    | st.floats()
)
def test_nothing_raises_anything_else(anything: Any) -> None:
    with suppress(TimeFormatError):
        found = read_time(anything)
        assert found.utcoffset() is not None
        assert isinstance(anything, str) or 1990 < found.year < 2201


class Trip(Event):
    id: str
    at: datetime
    km: float = 0
    rose: bool = True

    @field_validator("at", mode="before")
    @classmethod
    def _german(cls, at: Any) -> Any:
        if isinstance(at, str) and at.count(".") == 2:
            return datetime.strptime(at, "%d.%m.%Y %H:%M").replace(tzinfo=UTC)
        return at


def test_what_a_validator_returns_is_believed_at_every_door() -> None:
    text, meant = "01.05.2024 12:00", datetime(2024, 5, 1, 12, tzinfo=UTC)
    assert Trip(id="t", at=text).at == meant  # type: ignore[arg-type]  # its validator reads it
    assert Trip.model_validate_json(json.dumps({"id": "t", "at": text})).at == meant
    assert Trip.model_validate_strings({"id": "t", "at": text}).at == meant
    plan = plan_of(
        Pipeline(
            name="trips",
            events=Source(Trip, id="id", key="id", time="at", format="avro"),
            labels=InEvent("rose"),
            features=[value("km")],
            model=linear_model.LogisticRegression(),
        )
    )
    written = plan.encode_event(Trip(id="t", at=meant))
    assert plan.decode_event(written, 2**60) == Trip(id="t", at=meant)
    with pytest.raises(ValidationError, match="no offset from UTC"):
        Naive(at="x")  # type: ignore[arg-type]  # its validator reads it


class Naive(Event):
    at: datetime

    @field_validator("at", mode="before")
    @classmethod
    def _naive(cls, at: Any) -> Any:
        return datetime(2024, 5, 1)  # noqa: DTZ001 - on purpose


def test_avro_counts_microseconds_from_the_epoch_on() -> None:
    written = Codec(avro_schema_of(Naive), 1).encode({"at": 0})
    assert written[5:] == b"\0"
    early = decoder_of(Tick, "avro")(Codec(avro_schema_of(Tick), 1).encode(
        {"at": 1_000, "late": None, "time": 0}))  # fmt: skip
    assert early == Tick(at=datetime(1970, 1, 1, 0, 0, 0, 1_000, tzinfo=UTC))
