"""Exactly once on real Kafka, a first look: killed at each named point, stopped past a session."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

import pytest

from headrace.app.stack.stack import Stack
from headrace.streams.engine.publisher import Publisher
from headrace.streams.outgoing import Outgoing
from tests.faults.judge import checkpoint_differences, logs_of, state_differences, truth_of
from tests.faults.slots import NONE, Fault, wait_until
from tests.faults.system import System, running
from tests.services import fresh_name
from tests.systems.flights import outgoing


@pytest.fixture
def system(stack: Stack, redis_url: str, tmp_path: Path) -> System:
    """A flights pipeline of a fresh name, whose sessions and transactions time out soon."""
    environment = {
        "HEADRACE_KAFKA_BROKERS": str(stack.addresses["kafka"]),
        "HEADRACE_REDIS_URL": redis_url,
        "HEADRACE_PARTITIONS": "3",
        "HEADRACE_SESSION_MS": "4000",
        "HEADRACE_TRANSACTION_MS": "4000",
    }
    return System(tmp_path / "system", fresh_name("flights"), environment)


pytestmark = [pytest.mark.integration, pytest.mark.slow]

GAPS = ["before:log.begin", "after:log.begin", "after:log.produce", "after:log.send_offsets"]
"""Between two steps of a commit, up to where its outcome is unknown."""

STORED = [*GAPS, "after:log.end", "after:store.write"]
LEARNED = [*GAPS, "before:registry.insert_checkpoint", "after:registry.insert_checkpoint"]
TAKE_OVER = ["after:store.claim", "after:log.committed", "after:registry.witness"]


def kills(*points: str) -> list[Fault]:
    return [Fault("kill", point) for point in points]


def parts(records: Sequence[Outgoing], count: int) -> Iterator[Sequence[Outgoing]]:
    size = -(-len(records) // count)
    left = iter(records)
    while part := list(islice(left, size)):
        yield part


def strike(system: System, publisher: Publisher, faults: Mapping[str, Sequence[Fault]]) -> None:
    """Publish the week while each worker dies at one point after another."""
    left = {name: list(each) for name, each in faults.items()}
    waiting = parts(list(outgoing(system.plan)), 60)
    system.start()
    system.wait_running()
    system.publish(publisher, next(waiting))
    for slot in system.slots.values():
        slot.signal(signal.SIGKILL)  # a first one, at no point at all

    def all_struck() -> bool:
        system.look_after(left)
        system.publish(publisher, next(waiting, ()))
        return not any(left.values()) and all(s.fault == NONE for s in system.slots.values())

    wait_until(all_struck, 200, f"all of {faults} strike")
    for part in waiting:
        system.publish(publisher, part)


def judged(system: System) -> None:
    """Assert that nothing is lost, doubled, or different from the fold."""
    logs = logs_of(system)
    report = truth_of(system, logs)
    assert report.is_truth, report.text()
    assert not state_differences(system, logs)
    assert not checkpoint_differences(system)


@pytest.mark.timeout(300)
def test_killed_at_each_point(system: System) -> None:
    faults = {
        "score-0": kills(*STORED, *TAKE_OVER),
        "join-0": kills(*STORED, *TAKE_OVER),
        "learn-0": kills(*LEARNED, *TAKE_OVER[1:]),
    }
    with running(system), Publisher(system.plan, system.services.kafka) as publisher:
        strike(system, publisher, faults)
        system.finish(publisher)
        assert set(system.stop()) == {0}
        judged(system)
        killed = {name: slot.codes.count(-signal.SIGKILL) for name, slot in system.slots.items()}
        assert killed == {name: 1 + len(each) for name, each in faults.items()}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("point", ["after:log.send_offsets", "before:store.write"])
def test_stopped_past_its_session(system: System, point: str) -> None:
    """A zombie wakes when its tasks are another's: what it tries is refused."""
    with running(system), Publisher(system.plan, system.services.kafka) as publisher:
        system.start(score=2)
        system.wait_running()
        zombie = system.slot("score", 0)
        system.replace(zombie, Fault("stop", point, 3))
        system.wait_running()
        left = parts(list(outgoing(system.plan)), 50)
        while not zombie.struck():
            system.publish(publisher, next(left))
            time.sleep(0.05)
        system.publish(publisher, next(left))
        time.sleep(2.5 * system.settings.session_ms / 1000)
        zombie.signal(signal.SIGCONT)
        for part in left:
            system.publish(publisher, part)
        system.finish(publisher)
        assert set(system.stop()) == {0}
        judged(system)
