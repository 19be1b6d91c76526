"""What a client says to prove who it is: SASL's PLAIN and SCRAM, of librdkafka's settings.

Only the conversations; :mod:`~headrace.streams.engine.wire` carries them. Sources: RFC 4616
(PLAIN), RFC 5802 and RFC 7677 (SCRAM). As in librdkafka and in Kafka's own client, names and
passwords are sent as UTF-8, without SASLprep: a password that one of them knows is the same here.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import secrets
from base64 import b64decode, b64encode
from collections.abc import Callable, Generator, Mapping

_HASHES = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-512": "sha512"}
MECHANISMS = ("PLAIN", *_HASHES)
"""Those that are spoken, by librdkafka's names."""

_ITERATIONS_MIN, _ITERATIONS_MAX = 4_096, 1_000_000
"""RFC 7677 asks for no fewer, and more would hold us up; Kafka stores 16,384 at most."""

Conversation = Generator[bytes, bytes, None]
"""Yields what to say, takes what the broker answers, ends when both have proved who they are."""


class SaslError(ValueError):
    """The broker does not take us for who we say we are, or it is not who it should be."""


def by_sasl(security: Mapping[str, str]) -> bool:
    """Return whether settings of librdkafka demand SASL."""
    return security.get("security.protocol", "plaintext").lower().startswith("sasl_")


def mechanism_of(security: Mapping[str, str]) -> str:
    """Return the mechanism, by either of librdkafka's names for the setting."""
    return security.get("sasl.mechanisms", security.get("sasl.mechanism", "GSSAPI"))


def conversation(
    security: Mapping[str, str], draw: Callable[[], str] = secrets.token_urlsafe
) -> Conversation:
    """Begin the conversation of the settings' mechanism, one of :data:`MECHANISMS`.

    Parameters
    ----------
    security
        librdkafka's settings; ``sasl.mechanisms``, ``sasl.username`` and ``sasl.password`` of them
        are read.
    draw
        Returns a new nonce.

    Raises
    ------
    SaslError
        While it goes on: the broker's answer does not fit.
    """
    name, password = security.get("sasl.username", ""), security.get("sasl.password", "")
    mechanism = mechanism_of(security)
    if mechanism == "PLAIN":
        return _plain(name, password)
    return _scram(_HASHES[mechanism], name, password, draw())


def _plain(name: str, password: str) -> Conversation:
    yield f"\0{name}\0{password}".encode()


def _scram(digest: str, name: str, password: str, nonce: str) -> Conversation:
    own = f"n={name.replace('=', '=3D').replace(',', '=2C')},r={nonce}"
    first = yield f"n,,{own}".encode()
    fields = _fields(first)
    salt, iterations = _base64(fields, "s"), _iterations(fields)
    if not fields["r"].startswith(nonce) or fields["r"] == nonce:
        raise SaslError("the broker's nonce does not begin with ours")
    salted = hashlib.pbkdf2_hmac(digest, password.encode(), salt, iterations)
    closing = f"c=biws,r={fields['r']}"
    signed = b",".join((own.encode(), first, closing.encode()))
    key = hmac.digest(salted, b"Client Key", digest)
    signature = hmac.digest(hashlib.new(digest, key).digest(), signed, digest)
    proof = bytes(a ^ b for a, b in zip(key, signature, strict=True))
    last = _fields((yield f"{closing},p={b64encode(proof).decode()}".encode()))
    server = hmac.digest(hmac.digest(salted, b"Server Key", digest), signed, digest)
    if not hmac.compare_digest(server, _base64(last, "v")):
        raise SaslError("the broker does not know the password: it is not who it should be")


def _fields(answer: bytes) -> dict[str, str]:
    """Return the fields of a broker's message.

    Raises
    ------
    SaslError
        It says that it refuses, or is no such message.
    """
    try:
        parts = [part.partition("=") for part in answer.decode().split(",")]
    except UnicodeDecodeError as error:
        raise SaslError("the broker's answer is no text") from error
    fields = {name: value for name, _, value in parts}
    if "e" in fields:
        raise SaslError(f"the broker refuses: {fields['e']}")
    if "m" in fields:
        raise SaslError("the broker demands an extension of SCRAM that is not known")
    return fields


def _base64(fields: Mapping[str, str], name: str) -> bytes:
    try:
        return b64decode(fields[name], validate=True)
    except (KeyError, binascii.Error, ValueError) as error:
        raise SaslError(f"the broker's answer has no {name}=, or no base64 there") from error


def _iterations(fields: Mapping[str, str]) -> int:
    text = fields.get("i", "")
    if "r" not in fields or not (text.isascii() and text.isdigit() and len(text) < 10):
        raise SaslError("the broker's answer has no r=, or no number in i=")
    if not _ITERATIONS_MIN <= int(text) <= _ITERATIONS_MAX:
        raise SaslError(
            f"the broker asks for {text} iterations, not {_ITERATIONS_MIN} to {_ITERATIONS_MAX}"
        )
    return int(text)
