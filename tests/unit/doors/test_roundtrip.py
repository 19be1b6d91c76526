"""What is written of an event is read as the same event, at every door; or `check` refuses."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import (
    AliasChoices,
    AliasPath,
    ConfigDict,
    Field,
    PrivateAttr,
    computed_field,
    field_serializer,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic.alias_generators import to_camel
from river import linear_model

from headrace.schemas.errors import InputError
from headrace.streams.decoding import Rejected, decoder_of, encoder_of
from headrace.streams.event import Event
from headrace.streams.outgoing import outgoing_event, outgoing_label
from headrace.streams.pipeline import InEvent, Labels, Pipeline, Source, value
from headrace.streams.plan import Plan, plan_of
from headrace.streams.replay import replay
from headrace.streams.roundtrip import has_own_code, round_trip, round_trips
from headrace.streams.rows import read_rows


def equal(one: Event, other: Any) -> bool:
    return not isinstance(other, Rejected) and one.__dict__ == other.__dict__


NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


# -- classes that are no inverses are refused, with field and remedy


class Trip(Event):
    id: str
    at: datetime
    km: float = 1.0


class Miles(Trip):
    @field_validator("km")
    @classmethod
    def _km(cls, km: float) -> float:
        return km * 1.609


class Lossy(Trip):
    @field_serializer("km")
    def _km(self, km: float) -> float:
        return round(km, 1)


class Unreadable(Trip):
    @field_serializer("km")
    def _km(self, km: float) -> str:
        return f"{km} km"


class Secret(Trip):
    card: str = Field("", exclude=True)


class Kept(Trip):
    card: str = Field("", exclude_if=lambda card: card.startswith("c"))


class Twice(Trip):  # type: ignore[no-redef]  # two fields of one alias, on purpose
    one: float = Field(0, alias="x")
    other: float = Field(0, alias="x")


class Within(Trip):
    one: str = Field("", alias="x")
    other: float = Field(0, validation_alias=AliasPath("x", "y"))


class Mixed(Trip):
    one: float = Field(0, validation_alias=AliasPath("x", 0))
    other: float = Field(0, validation_alias=AliasPath("x", "y"))


class Last(Trip):
    one: float = Field(0, validation_alias=AliasPath("x", -1))


class Packed(Trip):
    @model_serializer
    def _pack(self) -> dict[str, Any]:
        return {"trip": self.id}


class Parsed(Event):
    id: str
    at: datetime
    km: float = Field(examples=["3 km"])

    @field_validator("km", mode="before")
    @classmethod
    def _number(cls, km: str) -> float:
        return float(km.split(maxsplit=1)[0])


UNFAITHFUL: list[tuple[type[Event], str, str, str]] = [
    (Miles, "json", "Miles.km is ", "leave alone what it has already changed"),
    (Miles, "avro", "Miles.km is ", "leave alone what it has already changed"),
    (Lossy, "json", "Lossy.km is ", "Let the serializer write what validation reads back"),
    (Unreadable, "json", "Unreadable.km is refused when it is read again", "Let the serializer"),
    (Secret, "json", "Secret.card has exclude=True", "Leave exclude=True; repr=False hides"),
    (Kept, "json", "Kept.card is 'c0' when it is written, and '' when", "Leave exclude=True"),
    (Twice, "json", "Twice.other is read at x, and one at x", "a place of its own"),
    (Within, "json", "Within.other is read at x.y, and one at x", "a place of its own"),
    (Mixed, "avro", "Mixed.other is read at x.y, and one at x.0", "a place of its own"),
    (Last, "json", "Last.one is read at x.-1, which counts from the end", "a place of its own"),
    (Packed, "json", "Packed.id is refused when it is read again", "Let the serializer write"),
    (Parsed, "json", "Parsed.km is refused when it is read again", "AttributeError: 'float'"),
]


def pipeline(model: type[Event], form: Any = "json") -> Pipeline:
    return Pipeline(
        name="trips",
        events=Source(model, id="id", key="id", time="at", format=form),
        labels=Labels(Paid, id="id", value="paid", time="at"),
        features=[value("km")],
        model=linear_model.LogisticRegression(),
    )


class Paid(Event):
    id: str
    at: datetime
    paid: bool


@pytest.mark.parametrize(("model", "form", "said", "remedy"), UNFAITHFUL)
def test_what_is_no_inverse_is_refused(
    model: type[Event], form: str, said: str, remedy: str
) -> None:
    fault = round_trips(pipeline(model, form))[f"{model.__name__} in {form}"].fault or ""
    assert fault.startswith(said)
    assert remedy in fault


SOUND = {"id": "t", "at": NOON, "km": 1.25}


@pytest.mark.parametrize(
    ("model", "fields", "said"),
    [
        (Miles, {}, "trips: Miles.km is 2.01125 when it is written, and 3.23610"),
        (Lossy, {}, "trips: Lossy.km is 1.25 when it is written, and 1.2 when it is read"),
        (Secret, {"card": "4000"}, "trips: Secret.card is '4000' when it is written, and ''"),
        (Twice, {"x": 2.0}, None),
        (Last, {"x": [2.0]}, "trips: this Last cannot be written: ValueError: one is read at x.-1"),
        (Packed, {}, "trips: Packed.id is refused when it is read again"),
    ],
)
def test_no_record_is_published_that_would_be_read_otherwise(
    model: type[Event], fields: dict[str, Any], said: str | None
) -> None:
    plan = plan_of(pipeline(model))
    event = model.model_validate({**SOUND, **fields})
    with pytest.raises(InputError) as error:
        outgoing_event(plan, event)
    assert str(error.value).startswith(
        said or "trips: this Twice cannot be written: ValueError: other is"
    )


def test_a_mapping_is_replayed_as_it_came() -> None:
    """Its validators are applied once, as they are to what others publish."""
    labels = [{"id": "t", "at": "2024-05-01T13:00:00Z", "paid": True}]
    rows = [{"id": "t", "at": "2024-05-01T12:00:00Z", "km": 100}]
    found = replay(pipeline(Miles), rows, labels)
    assert found.predictions[0]["features"] == {"km": 160.9}
    assert len(found.examples) == 1
    with pytest.raises(InputError, match=r"Miles\.km is"):
        replay(pipeline(Miles), [Miles(id="t", at=NOON, km=100)])
    in_avro = replay(pipeline(Miles, "avro"), rows)
    assert [letter["reason"] for letter in in_avro.dead_letters] == ["not_avro"]


# -- classes that are inverses


class Ride(Event):
    """A class as services write them."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    ride_id: str
    at: datetime = Field(alias="@timestamp")
    fare: float = Field(validation_alias=AliasPath("payload", "fare"))
    _note: str = PrivateAttr("")

    def model_post_init(self, context: Any) -> None:
        self._note = f"{id(self)}"

    @computed_field  # type: ignore[prop-decorator]  # as pydantic's documentation has it
    @property
    def cents(self) -> int:
        return round(self.fare * 100)

    @model_validator(mode="after")
    def _checked(self) -> Ride:
        return self


class Tip(Event):
    ride: str = Field(alias="rideId")
    at: datetime = Field(validation_alias=AliasChoices("time", "at"))
    tip: float = Field(validation_alias=AliasPath("values", 1))


def rides(form: Any) -> Plan:
    return plan_of(
        Pipeline(
            name="rides",
            events=Source(Ride, id="ride_id", key="ride_id", time="at", format=form),
            labels=Labels(Tip, id="ride", value="tip", time="at", format=form),
            features=[value("fare")],
            model=linear_model.LinearRegression(),
        )
    )


@pytest.mark.parametrize("form", ["json", "avro"])
def test_what_services_write_goes_through_all_doors(form: str) -> None:
    plan = rides(form)
    ride = Ride(ride_id="r", **{"@timestamp": NOON, "payload": {"fare": 3.5}})  # type: ignore[arg-type]
    tip = Tip(rideId="r", time=NOON + timedelta(hours=1), values=[0, 2.0])
    event, label = outgoing_event(plan, ride), outgoing_label(plan, tip)
    assert equal(ride, plan.decode_event(event.value, 2**60))
    assert equal(tip, plan.decode_label(label.value, 2**60))
    if form == "json":
        assert json.loads(event.value) == {
            "rideId": "r", "@timestamp": "2024-05-01T12:00:00Z", "payload": {"fare": 3.5},
        }  # fmt: skip
        assert json.loads(label.value) == {
            "rideId": "r", "time": "2024-05-01T13:00:00Z", "values": [None, 2.0],
        }  # fmt: skip
    result = replay(plan.pipeline, [ride], [tip])
    assert (len(result.examples), len(result.dead_letters)) == (1, 0)
    flat = {"rideId": "r", "@timestamp": 1714564800, "payload.fare": 3.5}
    assert len(replay(rides("json").pipeline, [flat]).predictions) == 1
    assert all(trial.fault is None for trial in round_trips(plan.pipeline).values())


def test_a_fault_is_of_the_field_that_is_declared() -> None:
    decode = decoder_of(Ride, "json")
    for written, field in [
        ({"at": NOON.isoformat(), "payload": {"fare": 1}}, "ride_id"),
        ({"rideId": "r", "@timestamp": 7, "payload": {"fare": 1}}, "at"),
        ({"rideId": "r", "at": NOON.isoformat(), "payload": {"fare": "x"}}, "fare"),
    ]:
        found = decode(json.dumps(written).encode())
        assert isinstance(found, Rejected)
        assert found.field == field
    refused = decode(b"[]")
    assert isinstance(refused, Rejected)
    assert refused.field is None


def test_a_name_that_is_not_read_is_said(tmp_path: Path) -> None:
    path = tmp_path / "tips.csv"
    path.write_text("ride,time,values.1\nr,2024-05-01T12:00:00Z,2\n", "utf-8")
    with pytest.raises(InputError) as error:
        list(read_rows(path, Tip))
    assert str(error.value) == (
        f'{path}: no column is called "rideId". The class reads its field ride as rideId: rename'
        " the column ride."
    )
    path.write_text("rideId,at,values.1\nr,2024-05-01T12:00:00Z,2\n", "utf-8")
    assert [row.tip for row in read_rows(path, Tip, unless_blank="tip")] == [2.0]
    lines = tmp_path / "tips.jsonl"
    written = [
        {"rideId": "r", "at": 1714564800, "values": [0, 2.0]},
        {"rideId": "r", "at": 1714564800, "values": [0]},
        {"rideId": "r", "at": 1714564800},
    ]
    lines.write_text("\n".join(json.dumps(row) for row in written), "utf-8")
    assert [row.tip for row in read_rows(lines, Tip, unless_blank="tip")] == [2.0]


def test_text_that_a_validator_returns_is_read_as_a_cell_is(tmp_path: Path) -> None:
    class Spaced(Event):
        km: float

        @field_validator("km", mode="before")
        @classmethod
        def _bare(cls, km: Any) -> Any:
            return km.removesuffix("km").strip() if isinstance(km, str) else km

    path = tmp_path / "rows.csv"
    path.write_text("km\n 12 km\n", "utf-8")
    assert [row.km for row in read_rows(path, Spaced)] == [12.0]


def test_what_cannot_be_written_is_said_by_field() -> None:
    class Blob(Trip):
        raw: bytes = b""

    plan = plan_of(pipeline(Blob))
    with pytest.raises(InputError, match=r"trips: raw cannot be written: b'\\xff'"):
        outgoing_event(plan, Blob(id="t", at=NOON, raw=b"\xff"))
    early = Blob(id="t", at=datetime(1969, 12, 31, tzinfo=UTC))
    with pytest.raises(InputError, match="before 1970"):
        outgoing_event(plan, early)


def test_a_class_whose_events_cannot_be_made_up_is_not_tried() -> None:
    class Odd(Trip):
        code: Annotated[str, Field(pattern="^[A-Z]{9}$")]

        @field_validator("code")
        @classmethod
        def _table(cls, code: str) -> str:
            return {"a": "b"}[code]

    trial = round_trip(Odd, encoder_of(Odd, "json"), decoder_of(Odd, "json"))
    assert (trial.tried, trial.fault) == (0, None)
    assert trial.untried is not None
    assert "Field(examples=[...])" in trial.untried


def test_a_serializer_of_the_whole_class_is_its_own_author_s() -> None:
    class Whole(Trip):
        km: float = Field(1.0, alias="distance")

        @model_serializer
        def _write(self) -> dict[str, Any]:
            if self.km > 1_000:
                raise OSError("too far")
            return {"id": self.id, "at": self.at, "distance": self.km}

    plan = plan_of(pipeline(Whole))
    event = Whole(id="t", at=NOON, distance=2.0)
    assert json.loads(outgoing_event(plan, event).value)["distance"] == 2.0
    assert round_trips(plan.pipeline)["Whole in json"].fault is None
    far = Whole(id="t", at=NOON, distance=2_000.0)
    with pytest.raises(InputError, match=r"this Whole cannot be written: .*too far"):
        outgoing_event(plan, far)


def test_a_serializer_that_raises_is_said_by_check() -> None:
    class Raising(Trip):
        @field_serializer("km")
        def _km(self, km: float) -> float:
            raise OSError("no such unit")

    fault = round_trips(pipeline(Raising))["Raising in json"].fault or ""
    assert fault.startswith("this Raising cannot be written: ")


def test_only_a_class_with_code_of_its_own_is_read_again() -> None:
    assert not has_own_code(Trip)
    assert not has_own_code(Tip)
    assert has_own_code(Miles)
    assert has_own_code(Lossy)
    assert has_own_code(Packed)
    assert has_own_code(Secret)
    plan = plan_of(replace_label(pipeline(Trip)))
    assert plan.reread_event is None


def replace_label(declared: Pipeline) -> Pipeline:
    class Flagged(Trip):
        good: bool

    return Pipeline(
        name="trips",
        events=Source(Flagged, id="id", key="id", time="at"),
        labels=InEvent("good"),
        features=declared.features,
        model=declared.model,
    )
