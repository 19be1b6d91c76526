"""The Confluent wire format on fastavro: a zero byte, the schema's id, the Avro body.

Bytes that do not decode are a value, :class:`Undecodable`, never an exception: a stage makes a
dead letter of it and goes on.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any, NamedTuple, cast

import fastavro

from headrace.schemas.encoding import compiled

Schema = dict[str, Any]
"""An Avro schema as parsed JSON."""

OWN_IDS = (
    "Ids are those of the topic _headrace-schemas, not of another schema registry: publish with"
    " headrace.Publisher, or as JSON."
)
"""What to do about an id that is not known."""

_MAGIC = b"\x00"
_HEADER_BYTES = 5


class Undecodable(NamedTuple):
    """Why bytes did not decode.

    Attributes
    ----------
    code
        ``tombstone``, ``not_avro``, ``unknown_schema``, ``truncated`` or ``trailing_bytes``.
    detail
        A sentence for a person.
    """

    code: str
    detail: str


class Codec:
    r"""Encodes with one schema; decodes what it, or an older writer's schema, has encoded.

    Timestamps travel as Avro ``timestamp-millis`` and are plain integers (milliseconds since the
    epoch, UTC) on this side: no datetime objects on the hot path.

    Parameters
    ----------
    schema
        The schema that is written, and to which older records are resolved.
    schema_id
        Its id, 1 to 2**31 - 1.
    writers
        Older schemas by id.

    Attributes
    ----------
    header
        The five bytes with which each of its records begins.
    fields
        What encodes each field of a record, in the schema's order: header and fields, joined, are
        what :meth:`encode` returns. For whoever writes many records that share most of it.

    Examples
    --------
    >>> codec = Codec({"type": "record", "name": "N", "fields": [{"name": "n", "type": "long"}]}, 7)
    >>> codec.encode({"n": 3})
    b'\x00\x00\x00\x00\x07\x06'
    >>> codec.decode(b"\x00\x00\x00\x00\x07\x06")
    {'n': 3}
    >>> codec.decode(b"{}").code
    'not_avro'
    """

    def __init__(
        self, schema: Schema, schema_id: int, writers: Mapping[int, Schema] | None = None
    ) -> None:
        self.schema = schema
        self.schema_id = schema_id
        self.header = _MAGIC + struct.pack(">I", schema_id)
        plain = without_logical_types(schema)
        self._parsed = fastavro.parse_schema(plain)
        self._encode = compiled(plain)
        self.fields: Mapping[str, Callable[[Any], bytes]] = {
            field["name"]: compiled(field["type"]) for field in plain.get("fields", ())
        }
        self._writers = {
            number: fastavro.parse_schema(without_logical_types(older))
            for number, older in (writers or {}).items()
            if number != schema_id
        }

    def encode(self, record: Mapping[str, Any]) -> bytes:
        """Return a record as bytes; one that does not fit its schema is a bug and raises."""
        return self.header + self._encode(record)

    def decode(self, data: bytes | None) -> dict[str, Any] | Undecodable:
        """Return the record that ``data`` holds, or why it holds none. Never raises on bytes."""
        if data is None:
            return Undecodable("tombstone", "The record has no value.")
        if data[:_HEADER_BYTES] != self.header:
            return self._decode_older(data)
        return self._read(data, self._parsed, None)

    def _decode_older(self, data: bytes) -> dict[str, Any] | Undecodable:
        if len(data) < _HEADER_BYTES or data[:1] != _MAGIC:
            start = data[:_HEADER_BYTES].hex(" ")
            return Undecodable(
                "not_avro", f"The value begins with {start!r}, not with 00 and a schema id."
            )
        number = int.from_bytes(data[1:_HEADER_BYTES], "big")
        writer = self._writers.get(number)
        if writer is None:
            return Undecodable("unknown_schema", f"No schema has the id {number}. {OWN_IDS}")
        return self._read(data, writer, self._parsed)

    def _read(self, data: bytes, writer: Any, reader: Any) -> dict[str, Any] | Undecodable:
        body = BytesIO(data)
        body.seek(_HEADER_BYTES)
        try:
            record = fastavro.schemaless_reader(body, writer, reader)
        except EOFError:
            return Undecodable("truncated", f"The value ends early, after {len(data)} bytes.")
        except Exception as error:  # noqa: BLE001 - fastavro raises many kinds on hostile bytes
            kind = type(error).__name__
            if kind == "IndexError" and body.tell() == len(data) and data[-1] & 0x80:
                # It ends within a variable-length integer.
                return Undecodable("truncated", f"The value ends early, after {len(data)} bytes.")
            return Undecodable("not_avro", f"The value does not fit its schema ({kind}: {error}).")
        if body.tell() != len(data):
            left = len(data) - body.tell()
            return Undecodable("trailing_bytes", f"{left} bytes follow the record.")
        return cast(dict[str, Any], record)


def without_logical_types(schema: Any) -> Any:
    """Return a schema whose wire format is the same and whose values are plain numbers."""
    if isinstance(schema, dict):
        return {
            key: without_logical_types(value)
            for key, value in schema.items()
            if key != "logicalType"
        }
    if isinstance(schema, list):
        return [without_logical_types(item) for item in schema]
    return schema
