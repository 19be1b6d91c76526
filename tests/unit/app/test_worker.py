"""A worker process before it has begun: it waits for its services, and says for which."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headrace.app.stack.process import LOOPBACK, free_port

pytestmark = pytest.mark.timed

FLIGHTS = Path(__file__).parents[3] / "examples" / "flights" / "pipeline.py"


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A worker of services that are not there, and the port of its health endpoint."""
    port, nobody = free_port(), f"{LOOPBACK}:{free_port()}"
    environment = {
        **os.environ,
        "HEADRACE_DATA": str(tmp_path),
        "HEADRACE_KAFKA_BROKERS": nobody,
        "HEADRACE_REDIS_URL": f"redis://{nobody}/0",
    }
    command = [sys.executable, "-m", "headrace.app.worker", str(FLIGHTS), "--http-port", str(port)]
    command += ["--role", "join"]
    log = tmp_path / "worker.log"
    with log.open("w") as out:
        process = subprocess.Popen(command, env=environment, text=True, stdout=out, stderr=out)
    yield process, port
    process.kill()
    process.wait()


def health(port: int) -> tuple[int, dict[str, Any]] | None:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=5)
    try:
        connection.request("GET", "/health")
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    except OSError:
        return None
    finally:
        connection.close()


@pytest.mark.timeout(120)
def test_it_waits_for_a_broker_and_says_so(
    worker: tuple[subprocess.Popen[str], int], tmp_path: Path
) -> None:
    process, port = worker
    until = time.monotonic() + 100
    while "Kafka" not in (tmp_path / "worker.log").read_text():
        assert process.poll() is None, f"it ended with {process.returncode}"
        assert time.monotonic() < until, "it says nothing of Kafka"
        time.sleep(0.1)
    said = health(port)
    assert said is not None
    status, found = said
    assert status == 503
    assert found["waits_for"].startswith("No Kafka broker answers")
    assert process.poll() is None
    mine = os.getpriority(os.PRIO_PROCESS, 0)
    assert os.getpriority(os.PRIO_PROCESS, process.pid) > mine  # predictions go before it
    process.send_signal(signal.SIGTERM)
    process.wait(5)
