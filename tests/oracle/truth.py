"""The whole oracle: from a run's logs to a report."""

from __future__ import annotations

from collections.abc import Sequence

from tests.oracle.alerts import Said, check_alerts
from tests.oracle.counting import check_counts, count_outcomes, count_predictions
from tests.oracle.digest import digest as plain_digest
from tests.oracle.joining import check_examples, check_routed
from tests.oracle.learning import Digest, Loads, check_learning
from tests.oracle.logs import Logs
from tests.oracle.metrics import check_metrics
from tests.oracle.pace import check_pace
from tests.oracle.quality import figures
from tests.oracle.report import Report
from tests.oracle.scoring import Truth, check_dead_letters, check_predictions
from tests.oracle.wire import Schemas


def check(
    logs: Logs,
    *,
    loads: Loads | None = None,
    digest: Digest = plain_digest,
    avro: bool = False,
    checkpoints: Sequence[tuple[int, bytes]] = (),
    alerts: Sequence[Said] | None = None,
    by_segment: Sequence[str] = (),
) -> Report:
    """Fold a run's logs by plain River and compare everything that it said.

    Parameters
    ----------
    loads
        Reads an announced state; None compares no announced model.
    digest
        What is equal for equal models.
    avro
        Whether events and labels travel as Avro.
    checkpoints
        Offset and state of each checkpoint in the registry.
    alerts
        Key and value of each alert that the detectors raise on the run's counts, in order; None
        holds alerts against their own laws alone.
    by_segment
        The features whose distributions are told of segments.
    """
    report = Report()
    truth = Truth(Schemas(logs.schemas()), avro)
    check_predictions(logs, truth, report)
    routed = check_routed(logs, truth, report)
    check_dead_letters(logs, truth, report)
    examples = check_examples(logs, truth, routed, report)
    learned = check_learning(logs, truth, examples, report, loads, digest, checkpoints)
    count_predictions(truth, by_segment)
    count_outcomes(truth, examples, learned)
    check_counts(logs, truth, report)
    check_metrics(logs, truth, examples, report)
    check_pace(logs, truth, report)
    check_alerts(logs, truth, report, alerts)
    report.figures = figures(examples)
    return report
