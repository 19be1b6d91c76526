"""Requests of Kafka's protocol that librdkafka has no call for: one connection, one at a time.

Only what two uses need (:mod:`~headrace.streams.engine.leaving` and
:mod:`~headrace.streams.engine.forgotten`), in versions without tagged fields where there are such.
Source: Kafka's protocol guide, https://kafka.apache.org/protocol.
"""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

TIMEOUT_S = 10.0
_ANSWER_BYTES_MAX = 1024 * 1024
_CLIENT = "headrace"


class Address(NamedTuple):
    """Where a broker is."""

    host: str
    port: int


def can_ask(security: Mapping[str, str]) -> bool:
    """Return whether a broker with such settings can be spoken to: not by SASL."""
    return security.get("security.protocol", "plaintext").lower() in {"plaintext", "ssl"}


def text(value: str) -> bytes:
    """Return a string with its length before it."""
    encoded = value.encode()
    return struct.pack(">h", len(encoded)) + encoded


def compact(value: str) -> bytes:
    """Return a string as versions with tagged fields have it: its length is 1 more, and a varint.

    Raises
    ------
    ValueError
        It is longer than any name that Kafka takes.
    """
    encoded = value.encode()
    if len(encoded) > 16_000:
        raise ValueError(f"a name of {len(encoded)} bytes")
    return _varint(len(encoded) + 1) + encoded


def _varint(number: int) -> bytes:
    return bytes([number]) if number < 128 else bytes([number & 127 | 128, number >> 7])


class Answer:
    """The body of an answer, read from its beginning on.

    Every method raises ``struct.error`` or ``ValueError`` if the answer ends before.
    """

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    def read(self, layout: str) -> tuple[Any, ...]:
        """Return numbers, in :mod:`struct`'s notation without its first sign."""
        found = struct.unpack_from(f">{layout}", self._body, self._at)
        self._at += struct.calcsize(f">{layout}")
        return found

    def number(self, layout: str) -> int:
        """Return one number."""
        (found,) = self.read(layout)
        return int(found)

    def text(self) -> str:
        """Return a string; null is empty."""
        return self._taken(max(0, self.number("h")))

    def varint(self) -> int:
        """Return an unsigned varint."""
        found, shift = 0, 0
        while True:
            byte = self.number("B")
            found |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return found

    def compact(self) -> str:
        """Return a string of a version with tagged fields; null is empty."""
        return self._taken(max(0, self.varint() - 1))

    def _taken(self, size: int) -> str:
        end = self._at + size
        if end > len(self._body):
            raise ValueError("the answer ends within a name")
        found, self._at = self._body[self._at : end].decode(), end
        return found


class Wire:
    """A connection to a broker, see :func:`connected`."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._sent = 0

    def ask(self, api: int, version: int, body: bytes, *, tagged: bool = False) -> Answer:
        """Send a request and return the body of its answer.

        Parameters
        ----------
        api, version
            Kafka's number of the request, and the version of its layout.
        tagged
            Whether that version has tagged fields, in its headers too.

        Raises
        ------
        OSError, ValueError
            The connection broke, or what came is no answer to this.
        """
        self._sent += 1
        head = struct.pack(">hhi", api, version, self._sent) + text(_CLIENT)
        request = head + (b"\0" if tagged else b"") + body
        self._connection.sendall(struct.pack(">i", len(request)) + request)
        (size,) = struct.unpack(">i", self._exactly(4))
        if not 4 < size <= _ANSWER_BYTES_MAX:
            raise ValueError(f"an answer of {size} bytes")
        answer = Answer(self._exactly(size))
        if answer.number("i") != self._sent:
            raise ValueError("an answer to another request")
        if tagged:
            answer.number("B")
        return answer

    def _exactly(self, size: int) -> bytes:
        found = b""
        while len(found) < size:
            part = self._connection.recv(size - len(found))
            if not part:
                raise ValueError("the connection ended within the answer")
            found += part
        return found


@contextmanager
def connected(
    broker: Address, security: Mapping[str, str], timeout_s: float = TIMEOUT_S
) -> Iterator[Wire]:
    """Lend a connection to a broker.

    Parameters
    ----------
    security
        librdkafka's settings; ``security.protocol`` and ``ssl.*`` of them are read.
    timeout_s
        How long each answer may take.

    Raises
    ------
    OSError
        Nobody listens there, or TLS fails.
    """
    with socket.create_connection(broker, timeout=timeout_s) as plain:
        if security.get("security.protocol", "plaintext").lower() != "ssl":
            yield Wire(plain)
            return
        with _tls(security).wrap_socket(plain, server_hostname=broker.host) as secure:
            yield Wire(secure)


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
