import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from headrace.schemas.codec import Codec, Undecodable
from headrace.schemas.ids import Registered, Registration
from headrace.schemas.records import schemas_of
from headrace.streams.engine.decoder import Decoder
from headrace.streams.engine.frames import column_type, column_types

OLD = {"type": "record", "name": "R", "fields": [
    {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}}]}  # fmt: skip
NEW = {**OLD, "fields": [*OLD["fields"], {
    "name": "until", "default": None,
    "type": ["null", {"type": "long", "logicalType": "timestamp-micros"}]}]}  # fmt: skip


class Ids:
    """Registrations that grow while somebody reads."""

    def __init__(self, *registrations: Registration) -> None:
        self.registrations = list(registrations)
        self.asked = 0

    def known(self) -> Registered:
        self.asked += 1
        return Registered(self.registrations)

    def register(self, wanted: Mapping[str, Any]) -> Registered:
        raise AssertionError("a reader registers nothing")


FIRST, SECOND = Registration(1, "t-value", OLD), Registration(2, "t-value", NEW)


def decoder(ids: Ids, **rest: Any) -> Decoder:
    return Decoder(ids, "t", **rest)  # type: ignore[arg-type]  # all that is asked of it


def code(found: Any) -> str:
    assert isinstance(found, Undecodable)
    return found.code


def test_all_records_come_in_the_newest_schema_with_dates() -> None:
    found = decoder(Ids(FIRST, SECOND)).decode(Codec(OLD, 1).encode({"at": 1500}))
    assert found == {"at": datetime(1970, 1, 1, 0, 0, 1, 500_000, tzinfo=UTC), "until": None}
    later = {"at": 2**62, "until": 7}
    assert decoder(Ids(FIRST, SECOND)).decode(Codec(NEW, 2).encode(later)) == {
        "at": 2**62,  # no date: shown as the number that it is
        "until": datetime(1970, 1, 1, 0, 0, 0, 7, tzinfo=UTC),
    }
    assert decoder(Ids(SECOND), times=False).decode(Codec(NEW, 2).encode(later)) == later


def test_a_schema_that_came_later_is_looked_up_once() -> None:
    ids = Ids(FIRST)
    reader = decoder(ids)
    value = Codec(NEW, 2).encode({"at": 0, "until": None})
    ids.registrations.append(SECOND)
    assert not isinstance(reader.decode(value), Undecodable)
    assert ids.asked == 2
    for _ in range(3):
        assert code(reader.decode(Codec(OLD, 9).encode({"at": 0}))) == "unknown_schema"
    assert ids.asked == 3


def test_what_is_no_record_is_a_reason() -> None:
    reader = decoder(Ids())
    assert code(reader.decode(None)) == "tombstone"
    assert code(reader.decode(b"\0\0\0\0\1")) == "unknown_schema"
    assert code(reader.decode(b"{")) == "not_json"
    assert code(reader.decode(b"\xff")) == "not_json"
    assert code(reader.decode(b"[]")) == "not_json"
    assert reader.decode(json.dumps({"a": 1}).encode()) == {"a": 1}


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression", "anomaly"])
def test_each_field_has_a_column_type_or_is_a_map(task: str) -> None:
    schemas = schemas_of("p", task, [("x", "number"), ("by", "category")])
    for schema in schemas.values():
        types = column_types(schema)
        open_types = {name for name, kind in types.items() if kind is None}
        assert open_types <= {"probabilities", "baselines", "segments", "cells", "detail"}
    types = column_types(schemas["example"])
    assert types["features"] == pl.Struct({"x": pl.Float64, "by": pl.String})
    assert types["label_time"] == pl.Datetime("ms", "UTC")
    assert types["source_offset"] == pl.Int64()
    assert column_type({"type": "array", "items": "int"}) == pl.List(pl.Int32)
    assert column_type(["null", "int", "string"]) is None
    assert column_types(schemas["dead_letter"])["headers"] == pl.List(
        pl.Struct({"name": pl.String, "value": pl.Binary})
    )
