"""Bytes on the wire: Avro with registered schemas, JSON by its own rules, and murmur2."""

from __future__ import annotations

import io
import json
import math
import re
import struct
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import fastavro

from tests.oracle import facts
from tests.oracle.facts import Field
from tests.oracle.logs import LogRecord

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Bad(Exception):
    """A record that is no event or label; its text is the reason code. ``field`` is at fault."""

    def __init__(self, code: str, field: str | None = None) -> None:
        super().__init__(code)
        self.field = field


class Schemas:
    """The schemas of a run by id, from the records of ``_headrace-schemas``."""

    def __init__(self, records: Iterable[LogRecord]) -> None:
        self._by_id: dict[int, tuple[str, Any]] = {}
        for record in records:
            said = json.loads(record.value or b"")
            parsed = fastavro.parse_schema(_plain(said["schema"]), {})
            self._by_id.setdefault(said["id"], (said["subject"], parsed))

    def decode(self, value: bytes, topic: str) -> dict[str, Any]:
        """Return a record of a topic; times stay integers."""
        if len(value) < 5 or value[0]:
            raise Bad("not_avro")
        subject, schema = self._by_id.get(struct.unpack(">I", value[1:5])[0], ("", None))
        if subject != f"{topic}-value":
            raise Bad("unknown_schema")
        body = io.BytesIO(value[5:])
        try:
            found: Any = fastavro.schemaless_reader(body, schema, None)
        except EOFError as error:
            raise Bad("truncated") from error
        except Exception as error:
            ends_within = isinstance(error, IndexError) and body.tell() == len(value) - 5
            raise Bad("truncated" if ends_within and value[-1] & 0x80 else "not_avro") from error
        if body.tell() != len(value) - 5:
            raise Bad("trailing_bytes")
        return dict(found)


def _plain(schema: Any) -> Any:
    """Return a schema without logical types: the same bytes, as plain numbers."""
    if isinstance(schema, dict):
        return {name: _plain(value) for name, value in schema.items() if name != "logicalType"}
    return [_plain(item) for item in schema] if isinstance(schema, list) else schema


# -- events and labels


def read_input(
    record: LogRecord, fields: Mapping[str, Field], topic: str, avro: Schemas | None
) -> dict[str, Any]:
    """Return an event or label with times in milliseconds; raise Bad with the reason code."""
    value = record.value
    if value is None:
        raise Bad("tombstone")
    if len(value) > facts.VALUE_BYTES_MAX:
        raise Bad("too_large")
    said = avro.decode(value, topic) if avro else _from_json(value)
    found = {name: _field(field, said, name, from_avro=avro is not None)
             for name, field in fields.items()}  # fmt: skip
    for name, code in (("event_id", "empty_id"), ("origin", "empty_key")):
        if found.get(name) == "":
            raise Bad(code, name)
    if len(found["event_id"]) > 512:
        raise Bad("too_large", "event_id")
    time_ms = found["event_time" if "event_time" in fields else "label_time"]
    if time_ms < 0:
        raise Bad("before_epoch")
    if time_ms > record.timestamp_ms + facts.SKEW_MS:
        raise Bad("future_event")
    return found


def _from_json(value: bytes) -> dict[str, Any]:
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Bad("invalid_utf8") from error
    try:
        said = json.loads(text)
    except ValueError as error:
        raise Bad("not_json") from error
    if not isinstance(said, dict):
        raise Bad("wrong_type")
    return said


def _field(field: Field, said: Mapping[str, Any], name: str, *, from_avro: bool) -> Any:
    try:
        return _value(field, said, name, from_avro=from_avro)
    except Bad as bad:
        raise Bad(str(bad), name) from bad


def _value(field: Field, said: Mapping[str, Any], name: str, *, from_avro: bool) -> Any:
    if name not in said and not field.optional:
        raise Bad("missing_field")
    value = said.get(name)
    if value is None and field.optional:
        return None
    if field.kind == "time":
        return _avro_time(value) if from_avro else _json_time(value)
    if type(value) not in _TYPES[field.kind]:
        raise Bad("wrong_type")
    if field.kind == "number":
        value = _number(value)
    if not field.fits(value):
        raise Bad("out_of_range")
    return value


def _number(value: Any) -> float:
    if not math.isfinite(value):
        raise Bad("not_finite")
    return float(value)


_TYPES: Mapping[str, tuple[type, ...]] = {
    "text": (str,),
    "number": (float, int),
    "integer": (int,),
    "flag": (bool,),
}


_YEARS = 662_688_000, 7_258_118_400
"""1991 and 2200, in seconds since 1970: a number is a time if one unit puts it between them."""


def _json_time(value: Any) -> int:
    digits = isinstance(value, str) and re.fullmatch(r"[0-9]{1,20}", value)
    if digits or type(value) is int:
        return _epoch_time(int(value))
    if not isinstance(value, str) or not re.match(r"\d{4}-\d\d-\d\d[Tt ]", value):
        raise Bad("wrong_type")
    try:
        found = datetime.fromisoformat(value)
    except ValueError as error:
        raise Bad("wrong_type") from error
    if found.tzinfo is None:
        raise Bad("wrong_type")
    return (found - EPOCH) // timedelta(milliseconds=1)


def _epoch_time(count: int) -> int:
    for power in (0, 3, 6, 9):
        if _YEARS[0] * 10**power <= count < _YEARS[1] * 10**power:
            return count * 1_000 // 10**power
    raise Bad("wrong_type")


def _avro_time(micros: Any) -> int:
    try:
        EPOCH + timedelta(microseconds=micros)
    except OverflowError as error:
        raise Bad("out_of_range") from error
    return int(micros // 1_000)


# -- partitions


def murmur2(data: bytes) -> int:
    """Return Kafka's murmur2, written down after Utils.java."""
    m, mask = 0x5BD1E995, 0xFFFFFFFF
    h = 0x9747B28C ^ len(data)
    for at in range(0, len(data) - 3, 4):
        k = int.from_bytes(data[at : at + 4], "little") * m & mask
        k = (k ^ (k >> 24)) * m & mask
        h = (h * m & mask) ^ k
    rest = data[len(data) & ~3 :]
    if rest:
        h = (h ^ int.from_bytes(rest, "little")) * m & mask
    h = (h ^ (h >> 13)) * m & mask
    return h ^ (h >> 15)


def partition_of(key: str, count: int) -> int:
    return (murmur2(key.encode()) & 0x7FFFFFFF) % count
