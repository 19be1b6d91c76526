"""The exposition, as Prometheus' own parser reads it, and by its rules for names."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from headrace.app import prometheus
from headrace.app.prometheus import SupervisorCollector, WorkerCollector
from headrace.app.supervisor import Supervisor, WorkerCommand, slots_of

SNAPSHOT: dict[str, Any] = {
    "role": "join",
    "slot": 2,
    "version": 7,
    "learned_to": 1_234,
    "records": 50_000,
    "emitted": 40_000,
    "transactions": 300,
    "commit_seconds": 1.5,
    "tasks": {
        "flights/7/join/2": {"lag": 12, "waiting": 99, "entries": 101, "held": 120, "limit": 300},
        "flights/7/monitor/0": {"lag": None, "waiting": 0, "entries": 40, "unsaved": None},
        "flights/7/learn/0": {"lag": None, "waiting": 0, "entries": 0, "unsaved": 1_500},
    },
    "figures": [
        ("auc", "all", "1d", 0.91),
        ("auc", "carrier=UA", "1h", None),
        ("dead_letters.score.not_json", 'origin="x"\\\n', "all", 3.0),
    ],
    "alerts": {"input": 2, "score": 0},
}

WRONG_UNITS = re.compile(r"_(ms|milliseconds|minutes|hours|kb|percent)(_|$)")


def exposed(snapshot: dict[str, Any]) -> str:
    registry = CollectorRegistry()
    registry.register(WorkerCollector("flights", lambda: snapshot))
    return generate_latest(registry).decode()


def samples(text: str) -> dict[str, dict[tuple[str, ...], float]]:
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


def test_values() -> None:
    found = samples(exposed(SNAPSHOT))
    worker = ("flights", "join", "2")
    assert found["headrace_worker_info"] == {(*worker, "7"): 1}
    assert found["headrace_records_total"] == {worker: 50_000}
    assert found["headrace_emitted_records_total"] == {worker: 40_000}
    assert found["headrace_transactions_total"] == {worker: 300}
    assert found["headrace_commit_seconds_total"] == {worker: 1.5}
    assert found["headrace_model_learned_to_offset"] == {worker: 1_234}
    assert found["headrace_lag_records"] == {(*worker, "flights/7/join/2"): 12}
    assert found["headrace_waiting_records"][(*worker, "flights/7/join/2")] == 99
    assert found["headrace_state_entries"][(*worker, "flights/7/monitor/0")] == 40
    assert found["headrace_join_held_records"] == {(*worker, "flights/7/join/2"): 120}
    assert found["headrace_join_limit_records"] == {(*worker, "flights/7/join/2"): 300}
    assert found["headrace_unsaved_records"] == {(*worker, "flights/7/learn/0"): 1_500}
    assert found["headrace_metric_value"] == {
        ("auc", "flights", "all", "1d"): 0.91,  # labels are in alphabetical order
        ("dead_letters.score.not_json", "flights", 'origin="x"\\\n', "all"): 3,
    }
    assert found["headrace_metric_values_left_out"] == {("flights",): 0}
    # Labels are in alphabetical order.
    assert found["headrace_alerts_active"] == {("input", "flights"): 2, ("score", "flights"): 0}


def test_what_is_not_known_is_not_exported() -> None:
    found = samples(exposed({"role": "score", "slot": 0, "learned_to": None, "records": 0}))
    assert found["headrace_records_total"] == {("flights", "score", "0"): 0}
    assert "headrace_commit_seconds_total" not in found
    assert "headrace_model_learned_to_offset" not in found
    assert not found.get("headrace_lag_records")
    assert "headrace_alerts_active" not in found


def test_names_types_and_help_follow_the_conventions() -> None:
    text = exposed(SNAPSHOT)
    families = list(text_string_to_metric_families(text))
    assert len({family.name for family in families}) == len(families)
    for family in families:
        assert re.fullmatch(r"headrace_[a-z][a-z_]*", family.name)
        assert not WRONG_UNITS.search(family.name)
        assert family.documentation.endswith(".")
        assert family.type in {"counter", "gauge"}
        for sample in family.samples:
            assert sample.name.endswith("_total") == (family.type == "counter")
            assert not {"le", "quantile", "job", "instance"} & sample.labels.keys()
    for name in {sample.name for family in families for sample in family.samples}:
        base = name.removesuffix("_total")
        declared = [line for line in text.splitlines() if line.startswith(f"# TYPE {name} ")]
        assert len(declared) == 1, base
        assert text.count(f"# HELP {name} ") == 1


def test_figures_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prometheus, "FIGURES_MAX", 2)
    figures = [("auc", f"carrier={number}", "1d", 0.5) for number in range(5)]
    found = samples(exposed({**SNAPSHOT, "figures": figures}))
    assert len(found["headrace_metric_value"]) == 2
    assert found["headrace_metric_values_left_out"] == {("flights",): 3}


def test_a_supervisor_says_which_slots_have_a_process() -> None:
    supervisor = Supervisor(slots_of(2, 1), WorkerCommand(Path("pipeline.py"), 0))
    supervisor.posts[1].backoff.restarts = 4
    registry = CollectorRegistry()
    registry.register(SupervisorCollector("flights", supervisor.snapshot))
    found = samples(generate_latest(registry).decode())
    slots = {("flights", "score", "0"), ("flights", "score", "1"), ("flights", "join", "0")}
    slots.add(("flights", "learn", "0"))
    assert found["headrace_slot_running"] == dict.fromkeys(slots, 0)
    assert found["headrace_restarts_total"] == {
        slot: 4 * (slot == ("flights", "score", "1")) for slot in slots
    }
