"""Figures for Prometheus: a snapshot of a process, turned into metrics at each scrape.

Everything that counts counts records, not batches, and everything is named by its base unit. The
figures that MONITOR says are gauges of one name, told apart by labels: their number is bounded by
the declaration (docs/metrics.md), and :data:`FIGURES_MAX` bounds it here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

FIGURES_MAX = 20_000
"""More of MONITOR's figures than this are not exported; how many is a metric itself."""

_COUNTERS = (
    ("records", "headrace_records", "Records processed and committed.", ""),
    ("emitted", "headrace_emitted_records", "Records emitted in committed transactions.", ""),
    ("transactions", "headrace_transactions", "Transactions committed.", ""),
    ("commit_seconds", "headrace_commit_seconds", "Time spent in commits.", "seconds"),
)

_TASKS = (
    ("lag", "headrace_lag_records", "Offsets between a task's position and its inputs' ends."),
    ("waiting", "headrace_waiting_records", "Records that wait in a task: for JOIN, or an agent."),
    ("entries", "headrace_state_entries", "States that a task holds in memory."),
    ("unsaved", "headrace_unsaved_records", "Examples that are learned and in no checkpoint yet."),
    ("held", "headrace_join_held_records", "Predictions and labels that JOIN remembers."),
    ("limit", "headrace_join_limit_records", "How many it may remember before an input pauses."),
)

Snapshot = Mapping[str, Any]


class OnDemand(Collector):
    """Collects what is known only when it is asked for."""

    def describe(self) -> Iterable[Metric]:
        """Return nothing: a registry need not collect to know the names."""
        return ()


class WorkerCollector(OnDemand):
    """Collects a worker's metrics.

    Parameters
    ----------
    pipeline
        Its pipeline's name.
    snapshot
        Returns how the worker stands, as plain data: ``role``, ``slot``, ``version``,
        ``learned_to``, ``records``, ``emitted``, ``transactions``, ``commit_seconds``,
        ``tasks`` (by name: what :func:`task_report` says), and ``figures``
        (metric, segment, window, value), and ``alerts`` (how many go on, by kind). What is missing
        or None is not exported.
    """

    def __init__(self, pipeline: str, snapshot: Callable[[], Snapshot]) -> None:
        self._pipeline = pipeline
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        """Return all metrics of the present."""
        now = self._snapshot()
        worker = (self._pipeline, str(now.get("role", "")), str(now.get("slot", "")))
        info = InfoMetricFamily(
            "headrace_worker", "The worker.", labels=("pipeline", "role", "slot")
        )
        info.add_metric(worker, {"version": str(now.get("version", ""))})
        yield info
        yield from _counters(now, worker)
        yield from _gauges(now, worker)
        yield from _figures(now.get("figures") or (), self._pipeline)
        yield from _alerts(now.get("alerts"), self._pipeline)


class SupervisorCollector(OnDemand):
    """Collects what a supervisor knows of its slots.

    Parameters
    ----------
    pipeline
        Its pipeline's name.
    snapshot
        Returns how its slots stand: ``workers`` by ``<role>-<slot>``, each with ``state`` and
        ``restarts``.
    """

    def __init__(self, pipeline: str, snapshot: Callable[[], Snapshot]) -> None:
        self._pipeline = pipeline
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        """Return all metrics of the present."""
        labels = ("pipeline", "role", "slot")
        said = "How often the supervisor has restarted the slot's worker."
        restarts = CounterMetricFamily("headrace_restarts", said, labels=labels)
        said = "Whether the slot has a process."
        running = GaugeMetricFamily("headrace_slot_running", said, labels=labels)
        for name, post in self._snapshot()["workers"].items():
            role, _, slot = name.rpartition("-")
            restarts.add_metric((self._pipeline, role, slot), float(post["restarts"]))
            running.add_metric((self._pipeline, role, slot), float(post["state"] == "running"))
        yield restarts
        yield running


def _counters(now: Snapshot, worker: tuple[str, ...]) -> Iterator[Metric]:
    for key, name, said, unit in _COUNTERS:
        value = now.get(key)
        if value is not None:
            family = CounterMetricFamily(name, said, labels=("pipeline", "role", "slot"), unit=unit)
            family.add_metric(worker, float(value))
            yield family


def _gauges(now: Snapshot, worker: tuple[str, ...]) -> Iterator[Metric]:
    learned_to = now.get("learned_to")
    if learned_to is not None:
        said = "Offset of the examples topic before which all is in the worker's model."
        family = GaugeMetricFamily(
            "headrace_model_learned_to_offset", said, labels=("pipeline", "role", "slot")
        )
        family.add_metric(worker, float(learned_to))
        yield family
    yield _waiting(now, worker)
    tasks: Mapping[str, Mapping[str, Any]] = now.get("tasks") or {}
    for key, name, said in _TASKS:
        family = GaugeMetricFamily(name, said, labels=("pipeline", "role", "slot", "task"))
        for task, report in tasks.items():
            value = report.get(key)
            if value is not None:
                family.add_metric((*worker, task), float(value))
        yield family


def _waiting(now: Snapshot, worker: tuple[str, ...]) -> Metric:
    said = "Seconds of the longest wait that holds up work; 0 while there is none of 5 s."
    family = GaugeMetricFamily("headrace_wait_seconds", said, labels=("pipeline", "role", "slot"))
    waits = [each["seconds"] for each in now.get("waits") or () if each["holds_up"]]
    family.add_metric(worker, float(max(waits, default=0.0)))
    return family


def _alerts(alerts: Mapping[str, int] | None, pipeline: str) -> Iterator[Metric]:
    if alerts is None:
        return
    said = "Alerts that have begun and are not over, by kind of their strongest member."
    family = GaugeMetricFamily("headrace_alerts_active", said, labels=("pipeline", "kind"))
    for kind, n in alerts.items():
        family.add_metric((pipeline, kind), float(n))
    yield family


def _figures(
    figures: Iterable[tuple[str, str, str, float | None]], pipeline: str
) -> Iterator[Metric]:
    said = (
        "MONITOR's newest value of a metric: by segment and window, as on the metrics topic."
        " fresh.*: the newest model when it learned, not what was served. withheld above 0: labels"
        " that came are no fair sample, so outcomes have no value (docs/metrics.md)."
    )
    labels = ("pipeline", "metric", "segment", "window")
    family = GaugeMetricFamily("headrace_metric_value", said, labels=labels)
    left_out = 0
    for metric, segment, window, value in figures:
        if len(family.samples) >= FIGURES_MAX:
            left_out += 1
        elif value is not None:
            family.add_metric((pipeline, metric, segment, window), value)
    yield family
    hidden = GaugeMetricFamily(
        "headrace_metric_values_left_out",
        "MONITOR's figures beyond the bound, which are not exported.",
        labels=("pipeline",),
    )
    hidden.add_metric((pipeline,), float(left_out))
    yield hidden
