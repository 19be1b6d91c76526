"""Lets static members leave a consumer group, as librdkafka has no way to say.

A static member does not leave when it stops, so that a restart finds its partitions where they
were. When a role is scaled in, or a group must be empty before its offsets can be set, whoever is
gone for good has to be taken out by name, or everybody waits until its session times out. One
request does it (LeaveGroup, version 3, of Kafka's protocol); this is the whole client for it.
"""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from headrace.schemas.errors import ServiceError

_LEAVE_GROUP = 13
_VERSION = 3
_TIMEOUT_S = 10.0
_ANSWER_BYTES_MAX = 1024 * 1024
_HARMLESS = frozenset({0, 25})
"""No error, and UNKNOWN_MEMBER_ID: it is gone already."""


class Address(NamedTuple):
    """Where a group's coordinator is."""

    host: str
    port: int


def can_ask(security: Mapping[str, str]) -> bool:
    """Return whether :func:`let_leave` can speak to a broker with such settings: not by SASL."""
    return security.get("security.protocol", "plaintext").lower() in {"plaintext", "ssl"}


def let_leave(
    coordinator: Address, security: Mapping[str, str], group: str, instances: Sequence[str]
) -> None:
    """Take static members out of a group; those that are not in it are passed over.

    Parameters
    ----------
    coordinator
        The group's coordinator.
    security
        librdkafka's settings; ``security.protocol`` and ``ssl.*`` of them are read.
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
        answer = _ask(coordinator, security, _request(group, instances))
        error, members = _read(answer)
    except (OSError, struct.error, ValueError) as failure:
        raise ServiceError(f"{what} ({failure}).") from failure
    refused = [f"{name} ({code})" for name, code in members.items() if code not in _HARMLESS]
    if error not in _HARMLESS:
        raise ServiceError(f"{what}: error code {error} of Kafka's protocol.")
    if refused:
        raise ServiceError(f"{what}: {', '.join(refused)} (error codes of Kafka's protocol).")


def _text(value: str) -> bytes:
    encoded = value.encode()
    return struct.pack(">h", len(encoded)) + encoded


def _request(group: str, instances: Sequence[str]) -> bytes:
    """Return header and body: a member is named by its instance, its member id stays empty."""
    head = struct.pack(">hhi", _LEAVE_GROUP, _VERSION, 1) + _text("headrace")
    members = b"".join(_text("") + _text(instance) for instance in instances)
    body = head + _text(group) + struct.pack(">i", len(instances)) + members
    return struct.pack(">i", len(body)) + body


def _ask(coordinator: Address, security: Mapping[str, str], request: bytes) -> bytes:
    with socket.create_connection(coordinator, timeout=_TIMEOUT_S) as plain:
        if security.get("security.protocol", "plaintext").lower() != "ssl":
            return _exchange(plain, request)
        with _tls(security).wrap_socket(plain, server_hostname=coordinator.host) as secure:
            return _exchange(secure, request)


def _tls(security: Mapping[str, str]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=security.get("ssl.ca.location"))
    if "ssl.certificate.location" in security:
        context.load_cert_chain(
            security["ssl.certificate.location"],
            security.get("ssl.key.location"),
            security.get("ssl.key.password"),
        )
    if security.get("ssl.endpoint.identification.algorithm") == "none":
        context.check_hostname = False
    if security.get("enable.ssl.certificate.verification", "true").lower() == "false":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _exchange(connection: socket.socket, request: bytes) -> bytes:
    connection.sendall(request)
    (size,) = struct.unpack(">i", _exactly(connection, 4))
    if not 0 < size <= _ANSWER_BYTES_MAX:
        raise ValueError(f"an answer of {size} bytes")
    return _exactly(connection, size)


def _exactly(connection: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        part = connection.recv(size - len(found))
        if not part:
            raise ValueError("the connection ended within the answer")
        found += part
    return found


def _read(answer: bytes) -> tuple[int, dict[str, int]]:
    """Return the group's error code, and each member's by its instance."""
    _, _, error, count = struct.unpack_from(">iihi", answer, 0)
    at, members = 14, {}
    for _ in range(count):
        _, at = _text_at(answer, at)
        instance, at = _text_at(answer, at)
        (members[instance],) = struct.unpack_from(">h", answer, at)
        at += 2
    return error, members


def _text_at(answer: bytes, at: int) -> tuple[str, int]:
    (size,) = struct.unpack_from(">h", answer, at)
    end = at + 2 + max(0, size)
    return answer[at + 2 : end].decode(), end
