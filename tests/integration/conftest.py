"""Fixtures of the tests on real services."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.app.stack.stack import Stack
from headrace.streams.engine.admin import Topics
from headrace.streams.engine.connection import Connection
from tests.faults.nursery import Nursery
from tests.integration.logs import KafkaCluster
from tests.services import fresh_name
from tests.systems.shop import Shop

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """What forks workers of any pipeline that are told their services."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HEADRACE_")}
    found = Nursery("tests.faults.worker", ROOT, {**kept, "PYTHONHASHSEED": "0"})
    yield found
    found.close()


@pytest.fixture
def cluster(kafka: Connection) -> Iterator[KafkaCluster]:
    """The session's Kafka; what a test begins there is closed after it."""
    made = KafkaCluster(kafka)
    yield made
    made.close()


@pytest.fixture
def group() -> str:
    """A consumer group of a fresh name."""
    return fresh_name("group")


@pytest.fixture
def shop(tmp_path: Path, stack: Stack, redis_url: str, nursery: Nursery) -> Iterator[Shop]:
    """A pipeline of a fresh name in a folder of its own; nobody runs it yet."""
    found = Shop(tmp_path, stack, redis_url, nursery)
    yield found
    found.store.close()
    Topics(found.kafka.brokers).delete(found.topics)
