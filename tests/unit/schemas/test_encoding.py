"""Compiled encoders: what fits is as fastavro writes it, what does not is refused."""

from __future__ import annotations

import struct
from io import BytesIO
from typing import Any

import fastavro
import pytest

from headrace.schemas.codec import Codec
from headrace.schemas.encoding import compiled, varint
from headrace.schemas.labelling import Labelling

RECORD = {
    "type": "record",
    "name": "R",
    "fields": [
        {"name": "flag", "type": "boolean"},
        {"name": "small", "type": "int"},
        {"name": "big", "type": {"type": "long"}},
        {"name": "real", "type": "double"},
        {"name": "text", "type": "string"},
        {"name": "raw", "type": "bytes"},
        {"name": "maybe", "type": ["null", "long"]},
        {"name": "list", "type": {"type": "array", "items": "long"}},
        {"name": "map", "type": {"type": "map", "values": "string"}},
    ],
}
GOOD = {
    "flag": True, "small": -3, "big": 2**40, "real": 0.5, "text": "é", "raw": b"\0",
    "maybe": None, "list": [1, 2], "map": {"a": "b"},
}  # fmt: skip


@pytest.mark.parametrize("changes", [{}, {"flag": False, "maybe": 7, "list": [], "map": {}}])
def test_bytes_are_those_of_fastavro(changes: dict[str, Any]) -> None:
    value = {**GOOD, **changes}
    out = BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(RECORD), value)
    assert compiled(RECORD)(value) == out.getvalue()


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ("null", 0),
        ("boolean", 1),
        ("boolean", None),
        ("int", 2**31),
        ("int", "1"),
        ("long", 1.0),
        ("long", True),
        ("long", 2**63),
        ("double", "1"),
        ("string", b"a"),
        ("bytes", "a"),
        (["null", "long"], "a"),
        ([{"type": "record", "name": "X", "fields": []}, "long"], "a"),
    ],
)
def test_what_does_not_fit_is_refused(schema: Any, value: Any) -> None:
    with pytest.raises((TypeError, ValueError, AttributeError, struct.error)):
        compiled(schema)(value)


def test_a_type_may_stand_in_another() -> None:
    assert compiled({"type": {"type": "long"}})(300) == varint(300)


def test_a_number_beyond_64_bits_has_no_bytes() -> None:
    with pytest.raises(ValueError, match="no 64-bit integer"):
        varint(-(2**63) - 1)


def test_an_example_must_begin_with_its_prediction() -> None:
    short = {"type": "record", "name": "P", "fields": [{"name": "a", "type": "long"}]}
    other = {"type": "record", "name": "E", "fields": [{"name": "b", "type": "long"}]}
    with pytest.raises(ValueError, match="begin with its prediction's"):
        Labelling(Codec(short, 1), Codec(other, 2))
