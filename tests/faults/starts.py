"""Workers of a role are started on a backlog, together or one after another: does each go on?

``python -m tests.faults.starts --starts 100`` starts an embedded stack of its own, publishes one
backlog, and again and again starts 1, 2 or 4 workers of each role on it, each time as a pipeline
of a fresh name. A partition that has records left and whose committed offset stands for more than
:data:`STILL_S` is a fault of the run; so is a worker that ends. What each start took is printed,
and at the end the throughput by role and number of workers.

Inputs are paused at few waiting records (``--waiting``), so that a small backlog does to each
worker what a large one does in production.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from confluent_kafka import Consumer
from confluent_kafka import TopicPartition as Place

from headrace.app.stack.stack import Stack
from headrace.app.wiring import role_spec
from headrace.streams.engine.connection import Connection
from headrace.streams.engine.messages import fetched
from headrace.streams.engine.publisher import Publisher
from headrace.streams.engine.roles import group_of
from headrace.streams.load import load_pipeline
from headrace.streams.plan import plan_of
from headrace.streams.records import TopicPartition
from tests.faults.system import System
from tests.services import fresh_name
from tests.systems.shop import PIPELINE

STILL_S = 10.0
"""For so long the committed offset of a partition with records left may stand."""

PARTITIONS = 4
WORKERS = (1, 2, 4)
_LOOK_S = 0.2
_TAIL = 200
_ENDS = (0, -signal.SIGTERM)
"""Exit codes of a worker that is stopped, perhaps before it could hear of it."""
_SHOPS = 200
_BEGUN = datetime(2024, 1, 1, tzinfo=UTC)


class Way(NamedTuple):
    """How workers are started.

    Attributes
    ----------
    workers
        How many of the role.
    apart_s
        The pause between two of them; 0: together.
    """

    workers: int
    apart_s: float

    def __str__(self) -> str:
        how = f"{self.apart_s:.2f} s apart" if self.apart_s else "together"
        return f"{self.workers} {how}" if self.workers > 1 else "1"


class Took(NamedTuple):
    """What a start of a role took.

    Attributes
    ----------
    records
        How many offsets were committed.
    seconds
        From the first commit to the last.
    still_s
        The longest time for which a partition with records left stood.
    still
        Which one, with where it stood and what the workers said of themselves; empty if none
        stood for too long.
    """

    role: str
    way: Way
    records: int
    seconds: float
    still_s: float
    still: str


class Progress:
    """How far each partition of a role's inputs is committed, and for how long it has stood.

    Parameters
    ----------
    ends
        The offset behind the last record of each partition.
    """

    def __init__(self, ends: Mapping[TopicPartition, int], begun_s: float) -> None:
        self._ends = dict(ends)
        self._at = dict.fromkeys(ends, -1)
        self._since_s = dict.fromkeys(ends, begun_s)
        self.first_s: float | None = None
        self.last_s = begun_s
        self.still_s = 0.0
        self.stands: dict[TopicPartition, int] = {}

    def extend(self, ends: Mapping[TopicPartition, int]) -> None:
        """Take in what a role has written to its own inputs meanwhile."""
        for place in ends.keys() - self._ends.keys():
            self._at[place], self._since_s[place] = -1, self.last_s
        self._ends.update(ends)

    def look(self, committed: Mapping[TopicPartition, int], now_s: float) -> None:
        """Take in what is committed now."""
        self.stands = {}
        for place, end in self._ends.items():
            at = committed.get(place, -1)
            if at != self._at[place]:
                if at > 0:
                    self.first_s, self.last_s = self.first_s or now_s, now_s
                self._at[place], self._since_s[place] = at, now_s
            if at < end:
                self.still_s = max(self.still_s, now_s - self._since_s[place])
                if now_s - self._since_s[place] > STILL_S:
                    self.stands[place] = at

    @property
    def places(self) -> list[Place]:
        """The partitions that have records."""
        return [Place(*place) for place in self._ends]

    @property
    def done(self) -> bool:
        """Whether all is committed."""
        return all(self._at[place] >= end for place, end in self._ends.items())

    @property
    def records(self) -> int:
        """How many offsets are committed."""
        return sum(max(0, at) for at in self._at.values())

    def place(self, tp: TopicPartition) -> str:
        """Return where a partition stands, in words."""
        return f"{tp[0]}-{tp[1]} at {self._at[tp]} of {self._ends[tp]}"


class Starts:
    """A backlog on an embedded stack, on which workers are started again and again.

    Parameters
    ----------
    waiting
        At so many waiting records an input is paused.
    """

    def __init__(self, folder: Path, stack: Stack, events: int, waiting: int) -> None:
        self._folder = folder
        self._topic = fresh_name("backlog")
        self._made = 0
        self._file = folder / "backlog.py"
        text = PIPELINE.format(name=self._topic)
        for time_field in ('time="at"', 'time="known_at"'):
            what = "events" if time_field == 'time="at"' else "labels"
            text = text.replace(time_field, f'{time_field}, topic="{self._topic}.{what}"')
        self._file.write_text(text)
        self._kafka = Connection(str(stack.addresses["kafka"]))
        self._environment = {
            "HEADRACE_KAFKA_BROKERS": self._kafka.brokers,
            "HEADRACE_REDIS_URL": str(stack.addresses["redis"]),
            "HEADRACE_PARTITIONS": str(PARTITIONS),
            "TESTS_WAITING_MAX": str(waiting),
        }
        self._publish(events)

    def _publish(self, events: int) -> None:
        system = self._system()
        plan = plan_of(load_pipeline(self._file))
        order, returned = plan.pipeline.events.event, plan.pipeline.labels.label  # type: ignore[union-attr]
        with Publisher(plan, self._kafka) as publisher:
            for number in range(events):
                name, at = f"o{number}", _BEGUN + timedelta(seconds=number / 10)
                shop = f"shop{number % _SHOPS}"
                publisher.event(order(id=name, shop=shop, at=at, price=number % 97))
                later = at + timedelta(minutes=5)
                publisher.label(returned(id=name, known_at=later, returned=number % 3 == 0))
        system.close()

    def _system(self) -> System:
        self._made += 1
        return System(
            self._folder / f"start-{self._made:03}",
            fresh_name("starts"),
            self._environment,
            self._file,
        )

    def start(self, way: Way, roles: Sequence[str] = ("score", "join", "learn")) -> Iterator[Took]:
        """Start workers of one role after the other, each time until all is committed.

        Yields
        ------
        Took
            What each role took; the last one if a partition of it stood.
        """
        system = self._system()
        try:
            for role in roles:
                took = self._role(system, role, way)
                yield took
                if took.still:
                    print(system.logs())
                    return
        finally:
            system.close()
        shutil.rmtree(system.folder)

    def _role(self, system: System, role: str, way: Way) -> Took:
        spec, _ = role_spec(system.prepared, role)
        due_s = time.monotonic()
        progress = Progress(self._ends(spec.topics), due_s)
        started, still = 0, ""
        with self._kafka.consumer({"group.id": group_of(system.name, role)}) as consumer:
            while not still:
                if started < way.workers and time.monotonic() >= due_s:
                    system.slot(role, started).start()
                    started, due_s = started + 1, due_s + way.apart_s
                    continue
                committed = consumer.committed(progress.places, timeout=20)
                at = {(each.topic, each.partition): each.offset for each in committed}
                progress.look(at, time.monotonic())
                still = self._still(system, role, progress)
                if progress.done and started == way.workers:
                    progress.extend(self._ends(spec.topics))  # a role may read what it writes
                    if progress.done:
                        break
                time.sleep(_LOOK_S)
        wrong = [code for code in system.stop() if code not in _ENDS]
        still = still or (f"{role}: workers ended with {wrong}" if wrong else "")
        system.slots.clear()
        seconds = progress.last_s - (progress.first_s or progress.last_s)
        return Took(role, way, progress.records, seconds, progress.still_s, still)

    def _still(self, system: System, role: str, progress: Progress) -> str:
        ended = [name for name, slot in system.slots.items() if slot.ended()]
        if ended:
            return f"{role}: {', '.join(ended)} ended"
        if not progress.stands:
            return ""
        stands = ", ".join(progress.place(place) for place in progress.stands)
        said = {name: (report["state"], report["waits_for"], report["tasks"])
                for name, report in system.workers().items() if name.startswith(role)}  # fmt: skip
        return f"{role}: {stands}; {said}"

    def _ends(self, topics: Sequence[str]) -> dict[TopicPartition, int]:
        """Return the offset behind the last record, where there is one."""
        counts = self._kafka.partition_counts()
        places = [(topic, each) for topic in topics for each in range(counts[topic])]
        with self._kafka.consumer() as consumer:
            found = {place: _end(consumer, place) for place in places}
        return {place: end for place, end in found.items() if end}


def _end(consumer: Consumer, place: TopicPartition) -> int:
    """Return the offset behind a partition's last record: control records may come after it."""
    first, end = consumer.get_watermark_offsets(Place(*place), timeout=20)
    start, behind = end, 0
    while start > first and not behind:
        start = max(first, start - _TAIL)
        consumer.assign([Place(*place, start)])
        ended = False
        while not ended:
            for message in fetched(consumer, 1.0):
                ended = ended or message.error() is not None
                if message.error() is None:
                    behind = int(message.offset() or 0) + 1
    return behind


def ways(seed: int, count: int) -> Iterator[Way]:
    """Draw how workers are started: 1, 2 and 4 in turn; half of the times together."""
    draw = random.Random(seed)
    for number in range(count):
        apart_s = draw.choice([0.0, draw.uniform(0.05, 0.8)])
        yield Way(WORKERS[number % len(WORKERS)], apart_s)


def table(found: Sequence[Took]) -> str:
    """Return the throughput by role and number of workers: median and range, in offsets/s."""
    rates = defaultdict(list)
    for took in found:
        if took.seconds > 0 and not took.still and not took.way.apart_s:
            rates[took.role, took.way.workers].append(took.records / took.seconds)
    lines = [
        "| role | workers | starts | offsets/s p50 | least | most |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for (role, workers), each in sorted(rates.items()):
        p50, least, most = statistics.median(each), min(each), max(each)
        lines.append(
            f"| {role} | {workers} | {len(each)} | {p50:,.0f} | {least:,.0f} | {most:,.0f} |"
        )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.starts", description=__doc__)
    parser.add_argument("--starts", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=36_000, help="no new start after so long")
    parser.add_argument("--events", type=int, default=20_000, help="in the backlog")
    parser.add_argument("--waiting", type=int, default=1_000, help="records at which inputs pause")
    parser.add_argument("--roles", default="score,join,learn")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    found: list[Took] = []
    folder = Path(tempfile.mkdtemp(prefix="headrace-starts-"))
    until = time.monotonic() + given.seconds
    try:
        with Stack(folder / "stack") as stack:
            starts = Starts(folder, stack, given.events, given.waiting)
            for number, way in enumerate(ways(given.seed, given.starts), 1):
                if time.monotonic() > until:
                    break
                for took in starts.start(way, given.roles.split(",")):
                    found.append(took)
                    print(
                        f"{number}: {took.role} {way}: {took.records:,} offsets in"
                        f" {took.seconds:.1f} s, still for {took.still_s:.1f} s {took.still}",
                        flush=True,
                    )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(table(found))
    wrong = [took for took in found if took.still]
    print(f"{len(found)} starts of a role, {len(wrong)} in which a partition stood still")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
