import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.schemas import ids
from headrace.schemas.errors import SchemaError
from headrace.schemas.ids import ID_MAX, Registered, Registration, canonical_schema


def schema(*names: str) -> dict[str, Any]:
    fields = [{"name": name, "type": "long", "default": 0} for name in names]
    return {"type": "record", "name": "R", "fields": fields}


SUBJECTS = st.sampled_from(["a-value", "b-value", "c-value"])
WANTED = st.dictionaries(
    SUBJECTS, st.lists(st.sampled_from("xyz"), unique=True).map(lambda n: schema(*n)), max_size=3
)


@given(st.lists(WANTED, max_size=6))
def test_one_id_is_one_schema_for_ever(history: list[dict[str, Any]]) -> None:
    log: list[Registration] = []
    registered = Registered()
    for wanted in history:
        new = registered.allocate(wanted)
        log += new
        for registration in new:
            registered.add(registration)
        assert not registered.missing(wanted)
        assert registered.allocate(wanted) == []
    assert len({r.schema_id for r in log}) == len(log) == len(registered)
    again = Registered(Registration.decode(r.encode()[1]) for r in log)
    for number, subject, content in log:
        assert 0 < number <= ID_MAX
        assert again.id_of(subject, content) == number
        assert again.get(number) == (number, subject, content)
        assert again.schemas_of(subject)[number] == content


@given(WANTED)
def test_an_id_comes_from_its_content(wanted: dict[str, Any]) -> None:
    """So registrations that are lost come back with the ids that they had."""
    assert Registered().allocate(wanted) == Registered().allocate(wanted)


def test_two_that_meet_on_one_number_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ids, "_candidate", lambda subject, schema: ID_MAX)
    first = Registered().allocate({"a": schema("x"), "b": schema("x")})
    assert [r.schema_id for r in first] == [ID_MAX, 1]
    assert [r.schema_id for r in Registered(first).allocate({"c": schema("x")})] == [2]


def test_of_two_registrations_of_one_id_the_first_counts() -> None:
    registered = Registered([Registration(5, "a", schema("x")), Registration(5, "b", schema("y"))])
    assert registered.get(5) == (5, "a", schema("x"))
    assert len(registered) == 1
    assert registered.get(6) is None
    assert registered.schemas_of("b") == {}


def test_documentation_makes_no_other_schema() -> None:
    plain = {"type": "record", "name": "R", "fields": [{"name": "doc", "type": "long"}]}
    told = {"doc": "Why.", "name": "R", "type": "record", "fields": [
        {"doc": "What.", "type": "long", "name": "doc"}]}  # fmt: skip
    assert canonical_schema(plain) == canonical_schema(told)
    data = {**plain, "default": {"doc": "kept"}}
    assert canonical_schema(data) != canonical_schema(plain)


def test_pipelines_that_share_a_topic_share_its_schemas() -> None:
    """They differ in the namespace alone, which the bytes do not hold."""
    one, other = ({**schema("x"), "namespace": f"headrace.{name}"} for name in ("one", "other"))
    registered = Registered(Registered().allocate({"s": one}))
    assert registered.missing({"s": other}) == {}
    assert registered.id_of("s", other) == registered.id_of("s", one)
    grown = {**schema("x", "y"), "namespace": "headrace.other"}
    (new,) = registered.allocate({"s": grown})
    assert new.schema == {**grown, "namespace": "headrace.one"}
    renamed = {**one, "name": "Q", "namespace": "headrace.other"}
    with pytest.raises(SchemaError) as error:
        registered.allocate({"s": renamed})
    assert str(error.value) == (
        "s: The topic's records are headrace.one.R, and would be headrace.other.Q. Name the class"
        " R, or use another topic: the namespace may differ, the name not."
    )


def test_a_schema_that_does_not_grow_is_refused_against_all_that_were() -> None:
    text = {**schema("y"), "fields": [{"name": "x", "type": "string", "default": ""}]}
    log = [Registration(1, "s", schema("x")), Registration(2, "s", schema("y"))]
    with pytest.raises(SchemaError, match="s: x: its type was long and is string"):
        Registered(log).allocate({"s": text})


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"\xff",
        b"[]",
        b"7",
        b'{"id": 1}',
        json.dumps({"id": "1", "subject": "s", "schema": {}}).encode(),
        json.dumps({"id": 0, "subject": "s", "schema": {}}).encode(),
        json.dumps({"id": 2**31, "subject": "s", "schema": {}}).encode(),
    ],
)
def test_what_is_no_registration_is_said(value: bytes | None) -> None:
    with pytest.raises(SchemaError, match="is no schema registration"):
        Registration.decode(value)
