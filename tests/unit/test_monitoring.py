"""Prometheus' rules and Grafana's dashboard speak of metrics that are exported, and no others."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from headrace.app.cli.main import application
from headrace.app.prometheus import FIGURES_MAX
from headrace.streams.stages.turn import SEGMENTS_MAX
from tests.exported import ROOT, debian, exported
from tests.unit.stages.counting import Log, monitor

PROMETHEUS = ROOT / "deploy" / "prometheus"
GRAFANA = ROOT / "deploy" / "grafana"
RULES: dict[str, Any] = yaml.safe_load((PROMETHEUS / "headrace.rules.yml").read_text())
DASHBOARD: dict[str, Any] = json.loads((GRAFANA / "dashboards" / "headrace.json").read_text())

OF_PROMETHEUS = {"up": {"job", "instance"}}
OF_RULES = {"alertname", "severity", "stage"}
"""Labels that rules add."""

NAME = re.compile(r"(?<![\w:])(?:[a-z_]+:)?headrace_\w+(?::\w+)?|(?<![\w:])up(?![\w:])")


def rules() -> list[dict[str, Any]]:
    return [rule for group in RULES["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    return [each for each in DASHBOARD["panels"] if each["type"] != "row"]


def expressions() -> Iterator[str]:
    yield from (rule["expr"] for rule in rules())
    yield from (target["expr"] for panel in panels() for target in panel["targets"])
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["query"]["query"]


def bare(expression: str) -> str:
    """Return an expression without its strings."""
    return re.sub(r'"(?:[^"\\]|\\.)*"', '""', expression)


@cache
def known() -> dict[str, set[str]]:
    """Return the labels of each metric, recorded ones among them."""
    found = {
        name: {label for each in series for label, _ in each} for name, series in exported().items()
    }
    for name in found:
        found[name] |= {"job", "instance"}
    for rule in rules():
        if "record" in rule:
            by = re.findall(r"by \(([^)]*)\)", rule["expr"])
            kept = {label.strip() for each in by for label in each.split(",")}
            for source in NAME.findall(rule["expr"]):
                kept |= found[source] if source in found and ":" in source else set()
            found[rule["record"]] = kept
    return found | OF_PROMETHEUS


@cache
def metrics() -> set[str]:
    """Return MONITOR's metrics of a pipeline with two classes."""
    return {dict(each)["metric"] for each in exported()["headrace_metric_value"]}


def labels() -> set[str]:
    return set().union(*known().values()) | OF_RULES


@pytest.mark.parametrize("expression", sorted(set(expressions())))
def test_an_expression_names_what_is_exported(expression: str) -> None:
    names = NAME.findall(bare(expression))
    assert names
    assert set(names) <= set(known())
    for name, matchers in re.findall(r"([\w:]+)\{([^}]*)\}", bare(expression)):
        assert set(re.findall(r"(\w+)\s*(?:=|!)", matchers)) <= known()[name], name
    every = labels()
    for listed in re.findall(r"(?:by|on) \(([^)]*)\)", expression):
        assert {label.strip() for label in listed.split(",")} <= every


def alternatives(pattern: str) -> list[str]:
    """Return a pattern without groups, once for each of what its groups may be.

    >>> alternatives("(a.)?(b|c)d|e")
    ['a.bd', 'a.cd', 'bd', 'cd', 'e']
    """
    group = re.search(r"\(([^()]*)\)(\??)", pattern)
    if group is None:
        return pattern.split("|")
    choices = group[1].split("|") + ([""] if group[2] else [])
    return sorted(
        {
            each
            for choice in choices
            for each in alternatives(pattern[: group.start()] + choice + pattern[group.end() :])
        }
    )


@pytest.mark.parametrize("expression", sorted({e for e in expressions() if "metric" in e}))
def test_a_metric_of_monitor_s_that_is_asked_for_is_one(expression: str) -> None:
    for how, wanted in re.findall(r'[{ ]metric(=~?)"((?:[^"\\]|\\.)*)"', expression):
        if how == "=":
            assert wanted in metrics()
            continue
        for pattern in alternatives(wanted.replace("\\\\", "\\")):
            of_others = re.search("macro_f1|mae|rmse|r2|leak", pattern)  # tasks, and a leaking one
            assert of_others or any(re.fullmatch(pattern, name) for name in metrics()), pattern


def test_every_exported_metric_is_shown_or_watched() -> None:
    named = {name for expression in expressions() for name in NAME.findall(bare(expression))}
    assert set(exported()) <= named


def test_legends_and_sentences_name_labels_that_are_there() -> None:
    every = labels()
    for panel in panels():
        for target in panel["targets"]:
            assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= every
    for rule in rules():
        for sentence in rule.get("annotations", {}).values():
            assert set(re.findall(r"\$labels\.(\w+)", sentence)) <= every


def test_alerts_say_how_bad_it_is_and_what_to_do() -> None:
    alerts = [rule for rule in rules() if "alert" in rule]
    assert len({rule["alert"] for rule in alerts}) == len(alerts) > 8
    app = application()
    commands = {each.name for each in app.registered_commands}
    commands |= {each.name for each in app.registered_groups}
    for rule in alerts:
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        assert set(rule["annotations"]) == {"summary", "description"}
        sentences = rule["annotations"].values()
        assert all(each.rstrip().endswith((".", "?")) for each in sentences)
        assert set(re.findall(r"`headrace ([a-z-]+)", " ".join(sentences))) <= commands


def test_the_dashboard_is_one_that_grafana_provisions() -> None:
    provider = yaml.safe_load((GRAFANA / "provisioning/dashboards/headrace.yml").read_text())
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["grafana"]
    folder = provider["providers"][0]["options"]["path"]
    assert f"./deploy/grafana/dashboards:{folder}:ro" in compose["volumes"]
    home = compose["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{folder}/headrace.json"
    every = DASHBOARD["panels"]
    assert len({panel["id"] for panel in every}) == len(every)
    variables = {each["name"] for each in DASHBOARD["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(DASHBOARD)))
    assert used == variables
    places: set[tuple[int, int]] = set()
    for at in (panel["gridPos"] for panel in every):
        covered = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert at["x"] + at["w"] <= 24
        assert not covered & places
        places |= covered


def test_the_compose_file_s_ports_are_scraped() -> None:
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    (job,) = config["scrape_configs"]
    assert job["file_sd_configs"][0]["files"] == ["targets/*.yml"]
    (targets,) = yaml.safe_load((PROMETHEUS / "targets" / "compose.yml").read_text())
    worker = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["worker"]
    first = int(worker["environment"]["HEADRACE_HTTP_PORT"])
    assert targets["targets"] == [f"worker:{first + n}" for n in range(4)]  # and three workers'


def test_the_pages_name_each_alert_and_each_exported_metric() -> None:
    alerts = {rule["alert"] for rule in rules() if "alert" in rule}
    page = (ROOT / "docs" / "monitoring.md").read_text()
    assert set(re.findall(r"^\| `(Headrace\w+)` \|", page, re.MULTILINE)) == alerts
    page = (ROOT / "docs" / "metrics.md").read_text().partition("## Prometheus")[2]
    assert set(re.findall(r"`(headrace_\w+)`", page)) == set(exported())


@pytest.mark.parametrize(
    "words",
    [
        ("check", "config", "prometheus.yml"),
        ("check", "rules", "headrace.rules.yml"),
        ("test", "rules", "headrace.rules.test.yml"),
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_promtool_has_nothing_to_say(words: tuple[str, ...]) -> None:
    done = subprocess.run(
        [debian("promtool"), *words], cwd=PROMETHEUS, capture_output=True, text=True, check=False,
        timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout


def test_every_alert_is_made_to_fire_by_a_test() -> None:
    tested = (PROMETHEUS / "headrace.rules.test.yml").read_text()
    fired = tested.partition('count by (alertname) (ALERTS{alertstate="firing"})')[2]
    for rule in rules():
        if "alert" in rule:
            assert f'alertname="{rule["alert"]}"' in fired


def test_however_many_segments_there_are_the_series_are_bounded() -> None:
    log = Log()
    runner = monitor()
    for number in range(2 * SEGMENTS_MAX):
        segment = f"kind=k{number}"
        runner.run([log.count("score", 1, {"events": 3}, mark=1, segment=segment)])
    runner.run([log.barrier()])
    figures = runner.stage.latest()  # type: ignore[attr-defined]
    assert {segment for _, segment, _, _ in figures} >= {"kind=k0", "kind=(other)"}
    series = {each[:3] for each in figures}
    windows, each = 3, 2  # 1h, 3h and the whole run; events and coverage
    assert len(series) == len(figures) == windows * each * (SEGMENTS_MAX + 1) < FIGURES_MAX
    (other,) = [
        value for metric, segment, window, value in figures
        if (metric, segment, window) == ("events", "kind=(other)", "all")
    ]  # fmt: skip
    assert other == 3 * SEGMENTS_MAX


def test_no_label_of_an_exported_series_grows_with_the_events() -> None:
    few = {
        "pipeline": 1,
        "role": 3,
        "slot": 1,
        "task": 8,
        "kind": 6,
        "channel": 1,
        "version": 1,
        "window": 3,
    }
    for name, series in exported().items():
        for label in {label for each in series for label, _ in each} - {"metric", "segment"}:
            assert len({dict(each)[label] for each in series}) <= few[label], (name, label)
