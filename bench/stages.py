"""Microseconds per event of each stage, in one process, without Kafka: the flights of the week.

Run with ``.venv/bin/python -m bench.stages``.
"""

from __future__ import annotations

import cProfile
import csv
import gzip
import json
import pickle
import pstats
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter, process_time
from typing import Any, NamedTuple

from headrace.schemas.records import Codecs, numbered_codecs
from headrace.streams.load import load_pipeline
from headrace.streams.model import fresh_served, served_from
from headrace.streams.partitioner import partition_of
from headrace.streams.plan import Plan, plan_of
from headrace.streams.protocol.cache import Cache
from headrace.streams.protocol.stage import Context, Stage
from headrace.streams.records import Emit, Record
from headrace.streams.stages.join import JoinStage
from headrace.streams.stages.learn import LearnStage
from headrace.streams.stages.monitor import MonitorStage
from headrace.streams.stages.route import RouteStage
from headrace.streams.stages.score import ScoreStage
from headrace.streams.topics import Partitions

ROOT = Path(__file__).parents[1]
PARTITIONS = Partitions(1, 1, 1)
BATCH = 200
REPEAT = 3


def columns_of(plan: Plan, row: dict[str, str]) -> bytes:
    """Return a row of the file as the JSON of a departure."""
    fields = plan.pipeline.events.event.model_fields
    texts = {"event_id", "event_time", "carrier", "origin"}
    found: dict[str, Any] = {}
    for name in fields:
        text = row[name]
        found[name] = text if name in texts else float(text) if text else None
    found["dep_weekday"] = int(row["dep_weekday"])
    return json.dumps(found).encode()


def inputs_of(plan: Plan) -> tuple[list[Record], list[Record]]:
    """Return the events and the labels of the week, each in the order of its own times."""
    with gzip.open(ROOT / "data" / "flights_nyc13_week.csv.gz", "rt") as file:
        rows = list(csv.DictReader(file))
    events = [columns_of(plan, row) for row in rows]
    known = sorted((row for row in rows if row["label"]), key=lambda row: row["label_time"])
    labels = [
        json.dumps(
            {
                "event_id": row["event_id"],
                "label_time": row["label_time"],
                "label": row["label"] == "1",
            }
        ).encode()
        for row in known
    ]
    topics = plan.topics
    return records(topics.events, events), records(topics.labels, labels)


def records(topic: str, values: Sequence[bytes]) -> list[Record]:
    """Return values as the records of a partition."""
    now_ms = 1_800_000_000_000
    return [Record(topic, 0, offset, now_ms, None, value) for offset, value in enumerate(values)]


def emitted(emits: Sequence[Emit], topic: str) -> list[Record]:
    """Return what was emitted to a topic as its records."""
    return records(topic, [emit.value or b"" for emit in emits if emit.topic == topic])


class Timed:
    """Runs a stage over records in batches, and adds up how long each part takes."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.seconds = {"prepare": 0.0, "apply": 0.0, "seal": 0.0}
        self.emits: list[Emit] = []

    def run(self, stage: Stage, feed: Sequence[Record], context: Context, batch: int) -> None:
        """Run a stage over all of its input, from an empty state."""
        cache = Cache(1_000_000, whole=True)
        stage.load(cache)
        for start in range(0, len(feed), batch):
            self.step(stage, feed[start : start + batch], cache, context, start)

    def step(
        self, stage: Stage, part: Sequence[Record], cache: Cache, context: Context, number: int
    ) -> None:
        """Run a stage over one batch."""
        clock = process_time
        began = clock()
        prepared = stage.prepare(part)
        stage.keys(prepared)
        decoded = clock()
        effects = stage.apply(prepared, cache, context)
        applied = clock()
        cache.seal(number)
        self.seconds["prepare"] += decoded - began
        self.seconds["apply"] += applied - decoded
        self.seconds["seal"] += clock() - applied
        self.emits += effects.emits

    def line(self, count: int) -> str:
        """Return one line of the report."""
        parts = "  ".join(f"{part} {s * 1e6 / count:6.1f}" for part, s in self.seconds.items())
        return f"{self.name:8} {sum(self.seconds.values()) * 1e6 / count:6.1f} us  = {parts}"


def measure(
    make: Callable[[], Stage], feed: Sequence[Record], context: Context, batch: int
) -> Timed:
    """Return the fastest of some runs."""
    found = []
    for _ in range(REPEAT):
        stage = make()
        timed = Timed(stage.name)
        timed.run(stage, feed, context, batch)
        found.append(timed)
    return min(found, key=lambda timed: sum(timed.seconds.values()))


def learner(plan: Plan, codecs: Codecs) -> LearnStage:
    return LearnStage(plan, codecs, 1, 1, pickle.dumps, pickle.loads)


def joined(plan: Plan, predictions: list[Record], routed: list[Record]) -> list[Record]:
    """Return both inputs of JOIN, interleaved by thousands."""
    found: list[Record] = []
    for start in range(0, max(len(predictions), len(routed)), 1000):
        found += predictions[start : start + 1000] + routed[start : start + 1000]
    return found


def measured_stages(plan: Plan) -> tuple[dict[str, tuple[Timed, int]], Prepared]:
    """Run every stage over the week; return their times with how many records they are per."""
    codecs, topics = numbered_codecs(plan.schemas), plan.topics
    events, labels = inputs_of(plan)
    fresh = Context(model=fresh_served(plan, 1))

    def scorer() -> Stage:
        return ScoreStage(plan, codecs, 0, PARTITIONS)

    score = measure(scorer, events, fresh, BATCH)
    route = measure(lambda: RouteStage(plan, codecs, 0, PARTITIONS), labels, Context(), BATCH)
    pairs = joined(
        plan, emitted(score.emits, topics.predictions), emitted(route.emits, topics.labels_routed)
    )
    join = measure(lambda: JoinStage(plan, codecs, 0, PARTITIONS), pairs, Context(), BATCH)
    examples = emitted(join.emits, topics.examples)
    learn = measure(lambda: learner(plan, codecs), examples, Context(), BATCH)
    state = last_state(codecs, learn.emits, topics.models)
    taught = Context(model=served_from(plan, 1, len(examples), state, pickle.loads))
    score = measure(scorer, events, taught, BATCH)
    counts = emitted([*score.emits, *route.emits, *join.emits, *learn.emits], topics.counts)
    monitor = measure(lambda: MonitorStage(plan, codecs), counts, Context(), BATCH)
    found = {
        "score": (score, len(events)),
        "route": (route, len(labels)),
        "join": (join, len(events)),
        "learn": (learn, len(examples)),
        "monitor": (monitor, len(events)),
    }
    return found, Prepared(codecs, taught, events, pairs, examples, len(state))


class Prepared(NamedTuple):
    """What the stages were run with."""

    codecs: Codecs
    taught: Context
    events: list[Record]
    pairs: list[Record]
    examples: list[Record]
    state_bytes: int


def last_state(codecs: Codecs, emits: Sequence[Emit], topic: str) -> bytes:
    """Return the state that was announced last."""
    found = (codecs.model.decode(e.value) for e in reversed(emits) if e.topic == topic)
    states = (said["state"] for said in found if isinstance(said, dict))
    return next(state for state in states if state is not None)


def main(profiled: str | None) -> None:
    plan = plan_of(load_pipeline(ROOT / "examples" / "flights" / "pipeline.py"))
    stages, prepared = measured_stages(plan)
    print(f"{len(prepared.events)} events, {len(prepared.examples)} examples, batches of {BATCH};")
    print("microseconds per event or label; prepare = decode and validate, seal = pack states")
    for timed, count in stages.values():
        print(timed.line(count))
    said = f"the model's state has {prepared.state_bytes:,} bytes"
    print(f"murmur2  {murmur2_us():6.1f} us  per id; {said}")
    if profiled:
        profile_stage(plan, prepared, profiled)


def profile_stage(plan: Plan, prepared: Prepared, name: str) -> None:
    """Print where one stage spends its time."""
    codecs = prepared.codecs
    stages: dict[str, tuple[Callable[[], Stage], list[Record]]] = {
        "score": (lambda: ScoreStage(plan, codecs, 0, PARTITIONS), prepared.events),
        "join": (lambda: JoinStage(plan, codecs, 0, PARTITIONS), prepared.pairs),
        "learn": (lambda: learner(plan, codecs), prepared.examples),
    }
    make, feed = stages[name]
    profile = cProfile.Profile()
    profile.runcall(Timed(name).run, make(), feed, prepared.taught, BATCH)
    pstats.Stats(profile).sort_stats("tottime").print_stats(25)


def murmur2_us() -> float:
    began = perf_counter()
    for _ in range(10_000):
        partition_of(b"201302081545-UA1545-EWRIAH", 2)
    return (perf_counter() - began) * 100


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
