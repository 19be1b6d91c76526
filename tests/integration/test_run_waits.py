"""``headrace run`` beside an embedded stack whose parts, and whose keeper, are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import redis

from headrace.app.services import find_services
from headrace.app.settings import settings_from
from headrace.app.stack.detached import down, up
from headrace.app.stack.owner import owner_of
from headrace.app.stack.stack import wait_for
from headrace.app.supervision import REFUSED
from headrace.schemas.errors import HeadraceError
from headrace.streams.engine.publisher import Publisher
from headrace.streams.engine.reader import read
from headrace.streams.load import load_pipeline
from headrace.streams.plan import plan_of
from tests.faults.stack_kills import assert_back, kill, kill_while_mended
from tests.services import fetch_or_skip
from tests.systems.shop import PIPELINE

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(400)]

LIMIT_S = 90.0
_AT = datetime(2024, 1, 1, tzinfo=UTC)


class Run:
    """``headrace run`` on a stack's folder, what is published to it, and what it said."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.data.mkdir()
        self.file = folder / "pipeline.py"
        self.file.write_text(PIPELINE.format(name="orders"))
        self.log = folder / "run.log"
        self.environment = {
            **{name: text for name, text in os.environ.items() if "HEADRACE" not in name},
            "HEADRACE_DATA": str(self.data),
            "HEADRACE_PARTITIONS": "1",
            "COLUMNS": "200",
        }
        self.settings = settings_from({"HEADRACE_DATA": str(self.data)})
        self.plan = plan_of(load_pipeline(self.file))
        self.process: subprocess.Popen[bytes] | None = None
        self._published = 0

    def start(self) -> subprocess.Popen[bytes]:
        words = [sys.executable, "-m", "headrace.app.cli", "run", str(self.file)]
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                words, env=self.environment, stdout=out, stderr=out, start_new_session=True
            )
        return self.process

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_until(self, holds: Callable[[], bool], what: str) -> None:
        def goes_on() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, f"it has ended:\n{self.said()}"
            return holds()

        assert wait_for(goes_on, LIMIT_S), f"{what}:\n{self.said()}"

    def answers_an_event(self) -> None:
        """Publish an event, and wait until it has its prediction."""
        self.wait_until(lambda: "worker started" in self.said(), "no worker is started")
        services = find_services(self.settings)
        self._published += 1
        name = f"o{self._published}"
        with Publisher(self.plan, services.kafka) as publisher:
            order = self.plan.pipeline.events.event
            publisher.event(order(id=name, shop="a", at=_AT, price=1.0))

        def has_come() -> bool:
            try:
                found = list(read(services.kafka, self.plan.topics, "predictions"))
            except HeadraceError:
                return False
            return any(name in map(str, each.values()) for each in found)

        self.wait_until(has_come, f"{name} has no prediction")

    def stop(self) -> int:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(30)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    found = Run(tmp_path)
    fetch_or_skip(found.data)
    yield found
    if found.process is not None and found.process.poll() is None:
        found.stop()
    down(found.data)


def _workers(run: Run) -> list[int]:
    """Return the processes of the workers."""
    assert run.process is not None
    children = Path(f"/proc/{run.process.pid}/task/{run.process.pid}/children").read_text()
    return list(map(int, children.split()))


def test_it_goes_on_when_parts_and_keeper_were_killed(run: Run) -> None:
    keeper = int(up(run.data).addresses["pid"])
    run.start()
    run.answers_an_event()
    kill_while_mended(run.data, "kafka", 0.3)
    kill(run.data, "valkey")
    assert_back(run.data, keeper)
    run.answers_an_event()

    os.kill(keeper, signal.SIGKILL)  # its parts die with it
    assert wait_for(lambda: owner_of(run.data) is None, 10)
    for pid in _workers(run):
        os.kill(pid, signal.SIGKILL)  # who starts now finds no stack at all
    run.wait_until(lambda: "no embedded stack is up" in run.said(), "it does not say for what")
    time.sleep(3)
    up(run.data)
    run.answers_an_event()
    assert run.stop() == 0


def test_it_waits_for_a_stack_that_is_starting(run: Run) -> None:
    """The keeper holds the folder, and its Kafka is killed again and again while it starts."""
    keeper = int(up(run.data).addresses["pid"])
    kafka = kill(run.data, "kafka")
    run.start()
    for _ in range(3):
        kafka = kill(run.data, "kafka", but=kafka)
    assert_back(run.data, keeper)
    run.answers_an_event()


def test_why_a_worker_refuses_stands_in_its_own_output(run: Run) -> None:
    address = str(up(run.data).addresses["redis"])
    with redis.Redis.from_url(address) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
    assert run.start().wait(LIMIT_S) == REFUSED
    (line,) = [line for line in run.said().splitlines() if "worker refused to start" in line]
    assert "maxmemory-policy allkeys-lru" in line
    assert "Set `maxmemory-policy noeviction`" in line
