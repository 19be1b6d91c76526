import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field
from river import linear_model

from headrace.schemas.errors import InputError
from headrace.schemas.ids import Registered
from headrace.streams.decoding import NAME_CHARS_MAX, VALUE_BYTES_MAX
from headrace.streams.engine.ids import use_input_codecs
from headrace.streams.event import Event
from headrace.streams.outgoing import (
    Outgoing,
    interleaved,
    outgoing_event,
    outgoing_label,
    outgoing_rows,
    slices,
)
from headrace.streams.pipeline import InEvent, Labels, Pipeline, Source, value
from headrace.streams.plan import plan_of
from headrace.streams.rows import Row
from headrace.streams.subjects import input_schemas, schemas_by_subject, subjects_of


class Ride(Event):
    ride: str
    zone: str
    at: datetime
    fare: float
    tipped: bool = False
    note: Annotated[str, Field(max_length=2_000_000)] = ""


class Paid(Event):
    ride: str
    paid: bool
    at: datetime


PIPELINE = Pipeline(
    name="city",
    events=Source(Ride, id="ride", key="zone", time="at"),
    features=[value("fare")],
    model=linear_model.LogisticRegression(),
    labels=Labels(Paid, id="ride", value="paid", time="at"),
)
PLAN = plan_of(PIPELINE)
START = datetime(2024, 5, 1, tzinfo=UTC)


def ride(seconds: float = 0, ride: str = "r", zone: str = "z", **rest: Any) -> Ride:
    return Ride(ride=ride, zone=zone, at=START + timedelta(seconds=seconds), fare=3, **rest)


def paid(seconds: float = 0, ride: str = "r") -> Paid:
    return Paid(ride=ride, paid=True, at=START + timedelta(seconds=seconds))


def test_an_event_goes_by_its_entity_and_a_label_by_its_event() -> None:
    event, label = outgoing_event(PLAN, ride(1)), outgoing_label(PLAN, paid(2))
    assert (event.key, event.is_label) == (b"z", False)
    assert (label.key, label.is_label) == (b"r", True)
    assert label.time_ms - event.time_ms == 1000
    assert json.loads(event.value)["at"] == "2024-05-01T00:00:01Z"
    assert PLAN.decode_label(label.value, label.time_ms) == paid(2)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: outgoing_event(PLAN, ride(ride="")), "city: ride is empty."),
        (lambda: outgoing_event(PLAN, ride(zone="")), "city: zone is empty."),
        (lambda: outgoing_label(PLAN, paid(ride="")), "city: ride is empty."),
        (
            lambda: outgoing_event(PLAN, ride(ride="r" * (NAME_CHARS_MAX + 1))),
            f"city: ride has {NAME_CHARS_MAX + 1} characters",
        ),
        (
            lambda: outgoing_label(plan_of(replace(PIPELINE, labels=InEvent("tipped"))), paid()),
            "city: this pipeline takes no labels from a topic. Declare labels=Labels(...).",
        ),
    ],
)
def test_what_a_stage_would_refuse_is_refused_at_the_door(make: Any, said: str) -> None:
    with pytest.raises(InputError) as error:
        make()
    assert str(error.value).startswith(said)


def test_a_record_of_a_file_knows_its_row_and_its_refusal_the_line() -> None:
    path = Path("rides.csv")
    rows = [Row(1, 2, ride(1), path), Row(4, 7, ride(2), path), Row(5, 8, ride(zone=""), path)]
    made = outgoing_rows(PLAN, rows, outgoing_event)
    assert [next(made).row, next(made).row] == [1, 4]
    assert [record.row for record in outgoing_rows(PLAN, rows[:2], outgoing_event)] == [1, 4]
    with pytest.raises(InputError) as error:
        next(made)
    assert str(error.value) == "rides.csv, line 8: city: zone is empty."
    assert outgoing_event(PLAN, ride(1)).row is None


def test_a_record_that_no_stage_would_read_is_refused() -> None:
    with pytest.raises(InputError, match="at most 1048576 are read"):
        outgoing_event(PLAN, ride(note="x" * VALUE_BYTES_MAX))


def test_one_is_not_taken_for_the_other() -> None:
    with pytest.raises(TypeError, match="city: events are of the class Ride, not Paid"):
        outgoing_event(PLAN, paid())
    with pytest.raises(TypeError, match="city: labels are of the class Paid, not Ride"):
        outgoing_label(PLAN, ride())


SECONDS = st.lists(st.integers(0, 50), max_size=30)


@given(SECONDS, SECONDS)
def test_all_come_in_order_and_no_label_before_its_time(ats: list[int], knowns: list[int]) -> None:
    events = [ride(at, ride=f"r{n}") for n, at in enumerate(ats)]
    labels = [paid(at, ride=f"r{n}") for n, at in enumerate(knowns)]
    found = list(interleaved(PLAN, events, labels))
    assert [r.time_ms for r in found] == sorted(r.time_ms for r in found)
    assert [r.value for r in found if not r.is_label] == [
        outgoing_event(PLAN, event).value for event in events
    ]
    assert sorted(r.value for r in found if r.is_label) == sorted(
        outgoing_label(PLAN, label).value for label in labels
    )
    for before, after in pairwise(found):
        assert not (before.is_label and not after.is_label and before.time_ms == after.time_ms)


@given(SECONDS, st.integers(1, 20_000))
def test_slices_are_cut_at_multiples_of_the_step(ats: list[int], step_ms: int) -> None:
    records = [Outgoing(at * 1000, False, b"", b"") for at in sorted(ats)]
    found = [(end, list(part)) for end, part in slices(records, step_ms)]
    assert [record for _, part in found for record in part] == records
    for end, part in found:
        assert part
        assert end % step_ms == 0
        assert all(end - step_ms <= record.time_ms < end for record in part)


def test_what_travels_as_avro_has_a_schema_of_its_own() -> None:
    events = replace(PIPELINE.events, format="avro", topic="rides")
    labels = replace(PIPELINE.labels, format="avro")  # type: ignore[type-var]
    plan = plan_of(replace(PIPELINE, events=events, labels=labels))
    found = input_schemas(plan)
    assert found["event"][0] == "rides-value"
    assert found["label"][0] == "city.labels-value"
    assert found["label"][1]["namespace"] == "headrace.city"
    assert len(schemas_by_subject(plan)) == 10
    assert input_schemas(PLAN) == {}
    assert set(schemas_by_subject(PLAN)) == set(subjects_of(PLAN.topics).values())


def test_two_pipelines_share_a_topic_in_avro() -> None:
    events = replace(PIPELINE.events, format="avro", topic="rides")
    plans = [plan_of(replace(PIPELINE, name=name, events=events)) for name in ("city", "fares")]
    registered = Registered()
    for plan in plans:
        for registration in registered.allocate(dict(input_schemas(plan).values())):
            registered.add(registration)
    assert len(registered) == 1
    for plan in plans:
        use_input_codecs(plan, registered)
    value = outgoing_event(plans[0], ride(1)).value
    assert plans[1].decode_event(value, 2**60) == ride(1)
    assert outgoing_event(plans[1], ride(1)).value == value
