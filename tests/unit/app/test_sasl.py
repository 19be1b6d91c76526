"""SASL over a connection of our own: the RFCs' conversations, and what is made of any answer."""

from __future__ import annotations

import re
import socket
import struct
import threading
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.streams.engine import sasl
from headrace.streams.engine.sasl import SaslError, conversation
from headrace.streams.engine.wire import Address, connected, obstacle, text

NONCE = "rOprNGfwEbeRWgbNEkqO"
FIRST = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
LAST = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
SECURITY = {
    "security.protocol": "SASL_PLAINTEXT",
    "sasl.mechanisms": "SCRAM-SHA-256",
    "sasl.username": "user",
    "sasl.password": "pencil",
}


def talk(answers: Sequence[bytes], security: Mapping[str, str] = SECURITY) -> list[bytes]:
    """Return what is said to a broker that answers so."""
    going = conversation(security, lambda: NONCE)
    said = [next(going)]
    with suppress(StopIteration):
        for answer in answers:
            said.append(going.send(answer))  # noqa: PERF401 - the last one ends it
    return said


def test_scram_is_that_of_rfc_7677() -> None:
    """The example of RFC 7677, section 3."""
    assert talk([FIRST, LAST]) == [
        b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
        b"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
    ]


def test_the_conversation_is_over_once_the_broker_has_proved_itself() -> None:
    going = conversation(SECURITY, lambda: NONCE)
    next(going)
    going.send(FIRST)
    with pytest.raises(StopIteration):
        going.send(LAST)


def test_plain_is_that_of_rfc_4616() -> None:
    """The first example of RFC 4616, section 4."""
    security = {"sasl.mechanism": "PLAIN", "sasl.username": "tim"}
    assert talk([b""], {**security, "sasl.password": "tanstaaftanstaaf"}) == [
        b"\0tim\0tanstaaftanstaaf"
    ]


def test_signs_in_a_name_are_written_so_that_they_end_nothing() -> None:
    (first,) = talk([], {**SECURITY, "sasl.username": "a=b,c=2C"})
    assert first == b"n,,n=a=3Db=2Cc=3D2C,r=" + NONCE.encode()


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([b"e=unknown-user"], "refuses: unknown-user"),
        ([FIRST, b"e=invalid-proof"], "refuses: invalid-proof"),
        ([FIRST.replace(b"r=rOpr", b"r=xOpr")], "nonce does not begin with ours"),
        ([b"r=" + NONCE.encode() + b",s=AAAA,i=4096"], "nonce does not begin with ours"),
        ([FIRST.replace(b"i=4096", b"i=4095")], "4095 iterations, not 4096 to 1000000"),
        ([FIRST.replace(b"i=4096", b"i=1000001")], "1000001 iterations"),
        ([FIRST.replace(b"i=4096", b"i=many")], "no number in i="),
        ([FIRST.replace(b"i=4096", b"i=" + b"9" * 5_000)], "no number in i="),
        ([FIRST.replace(b"i=4096", "i=４０９６".encode())], "no number in i="),
        ([FIRST.replace(b"s=W22", b"s=*22")], "no s="),
        ([b"r=1,i=4096"], "no s="),
        ([b"s=AAAA,i=4096"], "no r="),
        ([b"m=ext," + FIRST], "an extension"),
        ([b"\xff"], "no text"),
        ([b""], "no s="),
        ([FIRST, b"v=" + b64encode(bytes(32))], "does not know the password"),
        ([FIRST, b""], "no v="),
    ],
)
def test_any_other_answer_is_refused(answers: Sequence[bytes], said: str) -> None:
    with pytest.raises(SaslError, match=said):
        talk(answers)


@given(st.binary(max_size=120), st.binary(max_size=80))
def test_nobody_is_believed_who_does_not_know_the_password(first: bytes, last: bytes) -> None:
    going = conversation(SECURITY, lambda: NONCE)
    next(going)
    with pytest.raises(SaslError):  # StopIteration would be: believed
        going.send(first)
    going = conversation(SECURITY, lambda: NONCE)
    next(going)
    going.send(FIRST)
    with pytest.raises(SaslError):
        going.send(last)


@given(st.sampled_from("rsi"), st.text(max_size=12))
def test_no_field_breaks_it(name: str, value: str) -> None:
    fields = dict(part.split("=", 1) for part in FIRST.decode().split(","))
    fields[name] = value
    going = conversation(SECURITY, lambda: NONCE)
    next(going)
    with suppress(SaslError):
        going.send(",".join(f"{key}={each}" for key, each in fields.items()).encode())


def test_nonces_are_never_the_same() -> None:
    first = {next(conversation(SECURITY)) for _ in range(50)}
    assert len(first) == 50
    assert all(len(each) > 40 for each in first)


# -- over a connection


@contextmanager
def broker(replies: Sequence[bytes]) -> Iterator[tuple[Address, list[bytes]]]:
    """A broker that answers each request with the next reply, and hangs up."""
    asked: list[bytes] = []
    listening = socket.create_server(("127.0.0.1", 0))
    listening.settimeout(10)

    def serve() -> None:
        connection, _ = listening.accept()
        with connection, suppress(OSError, struct.error):
            for reply in replies:
                (size,) = struct.unpack(">i", connection.recv(4, socket.MSG_WAITALL))
                request = connection.recv(size, socket.MSG_WAITALL)
                asked.append(request[:4] + request[10 + len("headrace") :])
                answer = request[4:8] + reply
                connection.sendall(struct.pack(">i", len(answer)) + answer)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield Address("127.0.0.1", listening.getsockname()[1]), asked
    finally:
        thread.join(10)
        listening.close()


SHAKEN = struct.pack(">hi", 0, 1) + text("PLAIN")
PLAIN = {**SECURITY, "sasl.mechanisms": "PLAIN"}


def said(message: bytes, error: int = 0, reason: str = "") -> bytes:
    answer = struct.pack(">h", error) + text(reason) + struct.pack(">i", len(message)) + message
    return answer + struct.pack(">q", 0)


def test_the_requests_are_kafkas_handshake_and_authenticate() -> None:
    with broker([SHAKEN, said(b"")]) as (address, asked), connected(address, PLAIN):
        pass
    message = b"\0user\0pencil"
    assert asked == [
        struct.pack(">hh", 17, 1) + text("PLAIN"),
        struct.pack(">hhi", 36, 1, len(message)) + message,
    ]


@pytest.mark.parametrize(
    ("replies", "reason"),
    [
        ([struct.pack(">hi", 33, 2) + text("A") + text("B")], "takes only A, B"),
        ([struct.pack(">hi", 33, 0)], "takes only other mechanisms"),
        ([struct.pack(">hi", 34, 0)], "error code 34"),
        ([SHAKEN, said(b"", 58, "Authentication failed")], "error code 58.* Authentication failed"),
    ],
)
def test_a_refusal_names_the_user_and_never_the_password(
    replies: Sequence[bytes], reason: str
) -> None:
    with (
        broker(replies) as (address, _),
        pytest.raises(SaslError, match=f"SASL PLAIN as 'user': .*{reason}") as caught,
        connected(address, PLAIN),
    ):
        pass
    assert "pencil" not in str(caught.value)


@given(st.lists(st.binary(max_size=40), max_size=4), st.sampled_from([PLAIN, SECURITY]))
def test_no_answer_breaks_a_connection(replies: list[bytes], security: Mapping[str, str]) -> None:
    with (
        broker(replies) as (address, _),
        suppress(ValueError, struct.error, OSError),
        connected(address, security, 1.0),
    ):
        pass


@pytest.mark.parametrize("count", [2**31 - 1, -1])
def test_a_count_of_mechanisms_ends_with_the_answer(count: int) -> None:
    with (
        broker([struct.pack(">hi", 33, count)]) as (address, _),
        pytest.raises((ValueError, struct.error)),
        connected(address, PLAIN),
    ):
        pass


# -- what is not spoken


@pytest.mark.parametrize(
    ("security", "reason"),
    [
        ({}, ""),
        ({"security.protocol": "SSL"}, ""),
        ({"security.protocol": "SSL", "ssl.ca.pem": "x"}, ""),
        ({"security.protocol": "sasl_ssl", "sasl.mechanism": "PLAIN"}, ""),
        ({"security.protocol": "SASL_PLAINTEXT", "sasl.mechanisms": "SCRAM-SHA-512"}, ""),
        ({"sasl.mechanisms": "OAUTHBEARER"}, ""),
        ({"security.protocol": "SASL_SSL"}, "sasl.mechanisms=GSSAPI is none of PLAIN, SCRAM"),
        (
            {"security.protocol": "SASL_SSL", "sasl.mechanism": "OAUTHBEARER"},
            "sasl.mechanisms=OAUTHBEARER is none of",
        ),
        ({"security.protocol": "SSL", "ssl.key.pem": "x"}, "ssl.key.pem: .* not follow"),
        ({"ssl.key.pem": "x"}, ""),
        ({"security.protocol": "morse"}, "security.protocol=morse is not known"),
    ],
)
def test_what_is_not_spoken_is_named(security: Mapping[str, str], reason: str) -> None:
    found = obstacle(security)
    assert bool(found) == bool(reason)
    assert re.match(reason, found)


def test_the_mechanisms_are_those_that_converse() -> None:
    for mechanism in sasl.MECHANISMS:
        assert next(conversation({**SECURITY, "sasl.mechanisms": mechanism}))
    assert b64decode("biws") == b"n,,"
