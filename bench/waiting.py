"""What it costs when many predictions wait for their label: memory, take-over, throughput.

One task of JOIN on a real Valkey, in process, the flights' own predictions: they are made to wait
within 120 days, half of them get their label later, the others expire. Kafka is left out: the bench
is about what is remembered. Run with ``.venv/bin/python -m bench.waiting --waiting 1000000``;
``--whole`` measures the state held whole in memory, as it is for waits of up to a day.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from redis import Redis

from bench.stages import ROOT, inputs_of
from headrace.app.stack.valkey import Valkey
from headrace.registry.memory import MemoryRegistry
from headrace.schemas.records import numbered_codecs
from headrace.streams.load import load_pipeline
from headrace.streams.model import fresh_served
from headrace.streams.plan import Plan, plan_of
from headrace.streams.protocol.cache import Cache
from headrace.streams.protocol.commit import commit
from headrace.streams.protocol.ports import Committed, TaskId
from headrace.streams.protocol.stage import Context
from headrace.streams.protocol.steps import drive
from headrace.streams.protocol.takeover import Ports, take_over
from headrace.streams.protocol.task import Spec, Task, process
from headrace.streams.records import Emit, Record, TopicPartition
from headrace.streams.stages import join as joining
from headrace.streams.stages.join import JoinStage
from headrace.streams.stages.score import ScoreStage
from headrace.streams.store.redis import RedisStore
from headrace.streams.topics import Partitions

DAY_MS = 86_400_000
WAIT_DAYS = 120
BATCH = 500
START_MS = 1_700_000_000_000
ONE = Partitions(1, 1, 1)


class Log:
    """Kafka as JOIN needs it here: it takes all, remembers offsets, and has nothing to restore."""

    def __init__(self) -> None:
        self.offsets: dict[TopicPartition, Committed] = {}

    def topic_id(self, topic: str) -> str:
        """Return a name for an id."""
        return topic

    def partition_count(self, topic: str) -> int:
        """Return 1."""
        return 1

    def bounds(self, tp: TopicPartition) -> tuple[int, int]:
        """Return where the log begins and ends."""
        return 0, self.offsets[tp].offset if tp in self.offsets else 0

    def committed(self, tps: Sequence[TopicPartition]) -> Mapping[TopicPartition, Committed | None]:
        """Return the offsets."""
        return {tp: self.offsets.get(tp) for tp in tps}

    def wait(self, why: str) -> None:
        """Raise: no answer is to be waited for."""
        raise RuntimeError(why)

    def read(self, tp: TopicPartition, start: int, stop: int) -> Sequence[Record]:
        """Return nothing."""
        return ()

    def begin(self) -> None:
        """Do nothing."""

    def produce(self, emits: Sequence[Emit]) -> None:
        """Do nothing."""

    def send_offsets(self, offsets: Mapping[TopicPartition, Committed]) -> None:
        """Remember offsets."""
        self.offsets.update(offsets)

    def end(self) -> None:
        """Do nothing."""


class Made:
    """Predictions and labels, as SCORE and ROUTE emit them."""

    def __init__(self, plan: Plan, waiting: int) -> None:
        self.plan = plan
        self.codecs = numbered_codecs(plan.schemas)
        self._step_ms = WAIT_DAYS * DAY_MS / waiting
        events, _ = inputs_of(plan)
        score = ScoreStage(plan, self.codecs, 0, ONE)
        cache, context = Cache(1_000_000, whole=True), Context(model=fresh_served(plan, 1))
        emits = score.apply(score.prepare(events[:2_000]), cache, context).emits
        found = [e.value for e in emits if e.topic == plan.topics.predictions and e.value]
        self._templates = [self._template(value) for value in found]
        self.bytes = sum(map(len, self._templates)) / len(self._templates)

    def _template(self, value: bytes | None) -> bytes:
        """Return a prediction whose id and time can be replaced, since they keep their lengths."""
        fields: Any = self.codecs.prediction.decode(value)
        changes = {"event_id": name_of(0), "event_time": START_MS, "watermark": START_MS}
        template: bytes = self.codecs.prediction.encode({**fields, **changes})
        return template

    def time_ms(self, number: int) -> int:
        """Return when an event happens."""
        return START_MS + int(number * self._step_ms)

    def prediction(self, number: int) -> Record:
        """Return the prediction of an event."""
        time_ms = self.time_ms(number)
        value = self._templates[number % len(self._templates)]
        value = value.replace(name_of(0).encode(), name_of(number).encode())
        value = value.replace(long_of(START_MS), long_of(time_ms))
        return Record(self.plan.topics.predictions, 0, number, time_ms, None, value)

    def label(self, number: int, offset: int, now_ms: int, watermark: int | None) -> Record:
        """Return the label of an event, told now."""
        fields = {
            "event_id": name_of(number),
            "label": number % 3 == 0,
            "label_time": now_ms,
            "source_partition": 0,
            "source_offset": offset,
            "watermark": watermark,
        }
        value = self.codecs.routed_label.encode(fields)
        return Record(self.plan.topics.labels_routed, 0, offset, now_ms, None, value)


def long_of(number: int) -> bytes:
    """Return a positive number as Avro writes it."""
    found, rest = bytearray(), number << 1
    while rest > 127:
        found.append(rest & 127 | 128)
        rest >>= 7
    found.append(rest)
    return bytes(found)


def name_of(number: int) -> str:
    """Return an event's id: as long as a UUID."""
    return f"payment-{number * 2_654_435_761 % 2**64:020d}-{number % 9973:07d}"


def resident_mb() -> float:
    """Return how much memory this process has resident."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4_096 / 1e6


class Bench:
    """One task of JOIN on a Valkey of its own."""

    def __init__(self, url: str, waiting: int, cache: int) -> None:
        self.made = Made(long_plan(), waiting)
        self.waiting = waiting
        self.valkey: Any = Redis.from_url(url)
        store = RedisStore(url, timeout_s=120.0)
        registry = MemoryRegistry(lambda state: "")
        plan = self.made.plan
        registry.register_version(plan.name, plan.canonical, plan.digest, {})
        self.ports = Ports(Log(), store, registry)
        inputs = (plan.topics.predictions, plan.topics.labels_routed)
        self.spec = Spec(TaskId(plan.name, 1, "join", 0), inputs, cache_limit=cache)
        self.owners = 0
        self.task = self.take_over()

    def take_over(self) -> Task:
        """Become the task's owner anew."""
        self.owners += 1
        stage = JoinStage(self.made.plan, self.made.codecs, 0, ONE, 10**9)
        return drive(take_over(self.spec, stage, self.ports, f"owner-{self.owners}"))

    def run(self, records: Sequence[Record]) -> None:
        """Process records, and commit them."""
        batch = drive(process(self.task, records, self.ports.store, Context()))
        drive(commit([(self.task, [batch])], self.ports))

    def valkey_mb(self) -> float:
        """Return how much memory Valkey uses."""
        found: float = self.valkey.info("memory")["used_memory"] / 1e6
        return found

    def fill(self) -> float:
        """Let so many predictions wait; return how many a second."""
        return self._timed(
            [self.made.prediction(n) for n in range(at, min(at + BATCH, self.waiting))]
            for at in range(0, self.waiting, BATCH)
        )

    def steady(self, batches: int) -> float:
        """Let as many come as leave: half by a label, half without; return records a second."""
        return self._timed(self._steadily(batches))

    def _steadily(self, batches: int) -> Iterator[list[Record]]:
        rng, offset = Random(7), 0
        for batch in range(batches):
            first = self.waiting + batch * BATCH
            now_ms = self.made.time_ms(first)
            records = [self.made.prediction(first + n) for n in range(BATCH)]
            for _ in range(BATCH // 2):
                known = first - 1 - rng.randrange(self.waiting * 9 // 10)
                records.append(self.made.label(known, offset, now_ms, now_ms))
                offset += 1
            yield records

    def _timed(self, batches: Iterable[list[Record]]) -> float:
        """Return how many records a second are processed and written; making them is not timed."""
        seconds, count = 0.0, 0
        for records in batches:
            begun = time.perf_counter()
            self.run(records)
            seconds += time.perf_counter() - begun
            count += len(records)
        return count / seconds


def long_plan() -> Plan:
    """Return the flights, with labels that take months."""
    flights = load_pipeline(ROOT / "examples" / "flights" / "pipeline.py")
    labels: Any = replace(flights.labels, wait=f"{WAIT_DAYS}d")  # type: ignore[type-var]
    return plan_of(replace(flights, labels=labels, retention=f"{WAIT_DAYS + 30}d"))


def measured(bench: Bench, steady: int) -> dict[str, float]:
    """Run the bench; return its figures."""
    before = resident_mb(), bench.valkey_mb()
    figures: dict[str, float] = {"waiting": bench.waiting, "prediction_bytes": bench.made.bytes}
    figures["filled_per_s"] = bench.fill()
    figures["process_mb"] = resident_mb() - before[0]
    figures["valkey_mb"] = bench.valkey_mb() - before[1]
    figures["valkey_kb_each"] = figures["valkey_mb"] * 1e3 / bench.waiting
    figures["cached"] = len(bench.task.cache)
    begun = time.perf_counter()
    bench.task = bench.take_over()
    figures["take_over_s"] = time.perf_counter() - begun
    figures["steady_per_s"] = bench.steady(steady)
    figures["valkey_kb_each_later"] = (bench.valkey_mb() - before[1]) * 1e3 / bench.waiting
    figures["process_mb_later"] = resident_mb() - before[0]
    return figures


def main() -> None:
    """Run as a script."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--waiting", type=int, default=1_000_000)
    parser.add_argument("--steady", type=int, default=200, help="batches of 750 records")
    parser.add_argument("--cache", type=int, default=20_000)
    parser.add_argument("--whole", action="store_true")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if given.whole:
        joining.WHOLE_WAIT_MS_MAX = 10**15
    with TemporaryDirectory() as folder:
        valkey = Valkey(Path(folder), None)
        valkey.start(None)
        try:
            valkey.ready()
            figures = measured(Bench(valkey.address, given.waiting, given.cache), given.steady)
        finally:
            valkey.stop()
    figures["whole"] = given.whole
    for name, value in figures.items():
        print(f"{name:22} {value:,.2f}")
    if given.json:
        given.json.write_text(json.dumps(figures))


if __name__ == "__main__":
    main()
