"""The real Prometheus scrapes what is exported, evaluates the rules, and answers the dashboard."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
import yaml  # type: ignore[import-untyped]

from headrace.app.http import serve
from tests.exported import ROOT, collectors, debian, run, snapshot

pytestmark = pytest.mark.integration

DEPLOY = ROOT / "deploy"


class Prometheus:
    """A running Prometheus, asked by its HTTP interface."""

    def __init__(self, port: int) -> None:
        self._at = f"http://127.0.0.1:{port}"

    def ask(self, path: str, **query: str) -> Any:
        with urlopen(f"{self._at}/api/v1/{path}?{urlencode(query)}", timeout=10) as answer:
            found = json.load(answer)
        assert found["status"] == "success"
        return found["data"]

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        found = self.ask("query", query=expression)["result"]
        return [(each["metric"], float(each["value"][1])) for each in found]

    def value(self, expression: str) -> float:
        ((_, value),) = self.query(expression)
        return value

    def answers(self, expression: str) -> bool:
        try:
            return bool(self.query(expression))
        except URLError:  # it has only begun
            return False

    def wait_for(self, expression: str, limit_s: float = 40) -> None:
        until = time.monotonic() + limit_s
        while not self.answers(expression):
            assert time.monotonic() < until, f"nothing for {expression}"
            time.sleep(0.2)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def configure(folder: Path, ports: list[int]) -> Path:
    """Write our configuration, with other targets and in more of a hurry."""
    (folder / "targets").mkdir()
    targets = [{"targets": [f"127.0.0.1:{port}" for port in ports]}]
    (folder / "targets" / "here.yml").write_text(yaml.safe_dump(targets))
    rules = DEPLOY / "prometheus" / "headrace.rules.yml"
    (folder / rules.name).write_text(rules.read_text())
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "500ms", "evaluation_interval": "500ms"}
    file = folder / "prometheus.yml"
    file.write_text(yaml.safe_dump(config))
    return file


@contextmanager
def running(config: Path) -> Iterator[Prometheus]:
    port, log = free_port(), config.with_suffix(".log")
    words = [
        debian("prometheus"), f"--config.file={config}", f"--web.listen-address=127.0.0.1:{port}",
        f"--storage.tsdb.path={config.parent / 'data'}",
    ]  # fmt: skip
    with log.open("wb") as file:
        process = subprocess.Popen(words, stdout=file, stderr=file)
        try:
            yield Prometheus(port)
            assert process.poll() is None, log.read_text()
        finally:
            process.terminate()
            process.wait(20)


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    debian("prometheus")
    run()
    servers = [serve("127.0.0.1", 0, snapshot, collector) for collector in collectors()]
    try:
        ports = [server.port for server in servers]
        with running(configure(tmp_path_factory.mktemp("prometheus"), ports)) as found:
            found.wait_for('pipeline_role:headrace_commit_seconds:mean2m{role="score"}')
            yield found
    finally:
        for server in servers:
            server.close()


def test_it_has_the_values_that_the_worker_has(prometheus: Prometheus) -> None:
    prometheus.wait_for('count(up{job="headrace"} == 1) == 3')
    wanted = {(m, s, w): v for m, s, w, v in snapshot()["figures"] if v is not None}
    found = {
        (labels["metric"], labels["segment"], labels["window"]): value
        for labels, value in prometheus.query('headrace_metric_value{pipeline="flights"}')
    }
    assert found == pytest.approx(wanted)
    assert ("accuracy", "origin=EWR", "1d") in found
    lags = prometheus.query("headrace_lag_records")
    assert {labels["task"] for labels, _ in lags} == set(snapshot()["tasks"])
    assert prometheus.value("sum(headrace_worker_info)") == 1


def test_rules_are_evaluated(prometheus: Prometheus) -> None:
    groups = prometheus.ask("rules")["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(rules) > 15
    assert [rule["name"] for rule in rules if rule.get("lastError")] == []
    stages = dict(
        (labels["stage"], value)
        for labels, value in prometheus.query("pipeline_stage:headrace_lag_records:sum")
    )
    # Two partitions of each, three records behind in each input.
    assert stages == {"score": 6, "route": 6, "join": 12, "learn": 3, "monitor": 3}
    mean_s = prometheus.value('pipeline_role:headrace_commit_seconds:mean2m{role="score"}')
    assert mean_s == pytest.approx(0.25)
    prometheus.wait_for('ALERTS{alertname="HeadraceChange", alertstate="firing", kind="input"}')


def test_the_dashboard_has_data_in_each_panel(prometheus: Prometheus) -> None:
    dashboard = json.loads((DEPLOY / "grafana" / "dashboards" / "headrace.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            expression = target["expr"]
            # Regret is of examples on equal terms: the last day of these flights has none.
            window = "all" if "regret" in expression else "1d"
            for name, value in (("pipeline", "flights"), ("window", window), ("segment", "all")):
                expression = expression.replace(f"${name}", value)
            prometheus.wait_for(expression, 10)
