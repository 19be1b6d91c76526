"""Requests of Kafka's protocol that librdkafka has no call for: one connection, one at a time.

Only what three uses need (:mod:`~headrace.streams.engine.leaving`,
:mod:`~headrace.streams.engine.forgotten` and :mod:`~headrace.streams.engine.sizes`), in versions
without tagged fields where there are such. TLS and SASL follow librdkafka's own settings.
Source: Kafka's protocol guide, https://kafka.apache.org/protocol.
"""

from __future__ import annotations

import builtins
import socket
import ssl
import struct
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from confluent_kafka import KafkaError

from headrace.streams.engine import sasl
from headrace.streams.engine.sasl import SaslError

TIMEOUT_S = 10.0
_ANSWER_BYTES_MAX = 1024 * 1024
_CLIENT = "headrace"
_SASL_HANDSHAKE, _SASL_AUTHENTICATE = 17, 36
_UNSUPPORTED_MECHANISM = 33
_FALSE = frozenset({"false", "f", "0"})
_PROTOCOLS = frozenset({"plaintext", "ssl", "sasl_plaintext", "sasl_ssl"})
_NOT_FOLLOWED = (
    "ssl.certificate.pem",
    "ssl.crl.location",
    "ssl.engine.location",
    "ssl.key.pem",
    "ssl.keystore.location",
    "ssl.providers",
)
"""Settings of librdkafka's TLS that our own connection does not follow."""


class Address(NamedTuple):
    """Where a broker is."""

    host: str
    port: int


def obstacle(security: Mapping[str, str]) -> str:
    """Return why brokers cannot be asked over a connection of our own; empty if they can.

    Parameters
    ----------
    security
        librdkafka's settings.
    """
    protocol = security.get("security.protocol", "plaintext").lower()
    if protocol not in _PROTOCOLS:
        return f"security.protocol={protocol} is not known"
    mechanism = sasl.mechanism_of(security)
    if sasl.by_sasl(security) and mechanism not in sasl.MECHANISMS:
        return f"sasl.mechanisms={mechanism} is none of {', '.join(sasl.MECHANISMS)}"
    unread = [name for name in _NOT_FOLLOWED if name in security]
    if protocol.endswith("ssl") and unread:
        return f"{', '.join(unread)}: our own connection does not follow it"
    return ""


def error_text(code: int) -> str:
    """Return an error of Kafka's protocol as people read it."""
    return f"error code {code} of Kafka's protocol, {KafkaError(code).str()}"


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

    def __init__(self, body: builtins.bytes) -> None:
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

    def bytes(self) -> builtins.bytes:
        """Return bytes; null is empty."""
        return self._cut(max(0, self.number("i")))

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
        return self._cut(size).decode()

    def _cut(self, size: int) -> builtins.bytes:
        end = self._at + size
        if end > len(self._body):
            raise ValueError("the answer ends within a name")
        found, self._at = self._body[self._at : end], end
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
        librdkafka's settings, such as have no :func:`obstacle`; ``security.protocol``, ``ssl.*``
        and ``sasl.*`` of them are read.
    timeout_s
        How long each answer may take.

    Raises
    ------
    OSError
        Nobody listens there, or TLS fails.
    SaslError
        The broker does not take us for who we say we are, or it is not who it should be.
    """
    with ExitStack() as opened:
        connection = opened.enter_context(socket.create_connection(broker, timeout=timeout_s))
        if security.get("security.protocol", "plaintext").lower().endswith("ssl"):
            secure = _tls(security).wrap_socket(connection, server_hostname=broker.host)
            connection = opened.enter_context(secure)
        wire = Wire(connection)
        if sasl.by_sasl(security):
            _authenticate(wire, security)
        yield wire


def _authenticate(wire: Wire, security: Mapping[str, str]) -> None:
    """Have the conversation of the settings' mechanism.

    Raises
    ------
    SaslError
        It did not end well: names mechanism and user, and what the broker says.
    """
    mechanism, user = sasl.mechanism_of(security), security.get("sasl.username", "")
    try:
        _shake_hands(wire, mechanism)
        talk = sasl.conversation(security)
        message = next(talk)
        while True:
            message = talk.send(_said(wire, message))
    except StopIteration:
        return
    except SaslError as refusal:
        remedy = "correct sasl.* in HEADRACE_KAFKA_SECURITY"
        raise SaslError(f"SASL {mechanism} as {user!r}: {refusal}; {remedy}") from refusal


def _shake_hands(wire: Wire, mechanism: str) -> None:
    answer = wire.ask(_SASL_HANDSHAKE, 1, text(mechanism))
    error, count = answer.read("hi")
    if error == _UNSUPPORTED_MECHANISM:
        enabled = ", ".join(answer.text() for _ in range(count))
        raise SaslError(f"the broker takes only {enabled or 'other mechanisms'}")
    if error:
        raise SaslError(error_text(error))


def _said(wire: Wire, message: bytes) -> bytes:
    """Return what the broker answers to a message of a conversation."""
    answer = wire.ask(_SASL_AUTHENTICATE, 1, struct.pack(">i", len(message)) + message)
    error, reason = answer.number("h"), answer.text()
    if error:
        raise SaslError(f"{error_text(error)} {reason}".strip())
    return answer.bytes()


def _tls(security: Mapping[str, str]) -> ssl.SSLContext:
    authorities = security.get("ssl.ca.location")
    is_folder = authorities is not None and Path(authorities).is_dir()
    context = ssl.create_default_context(
        cafile=None if is_folder or authorities == "probe" else authorities,
        capath=authorities if is_folder else None,
        cadata=security.get("ssl.ca.pem"),
    )
    if "ssl.certificate.location" in security:
        context.load_cert_chain(
            security["ssl.certificate.location"],
            security.get("ssl.key.location"),
            security.get("ssl.key.password"),
        )
    if security.get("ssl.endpoint.identification.algorithm", "").lower() == "none":
        context.check_hostname = False
    if security.get("enable.ssl.certificate.verification", "true").lower() in _FALSE:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
