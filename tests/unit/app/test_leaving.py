"""LeaveGroup over a socket: what is asked, and what is made of any answer."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.schemas.errors import ServiceError
from headrace.streams.engine import leaving
from headrace.streams.engine.leaving import let_leave
from headrace.streams.engine.wire import Address, Answer


def text(value: str) -> bytes:
    return struct.pack(">h", len(value)) + value.encode()


def answer(error: int, *members: tuple[str, int]) -> bytes:
    found = struct.pack(">iihi", 1, 0, error, len(members))
    for name, code in members:
        found += text("") + text(name) + struct.pack(">h", code)
    return struct.pack(">i", len(found)) + found


@contextmanager
def broker(reply: bytes) -> Iterator[tuple[Address, list[bytes]]]:
    """A broker that answers one request with some bytes, and hangs up."""
    asked: list[bytes] = []
    listening = socket.create_server(("127.0.0.1", 0))
    listening.settimeout(10)

    def serve() -> None:
        connection, _ = listening.accept()
        with connection:
            asked.append(connection.recv(65_536))
            connection.sendall(reply)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield Address("127.0.0.1", listening.getsockname()[1]), asked
    finally:
        thread.join(10)
        listening.close()


def test_the_request_is_kafkas_leave_group_of_version_3() -> None:
    with broker(answer(0, ("g-1", 0))) as (address, asked):
        let_leave(address, {}, "g", ["g-1"])
    body = struct.pack(">hhi", 13, 3, 1) + text("headrace") + text("g")
    body += struct.pack(">i", 1) + text("") + text("g-1")
    assert asked == [struct.pack(">i", len(body)) + body]


def test_members_that_are_gone_already_are_no_fault() -> None:
    with broker(answer(0, ("g-1", 25), ("g-2", 0))) as (address, _):
        let_leave(address, {}, "g", ["g-1", "g-2"])


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (answer(16), "error code 16"),
        (answer(0, ("g-1", 82)), r"g-1 \(82\)"),
        (b"", "ended within the answer"),
        (answer(0, ("g-1", 0))[:-3], "ended within the answer"),
        (struct.pack(">i", 2**30), "an answer of 1073741824 bytes"),
        (struct.pack(">i", 3) + b"abc", "members could not leave g"),
    ],
)
def test_any_other_answer_is_one_sentence(reply: bytes, said: str) -> None:
    with broker(reply) as (address, _), pytest.raises(ServiceError, match=said):
        let_leave(address, {}, "g", ["g-1"])


def test_nobody_there_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with pytest.raises(ServiceError, match=r"could not leave g .*refused"):
        let_leave(Address("127.0.0.1", port), {}, "g", ["g-1"])


@given(st.binary(max_size=200))
def test_no_answer_is_mistaken_or_endless(found: bytes) -> None:
    try:
        _, members = leaving._read(Answer(found))
    except (struct.error, ValueError):
        return
    assert len(members) <= len(found)
