"""Schema ids: which number stands in front of a record for which schema.

An id belongs to one (subject, schema) for ever. It is made from their content: two clusters, or
one that has lost its registrations, give the same schema the same id, so old bytes keep their
meaning. Of two that would meet on one number the later takes the next free one; that both see each
other is the business of whoever keeps the log of registrations
(:class:`headrace.streams.engine.ids.SchemaIds`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from headrace.schemas.codec import Schema
from headrace.schemas.errors import SchemaError
from headrace.schemas.evolution import growth_faults

ID_MAX = 2**31 - 1
"""Ids are positive and fit a signed 32-bit integer, as other readers of the format expect."""


class Registration(NamedTuple):
    """One id, and what it stands for.

    Attributes
    ----------
    schema_id
        1 to :data:`ID_MAX`.
    subject
        Whose schema it is: ``<topic>-value``.
    schema
        The schema.
    """

    schema_id: int
    subject: str
    schema: Schema

    def encode(self) -> tuple[bytes, bytes]:
        """Return key and value of its record; no two ids share a key, so compaction keeps all."""
        value = {"id": self.schema_id, "subject": self.subject, "schema": self.schema}
        return str(self.schema_id).encode(), json.dumps(value, sort_keys=True).encode()

    @classmethod
    def decode(cls, value: bytes | None) -> Registration:
        """Read what :meth:`encode` wrote.

        Raises
        ------
        SchemaError
            The bytes are no registration.
        """
        try:
            found = json.loads(value or b"")
            number, subject, schema = found["id"], found["subject"], found["schema"]
        except (ValueError, KeyError, TypeError) as error:
            raise SchemaError(f"{value!r:.80} is no schema registration ({error!r}).") from error
        right = isinstance(number, int) and isinstance(subject, str) and isinstance(schema, dict)
        if not right or not 0 < number <= ID_MAX:
            raise SchemaError(f"{value!r:.80} is no schema registration.")
        return cls(number, subject, schema)


class Registered:
    """All registrations, in the order of their log.

    Parameters
    ----------
    registrations
        The log. Of two for one id the first one counts.
    """

    def __init__(self, registrations: Iterable[Registration] = ()) -> None:
        self._by_id: dict[int, Registration] = {}
        self._by_content: dict[tuple[str, str], int] = {}
        self._of: dict[str, dict[int, Schema]] = {}
        for registration in registrations:
            self.add(registration)

    def __len__(self) -> int:
        return len(self._by_id)

    def add(self, registration: Registration) -> None:
        """Take up one more registration."""
        number, subject, schema = registration
        if number in self._by_id:
            return
        self._by_id[number] = registration
        self._by_content.setdefault((subject, canonical_schema(schema)), number)
        self._of.setdefault(subject, {})[number] = schema

    def get(self, schema_id: int) -> Registration | None:
        """Return what an id stands for, None if nothing has it."""
        return self._by_id.get(schema_id)

    def id_of(self, subject: str, schema: Schema) -> int | None:
        """Return the id of a subject's schema, None if it has none; namespaces do not count."""
        return self._by_content.get((subject, canonical_schema(self.named(subject, schema))))

    def named(self, subject: str, schema: Schema) -> Schema:
        """Return a schema in the namespace in which its subject has a record of that name already.

        Pipelines that share a topic differ in their namespaces, and write the same bytes.
        """
        for known in self.schemas_of(subject).values():
            if known.get("name") == schema.get("name") and "namespace" in known:
                return {**schema, "namespace": known["namespace"]}
        return schema

    def schemas_of(self, subject: str) -> Mapping[int, Schema]:
        """Return all schemas that a subject ever had, by id, oldest first."""
        return self._of.get(subject, {})

    def missing(self, wanted: Mapping[str, Schema]) -> dict[str, Schema]:
        """Return those of ``wanted`` (by subject) that have no id yet."""
        found = wanted.items()
        return {subject: s for subject, s in found if self.id_of(subject, s) is None}

    def allocate(self, wanted: Mapping[str, Schema]) -> list[Registration]:
        """Return registrations for those of ``wanted`` that have no id; nothing is changed here.

        Raises
        ------
        SchemaError
            A schema does not grow from one that its subject had; all such faults at once.
        """
        missing = self.missing(wanted)
        faults = [
            f"{subject}: {fault}"
            for subject, schema in missing.items()
            for fault in self._faults(subject, schema)
        ]
        if faults:
            raise SchemaError("\n".join(faults))
        taken = set(self._by_id)
        new = []
        for subject, schema in missing.items():
            named = self.named(subject, schema)
            number = _candidate(subject, named)
            while number in taken:
                number = number % ID_MAX + 1
            taken.add(number)
            new.append(Registration(number, subject, named))
        return new

    def _faults(self, subject: str, schema: Schema) -> list[str]:
        found = [growth_faults(old, schema) for old in self.schemas_of(subject).values()]
        return list(dict.fromkeys(fault for faults in found for fault in faults))


def canonical_schema(schema: Schema) -> str:
    """Return a schema as text that is equal for schemas that mean the same.

    Documentation does not count, nor the order of a schema's attributes; that of fields does.
    """
    return json.dumps(_without_docs(schema), sort_keys=True, separators=(",", ":"))


def _without_docs(schema: Any) -> Any:
    if isinstance(schema, dict):
        found = {key: _without_docs(value) for key, value in schema.items() if key != "default"}
        if isinstance(schema.get("doc"), str):
            del found["doc"]
        if "default" in schema:  # a default is data: it may have a key of that name
            found["default"] = schema["default"]
        return found
    if isinstance(schema, list):
        return [_without_docs(item) for item in schema]
    return schema


def _candidate(subject: str, schema: Schema) -> int:
    content = f"{subject}\n{canonical_schema(schema)}".encode()
    return int.from_bytes(hashlib.sha256(content).digest()[:4], "big") % ID_MAX + 1
