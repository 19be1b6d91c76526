"""What becomes of a record that cannot be used: everything that is needed to publish it again."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from headrace.schemas.codec import Codec
from headrace.streams.decoding import Rejected
from headrace.streams.records import Emit, Headers, Record

VALUE_BYTES_KEPT = 64 * 1024
"""A longer value is cut here, and its digest kept; keys and headers have the same bound."""

DETAIL_CHARS_MAX = 2_000


def dead_letter(record: Record, stage: str, rejected: Rejected) -> dict[str, Any]:
    """Return the dead letter of a record: its coordinates, its bytes, and why.

    Parameters
    ----------
    stage
        Who rejects it.
    rejected
        The reason code and its sentence.
    """
    value = record.value
    cut = value is not None and len(value) > VALUE_BYTES_KEPT
    return {
        "reason": rejected.code,
        "detail": _printable(rejected.detail),
        "stage": stage,
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": record.timestamp_ms,
        "key": record.key and record.key[:VALUE_BYTES_KEPT],
        "value": value and value[:VALUE_BYTES_KEPT],
        "value_size": len(value or b""),
        "digest": sha256(value).hexdigest() if value and cut else None,
        "headers": _kept(record.headers),
    }


def bury(record: Record, stage: str, rejected: Rejected, topic: str, codec: Codec) -> Emit:
    """Return the dead letter as it is emitted; its key is the record's coordinates."""
    key = f"{record.topic}-{record.partition}-{record.offset}".encode()
    return Emit(topic, 0, key, codec.encode(dead_letter(record, stage, rejected)))


def _kept(headers: Headers) -> list[dict[str, Any]]:
    """Return the first headers, as many as fit the bound."""
    kept, size = [], 0
    for name, value in headers:
        size += len(name) + len(value or b"")
        if size > VALUE_BYTES_KEPT:
            break
        kept.append({"name": name, "value": value})
    return kept


def _printable(text: str) -> str:
    """Return a sentence that any encoder takes: an error may quote half a character."""
    return text[:DETAIL_CHARS_MAX].encode("utf-8", "backslashreplace").decode("utf-8")
