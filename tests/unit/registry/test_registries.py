"""The shared suite on the registry in memory, and on the one in SQLite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.registry.memory import MemoryRegistry
from headrace.registry.sql import SqlRegistry
from tests.unit.registry.snapshots import SnapshotSuite
from tests.unit.registry.sources import SourceSuite
from tests.unit.registry.suite import RegistrySuite, Ticking, sha256


class TestMemory(RegistrySuite, SnapshotSuite, SourceSuite):
    @pytest.fixture
    def registry(self) -> MemoryRegistry:
        return MemoryRegistry(sha256, clock=Ticking())


class TestSqlite(RegistrySuite, SnapshotSuite, SourceSuite):
    @pytest.fixture
    def registry(self, tmp_path: Path) -> Iterator[SqlRegistry]:
        registry = SqlRegistry(
            f"sqlite:///{tmp_path / 'new folder' / '100%.db'}", sha256, clock=Ticking()
        )
        registry.migrate()
        yield registry
        registry.close()
