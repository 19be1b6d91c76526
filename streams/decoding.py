"""From the bytes of an input record to an event: every way to be wrong has a reason code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import NamedTuple

from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from headrace.schemas.avro import avro_schema_of
from headrace.schemas.codec import Codec, Undecodable
from headrace.schemas.names import Path, paths_of, placed
from headrace.streams.event import TIME_FORMAT, Event
from headrace.streams.times import EPOCH
from headrace.streams.validation import faults_in, place_of, sentence_of
from headrace.streams.validators import told
from headrace.streams.wire import avro_encoder, avro_places, json_encoder

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
    TIME_FORMAT: "wrong_type",
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
    avro = _avro_decoder(model, codec) if form == "avro" else None
    read = avro or model.__pydantic_validator__.validate_json
    aliased = [(path, name) for name, at in paths_of(model).items() for path in at]

    def decode(value: bytes | None) -> Decoded:
        if value is None:
            return Rejected("tombstone", "The record has no value.")
        if len(value) > VALUE_BYTES_MAX:
            return Rejected("too_large", f"{len(value)} bytes; at most {VALUE_BYTES_MAX} are read.")
        try:
            found: Decoded = read(value)
        except ValidationError as error:
            return _rejected(error, value, aliased)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - the class' own code may raise anything
            return refused_by(error)
        return found

    return decode


def _avro_decoder(model: type[Event], codec: Codec | None) -> Callable[[bytes], Decoded]:
    reader = codec or Codec(avro_schema_of(model), 1)
    times, places = avro_places(model)
    validate = model.__pydantic_validator__.validate_python

    def decode(value: bytes) -> Decoded:
        fields = reader.decode(value)
        if isinstance(fields, Undecodable):
            return Rejected(*fields)
        try:
            for name in times:
                if fields[name] is not None:
                    fields[name] = EPOCH + timedelta(microseconds=fields[name])
            event: Event = validate(placed(fields, places) if places else fields)
        except OverflowError:
            return Rejected("out_of_range", f"A time of {fields} is no date.")
        return event

    return decode


def refused_by(error: Exception) -> Rejected:
    """Return how a record is refused on which its class' own code raised what no validator may."""
    if isinstance(error, PydanticCustomError):  # a default factory's (see ``validators``)
        return Rejected("invalid", f"{error}.", (error.context or {}).get("field"))
    return Rejected("invalid", f"Its class raised {told(error)}.")


def _rejected(
    error: ValidationError, value: bytes, aliased: Sequence[tuple[Path, str]]
) -> Rejected:
    first = faults_in(error)[0]
    kind = str(first["type"])
    where = place_of(first)
    field = _field_at(first["loc"], aliased) if where else None
    code = _CODES.get(kind, "wrong_type" if kind.endswith(("_type", "_parsing")) else "invalid")
    if code == "not_json":
        try:
            value.decode("utf-8")
        except UnicodeDecodeError as wrong:
            return Rejected("invalid_utf8", f"Byte {wrong.start} is no UTF-8.")
        return Rejected(code, str(first["msg"]))
    said = f"{where}: {sentence_of(first)}" if where else str(first["msg"])
    return Rejected(code, said, field)


def _field_at(place: Path, aliased: Sequence[tuple[Path, str]]) -> str:
    """Return the declared field that is read at a place."""
    return next((name for path, name in aliased if place[: len(path)] == path), str(place[0]))


def encoder_of(
    model: type[Event], form: str, codec: Codec | None = None
) -> Callable[[Event], bytes]:
    """Return what turns an event into a record's value (:mod:`headrace.streams.wire`)."""
    if form == "avro":
        return avro_encoder(model, codec or Codec(avro_schema_of(model), 1))
    return json_encoder(model)


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
