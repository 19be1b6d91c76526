"""A wire between a client and a service: what passes, what waits, what is refused."""

from __future__ import annotations

import gc
import socket
import threading
import warnings
from collections.abc import Iterator

import pytest

from headrace.app.stack.process import LOOPBACK
from tests.faults.proxy import Net, Wire


@pytest.fixture
def wire() -> Iterator[Wire]:
    """A wire to a service that says back what it is told."""
    with socket.create_server((LOOPBACK, 0)) as service:
        threading.Thread(target=serve, args=(service,), daemon=True).start()
        net = Net()
        yield net.wire(service.getsockname()[1])
        net.close()
        service.shutdown(socket.SHUT_RDWR)


def serve(service: socket.socket) -> None:
    while True:
        try:
            link, _ = service.accept()
        except OSError:
            return
        threading.Thread(target=echo, args=(link,), daemon=True).start()


def echo(link: socket.socket) -> None:
    with link:
        while data := link.recv(1_024):
            link.sendall(data)


def test_what_is_held_comes_when_the_wire_is_healed(wire: Wire) -> None:
    with socket.create_connection((LOOPBACK, wire.port), timeout=5) as link:
        link.sendall(b"one")
        assert link.recv(9) == b"one"
        wire.hold()
        link.sendall(b"two")
        link.settimeout(0.2)
        with pytest.raises(TimeoutError):
            link.recv(9)
        wire.heal()
        link.settimeout(5)
        assert link.recv(9) == b"two"


def test_who_is_refused_hears_so_and_may_come_again(wire: Wire) -> None:
    with socket.create_connection((LOOPBACK, wire.port), timeout=5) as link:
        link.sendall(b"one")
        assert link.recv(9) == b"one"
        wire.refuse()
        assert closed(link)
    with socket.create_connection((LOOPBACK, wire.port), timeout=5) as link:
        assert closed(link)
    wire.heal()
    with socket.create_connection((LOOPBACK, wire.port), timeout=5) as link:
        link.sendall(b"three")
        assert link.recv(9) == b"three"


def test_a_closed_net_leaves_no_connection_behind() -> None:
    with socket.create_server((LOOPBACK, 0)) as service:
        net = Net()
        wire = net.wire(service.getsockname()[1])
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always", ResourceWarning)
            with socket.create_connection((LOOPBACK, wire.port), timeout=5) as link:
                behind, _ = service.accept()
                with behind:
                    net.close()
                    assert closed(link)
                    assert closed(behind)
            del net, wire
            gc.collect()
        assert [str(one.message) for one in said] == []


def closed(link: socket.socket) -> bool:
    try:
        return link.recv(1) == b""
    except ConnectionResetError:
        return True
