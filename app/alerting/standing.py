"""How a pipeline's alerts stand: which go on, and what has not been delivered."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from headrace.app.alerting.message import summary
from headrace.app.alerting.sender import group_prefix, still_open
from headrace.streams.engine.connection import Connection
from headrace.streams.engine.courier import Parcels, parcels
from headrace.streams.engine.reader import Reading

_SHOWN = ("id", "state", "kind", "what", "segment", "strength", "effect", "members_left_out")


def alerts_standing(kafka: Connection, topic: str, pipeline: str) -> dict[str, Any]:
    """Return how a pipeline's alerts stand, as plain data.

    Returns
    -------
    dict
        ``open``, the alerts that are not over, the newest first: of each ``id``, ``state``,
        ``kind``, ``what``, ``segment``, ``since``, ``until``, ``strength``, ``effect`` and its
        ``members``; ``deliveries``, of each channel that ever sent: its name, how many records it
        has not delivered (``waiting``), and why: ``failures``, ``since``, ``reason``.
    """
    if topic not in kafka.partition_counts():
        return {"open": [], "deliveries": []}
    records = list(Reading(kafka, topic).records())
    offsets = still_open(records)
    going_on = [fields for record, fields in records if record.offset in offsets]
    prefix = group_prefix(pipeline)
    return {
        "open": [_plain(alert) for alert in reversed(going_on)],
        "deliveries": [_delivery(each, prefix) for each in parcels(kafka, topic, prefix, records)],
    }


def _plain(alert: dict[str, Any]) -> dict[str, Any]:
    members = [f"{each['what']}, {each['segment']}" for each in alert["members"]]
    times = {name: alert[name].isoformat() for name in ("since", "noticed", "until")}
    return {**{name: alert[name] for name in _SHOWN}, **times, "members": members}


def _delivery(parcel: Parcels, prefix: str) -> dict[str, Any]:
    held_up = parcel.hindrance
    return {
        "channel": parcel.group.removeprefix(prefix),
        "waiting": len(parcel.waiting),
        "failures": 0 if held_up is None else held_up.failures,
        "since": None if held_up is None else _iso(held_up.since_s),
        "reason": "" if held_up is None else held_up.reason,
    }


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


# -- for people


def rendered_alerts(found: dict[str, Any]) -> RenderableType:
    """Return all of it as a person reads it."""
    parts: list[RenderableType] = [_open_table(found["open"])] if found["open"] else []
    head = "no alert goes on" if not parts else f"{len(found['open'])} alerts go on"
    return Group(Text(head, style="bold"), *parts, *rendered_deliveries(found["deliveries"]))


def _open_table(alerts: Iterable[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("since", "noticed", "what", "kind"):
        table.add_column(column, overflow="fold")
    table.add_column("strength", justify="right")
    table.add_column("id", overflow="fold")
    for each in alerts:
        since, noticed = (each[name][:16].replace("T", " ") for name in ("since", "noticed"))
        strength = f"{each['strength']:.1f}"
        table.add_row(since, noticed, summary(each), each["kind"], strength, each["id"])
    return table


def rendered_deliveries(deliveries: Iterable[dict[str, Any]]) -> list[RenderableType]:
    """Return a line for each channel."""
    return [_delivery_line(each) for each in deliveries]


def _delivery_line(each: dict[str, Any]) -> Text:
    if not each["waiting"]:
        return Text(f"{each['channel']}: all delivered", style="green")
    said = f"{each['channel']}: {each['waiting']} not delivered"
    if each["failures"]:
        said += f"; tried {each['failures']} times since {each['since']}: {each['reason']}"
    return Text(said, style="red" if each["failures"] else "yellow")
