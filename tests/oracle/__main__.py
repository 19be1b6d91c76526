"""Judge a run on Kafka: ``python -m tests.oracle --brokers HOST:PORT --pipeline flights``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.oracle.artifacts import loads, read_checkpoints
from tests.oracle.logs import read_logs, topic_names
from tests.oracle.truth import check


def main(arguments: Sequence[str] | None = None) -> int:
    """Read a run's logs, print the report, return 1 if anything differs."""
    parser = argparse.ArgumentParser(prog="python -m tests.oracle", description=__doc__)
    parser.add_argument("--brokers", required=True, help="Kafka's host:port, by commas")
    parser.add_argument("--pipeline", default="flights")
    parser.add_argument("--events", help="the events topic, if it is one of your own")
    parser.add_argument("--labels", help="the labels topic, if it is one of your own")
    parser.add_argument("--registry", help="SQLAlchemy address: checkpoints are compared too")
    parser.add_argument("--avro", action="store_true", help="events and labels travel as Avro")
    parser.add_argument("--json", type=Path, help="write the report to this file, for machines")
    given = parser.parse_args(arguments)
    own = {name: getattr(given, name) for name in ("events", "labels") if getattr(given, name)}
    logs = read_logs(given.brokers, topic_names(given.pipeline, **own))
    kept = read_checkpoints(given.registry, given.pipeline) if given.registry else []
    report = check(logs, loads=loads, avro=given.avro, checkpoints=kept)
    print(report.text())
    if given.json:
        said = {
            "compared": dict(report.compared),
            "differing": dict(report.differing),
            "differences": report.differences,
            "figures": report.figures,
        }
        given.json.write_text(json.dumps(said, indent=2))
    return 0 if report.is_truth else 1


if __name__ == "__main__":
    sys.exit(main())
