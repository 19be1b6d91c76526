from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.schemas.codec import Codec, Undecodable, without_logical_types
from headrace.schemas.labelling import Labelling
from headrace.schemas.records import (
    ALERT,
    COUNT,
    DEAD_LETTER,
    FEATURE_TYPES,
    METRIC,
    MODEL,
    Codecs,
    codecs_of,
    numbered_codecs,
    prediction_schema,
    schemas_of,
)

FEATURES = [("delay", "number"), ("departures", "integer"), ("rain", "boolean"), ("by", "category")]
ALL = schemas_of("flights", "binary", FEATURES)

LONG = st.integers(-(2**63), 2**63 - 1)
SIMPLE: dict[str, st.SearchStrategy[Any]] = {
    "null": st.none(),
    "boolean": st.booleans(),
    "int": st.integers(-(2**31), 2**31 - 1),
    "long": LONG,
    "double": st.floats(allow_nan=False),
    "string": st.text(max_size=20),
    "bytes": st.binary(max_size=20),
}


def values_of(schema: Any) -> st.SearchStrategy[Any]:
    """Values that a schema admits."""
    if isinstance(schema, list):
        return st.one_of([values_of(item) for item in schema])
    if isinstance(schema, str):
        return SIMPLE[schema]
    if schema["type"] == "record":
        return st.fixed_dictionaries({f["name"]: values_of(f["type"]) for f in schema["fields"]})
    if schema["type"] == "array":
        return st.lists(values_of(schema["items"]), max_size=3)
    if schema["type"] == "map":
        return st.dictionaries(st.text(max_size=5), values_of(schema["values"]), max_size=3)
    return SIMPLE[schema["type"]]


@given(st.data())
def test_what_is_written_is_read(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(ALL)))
    codec = Codec(ALL[name], data.draw(st.integers(1, 2**31 - 1)))
    record = data.draw(values_of(ALL[name]))
    assert codec.decode(codec.encode(record)) == record


CODES = {"not_avro", "unknown_schema", "truncated", "trailing_bytes"}


@given(st.data())
def test_any_bytes_are_a_record_or_a_reason(data: st.DataObject) -> None:
    """Bytes of every kind: any at all, a right header with any body, a damaged record."""
    schema = ALL[data.draw(st.sampled_from(sorted(ALL)))]
    codec = Codec(schema, 7, {6: schema})
    header = data.draw(st.sampled_from([b"", b"\0\0\0\0\7", b"\0\0\0\0\6", b"\0\0\0\0\5"]))
    good = bytearray(codec.encode(data.draw(values_of(schema))))
    if data.draw(st.booleans()):
        value = header + data.draw(st.binary(max_size=200))
    else:
        for _ in range(data.draw(st.integers(1, 4))):
            good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
        value = bytes(good[: data.draw(st.integers(0, len(good)))])
    found = codec.decode(value)
    if isinstance(found, Undecodable):
        assert found.code in CODES
        assert found.detail.endswith(".")
    else:
        assert found.keys() == {field["name"] for field in schema["fields"]}


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (None, "tombstone"),
        (b"", "not_avro"),
        (b"\0\0\0", "not_avro"),
        (b'{"n": 1}', "not_avro"),
        (b"\0\0\0\0\x09\x06", "unknown_schema"),
        (b"\0\0\0\0\x07", "truncated"),
        (b"\0\0\0\0\x07\x80", "truncated"),
        (b"\0\0\0\0\x07\x06\x06", "trailing_bytes"),
    ],
)
def test_each_way_to_be_wrong_has_its_code(value: bytes | None, code: str) -> None:
    codec = Codec({"type": "record", "name": "N", "fields": [{"name": "n", "type": "long"}]}, 7)
    found = codec.decode(value)
    assert isinstance(found, Undecodable)
    assert found.code == code


def test_text_that_is_no_utf8_is_a_reason() -> None:
    codec = Codec({"type": "record", "name": "N", "fields": [{"name": "n", "type": "string"}]}, 7)
    found = codec.decode(b"\0\0\0\0\x07\x04\xff\xfe")
    assert isinstance(found, Undecodable)
    assert found.code == "not_avro"


def test_a_length_of_a_billion_reserves_no_memory() -> None:
    codec = Codec({"type": "record", "name": "N", "fields": [{"name": "n", "type": "bytes"}]}, 7)
    found = codec.decode(b"\0\0\0\0\x07" + b"\x80\xa8\xd6\xb9\x07" + b"abc")
    assert isinstance(found, Undecodable)


def test_an_older_record_is_resolved_to_the_new_schema() -> None:
    fewer = prediction_schema("flights", "binary", FEATURES[:2])
    more = prediction_schema("flights", "binary", [*FEATURES[1:], ("wind", "number")])
    record = {
        "id": "flights.events-0-1", "event_id": "a", "key": "EWR", "event_time": 5,
        "prediction": True, "score": 0.5, "probabilities": {"true": 0.5}, "model": "flights",
        "version": 1, "learned_to": 3, "features": {"delay": 2.0, "departures": 4},
        "baselines": {"rule": True}, "segments": {}, "source_partition": 0, "source_offset": 1,
        "watermark": None, "late": False,
    }  # fmt: skip
    found = Codec(more, 2, {1: fewer}).decode(Codec(fewer, 1).encode(record))
    expected = {"departures": 4, "rain": None, "by": None, "wind": None}
    assert found == {**record, "features": expected}


def test_times_are_numbers_on_this_side() -> None:
    schema = without_logical_types(DEAD_LETTER)
    assert "logicalType" not in str(schema)
    assert "logicalType" in str(DEAD_LETTER)


def test_a_record_that_does_not_fit_its_schema_is_a_bug() -> None:
    with pytest.raises((TypeError, ValueError)):
        Codec(COUNT, 1).encode({"stage": "score", "partition": "wrong", "cells": []})


def test_codecs_take_their_ids_by_name() -> None:
    codecs = codecs_of(ALL, {name: 10 + n for n, name in enumerate(Codecs._fields)})
    assert [codec.schema_id for codec in codecs] == list(range(10, 18))
    assert numbered_codecs(ALL).model.schema_id == 7
    assert {name for name, schema in ALL.items() if schema in (COUNT, METRIC, MODEL, ALERT)} == {
        "count", "metric", "model", "alert",
    }  # fmt: skip


@pytest.mark.parametrize("kind", sorted(FEATURE_TYPES))
@pytest.mark.parametrize("task", ["binary", "multiclass", "regression", "anomaly"])
def test_each_task_and_each_kind_of_feature_has_a_schema(task: str, kind: str) -> None:
    schemas = schemas_of("a-b.c", task, [("x", kind)])
    assert schemas["prediction"]["namespace"] == "headrace.a_b_c"
    numbered_codecs(schemas)


@given(values_of(ALL["prediction"]), values_of(ALL["example"]), st.booleans())
def test_an_example_is_its_prediction_and_the_label_behind_it(
    prediction: dict[str, Any], drawn: dict[str, Any], older: bool
) -> None:
    codecs = numbered_codecs(ALL)
    label = {name: value for name, value in drawn.items() if name.startswith("label")}
    # An older writer's schema, which happens to be equal: it takes the other way.
    writer = Codec(ALL["prediction"], 99) if older else codecs.prediction
    reader = Codec(ALL["prediction"], 1, {99: ALL["prediction"]})
    labelling = Labelling(reader, codecs.example)
    value = writer.encode(prediction)
    arrival = labelling.arrival(value)
    assert not isinstance(arrival, Undecodable)
    assert arrival.items() <= prediction.items()
    assert codecs.example.decode(labelling.example(value, label)) == {
        **prediction,
        **{name: label.get(name) for name in label if name != "learned_to"},
    }


def test_a_record_is_its_header_and_its_fields() -> None:
    codec = numbered_codecs(ALL).metric
    record = {
        "metric": "auc", "segment": "all", "window": "1h", "window_start": 0, "window_end": 3_600,
        "value": 0.5, "support": 3, "coverage": None, "revision": 7, "final": True,
        "detail": {"half_width": 0.1},
    }  # fmt: skip
    assert list(codec.fields) == list(record)
    parts = [encode(record[name]) for name, encode in codec.fields.items()]
    assert b"".join([codec.header, *parts]) == codec.encode(record)
