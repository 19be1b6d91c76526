"""The migrations on SQLite."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.registry.migrations import MigrationSuite


class TestSqlite(MigrationSuite):
    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path / 'new' / 'registry.db'}"
