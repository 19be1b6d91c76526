"""Runs of a small pipeline in memory that files are published to, and what came of them."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from headrace.app.sourcing import Files
from headrace.registry.memory import MemoryRegistry
from headrace.schemas.counts import counted
from headrace.streams.plan import plan_of
from headrace.streams.records import WATERMARK
from headrace.streams.replay import parts_in_memory
from headrace.streams.twins.flow import MemoryFlow
from tests.systems.published import NOW_MS, publish
from tests.unit.stages.flow import START, START_MS, pipeline

ROWS = 200
STEP_MS = 1_800_000
PLAN = plan_of(pipeline())

Row = dict[str, Any]


class Run(NamedTuple):
    """A flow that files are published to, and the registry that mirrors them."""

    flow: MemoryFlow
    registry: MemoryRegistry

    def publish(self, files: Files, **how: Any) -> Any:
        return publish(self.flow, self.registry, files, **how)

    def outcome(self) -> dict[str, Any]:
        """Return what came of all that was published, apart from where it lay in the logs."""
        self.flow.turn()
        self._let_time_pass()
        self.flow.finish()
        topics, codecs = self.flow.plan.topics, self.flow.parts.codecs
        counts: Counter[str] = Counter()
        for record in self.flow.history(topics.counts):
            said = codecs.count.decode(record.value)
            assert isinstance(said, dict)
            if said["stage"] not in STAGES:
                continue
            for _, segment, name, n in counted(said):
                if segment == "all" and name not in MODELS and ":" not in name:
                    counts[name] += n
        names = ("event_id", "label", "label_time")
        return {
            "predicted": Counter(e["event_id"] for e in self._of(topics.predictions)),
            "examples": Counter(tuple(e[n] for n in names) for e in self._of(topics.examples)),
            "letters": Counter(e["reason"] for e in self._of(topics.dead_letters)),
            "counts": +counts,
        }

    def _let_time_pass(self) -> None:
        """Have somebody promise that a year has passed: then nothing waits any more."""
        topics, broker = self.flow.plan.topics, self.flow.broker
        promise = ((WATERMARK, str(START_MS + 365 * 86_400_000).encode()),)
        for name in (topics.events, topics.labels):
            for number in range(broker.partition_count(name)):
                broker.append((name, number), None, None, headers=promise, timestamp_ms=NOW_MS)
        self.flow.turn()

    def predictions(self) -> list[tuple[Any, ...]]:
        names = ("event_id", "score", "watermark", "features", "late")
        return sorted(
            tuple(str(e[name]) for name in names)
            for e in self._of(self.flow.plan.topics.predictions)
        )

    def _of(self, topic: str) -> list[dict[str, Any]]:
        topics, codecs = self.flow.plan.topics, self.flow.parts.codecs
        codec = {
            topics.predictions: codecs.prediction,
            topics.examples: codecs.example,
            topics.dead_letters: codecs.dead_letter,
        }[topic]
        found = [codec.decode(record.value) for record in self.flow.history(topic)]
        return [each for each in found if isinstance(each, dict)]


STAGES = ("score", "route", "join")
"""Stages whose counts do not depend on chance when it is published flat out, but for these."""

MODELS = ("scored", "unscored")
"""Which model answered, if any, is chance then."""


def fresh(partitions: int = 2) -> Run:
    return Run(MemoryFlow(parts_in_memory(PLAN, partitions)), MemoryRegistry(str))


def history(rows: int = ROWS, *, seed: int = 1) -> list[Row]:
    """Return rows of events with what became of them up to an hour later; of some never."""
    rng, now, found = Random(seed), START, []
    for number in range(rows):
        now += timedelta(seconds=rng.randrange(240))
        known = now + timedelta(minutes=rng.uniform(1, 59))
        label = rng.choice(["true", "false", "false", ""])
        found.append(
            {"id": f"e{number}", "machine": f"m{rng.randrange(4)}", "at": now.isoformat(),
             "load": rng.randrange(1, 900), "known": known.isoformat(), "broken": label}
        )  # fmt: skip
    return found


def write(path: Path, rows: Iterable[Row], columns: Sequence[str]) -> Path:
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow([name.partition("=")[0] for name in columns])
        table.writerows([[row[name.rpartition("=")[2]] for name in columns] for row in rows])
    return path


EVENT = ("id", "machine", "at", "load")
LABEL = ("id", "at=known", "broken")


def writer(folder: Path) -> Callable[..., Files]:
    """Return what writes rows as a file of events and one of labels."""

    def make(name: str, events: Iterable[Row], labels: Iterable[Row], **how: Any) -> Files:
        return Files(
            write(folder / f"{name}.csv", events, EVENT),
            write(folder / f"{name}-labels.csv", labels, LABEL),
            **how,
        )

    return make


def whole(files: Callable[..., Files], partitions: int = 2, **how: Any) -> Run:
    run, rows = fresh(partitions), history()
    run.publish(files("whole", rows, rows), **how)
    return run
