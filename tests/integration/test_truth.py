"""The truth of a week on real Kafka, Valkey and SQL: equal to the bit to plain River, and good."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.app.stack.stack import Stack
from headrace.app.wiring import open_signer
from headrace.streams.engine.pace import publish_in_step
from headrace.streams.engine.publisher import Publisher
from tests.faults.judge import alerts_of, checkpoint_differences, logs_of, state_differences
from tests.faults.system import System, running
from tests.oracle.artifacts import read_checkpoints
from tests.oracle.truth import check
from tests.services import fresh_name
from tests.systems.flights import HALF_HOUR_MS, outgoing

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(400)]


def test_the_week_in_half_hour_slices(
    stack: Stack, redis_url: str, postgres_url: str, tmp_path: Path
) -> None:
    environment = {
        "HEADRACE_KAFKA_BROKERS": str(stack.addresses["kafka"]),
        "HEADRACE_REDIS_URL": redis_url,
        "HEADRACE_REGISTRY_URL": postgres_url,
    }
    system = System(tmp_path / "system", fresh_name("flights"), environment)
    with running(system), Publisher(system.plan, system.services.kafka) as publisher:
        system.start()
        system.wait_running()
        steps = publish_in_step(publisher, outgoing(system.plan), HALF_HOUR_MS, system.workers)
        *_, last = steps
        assert last.done
        system.finish(publisher)
        assert set(system.stop()) == {0}
        logs = logs_of(system)
        checkpoints = read_checkpoints(postgres_url, system.name)
        loads = open_signer(system.settings).loads
        report = check(logs, loads=loads, checkpoints=checkpoints, alerts=alerts_of(system, logs))
        assert report.is_truth, report.text()
        assert not state_differences(system, logs)
        assert not checkpoint_differences(system)
    compared = report.compared
    assert compared["events"] == 5_155
    assert compared["examples"] == 5_139
    assert report.figures["auc"] >= 0.83
    assert report.figures["log_loss"] <= 0.41
    assert report.figures["accuracy"] >= 0.82
