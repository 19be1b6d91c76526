"""Kafka, Redis and the registry restored from yesterday, each with the others from today.

What comes of it is exact, or is refused with a remedy that leads to what is exact.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from itertools import islice
from pathlib import Path
from unittest.mock import patch

import pytest

from headrace.app.cli.main import main
from headrace.app.stack.stack import Stack
from headrace.app.supervision import REFUSED
from headrace.streams.engine.publisher import Publisher
from headrace.streams.flow import ROLES
from tests.faults.judge import checkpoint_differences, logs_of, state_differences, truth_of
from tests.faults.slots import wait_until
from tests.faults.system import System, running
from tests.services import fetch_or_skip
from tests.systems.flights import flights_plan, outgoing

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

PARTS = {"kafka": "kafka", "redis": "valkey", "registry": "registry.db"}
"""Where each part keeps what it knows, in a stack's data folder."""

DAY = 500
"""So many events and labels are published in a day."""

EXACT = [("redis",), ("registry",), ("redis", "registry")]
REFUSED_UNTIL_REBUILT = [("kafka", "redis"), ("kafka", "registry"), ("kafka",)]
if not os.environ.get("WHOLE"):  # each stage takes 20 s until it refuses: `make backups` tries all
    EXACT, REFUSED_UNTIL_REBUILT = EXACT[:2], REFUSED_UNTIL_REBUILT[:1]


class Site:
    """A stack's data folder, a pipeline on that stack, and what is left to publish."""

    def __init__(self, folder: Path, days: int = 0) -> None:
        self.folder = folder
        self.data = folder / "data"
        self._records = islice(outgoing(flights_plan()), days * DAY, None)

    def day(self) -> None:
        """Start all there is, publish a day, and let it be learned; then stop."""
        with Stack(self.data) as stack, running(self.system(stack)) as system:
            self.work(system)

    def work(self, system: System) -> None:
        """Publish a day to workers that are started for it."""
        system.start()
        system.wait_running()
        with Publisher(system.plan, system.services.kafka) as publisher:
            system.publish(publisher, islice(self._records, DAY))
            system.finish(publisher)
        assert set(system.stop()) == {0}

    def system(self, stack: Stack) -> System:
        return System(
            self.folder / "system",
            "flights",
            {
                "HEADRACE_DATA": str(self.data),
                "HEADRACE_KAFKA_BROKERS": str(stack.addresses["kafka"]),
                "HEADRACE_REDIS_URL": str(stack.addresses["redis"]),
            },
        )


@pytest.fixture(scope="module")
def evenings() -> Iterator[tuple[Path, Path]]:
    """The data folder as it was yesterday evening, and as it is after today's work."""
    folder = Path(tempfile.mkdtemp(prefix="headrace-tests-"))
    site = Site(folder)
    fetch_or_skip(site.data)
    site.day()
    shutil.copytree(site.data, folder / "yesterday")
    site.day()
    yield folder / "yesterday", site.data
    shutil.rmtree(folder)


@pytest.fixture
def site(evenings: tuple[Path, Path], parts: tuple[str, ...], tmp_path: Path) -> Iterator[Site]:
    """A data folder of today, in which parts are from yesterday."""
    yesterday, today = evenings
    old = [path for part in parts for path in yesterday.glob(f"{PARTS[part]}*")]
    made = Site(tmp_path, days=2)
    shutil.copytree(today, made.data, ignore=lambda *_: [path.name for path in old])
    for path in old:
        copy = shutil.copytree if path.is_dir() else shutil.copy
        copy(path, made.data / path.name)
    yield made
    shutil.rmtree(tmp_path)


def check_exact(system: System) -> None:
    """See that all there is equals what plain programs make of the logs."""
    logs = logs_of(system)
    report = truth_of(system, logs)
    assert report.is_truth, report.text()
    assert not state_differences(system, logs)
    assert not checkpoint_differences(system)


@pytest.mark.parametrize("parts", EXACT, ids="-".join)
def test_what_is_behind_the_log_is_made_anew_from_it(site: Site) -> None:
    with Stack(site.data) as stack, running(site.system(stack)) as system:
        site.work(system)
        check_exact(system)


@pytest.mark.parametrize("parts", REFUSED_UNTIL_REBUILT, ids="-".join)
def test_a_log_that_has_lost_a_day_is_refused_until_the_remedy(
    site: Site, parts: tuple[str, ...]
) -> None:
    with Stack(site.data) as stack, running(site.system(stack)) as system:
        rebuilt = [stage for role in ROLES for stage in rebuilt_stages(system, role)]
        assert ("learn" in rebuilt) == ("registry" not in parts)
        assert ("score" in rebuilt) == ("redis" not in parts)
        site.work(system)
        check_exact(system)


def rebuilt_stages(system: System, role: str) -> list[str]:
    """Do what a role's worker asks for until it runs; return the stages that were rebuilt."""
    slot = system.slot(role)
    rebuilt: list[str] = []
    while True:
        slot.start()
        log = system.log_of(slot)
        wait_until(lambda: slot.ended() or runs(system, role), 60, f"{role} runs or refuses")
        if slot.process is not None:
            assert slot.stop() == 0
            return rebuilt
        assert slot.codes[-1] == REFUSED
        (stage,) = set(re.findall(r"`headrace rebuild flights (\w+)", log.read_text()))
        assert stage not in rebuilt, f"{stage} refuses again"
        rebuilt.append(stage)
        rebuild(system, stage)


def runs(system: System, role: str) -> bool:
    """Whether a role's worker has all of its tasks."""
    report = system.workers().get(f"{role}-0", {})
    settled = report.get("state") == "running" and len(report["tasks"]) == system.tasks_of(role)
    return settled and report["pid"] == system.slot(role).pid


def rebuild(system: System, stage: str) -> None:
    output = StringIO()
    with patch.dict(os.environ, system.environment, clear=True), redirect_stdout(output):
        assert main(["rebuild", "flights", stage]) == 0
    assert f"the state of {stage}" in output.getvalue()
