"""Decodes the records of any topic of ours, whoever wrote them, by the registered schemas."""

from __future__ import annotations

import json
from typing import Any

from headrace.schemas.codec import Codec, Schema, Undecodable
from headrace.streams.dated import dated_fields
from headrace.streams.engine.ids import SchemaIds
from headrace.streams.subjects import subject_of

Decoded = dict[str, Any] | Undecodable


class Decoder:
    """Decodes a topic's values to plain dictionaries, in the newest schema of the topic.

    Values that begin as JSON are read as JSON: inputs may be either.

    Parameters
    ----------
    ids
        The registered schemas; asked again when a schema appears that is not known yet.
    topic
        The topic.
    times
        Whether times become aware datetimes rather than integers.

    Attributes
    ----------
    schema
        The newest schema of the topic, None if it has none.
    """

    def __init__(self, ids: SchemaIds, topic: str, *, times: bool = True) -> None:
        self._ids = ids
        self._subject = subject_of(topic)
        self._times = times
        self._unknown: set[bytes] = set()
        self.schema: Schema | None = None
        self._load()

    def _load(self) -> None:
        schemas = self._ids.known().schemas_of(self._subject)
        self._codec: Codec | None = None
        if schemas:
            number, self.schema = list(schemas.items())[-1]
            self._codec = Codec(self.schema, number, schemas)
        self._dated = dated_fields(self.schema) if self._times and self.schema else []

    def decode(self, value: bytes | None) -> Decoded:
        """Return what a value holds, or why nothing."""
        if value is not None and value[:1] != b"\0":
            return _from_json(value)
        found = self._from_avro(value)
        if isinstance(found, Undecodable) and found.code == "unknown_schema":
            head = (value or b"")[:5]
            if head not in self._unknown:  # registered since, perhaps; asked once for each id
                self._unknown.add(head)
                self._load()
                found = self._from_avro(value)
        return found

    def _from_avro(self, value: bytes | None) -> Decoded:
        if value is None:
            return Undecodable("tombstone", "The record has no value.")
        if self._codec is None:
            return Undecodable("unknown_schema", f"{self._subject} has no registered schema.")
        found = self._codec.decode(value)
        if not isinstance(found, Undecodable):
            for name, convert in self._dated:
                found[name] = convert(found[name])
        return found


def _from_json(value: bytes) -> Decoded:
    try:
        found = json.loads(value)
    except ValueError as error:
        return Undecodable("not_json", f"{error}.")
    if not isinstance(found, dict):
        return Undecodable("not_json", f"{value!r:.80} is no object.")
    return found
