"""Ending what a broker forgot, over a socket: what is asked, and what is made of any answer."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from headrace.schemas.errors import ServiceError
from headrace.streams.engine import forgotten
from headrace.streams.engine.connection import Connection
from headrace.streams.engine.forgotten import VERSIONS, Slot, end_forgotten
from headrace.streams.engine.wire import compact, text

SLOT = Slot("g-0", "g", 4_000, lambda: {"out": 2, "counts": 1})
NOTHING = struct.pack(">ih", 0, 0)
Replies = Mapping[int, "bytes | Callable[[int], bytes]"]


def state(name: str, error: int = 0) -> bytes:
    """Return what is said of a transactional id."""
    return struct.pack(">i", 0) + b"\2" + struct.pack(">h", error) + compact("g-0") + compact(name)


def known(versions: Mapping[int, tuple[int, int]]) -> bytes:
    listed = b"".join(struct.pack(">hhh", api, *span) for api, span in versions.items())
    return struct.pack(">hi", 0, len(versions)) + listed


def added(error: int) -> bytes:
    answer = struct.pack(">ii", 0, 2)
    answer += text("out") + struct.pack(">iihih", 2, 0, 0, 1, error)
    return answer + text("counts") + struct.pack(">iih", 1, 0, 0)


USUAL: Replies = {
    forgotten.API_VERSIONS: known({api: (0, 9) for api in VERSIONS}),
    forgotten.DESCRIBE_TRANSACTIONS: state("CompleteCommit"),
    forgotten.INIT_PRODUCER_ID: NOTHING + struct.pack(">qh", 77, 5),
    forgotten.ADD_PARTITIONS: added(0),
    forgotten.ADD_OFFSETS: NOTHING,
    forgotten.END_TRANSACTION: NOTHING,
}


class Scripted:
    """A broker that answers each kind of request as it is told, and coordinates everything."""

    def __init__(self, replies: Replies) -> None:
        self.asked: list[tuple[int, bytes]] = []
        self._replies = {**USUAL, **replies}
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    @property
    def kafka(self) -> Connection:
        return Connection(f"127.0.0.1:{self._listening.getsockname()[1]}")

    def bodies(self, api: int) -> list[bytes]:
        """Return what was asked by one kind of request."""
        return [body for asked, body in self.asked if asked == api]

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(10)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            with connection:
                self._converse(connection)

    def _converse(self, connection: socket.socket) -> None:
        while head := connection.recv(4, socket.MSG_WAITALL):
            request = connection.recv(struct.unpack(">i", head)[0], socket.MSG_WAITALL)
            api, _, number = struct.unpack_from(">hhi", request)
            self.asked.append((api, request[10 + len("headrace") :]))
            reply = self._reply(api)
            if reply is None:
                return
            tags = b"\0" if api == forgotten.DESCRIBE_TRANSACTIONS else b""
            answer = struct.pack(">i", number) + tags + reply
            connection.sendall(struct.pack(">i", len(answer)) + answer)

    def _reply(self, api: int) -> bytes | None:
        if api == forgotten.FIND_COORDINATOR and api not in self._replies:
            port = self._listening.getsockname()[1]
            return struct.pack(">ihhi", 0, 0, -1, 1) + text("127.0.0.1") + struct.pack(">i", port)
        reply = self._replies[api]
        return reply(len(self.bodies(api))) if callable(reply) else reply or None


@contextmanager
def broker(replies: Replies) -> Iterator[Scripted]:
    with closing(Scripted(replies)) as made:
        yield made


@pytest.mark.parametrize(
    ("was", "committed"),
    [
        ("CompleteCommit", True),
        ("PrepareCommit", True),
        ("CompleteAbort", False),
        ("PrepareAbort", False),
        ("Ongoing", False),
        ("Empty", False),
    ],
)
def test_it_ends_as_the_last_one_was_decided(was: str, committed: bool) -> None:
    def then(asked: int) -> bytes:
        return state(was if asked == 1 else "CompleteAbort")

    with broker({forgotten.DESCRIBE_TRANSACTIONS: then}) as made:
        end_forgotten(made.kafka, SLOT)
    name = text("g-0") + struct.pack(">qh", 77, 5)
    assert made.bodies(forgotten.INIT_PRODUCER_ID) == [text("g-0") + struct.pack(">i", 4_000)]
    topics = struct.pack(">i", 2) + text("out") + struct.pack(">iii", 2, 0, 1)
    topics += text("counts") + struct.pack(">ii", 1, 0)
    assert made.bodies(forgotten.ADD_PARTITIONS) == [name + topics]
    assert made.bodies(forgotten.ADD_OFFSETS) == [name + text("g")]
    assert made.bodies(forgotten.END_TRANSACTION) == [name + struct.pack(">?", committed)]


def test_what_is_still_being_ended_is_waited_for() -> None:
    busy = struct.pack(">ih", 0, 51)
    replies: Replies = {
        forgotten.INIT_PRODUCER_ID: lambda asked: busy if asked < 3 else NOTHING + bytes(10),
        forgotten.ADD_PARTITIONS: lambda asked: added(51) if asked < 3 else added(0),
        forgotten.DESCRIBE_TRANSACTIONS: lambda asked: state(
            "Ongoing" if asked < 3 else "CompleteAbort"
        ),
    }
    with broker(replies) as made:
        end_forgotten(made.kafka, SLOT)
    assert [len(made.bodies(api)) for api in replies] == [3, 3, 3]
    assert len(made.bodies(forgotten.END_TRANSACTION)) == 1


@pytest.mark.parametrize(
    "replies",
    [
        {forgotten.API_VERSIONS: known({api: (0, 9) for api in VERSIONS if api < 60})},
        {forgotten.API_VERSIONS: known({api: (2, 9) for api in VERSIONS})},
        {forgotten.DESCRIBE_TRANSACTIONS: state("", 105)},
    ],
    ids=["an old broker", "one that is too new", "no past"],
)
def test_nothing_is_begun_where_nothing_can_have_been_forgotten(replies: Replies) -> None:
    with broker(replies) as made:
        end_forgotten(made.kafka, SLOT)
    assert not made.bodies(forgotten.INIT_PRODUCER_ID)


def test_by_a_mechanism_that_is_not_spoken_nothing_is_asked_and_that_is_said() -> None:
    security = {"security.protocol": "SASL_SSL", "sasl.mechanisms": "OAUTHBEARER"}
    with capture_logs() as logs:
        end_forgotten(Connection("127.0.0.1:1", security), SLOT)
    (line,) = logs
    assert line["log_level"] == "warning"
    assert line["event"] == "forgotten transactions are not looked for"
    assert line["reason"].startswith("sasl.mechanisms=OAUTHBEARER is none of PLAIN, SCRAM")
    assert "kafka-transactions.sh find-hanging" in line["reason"]


@pytest.mark.parametrize(
    "replies",
    [
        {forgotten.DESCRIBE_TRANSACTIONS: state("", 53)},
        {forgotten.INIT_PRODUCER_ID: struct.pack(">ih", 0, 90)},
        {forgotten.ADD_PARTITIONS: added(29)},
        {forgotten.END_TRANSACTION: struct.pack(">ih", 0, 47)},
    ],
    ids=["not permitted", "fenced", "a topic not permitted", "fenced at the end"],
)
def test_whoever_may_not_goes_on_without(
    replies: Replies, capsys: pytest.CaptureFixture[str]
) -> None:
    with broker(replies) as made:
        end_forgotten(made.kafka, SLOT)
    assert "forgotten transactions are not looked for" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("replies", "said"),
    [
        ({forgotten.FIND_COORDINATOR: struct.pack(">ihh", 0, 15, -1)}, "FindCoordinator: .* 15"),
        ({forgotten.DESCRIBE_TRANSACTIONS: state("", 14)}, "DescribeTransactions: error code 14"),
        ({forgotten.ADD_OFFSETS: struct.pack(">ih", 0, 16)}, "AddOffsetsToTxn: error code 16"),
        ({forgotten.END_TRANSACTION: b""}, "ended within the answer"),
        ({forgotten.DESCRIBE_TRANSACTIONS: struct.pack(">i", 0) + b"\1"}, "no state"),
    ],
)
def test_what_may_come_right_is_to_be_tried_again(replies: Replies, said: str) -> None:
    with broker(replies) as made, pytest.raises(ServiceError, match=said):
        end_forgotten(made.kafka, SLOT)


@pytest.mark.parametrize(
    "stuck",
    [forgotten.INIT_PRODUCER_ID, forgotten.ADD_PARTITIONS, forgotten.DESCRIBE_TRANSACTIONS],
)
def test_nothing_is_waited_for_without_end(stuck: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forgotten, "_TIMEOUT_S", 0.2)
    never = {
        forgotten.INIT_PRODUCER_ID: struct.pack(">ih", 0, 51),
        forgotten.ADD_PARTITIONS: added(51),
        forgotten.DESCRIBE_TRANSACTIONS: state("Ongoing"),
    }[stuck]
    with broker({stuck: never}) as made, pytest.raises(ServiceError, match="error code 51"):
        end_forgotten(made.kafka, SLOT)


def test_the_cause_is_named_and_not_what_was_not_attempted_for_it() -> None:
    partitions = struct.pack(">iihihih", 3, 0, 55, 1, 29, 2, 51)
    answer = struct.pack(">ii", 0, 1) + text("out") + partitions
    with broker({forgotten.ADD_PARTITIONS: answer}) as made, capture_logs() as logs:
        end_forgotten(made.kafka, SLOT)
    (line,) = logs
    assert line["reason"].startswith(
        "AddPartitionsToTxn: error code 29 of Kafka's protocol, Broker: Topic authorization failed."
        " Grant it (docs/operations.md, Permissions)."
    )


def test_nobody_there_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with pytest.raises(ServiceError, match=r"g-0 could not be looked at .*refused.*; .*refused"):
        end_forgotten(Connection(f"127.0.0.1:{port}, 127.0.0.1:{port}"), SLOT)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(USUAL)), st.binary(min_size=1, max_size=60))
def test_no_answer_breaks_it(api: int, found: bytes) -> None:
    with pytest.MonkeyPatch.context() as patch, broker({api: found}) as made:
        patch.setattr(forgotten, "_TIMEOUT_S", 0.1)
        with suppress(ServiceError):  # any other error would end the worker
            end_forgotten(made.kafka, SLOT)
