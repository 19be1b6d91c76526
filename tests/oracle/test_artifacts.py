"""The oracle reads announced states and the registry's checkpoints without the product's code."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

from headrace.registry.artifacts import Signer
from headrace.registry.kept import Checkpoint
from headrace.registry.sql import SqlRegistry
from headrace.streams.topics import Partitions
from tests.oracle.artifacts import loads, read_checkpoints
from tests.oracle.logs import Logs
from tests.oracle.truth import check
from tests.oracle.wire import Schemas
from tests.systems.flights import flights_plan, outgoing, publish_in_step
from tests.systems.memory import MemorySystem

SIGNER = Signer(b"a secret of sixteen bytes or more")


def run() -> tuple[Logs, list[tuple[int, Any]]]:
    """A short run, and its announced states by the offset of the examples."""
    plan = flights_plan()
    system = MemorySystem(plan, Partitions(3, 2, 4))
    publish_in_step(system, iter(list(outgoing(plan))[:600]))
    logs = system.logs()
    decode = Schemas(logs.schemas()).decode
    found = [decode(r.value or b"", logs.topics["models"]) for _, r in logs.of("models")]
    return logs, [(said["learned_to"], said["state"]) for said in found if said["state"]]


@pytest.fixture
def registry(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'registry.db'}"


def kept(url: str, states: list[tuple[int, Any]]) -> list[tuple[int, bytes]]:
    """Keep states as checkpoints in a real registry; return what the oracle reads of it."""
    made = SqlRegistry(url, lambda _: "")
    made.migrate()
    version = made.register_version("flights", "{}", "d", {})
    made.serve("flights", version, "first start")
    before = 0
    for offset, state in states:
        checkpoint = Checkpoint(offset, SIGNER.dumps(state))
        assert made.insert_checkpoint("flights", version, before, checkpoint)
        before = offset
    made.close()
    return read_checkpoints(url, "flights")


def test_checkpoints_are_compared_and_a_forged_one_is_named(registry: str) -> None:

    logs, states = run()
    chosen = [(offset, pickle.loads(state)) for offset, state in states[5::5]]
    chosen[-1][1]["model"]["StandardScaler"].counts["distance_mi"] += 1
    found = kept(registry, chosen)
    assert [offset for offset, _ in found] == [offset for offset, _ in chosen]

    def either(state: bytes) -> Any:
        return loads(state) if state.startswith(b"HRMA") else pickle.loads(state)

    report = check(logs, loads=either, checkpoints=found)
    assert report.compared["checkpoints"] == len(chosen) >= 3
    assert dict(report.differing) == {"checkpoints": 1}, report.text()


def test_what_is_no_artifact_is_refused() -> None:
    with pytest.raises(ValueError, match="no artifact"):
        loads(b"\x80\x04N.")


def test_artifacts_need_nothing_of_headrace() -> None:
    with pytest.raises(ImportError, match="must not import"):
        loads(SIGNER.dumps(None)[:37] + b"cheadrace.streams.plan\nPlan\n.")
