"""The summary: its keys are an interface for programs."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from headrace.app.demo.observed import Latency
from headrace.app.demo.summary import sentences, summary_of, summary_table
from headrace.app.demo.words import what_next
from headrace.app.values import Value, Values

KEYS = {
    "events", "predictions", "dead_letters", "dead_letters_by_reason", "labels", "examples",
    "waiting", "expired", "unscored", "auc", "log_loss", "accuracy", "withheld", "coverage",
    "leaks",
    "baselines", "model_version",
    "learned_to", "model_lag_p50", "model_lag_p99", "label_delay_ms_p50", "latency_ms_p50",
    "latency_ms_p99", "drift", "in_step", "slices", "seconds", "setup_seconds", "worker_restarts",
    "versions",
}  # fmt: skip
RUN = {
    "events": 1_000, "labels": 900, "slices": 48, "learned_to": 1_100, "model_version": 1,
    "in_step": "30m", "seconds": 12.5, "setup_seconds": 9.0, "worker_restarts": 0,
}  # fmt: skip
WHOLE = {
    "events": 998.0, "dead_letters": 2.0, "dead_letters.score.no_json": 2.0, "examples": 900.0,
    "waiting": 98.0, "auc": 0.8, "log_loss": 0.4, "accuracy": 0.9, "baseline.majority.auc": 0.5,
    "baseline.majority.accuracy": 0.7, "model_lag.p50": 3.0, "model_lag.p99": 30.0,
    "label_delay_ms.p50": 9e6,
}  # fmt: skip


def values(found: dict[str, float]) -> Values:
    return {name: Value(value, 1, None) for name, value in found.items()}


DAY = values({"psi.feature.temp_f": 0.3, "psi.feature.carrier": 0.7, "psi.score": 0.1})
SUMMARY = summary_of(values(WHOLE), DAY, ["majority"], Latency(20.0, 40.0, 998), RUN)


def test_keys() -> None:
    assert set(SUMMARY) == KEYS
    assert {"python", "kafka", "headrace", "river", "numpy", "faust-streaming"} <= set(
        SUMMARY["versions"]
    )
    assert SUMMARY["versions"]["kafka"][0].isdigit()


def test_counts_are_monitors_and_what_is_not_said_is_none() -> None:
    assert (SUMMARY["predictions"], SUMMARY["examples"], SUMMARY["waiting"]) == (998, 900, 98)
    assert (SUMMARY["expired"], SUMMARY["dead_letters"]) == (0, 2)
    assert SUMMARY["dead_letters_by_reason"] == {"score.no_json": 2}
    assert SUMMARY["baselines"] == {"majority": {"auc": 0.5, "log_loss": None, "accuracy": 0.7}}


def test_drift_is_of_features_largest_first() -> None:
    assert list(SUMMARY["drift"].items()) == [("carrier", 0.7), ("temp_f", 0.3)]


def test_people_read_the_same() -> None:
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(summary_table(SUMMARY), *sentences(SUMMARY))
    text = " ".join(console.export_text().split())
    for wanted in (
        "served model 0.800 0.400 0.900", "majority 0.500 – 0.700", "998 predictions",
        "2 dead letters", "98 predictions still wait", "p99 30 examples", "p50 20, p99 40 ms",
        "carrier 0.70, temp_f 0.30",
    ):  # fmt: skip
        assert wanted in text, wanted
    assert "started again" not in text
    assert "again 2 times" in " ".join(sentences({**SUMMARY, "worker_restarts": 2}))


def test_a_feature_that_orders_the_labels_is_said() -> None:
    whole = {**WHOLE, "leak.arr_delay": 0.999}
    found = summary_of(values(whole), DAY, ["majority"], Latency(20.0, 40.0, 998), RUN)
    assert found["leaks"] == {"arr_delay": 0.999}
    assert "leak? each alone orders the labels: arr_delay (AUC 0.999)" in " ".join(sentences(found))


def test_outcomes_that_are_withheld_are_said_to_be() -> None:
    whole = {**WHOLE, "withheld": 2.0, "coverage": 0.19}
    found = summary_of(values(whole), DAY, ["majority"], Latency(20.0, 40.0, 998), RUN)
    assert (found["withheld"], found["coverage"]) == (2, 0.19)
    (said,) = [each for each in sentences(found) if "outcomes" in each]
    assert said == (
        "Nothing is said of outcomes: all labels that came are of one class, and 19% of the"
        " predictions have one."
    )


def test_whoever_keeps_it_up_is_told_where_it_is() -> None:
    kept = "\n".join(what_next(True, Path("somewhere")))
    assert "HEADRACE_DATA=somewhere headrace tail flights predictions" in kept
    assert "headrace demo --keep" in "\n".join(what_next(False, Path("somewhere")))
