"""Fixtures of the tests on real services."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.app.stack.stack import Stack
from headrace.streams.engine.admin import Topics
from tests.systems.shop import Shop


@pytest.fixture
def shop(tmp_path: Path, stack: Stack, redis_url: str) -> Iterator[Shop]:
    """A pipeline of a fresh name in a folder of its own; nobody runs it yet."""
    found = Shop(tmp_path, stack, redis_url)
    yield found
    found.store.close()
    Topics(found.kafka.brokers).delete(found.topics)
