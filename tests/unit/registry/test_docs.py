"""docs/registry.md tells the truth: its tables are the tables, and its questions are answered."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import text

from headrace.registry.kept import Checkpoint, Snapshot
from headrace.registry.sql import SqlRegistry
from headrace.registry.tables import metadata
from tests.unit.registry.suite import sha256, task

PAGE = (Path(__file__).parents[3] / "docs" / "registry.md").read_text("utf-8")


def test_the_pages_tables_are_the_tables() -> None:
    sections = re.findall(r"^### (\w+)\n(.*?)(?=^##)", PAGE, re.MULTILINE | re.DOTALL)
    described = {
        name: [
            column
            for row in re.findall(r"^\| (`.*?`) \|", body, re.MULTILINE)
            for column in re.findall(r"`(\w+)`", row)
        ]
        for name, body in sections
    }
    assert described == {
        name: [column.name for column in table.columns] for name, table in metadata.tables.items()
    }


def test_the_pages_questions_are_answered(tmp_path: Path) -> None:
    registry = SqlRegistry(f"sqlite:///{tmp_path / 'r.db'}", sha256)
    registry.migrate()
    registry.register_version("flights", "{}", "d1", {"river": "0"})
    for offset in (10, 20, 30):
        registry.insert_checkpoint("flights", 1, offset - 10, Checkpoint(offset, b"state"))
    for partition, offset in ((1, 5), (0, 40), (0, 60)):
        registry.put_snapshot(task(partition, stage="monitor"), Snapshot(offset, "[]", b"whole"))
    asked = {"model": "flights", "version": 1, "learned_to": 20}
    asked["moment"] = str(datetime.now(UTC))
    questions = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
    with registry.database.engine.connect() as connection:
        answers = [
            [*map(tuple, connection.execute(text(each), only(each, asked)))] for each in questions
        ]
    registry.close()
    digest = sha256(b"state")
    made, served, same, room, restored = answers
    assert [row[2:] for row in made] == [(20, digest)]
    assert [(row[0], row[2]) for row in served] == [(1, "the first version")]
    assert same == [("flights", 1, digest)]
    assert room == [("flights", 1, 3, 15)]
    assert [row[:4] for row in restored] == [("monitor", 0, 60, 5), ("monitor", 1, 5, 5)]


def only(question: str, asked: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in asked.items() if f":{name}" in question}
