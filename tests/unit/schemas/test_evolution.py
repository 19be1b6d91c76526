from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.schemas.codec import Codec, Undecodable
from headrace.schemas.evolution import growth_faults
from headrace.schemas.records import prediction_schema, schemas_of


def record(*fields: dict[str, Any], name: str = "R") -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": list(fields)}


def field(name: str, kind: Any, **rest: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, **rest}


LONG = field("n", "long")
MILLIS = {"type": "long", "logicalType": "timestamp-millis"}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (record(LONG), record(field("n", "int")), "n: its type was long and is int."),
        (record(LONG), record(field("n", MILLIS)), "was long and is long (timestamp-millis)."),
        (record(LONG), record(field("n", ["null", "long"])), "was long and is null or long."),
        (
            record(field("n", ["null", "long"])),
            record(field("n", ["null", "string"])),
            "was null or long and is null or string.",
        ),
        (record(LONG), record(), "n: it is gone and had no default."),
        (record(), record(LONG), "n: it is new and has no default."),
        (record(field("n", "long", default=1)), record(LONG), "n: it had a default."),
        (
            record(LONG),
            record(LONG, name="S"),
            "The topic's records are R, and would be S. Name the class R, or use another topic",
        ),
        (
            record(field("a", {"type": "array", "items": "int"})),
            record(field("a", {"type": "array", "items": "long"})),
            "a[]: its type was int and is long.",
        ),
        (
            record(field("m", {"type": "map", "values": record(LONG, name="I")})),
            record(field("m", {"type": "map", "values": record(name="I")})),
            "m[].n: it is gone",
        ),
        (
            record(field("r", record(LONG, name="I"))),
            record(field("r", {**record(LONG, name="I"), "namespace": "n"})),
            "r: its type was record I and is record n.I.",
        ),
        (
            record(field("r", record(LONG, name="I"))),
            record(field("r", record(field("n", "string"), name="I"))),
            "r.n: its type was long and is string.",
        ),
        (
            record(field("r", ["null", record(LONG, name="I")])),
            record(field("r", ["null", record(field("n", "string"), name="I")])),
            "r.n: its type was long and is string.",
        ),
    ],
)
def test_what_would_break_a_reader_is_said(old: Any, new: Any, said: str) -> None:
    faults = growth_faults(old, new)
    assert len(faults) == 1
    assert said in faults[0]


def test_growth_is_free() -> None:
    old = record(LONG, field("gone", ["null", "long"], default=None))
    new = record(field("more", "string", default=""), field("n", {"type": "long"}, doc="Now told."))
    assert growth_faults(old, new) == []


@pytest.mark.parametrize("name", sorted(schemas_of("p", "binary", [("x", "number")])))
def test_each_schema_may_follow_itself(name: str) -> None:
    schema = schemas_of("p", "binary", [("x", "number")])[name]
    assert growth_faults(schema, deepcopy(schema)) == []


def test_a_feature_may_come_and_go_but_not_change_its_kind() -> None:
    one = prediction_schema("p", "binary", [("x", "number"), ("y", "number")])
    assert growth_faults(one, prediction_schema("p", "binary", [("x", "number")])) == []
    assert growth_faults(one, prediction_schema("p", "binary", [("y", "category")])) == [
        "features.y: its type was null or double and is null or string."
        " Give the new one another name."
    ]


KINDS = st.sampled_from(["long", "string", ["null", "long"], {"type": "array", "items": "long"}])
VALUES: dict[str, Any] = {"long": 3, "string": "s", "['null', 'long']": None}


@st.composite
def records(draw: st.DrawFn) -> dict[str, Any]:
    fields = []
    for name in draw(st.lists(st.sampled_from("abcd"), unique=True)):
        kind = draw(KINDS)
        value = VALUES.get(str(kind), [])
        fields.append(field(name, kind, **({"default": value} if draw(st.booleans()) else {})))
    return record(*fields)


@given(records(), records())
def test_growth_means_that_both_read_each_other(one: dict[str, Any], other: dict[str, Any]) -> None:
    if growth_faults(one, other):
        return
    for writer, reader in ((one, other), (other, one)):
        if reader is one and any(
            "default" not in f for f in one["fields"] if f not in other["fields"]
        ):
            continue
        value = {f["name"]: VALUES.get(str(f["type"]), []) for f in writer["fields"]}
        found = Codec(reader, 2, {1: writer}).decode(Codec(writer, 1).encode(value))
        assert not isinstance(found, Undecodable)
        assert found.keys() == {f["name"] for f in reader["fields"]}
