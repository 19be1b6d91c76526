"""One look at a pipeline, as plain data: what ``headrace top`` draws, or writes as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from headrace.app.top.observed import Observed, newest_with
from headrace.app.top.series import Series
from headrace.app.values import (
    Value,
    Values,
    count_of,
    drift_of,
    leaks_of,
    letters_of,
    value_of,
)
from headrace.streams.withholding import IN_SHORT, WITHHELD

METRICS = (
    "auc",
    "log_loss",
    "accuracy",
    "macro_f1",
    "mae",
    "rmse",
    "r2",
    "precision",
    "recall",
    "cost",
    "brier",
    "calibration_error",
    "f1",
)
"""Metrics of predictors, the most telling first: those that a task has are shown."""

_BASELINE = "baseline."
_OF_TASK = ("auc", "accuracy", "mae")
"""What says that a window has answers with labels: one of them, by task."""

_RUNNING = "running"


@dataclass(slots=True)
class Flow:
    """How many of something there were, and how fast they come.

    Attributes
    ----------
    total
        Since the pipeline began; None where only its rise is known.
    rate
        Per second of wall time, over the last ten seconds.
    rates
        The same over each of the last intervals of five seconds, oldest first.
    """

    name: str
    total: int | None
    rate: float | None
    rates: Sequence[float] = ()


@dataclass(slots=True)
class Stage:
    """How far a stage is behind: in all, and by task; None where nobody has said it."""

    name: str
    lag: int | None
    lags: Mapping[str, int | None] = field(default_factory=dict)
    waiting: int = 0


@dataclass(slots=True)
class Metric:
    """A metric of the served model, beside the baselines'.

    Attributes
    ----------
    window, settled, whole
        In the newest window that has answers, in the newest that is final, and in the whole run.
    detail
        Of the window's value.
    history
        In the last windows, oldest first.
    baselines
        The window's value by baseline.
    """

    name: str
    window: float | None
    settled: float | None
    whole: float | None
    detail: Mapping[str, float]
    history: Sequence[float]
    baselines: Mapping[str, float | None]


@dataclass(slots=True)
class Drift:
    """A feature's population stability index, and what it is by chance alone."""

    feature: str
    psi: float
    chance: float | None
    support: int


@dataclass(slots=True)
class Worker:
    """How a worker stands; ``silent`` if it has not written for a while."""

    name: str
    state: str
    silent: bool
    age_s: float
    tasks: int
    lag: int | None
    records: int
    rate: float | None


@dataclass(slots=True)
class Frame:
    """Everything that is shown, as of now.

    Attributes
    ----------
    pipeline, version
        What is looked at.
    event_time_ms
        How far MONITOR has counted.
    flows
        Events, predictions, labels, examples.
    model
        ``learned_to``; ``behind``, how many examples the furthest scorer serves without;
        ``lag_p50`` and ``lag_p99``, in examples, of the whole run; ``commit_ms``, the mean time of
        a transaction's commit since the workers began.
    latency_ms
        ``p50`` and ``p99`` from an event's timestamp to its prediction's, of the newest
        predictions; ``support``, how many these are.
    window
        Length of the windows that are shown.
    window_end_ms, coverage
        Of the window that ``metrics`` speak of.
    withheld
        Why nothing newer is said of outcomes, in a few words; empty if something is.
    settled_end_ms
        End of the newest window for which no label is awaited any more.
    drift_end_ms
        End of the window that ``drift`` speaks of.
    alerts
        Those that are not over, as they lie in ``<p>.alerts``.
    waiting, expired
        Predictions that wait for their label, and those that will get none.
    dead_letters
        By ``<stage>.<reason>``.
    leaks
        Features that alone order the labels, with the area under the curve.
    trouble
        Why there is nothing newer; empty if all is well.
    """

    pipeline: str
    version: int = 0
    event_time_ms: int | None = None
    flows: Sequence[Flow] = ()
    stages: Sequence[Stage] = ()
    model: Mapping[str, float | None] = field(default_factory=dict)
    latency_ms: Mapping[str, float | None] = field(default_factory=dict)
    window: str = ""
    window_end_ms: int | None = None
    coverage: float | None = None
    withheld: str = ""
    settled_end_ms: int | None = None
    metrics: Sequence[Metric] = ()
    drift_end_ms: int | None = None
    drift: Sequence[Drift] = ()
    alerts: Sequence[Mapping[str, Any]] = ()
    waiting: int = 0
    expired: int = 0
    dead_letters: Mapping[str, int] = field(default_factory=dict)
    workers: Sequence[Worker] = ()
    leaks: Mapping[str, float] = field(default_factory=dict)
    trouble: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return asdict(self)


def frame_of(
    standing: Mapping[str, Any],
    observed: Observed,
    rises: Mapping[str, Series],
    now_s: float,
    length: str | None = None,
) -> Frame:
    """Return what there is to show.

    Parameters
    ----------
    standing
        How the pipeline stands (:func:`headrace.app.standing.standing_of`).
    observed
        What was read.
    rises
        ``events``: records in the events topic; ``<role>-<slot>``: records that a worker committed.
    now_s
        The time, in seconds since the epoch.
    length
        Of windows; None: the longest.
    """
    whole = observed.whole()
    length = length or next(reversed(observed.lengths()), "")
    windows = observed.windows(length)
    end_ms, values = _judged(windows)
    settled_end_ms, settled = _judged([each for each in windows if _is_final(each[1])])
    drift_end_ms, drifted = _drifted(windows)
    return Frame(
        pipeline=standing["pipeline"],
        version=standing["serving_version"],
        event_time_ms=observed.event_time_ms(),
        flows=_flows(observed, rises, now_s),
        stages=_stages(standing),
        model=_model(standing, whole),
        window=length,
        window_end_ms=end_ms,
        coverage=value_of(values, "coverage"),
        withheld=_withheld(windows, whole, end_ms),
        settled_end_ms=settled_end_ms,
        metrics=list(_metrics(values, settled, whole, windows)),
        drift_end_ms=drift_end_ms,
        drift=_drift(drifted),
        alerts=observed.alerts(),
        waiting=count_of(whole, "waiting"),
        expired=count_of(whole, "expired"),
        dead_letters=letters_of(whole),
        workers=_workers(standing, rises, now_s),
        leaks=leaks_of(whole),
    )


def _flows(observed: Observed, rises: Mapping[str, Series], now_s: float) -> list[Flow]:
    events = rises.get("events", Series())
    found = [Flow("events", None, events.rate(now_s), events.rates(now_s))]
    found.append(Flow("predictions", *observed.counted("events", now_s)))
    routed = observed.counted("routed", now_s)
    labels = observed.counted("labelled", now_s) if routed[0] is None else routed
    found.append(Flow("labels", *labels))
    found.append(Flow("examples", *observed.counted("examples", now_s)))
    return found


def _stages(standing: Mapping[str, Any]) -> list[Stage]:
    """Return stages by what is committed, their tasks by what the workers say."""
    tasks: dict[str, dict[str, Mapping[str, Any]]] = {}
    for report in standing["workers"].values():
        for task, said in report.get("tasks", {}).items() if not report["silent"] else ():
            tasks.setdefault(task.split("/")[-2], {})[task] = said
    return [
        Stage(
            stage["stage"],
            stage["lag"],
            {task: said.get("lag") for task, said in tasks.get(stage["stage"], {}).items()},
            sum(said.get("waiting") or 0 for said in tasks.get(stage["stage"], {}).values()),
        )
        for stage in standing["stages"]
    ]


def _model(standing: Mapping[str, Any], whole: Values) -> dict[str, float | None]:
    reports = list(standing["workers"].values())
    commits = sum(each.get("transactions", 0) for each in reports)
    spent_s = sum(each.get("commit_seconds", 0.0) for each in reports)
    return {
        **standing["model"],
        "lag_p50": value_of(whole, "model_lag.p50"),
        "lag_p99": value_of(whole, "model_lag.p99"),
        "age_ms_p50": value_of(whole, "model_age_ms.p50"),
        "regret": value_of(whole, "regret"),
        "commit_ms": 1000 * spent_s / commits if commits else None,
    }


def _workers(
    standing: Mapping[str, Any], rises: Mapping[str, Series], now_s: float
) -> list[Worker]:
    return [_worker(name, report, rises, now_s) for name, report in standing["workers"].items()]


def _worker(
    name: str, report: Mapping[str, Any], rises: Mapping[str, Series], now_s: float
) -> Worker:
    rise = rises.get(name)
    return Worker(
        name=name,
        state=report["state"],
        silent=report["silent"],
        age_s=report["age_s"],
        tasks=len(report.get("tasks", {})),
        lag=report["lag"],
        records=report.get("records", 0),
        rate=None if rise is None or report["silent"] else rise.rate(now_s),
    )


# -- metrics


def _judged(windows: Sequence[tuple[int, Values]]) -> tuple[int | None, Values]:
    """Return the newest window in which any answer has met its label."""
    found = (newest_with(windows, name) for name in _OF_TASK)
    best = max(found, key=lambda each: each[0] or 0)
    return best if best[0] is not None else (None, {})


def _withheld(windows: Sequence[tuple[int, Values]], whole: Values, end_ms: int | None) -> str:
    """Return why newer windows than the one that is shown, or the whole run, are not judged."""
    newer = [values for end, values in windows if end_ms is None or end > end_ms]
    for values in (*reversed(newer), whole):
        reason = count_of(values, WITHHELD)
        if reason:
            return IN_SHORT[reason]
    return ""


def _is_final(values: Values) -> bool:
    """Return whether the answers of a window have all the labels that will come."""
    return any(values[name].final for name in _OF_TASK if name in values)


def _metrics(
    values: Values, settled: Values, whole: Values, windows: Sequence[tuple[int, Values]]
) -> Iterable[Metric]:
    names = sorted({_baseline_of(name) for name in whole if name.startswith(_BASELINE)})
    for metric in METRICS:
        if metric not in values and metric not in whole:
            continue
        found = values.get(metric, Value(None, 0, None))
        history = [value_of(each, metric) for _, each in windows]
        yield Metric(
            name=metric,
            window=found.value,
            settled=value_of(settled, metric),
            whole=value_of(whole, metric),
            detail=found.detail,
            history=[value for value in history if value is not None],
            baselines={name: value_of(values, f"{_BASELINE}{name}.{metric}") for name in names},
        )


def _baseline_of(name: str) -> str:
    return name.removeprefix(_BASELINE).rpartition(".")[0]


def _drifted(windows: Sequence[tuple[int, Values]]) -> tuple[int | None, Values]:
    """Return the newest window that was large enough to be compared with the reference."""
    for end, values in reversed(windows):
        if drift_of(values):
            return end, values
    return None, {}


def _drift(values: Values) -> list[Drift]:
    found = []
    for feature, psi in drift_of(values).items():
        said = values[f"psi.feature.{feature}"]
        found.append(Drift(feature, psi, said.detail.get("chance"), said.support))
    return sorted(found, key=lambda each: (-each.psi, each.feature))
