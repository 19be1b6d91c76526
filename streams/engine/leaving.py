"""Lets static members leave a consumer group, as librdkafka has no way to say.

A static member does not leave when it stops, so that a restart finds its partitions where they
were. When a role is scaled in, or a group must be empty before its offsets can be set, whoever is
gone for good has to be taken out by name, or everybody waits until its session times out. One
request does it (LeaveGroup, version 3, of Kafka's protocol).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

from headrace.schemas.errors import ServiceError
from headrace.streams.engine.wire import Address, Answer, connected, error_text, text

_LEAVE_GROUP = 13
_VERSION = 3
_HARMLESS = frozenset({0, 25})
"""No error, and UNKNOWN_MEMBER_ID: it is gone already."""


def let_leave(
    coordinator: Address, security: Mapping[str, str], group: str, instances: Sequence[str]
) -> None:
    """Take static members out of a group; those that are not in it are passed over.

    Parameters
    ----------
    coordinator
        The group's coordinator.
    security
        librdkafka's settings, such as have no :func:`~headrace.streams.engine.wire.obstacle`.
    group
        The consumer group.
    instances
        ``group.instance.id`` of each member.

    Raises
    ------
    ServiceError
        The coordinator does not answer, or refuses.
    """
    what = f"Kafka at {coordinator.host}:{coordinator.port}: members could not leave {group}"
    try:
        with connected(coordinator, security) as wire:
            error, members = _read(wire.ask(_LEAVE_GROUP, _VERSION, _body(group, instances)))
    except (OSError, struct.error, ValueError) as failure:
        raise ServiceError(f"{what} ({failure}).") from failure
    refused = [f"{name} ({code})" for name, code in members.items() if code not in _HARMLESS]
    if error not in _HARMLESS:
        raise ServiceError(f"{what}: {error_text(error)}.")
    if refused:
        raise ServiceError(f"{what}: {', '.join(refused)} (error codes of Kafka's protocol).")


def _body(group: str, instances: Sequence[str]) -> bytes:
    """Return the request: a member is named by its instance, its member id stays empty."""
    members = b"".join(text("") + text(instance) for instance in instances)
    return text(group) + struct.pack(">i", len(instances)) + members


def _read(answer: Answer) -> tuple[int, dict[str, int]]:
    """Return the group's error code, and each member's by its instance."""
    _, error, count = answer.read("ihi")
    members = {}
    for _ in range(count):
        answer.text()
        instance = answer.text()
        members[instance] = answer.number("h")
    return error, members
