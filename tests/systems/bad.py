"""Every kind of record that is no event or label, made from good ones of the flights week.

Each says with which reason it must become a dead letter. A header names it, so that it is found
again in the log of any system.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from headrace.schemas.avro import avro_schema_of, to_avro
from headrace.schemas.encoding import compiled
from headrace.streams.event import Event
from headrace.streams.plan import Plan
from tests.systems import Message

CASE = "case"
HEADERS = (("traceparent", b"00-4bf92f-00f067-01"), ("bytes", b"\x00\xff"))
FIVE_MB = 5 * 1024 * 1024


@dataclass(frozen=True)
class Bad:
    """One bad record.

    Attributes
    ----------
    name
        What is bad about it.
    what
        ``events`` or ``labels``.
    reason
        The dead letter's reason.
    """

    name: str
    what: str
    message: Message
    reason: str


class Maker:
    """Makes bad records from good ones, in the pipeline's format.

    Parameters
    ----------
    plan
        The pipeline, with the codecs of its inputs.
    event, label
        Good ones; what is made of them has ids of its own.
    """

    def __init__(self, plan: Plan, event: Event, label: Event) -> None:
        self._plan = plan
        self._event = event
        self._label = label
        self._avro = plan.pipeline.events.format == "avro"
        self._made = 0
        any_text = type(event).model_fields["origin"].annotation is str
        self._nowhere = "empty_key" if any_text else "out_of_range"

    def all(self) -> list[Bad]:
        """Return one bad record of each kind that the format can express."""
        found = [*self._broken("events"), *self._broken("labels"), *self._events()]
        return [*found, *self._labels()]

    # -- bytes that are no record

    def _broken(self, what: str) -> list[Bad]:
        good = self._good(what)
        kinds: dict[str, tuple[bytes | None, str]] = {
            "tombstone": (None, "tombstone"),
            "5 MB record": (b"{" + b" " * FIVE_MB, "too_large"),
        }
        if self._avro:
            kinds |= {
                "not Avro": (b'{"event_id": "x"}', "not_avro"),
                "empty": (b"", "not_avro"),
                "unknown schema id": (
                    b"\x00" + struct.pack(">I", 999) + good[5:],
                    "unknown_schema",
                ),
                "truncated": (good[:-3], "truncated"),
                "trailing bytes": (good + b"\x00", "trailing_bytes"),
                "invalid UTF-8": (good[:6] + b"\xff\xfe" + good[8:], "not_avro"),
            }
        else:
            kinds |= {
                "not JSON": (b"\x00\x00\x00\x00\x01\x02", "not_json"),
                "empty": (b"", "not_json"),
                "truncated": (good[:-10], "not_json"),
                "invalid UTF-8": (good.replace(b'"2013', b'"\xff\xfe13', 1), "invalid_utf8"),
                "no object": (b"[1, 2]", "wrong_type"),
            }
        return [
            Bad(f"{name} ({what})", what, self._message(what, name, value), reason)
            for name, (value, reason) in kinds.items()
        ]

    # -- events that are none

    def _events(self) -> list[Bad]:
        kinds: list[tuple[str, str, Mapping[str, Any]]] = [
            ("out of range", "out_of_range", {"distance_mi": -1.0}),
            ("too short", "out_of_range", {"carrier": "U"}),
            ("nowhere", self._nowhere, {"origin": ""}),
            ("infinity", "not_finite", {"dep_delay_min": float("inf")}),
            ("NaN", "not_finite", {"distance_mi": float("nan")}),
            ("huge", "out_of_range", {"temp_f": 1e300}),
            ("empty id", "empty_id", {"event_id": ""}),
            ("long id", "too_large", {"event_id": "x" * 600}),
            ("in the future", "future_event", {"event_time": datetime.now(UTC) + FOREVER}),
            (
                "before the epoch",
                "before_epoch",
                {"event_time": datetime(1969, 12, 31, tzinfo=UTC)},
            ),
        ]
        found = [self._bad("events", *kind) for kind in kinds]
        if not self._avro:
            found += [
                self._bad("events", "wrong type", "wrong_type", {"dep_delay_min": "12"}),
                self._bad("events", "number of no unit", "wrong_type", {"event_time": 20130208}),
                self._bad("events", "naive time", "wrong_type", {"event_time": "2013-02-08T20:47"}),
                self._bad("events", "flag for a number", "wrong_type", {"distance_mi": True}),
                self._bad("events", "fraction", "wrong_type", {"dep_weekday": 1.5}),
                self._bad("events", "missing field", "missing_field", {"carrier": MISSING}),
            ]
        return found

    # -- labels that are none, and labels that are of no use

    def _labels(self) -> list[Bad]:
        found = [
            self._bad("labels", "empty id", "empty_id", {"event_id": ""}),
            self._bad("labels", "in the future", "future_event",
                      {"label_time": datetime.now(UTC) + FOREVER}),
            self._bad("labels", "before the epoch", "before_epoch",
                      {"label_time": datetime(1960, 1, 1, tzinfo=UTC)}),
        ]  # fmt: skip
        if not self._avro:
            found += [
                self._bad("labels", "wrong type", "wrong_type", {"label": "true"}),
                self._bad("labels", "number for a flag", "wrong_type", {"label": 1}),
                self._bad("labels", "missing field", "missing_field", {"label": MISSING}),
            ]
        return found

    # -- making

    def _bad(self, what: str, name: str, reason: str, changes: Mapping[str, Any]) -> Bad:
        self._made += 1
        own = {"event_id": f"bad-{self._made}", **changes}
        value = self.encoded(what, own)
        return Bad(f"{name} ({what})", what, self._message(what, name, value), reason)

    def _message(self, what: str, name: str, value: bytes | None) -> Message:
        return Message(self._key(what), value, ((CASE, f"{name} ({what})".encode()), *HEADERS))

    def _key(self, what: str) -> bytes:
        if what == "events":
            return self._plan.event_key(self._event).encode()
        return self._plan.label_id(self._label).encode()

    def _good(self, what: str) -> bytes:
        return self.encoded(what, {})

    def encoded(self, what: str, changes: Mapping[str, Any]) -> bytes:
        """Return the good event, or label, with some fields changed: valid or not."""
        good = self._event if what == "events" else self._label
        if self._avro:
            encode = self._plan.encode_event if what == "events" else self._plan.encode_label
            header = encode(good)[:5]
            changed = good.model_copy(update=dict(changes))
            return header + compiled(_wire(avro_schema_of(type(good))))(to_avro(changed))
        fields = {**json.loads(good.model_dump_json()), **changes}
        fields = {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in fields.items()
            if value is not MISSING
        }
        return json.dumps(fields).encode()


def _wire(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {name: _wire(value) for name, value in schema.items() if name != "logicalType"}
    return [_wire(item) for item in schema] if isinstance(schema, list) else schema


MISSING: Any = object()
FOREVER = timedelta(days=10_000)
