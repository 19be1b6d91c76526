"""From the bytes of an input record to an event: every way to be wrong has a reason code."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from headrace.schemas.avro import avro_schema_of, datetime_fields, to_avro
from headrace.schemas.codec import Codec, Undecodable
from headrace.streams.event import ISO_8601, Event
from headrace.streams.validators import told

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

NAME_CHARS_MAX = 512
"""Longest id or key: each stands in records, state keys and waiting labels."""

_CODES = {
    "json_invalid": "not_json",
    "missing": "missing_field",
    "finite_number": "not_finite",
    "greater_than": "out_of_range",
    "greater_than_equal": "out_of_range",
    "less_than": "out_of_range",
    "less_than_equal": "out_of_range",
    "literal_error": "out_of_range",
    "string_too_short": "out_of_range",
    "string_too_long": "out_of_range",
    "timezone_aware": "wrong_type",
}

VALUE_BYTES_MAX = 1024 * 1024
"""A longer value is not read: an event is a row, not a document."""


class Rejected(NamedTuple):
    """Why a record is no event.

    Attributes
    ----------
    code
        Reason code (docs/pipeline.md).
    detail
        A sentence that names the field and the value.
    field
        The declared field that is at fault, if it is one's.
    """

    code: str
    detail: str
    field: str | None = None


Decoded = Event | Rejected
Decode = Callable[[bytes | None], Decoded]


def decoder_of(model: type[Event], form: str, codec: Codec | None = None) -> Decode:
    """Return what turns a record's value into an event of a class, or says why it is none.

    Parameters
    ----------
    form
        ``json`` or ``avro``.
    codec
        The codec of the derived schema; needed for ``avro``.
    """
    validate_json = model.__pydantic_validator__.validate_json

    def from_json(value: bytes) -> Decoded:
        try:
            event: Event = validate_json(value)
        except ValidationError as error:
            return _rejected(error, value)
        return event

    inner = from_json if form == "json" else _avro_decoder(model, codec)

    def decode(value: bytes | None) -> Decoded:
        if value is None:
            return Rejected("tombstone", "The record has no value.")
        if len(value) > VALUE_BYTES_MAX:
            return Rejected("too_large", f"{len(value)} bytes; at most {VALUE_BYTES_MAX} are read.")
        try:
            return inner(value)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - the class' own code may raise anything
            return refused_by(error)

    return decode


def _avro_decoder(model: type[Event], codec: Codec | None) -> Callable[[bytes], Decoded]:
    reader = codec or Codec(avro_schema_of(model), 1)
    times = datetime_fields(model)
    validate = model.__pydantic_validator__.validate_python

    def decode(value: bytes) -> Decoded:
        fields = reader.decode(value)
        if isinstance(fields, Undecodable):
            return Rejected(*fields)
        try:
            for name in times:
                if fields[name] is not None:
                    fields[name] = _EPOCH + timedelta(microseconds=fields[name])
            event: Event = validate(fields)
        except OverflowError:
            return Rejected("out_of_range", f"A time of {fields} is no date.")
        except ValidationError as error:
            return _rejected(error, value)
        return event

    return decode


def refused_by(error: Exception) -> Rejected:
    """Return how a record is refused on which its class' own code raised what no validator may."""
    if isinstance(error, PydanticCustomError):  # a default factory's (see ``validators``)
        return Rejected("invalid", f"{error}.", (error.context or {}).get("field"))
    return Rejected("invalid", f"Its class raised {told(error)}.")


def _rejected(error: ValidationError, value: bytes) -> Rejected:
    first = error.errors(include_url=False, include_context=False)[0]
    kind = str(first["type"])
    where = ".".join(str(part) for part in first["loc"])
    field = str(first["loc"][0]) if where else None
    code = _CODES.get(kind, "wrong_type" if kind.endswith(("_type", "_parsing")) else "invalid")
    if kind == "string_pattern_mismatch" and first["msg"].endswith(f"'{ISO_8601}'"):
        said = f"{where}: {first['input']!r:.80} is no ISO 8601 time."
        return Rejected("wrong_type", said, field)
    if code == "not_json":
        try:
            value.decode("utf-8")
        except UnicodeDecodeError as wrong:
            return Rejected("invalid_utf8", f"Byte {wrong.start} is no UTF-8.")
        return Rejected(code, str(first["msg"]))
    shown = repr(first.get("input"))
    shown = shown if len(shown) <= 80 else shown[:77] + "..."
    said = f"{where}: {first['msg']} (it is {shown})." if where else first["msg"]
    return Rejected(code, said, field)


def encoder_of(
    model: type[Event], form: str, codec: Codec | None = None
) -> Callable[[Event], bytes]:
    """Return what turns an event into a record's value."""
    if form == "json":
        return model.__pydantic_serializer__.to_json
    writer = codec or Codec(avro_schema_of(model), 1)
    return lambda event: writer.encode(to_avro(event))


def name_fault(value: str | int, field: str, code: str) -> Rejected | None:
    """Return what is wrong with an id or key, if anything.

    Parameters
    ----------
    code
        What it is called to be empty: ``empty_id`` or ``empty_key``.
    """
    if value == "":
        return Rejected(code, f"{field} is empty.", field)
    if type(value) is str and len(value) > NAME_CHARS_MAX:
        said = f"{field} has {len(value)} characters; at most {NAME_CHARS_MAX} are read."
        return Rejected("too_large", said, field)
    return None


def time_fault(time_ms: int, timestamp_ms: int, skew_ms: int) -> Rejected | None:
    """Return what is wrong with an event's time beside its record's timestamp, if anything."""
    if time_ms < 0:
        return Rejected("before_epoch", f"The event's time is {-time_ms} ms before 1970.")
    if time_ms > timestamp_ms + skew_ms:
        ahead = (time_ms - timestamp_ms) / 1000
        return Rejected(
            "future_event",
            f"The event's time is {ahead:.0f} s ahead of its record; {skew_ms / 1000:.0f} s are"
            " allowed.",
        )
    return None
