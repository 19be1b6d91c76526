"""Health over HTTP: what it says, and what it makes of anything else."""

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client.metrics_core import CounterMetricFamily
from prometheus_client.registry import Collector

from headrace.app.http import Server, serve
from headrace.schemas.errors import SettingsError

pytestmark = pytest.mark.timed


class Records(Collector):
    def collect(self) -> Iterator[CounterMetricFamily]:
        yield CounterMetricFamily("headrace_records", "Records.", value=7)


@pytest.fixture
def stand() -> dict[str, Any]:
    return {"state": "running", "waits_for": "", "time": time.time()}


@pytest.fixture
def server(stand: dict[str, Any]) -> Iterator[Server]:
    found = serve("127.0.0.1", 0, lambda: stand, Records())
    yield found
    found.close()


def ask(server: Server, path: str, method: str = "GET") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    connection.request(method, path)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


def test_a_worker_at_work_is_healthy_and_ready(server: Server) -> None:
    status, body = ask(server, "/health")
    assert status == 200
    assert json.loads(body)["state"] == "running"
    assert ask(server, "/ready")[0] == 200


def test_what_it_waits_for_is_said(server: Server, stand: dict[str, Any]) -> None:
    stand.update(state="waiting for Kafka", waits_for="Kafka")
    for path in ("/health", "/ready"):
        status, body = ask(server, path)
        assert status == 503
        assert json.loads(body)["waits_for"] == "Kafka"


def test_taking_over_is_healthy_and_not_ready(server: Server, stand: dict[str, Any]) -> None:
    stand["state"] = "taking over flights/v1/score/0"
    assert ask(server, "/health")[0] == 200
    assert ask(server, "/ready")[0] == 503


def test_a_snapshot_that_grows_old_is_unhealthy(server: Server, stand: dict[str, Any]) -> None:
    stand["time"] = time.time() - 60
    status, body = ask(server, "/health")
    assert status == 503
    assert "stands still for 60 s" in json.loads(body)["waits_for"]


def test_metrics_are_the_collectors(server: Server) -> None:
    status, body = ask(server, "/metrics")
    assert status == 200
    assert b"headrace_records_total 7.0" in body


PATHS = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=60)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=PATHS, method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "BREW"]))
def test_anything_else_is_no_fault_of_ours(server: Server, path: str, method: str) -> None:
    status, _ = ask(server, f"/x{path}", method)
    assert status in {400, 404, 405}
    assert ask(server, "/health")[0] == 200


def test_what_is_no_http_leaves_it_answering(server: Server) -> None:
    for bytes_sent in (
        b"\0" * 500,
        b"GET / HTTP/9.9\r\n\r\n",
        b"\xff\xfe",
        b"GET " + b"a" * 70_000,
    ):
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
            connection.sendall(bytes_sent)
    assert ask(server, "/health")[0] == 200


def test_a_taken_port_is_one_sentence(server: Server) -> None:
    with pytest.raises(SettingsError, match=f"cannot listen on 127.0.0.1:{server.port}: Address"):
        serve("127.0.0.1", server.port, dict)


def test_closed_it_answers_no_more_and_its_thread_ends(stand: dict[str, Any]) -> None:
    server = serve("127.0.0.1", 0, lambda: stand)
    server.close()
    with pytest.raises(OSError, match="refused"):
        ask(server, "/health")
    assert not [t for t in threading.enumerate() if t.name == "headrace-http"]
