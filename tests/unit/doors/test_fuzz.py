"""Whatever bytes come in, the doors answer: an event, a label, or a reason; they never raise."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import islice
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from headrace.schemas.codec import Codec
from headrace.streams.decoding import Rejected
from headrace.streams.event import Event
from headrace.streams.plan import Plan
from headrace.streams.subjects import input_schemas
from tests.systems.flights import flights_plan, outgoing

NOW_MS = 1_800_000_000_000

Door = Callable[[bytes | None, int], Any]


def in_avro() -> Plan:
    plan = flights_plan("avro")
    schemas = {name: schema for name, (_, schema) in input_schemas(plan).items()}
    older = {7: {**schemas["event"], "fields": schemas["event"]["fields"][:-1]}}
    plan.use_codecs(Codec(schemas["event"], 8, older), Codec(schemas["label"], 9))
    return plan


PLANS = {"json": flights_plan("json"), "avro": in_avro()}
GOOD = {
    (form, is_label): [r.value for r in islice(outgoing(plan), 400) if r.is_label is is_label][:20]
    for form, plan in PLANS.items()
    for is_label in (False, True)
}
DOORS = [
    pytest.param(form, is_label, id=f"{'label' if is_label else 'event'}-{form}")
    for form, is_label in GOOD
]


def door(form: str, is_label: bool) -> Door:
    plan = PLANS[form]
    return plan.decode_label if is_label else plan.decode_event


def answers(form: str, is_label: bool, value: bytes | None, timestamp_ms: int = NOW_MS) -> Any:
    found = door(form, is_label)(value, timestamp_ms)
    assert isinstance(found, Event | Rejected)
    if isinstance(found, Rejected):
        assert found.code
        assert found.detail
        found.detail.encode("utf-8", "backslashreplace")
    return found


@st.composite
def mutated(draw: st.DrawFn) -> tuple[int, bytes, int, int]:
    """Which good record, and what is to replace which of its bytes."""
    at, length = draw(st.integers(0, 400)), draw(st.integers(0, 12))
    return draw(st.integers(0, 19)), draw(st.binary(max_size=12)), at, length


@pytest.mark.parametrize(("form", "is_label"), DOORS)
def test_good_ones_come_in(form: str, is_label: bool) -> None:
    for value in GOOD[form, is_label]:
        assert isinstance(answers(form, is_label, value), Event)


@pytest.mark.parametrize(("form", "is_label"), DOORS)
@given(value=st.one_of(st.none(), st.binary(max_size=300)))
@example(value=b"")
@example(value=b"\x00")
@settings(max_examples=150, deadline=None)
def test_any_bytes(form: str, is_label: bool, value: bytes | None) -> None:
    assert isinstance(answers(form, is_label, value), Rejected)


@pytest.mark.parametrize(("form", "is_label"), DOORS)
@given(change=mutated(), timestamp_ms=st.integers(0, 2**62))
@settings(max_examples=300, deadline=None)
def test_good_bytes_with_some_changed(
    form: str, is_label: bool, change: tuple[int, bytes, int, int], timestamp_ms: int
) -> None:
    which, instead, at, length = change
    good = GOOD[form, is_label][which]
    answers(form, is_label, good[:at] + instead + good[at + length :], timestamp_ms)


@pytest.mark.parametrize("is_label", [False, True])
@pytest.mark.parametrize("number", [7, 8, 9])
@given(body=st.binary(max_size=300))
@settings(max_examples=150, deadline=None)
def test_any_body_behind_a_known_schema_id(is_label: bool, number: int, body: bytes) -> None:
    answers("avro", is_label, b"\x00" + number.to_bytes(4, "big") + body)


WRONG = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=30),
        st.sampled_from(["2013-02-08T20:47:00Z", "9999-12-31T23:59:59-23:59", "\ud800", "1e999"]),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip


@pytest.mark.parametrize("is_label", [False, True])
@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_a_good_object_with_any_values(is_label: bool, data: st.DataObject) -> None:
    good = json.loads(GOOD["json", is_label][0])
    names = data.draw(st.sets(st.sampled_from(sorted(good)), min_size=1))
    changed = {**good, **{name: data.draw(WRONG) for name in sorted(names)}}
    answers("json", is_label, json.dumps(changed).encode("utf-8", "surrogatepass"))
