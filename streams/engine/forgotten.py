"""Ends for good what a transactional id has decided, where a broker forgot to say so.

A transaction is decided in one log, and then each of its partitions gets a marker. Brokers from 4.0
on that come back after a kill may drop markers which they still had to write: while a partition has
no leader they take it for deleted (KAFKA-20734, "Return noNode for known partitions without
endpoints"), and call the transaction complete. Its records then hold back all readers at
``read_committed``, its offsets stay pending, and the *next* marker of the same producer decides
about them, whatever it says: what was aborted may be committed after all, or the reverse.

So before a process begins anything, a transaction without a record goes through all partitions that
the slot may have written, and ends as the last one was decided: it marks what was forgotten, and
changes nothing where nothing was. librdkafka has no calls for this; five requests do it. What a
process that died between the second and the last of these was about to commit is aborted by the
next: then its state is ahead of the log, and the take-over refuses.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog

from headrace.schemas.errors import ServiceError
from headrace.streams.engine.connection import Connection
from headrace.streams.engine.translation import FORBIDDEN
from headrace.streams.engine.wire import (
    Address,
    Answer,
    Wire,
    compact,
    connected,
    error_text,
    obstacle,
    text,
)

FIND_COORDINATOR, API_VERSIONS, INIT_PRODUCER_ID = 10, 18, 22
ADD_PARTITIONS, ADD_OFFSETS, END_TRANSACTION, DESCRIBE_TRANSACTIONS = 24, 25, 26, 65
VERSIONS = {
    FIND_COORDINATOR: 1,
    INIT_PRODUCER_ID: 1,
    ADD_PARTITIONS: 1,
    ADD_OFFSETS: 1,
    END_TRANSACTION: 1,
    DESCRIBE_TRANSACTIONS: 0,
}
"""The requests, and the versions in which they are sent. Brokers before 3.0 do not describe."""

COMMITTED = frozenset({"PrepareCommit", "CompleteCommit"})

_TIMEOUT_S = 5.0
_PAUSE_S = 0.05
_LOOK_S = 0.005
_CONCURRENT = 51
_UNKNOWN_ID = 105
_NOT_YET = frozenset({14, 15, 16})
"""The coordinator loads, is not there, or is another."""
_FENCED = frozenset({47, 90})
_NOT_ATTEMPTED = 55
"""Of a partition: another one's error is the cause."""

_log = structlog.get_logger("headrace.kafka")


@dataclass(frozen=True, slots=True)
class Slot:
    """Whose transactions are ended.

    Attributes
    ----------
    transactional_id, group
        Of the slot, and of its role.
    timeout_ms
        For how long its transactions may be open.
    partitions
        Says all that it may have written, by topic; asked once the coordinator has answered.
    """

    transactional_id: str
    group: str
    timeout_ms: int
    partitions: Callable[[], Mapping[str, int]]


BY_HAND = (
    "If a worker says for long, after a broker's death, that its offsets are not to be had yet, end"
    " the transaction that hangs: `kafka-transactions.sh find-hanging`, then `abort`"
    " (docs/reliability.md)."
)


class _Refused(Exception):
    """An answer with an error of Kafka's protocol."""

    def __init__(self, what: str, code: int) -> None:
        super().__init__(f"{what}: {error_text(code)}")
        self.code = code


def end_forgotten(kafka: Connection, slot: Slot) -> bool:
    """Mark what the slot's last transaction decided in all partitions that it may have written.

    Where a broker is too old for it nothing is done: it has not this fault. Where it cannot be
    asked (:func:`~headrace.streams.engine.wire.obstacle`), or does not permit it, that is said. Who
    has taken the slot meanwhile does it for us.

    Returns
    -------
    bool
        Whether the slot has had a transaction, as far as can be told.

    Raises
    ------
    ServiceError
        Kafka does not answer, or not yet: to be tried again.
    """
    if hindrance := obstacle(kafka.security):
        reason = f"{hindrance}. {BY_HAND}"
        _log.warning("forgotten transactions are not looked for", reason=reason)
        return False
    what = f"Kafka at {kafka.brokers}: {slot.transactional_id} could not be looked at"
    try:
        return _end_at(_coordinator(kafka, slot.transactional_id), kafka.security, slot)
    except _Refused as refusal:
        if refusal.code in _NOT_YET or refusal.code == _CONCURRENT:
            raise ServiceError(f"{what}: {refusal}.") from refusal
        _say(refusal)
        return refusal.code in _FENCED
    except (OSError, struct.error, ValueError) as failure:
        raise ServiceError(f"{what} ({failure}).") from failure


def _say(refusal: _Refused) -> None:
    if refusal.code in _FENCED:
        _log.info("forgotten transactions are not looked for", reason=str(refusal))
        return
    remedy = " Grant it (docs/operations.md, Permissions)." if refusal.code in FORBIDDEN else ""
    reason = f"{refusal}.{remedy} {BY_HAND}"
    _log.warning("forgotten transactions are not looked for", reason=reason)


def _end_at(coordinator: Address, security: Mapping[str, str], slot: Slot) -> bool:
    with connected(coordinator, security, _TIMEOUT_S) as wire:
        if not _speaks(wire):
            return False
        state = _state_of(wire, slot.transactional_id)
        if state is None:
            return False
        _pass_through(wire, slot, _producer(wire, slot), committed=state in COMMITTED)
        _log.info("last transaction is ended", slot=slot.transactional_id, was=state)
        return True


def _coordinator(kafka: Connection, transactional_id: str) -> Address:
    """Return who coordinates a transactional id, as the first broker that answers says."""
    failures = []
    for broker in kafka.brokers.split(","):
        host, _, port = broker.strip().rpartition(":")
        address = Address(host.strip("[]"), int(port))
        try:
            with connected(address, kafka.security, _TIMEOUT_S) as wire:
                answer = wire.ask(
                    FIND_COORDINATOR, VERSIONS[FIND_COORDINATOR], text(transactional_id) + b"\1"
                )
        except OSError as failure:
            failures.append(str(failure))
            continue
        _, error = answer.read("ih")
        answer.text()
        if error:
            raise _Refused("FindCoordinator", error)
        answer.number("i")
        return Address(answer.text(), answer.number("i"))
    raise OSError("; ".join(failures))


def _speaks(wire: Wire) -> bool:
    """Return whether the broker knows the requests in our versions."""
    answer = wire.ask(API_VERSIONS, 0, b"")
    error, count = answer.read("hi")
    known = {api: (low, high) for api, low, high in (answer.read("hhh") for _ in range(count))}
    return not error and all(
        known.get(api, (1, 0))[0] <= version <= known.get(api, (1, 0))[1]
        for api, version in VERSIONS.items()
    )


def _state_of(wire: Wire, transactional_id: str) -> str | None:
    """Return the state of a transactional id's last transaction; None if it never had one."""
    body = b"\2" + compact(transactional_id) + b"\0"
    answer = wire.ask(DESCRIBE_TRANSACTIONS, VERSIONS[DESCRIBE_TRANSACTIONS], body, tagged=True)
    answer.number("i")
    if answer.varint() < 2:
        raise ValueError("no state in the answer")
    error = answer.number("h")
    if error == _UNKNOWN_ID:
        return None
    if error:
        raise _Refused("DescribeTransactions", error)
    answer.compact()
    return answer.compact()


def _producer(wire: Wire, slot: Slot) -> tuple[int, int]:
    """Become the transactional id's producer: what its last one left open is aborted by that.

    Returns
    -------
    tuple
        The producer's id and epoch.
    """
    body = text(slot.transactional_id) + struct.pack(">i", slot.timeout_ms)
    number, epoch = _asked(wire, "InitProducerId", INIT_PRODUCER_ID, body).read("qh")
    return number, epoch


def _pass_through(wire: Wire, slot: Slot, producer: tuple[int, int], *, committed: bool) -> None:
    """Do a transaction without a record in all of the slot's partitions and its group's offsets."""
    name = text(slot.transactional_id) + struct.pack(">qh", *producer)
    partitions = slot.partitions()
    topics = b"".join(
        text(topic) + struct.pack(f">i{count}i", count, *range(count))
        for topic, count in partitions.items()
    )
    body = name + struct.pack(">i", len(partitions)) + topics
    _asked(wire, "AddPartitionsToTxn", ADD_PARTITIONS, body, _error_of_any)
    _asked(wire, "AddOffsetsToTxn", ADD_OFFSETS, name + text(slot.group))
    _asked(wire, "EndTxn", END_TRANSACTION, name + struct.pack(">?", committed))
    _await_end(wire, slot.transactional_id)


def _await_end(wire: Wire, transactional_id: str) -> None:
    """Wait until all markers are written: librdkafka would wait for them longer."""
    until = time.monotonic() + _TIMEOUT_S
    while not (_state_of(wire, transactional_id) or "").startswith("Complete"):
        if time.monotonic() > until:
            raise _Refused("EndTxn", _CONCURRENT)
        time.sleep(_LOOK_S)


def _error(answer: Answer) -> int:
    _, error = answer.read("ih")
    return int(error)


def _error_of_any(answer: Answer) -> int:
    """Return the first error in an answer about partitions that does not pass by itself, or one."""
    _, topics = answer.read("ii")
    found = []
    for _ in range(topics):
        answer.text()
        for _ in range(answer.number("i")):
            _, error = answer.read("ih")
            found.append(error)
    errors = [error for error in found if error]
    lasting = [error for error in errors if error != _CONCURRENT]
    causes = [error for error in lasting if error != _NOT_ATTEMPTED]
    return next(iter(causes or lasting or errors), 0)


def _asked(
    wire: Wire, what: str, api: int, body: bytes, error_in: Callable[[Answer], int] = _error
) -> Answer:
    """Ask until the last transaction's end is not in the way; return the answer behind its error.

    Raises
    ------
    _Refused
        With another error than that, or with that for as long as any answer may take.
    """
    until = time.monotonic() + _TIMEOUT_S
    while error := error_in(answer := wire.ask(api, VERSIONS[api], body)):
        if error != _CONCURRENT or time.monotonic() > until:
            raise _Refused(what, error)
        time.sleep(_PAUSE_S)
    return answer
