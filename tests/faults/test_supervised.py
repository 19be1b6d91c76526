"""Workers under the product's own supervisor, killed while load runs, come back by it alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import pytest

from headrace.app.stack.process import start_time
from headrace.app.stack.stack import Stack
from headrace.streams.engine.publisher import Publisher
from tests.faults.judge import logs_of, verdict_of
from tests.faults.load import Load
from tests.faults.slots import wait_until
from tests.faults.system import ROOT, System, running
from tests.faults.trial import watch_of
from tests.faults.watch import Watch
from tests.services import fresh_name

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(400)]

WORKERS = {"score-0", "score-1", "join-0", "learn-0"}
RECOVERY_S = 60.0
"""Twice what is promised: test runs share their cores."""
RATE = 60.0


@pytest.fixture
def system(stack: Stack, redis_url: str, tmp_path: Path) -> System:
    """A flights pipeline of a fresh name; nobody runs it yet."""
    environment = {
        "HEADRACE_KAFKA_BROKERS": str(stack.addresses["kafka"]),
        "HEADRACE_REDIS_URL": redis_url,
        "HEADRACE_PARTITIONS": "2",
        "HEADRACE_SESSION_MS": "6000",
        "HEADRACE_TRANSACTION_MS": "4000",
    }
    return System(tmp_path / "system", fresh_name("flights"), environment)


class Supervised:
    """``headrace run``, and the workers that it has by the board's word."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.log = system.folder / "supervisor.log"
        self.process = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        """Run the pipeline's workers."""
        words = [sys.executable, "-m", "headrace.app.cli", "run", str(self.system.file)]
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                [*words, "--score", "2", "--join", "1"],
                cwd=ROOT, env=self.system.environment, stdout=out, stderr=out,
                start_new_session=True,
            )  # fmt: skip
        return self.process

    def pids(self) -> dict[str, int]:
        """Return the processes that run, by slot."""
        board = self.system.workers().items()
        found = {name: said["pid"] for name, said in board if said["state"] == "running"}
        return {name: pid for name, pid in found.items() if start_time(pid) is not None}

    def wait_running(self, *gone: int) -> None:
        """Wait until each slot has a worker that runs, and none of those that are gone."""

        def run() -> bool:
            assert self.process.poll() is None, "the supervisor has ended"
            pids = self.pids()
            return set(pids) == WORKERS and not set(gone) & set(pids.values())

        wait_until(run, RECOVERY_S, "all workers run")

    def stop(self) -> int:
        """Stop it in good order, by force if need be; return its exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


@contextmanager
def under_load(system: System) -> Iterator[tuple[Supervised, Load]]:
    """Lend a supervisor whose workers run under load; both are gone afterwards."""
    with ExitStack() as ends:
        supervised = Supervised(system)
        ends.callback(supervised.stop)
        load = Load(system.plan, system.services.kafka, RATE)
        supervised.wait_running()
        load.start()
        ends.callback(load.quit)
        yield supervised, load


def _goes_on(watch: Watch, since_s: float) -> bool:
    return not watch.silent(since_s)


def _stand_still(stack: Stack, seconds: float) -> None:
    """Stop the broker for longer than a session: it may fence workers whose slot nobody has."""
    pid = stack._parts["kafka"].process.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(seconds)
    finally:
        os.kill(pid, signal.SIGCONT)


def test_its_workers_are_killed_and_so_is_it(system: System, stack: Stack) -> None:
    with running(system), ExitStack() as ends:
        supervised, load = ends.enter_context(under_load(system))
        watch = watch_of(system)
        watch.start()
        ends.callback(watch.stop)
        wait_until(watch.sees_all, RECOVERY_S, "there are outputs")
        watch.settle()
        for names in (["score-0"], ["score-1"], ["join-0"], ["learn-0"], sorted(WORKERS)):
            supervised.wait_running()
            struck_s, killed = time.time(), [supervised.pids()[name] for name in names]
            for pid in killed:
                os.kill(pid, signal.SIGKILL)
            wait_until(partial(_goes_on, watch, struck_s), RECOVERY_S, f"{names} are missed")
            supervised.wait_running(*killed)
        _stand_still(stack, 1.5 * system.settings.session_ms / 1000)
        wait_until(partial(_goes_on, watch, time.time()), RECOVERY_S, "the broker goes on")
        supervised.wait_running()
        orphans = supervised.pids().values()
        supervised.process.kill()
        supervised.process.wait()
        wait_until(
            lambda: all(start_time(pid) is None for pid in orphans), 20, "workers end with it"
        )
        supervised.start()
        supervised.wait_running(*orphans)
        load.stop()
        with Publisher(system.plan, system.services.kafka) as publisher:
            system.finish(publisher)
        assert supervised.stop() == 0
        verdict = verdict_of(system, logs_of(system), load.events)
        assert verdict.holds, verdict
        assert verdict.tally.predictions == verdict.tally.events > 0
