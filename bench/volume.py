"""What a run leaves on the broker's disk, by topic, and what MONITOR costs: per event.

The flights of the week, with three lengths of windows (an hour, a day, a week) and nineteen
segments, go through the running pipeline: in step, in slices of half an hour, or flat out. Disk is
the size of the topics' log segments as the broker wrote them. MONITOR's CPU is that of its stage
alone: the run's own counts, in batches as they were committed, once more in process.

Run with ``.venv/bin/python -m bench.volume [--in-step] [--flat-out] [--copies N] [--weeks N]``.
"""

from __future__ import annotations

import argparse
import gc
import json
import pickle
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from time import monotonic, sleep, time
from typing import Any, NamedTuple
from uuid import uuid4

from confluent_kafka import KafkaError, TopicPartition

from bench.cpu import Meter
from bench.history import PIPELINE, history
from bench.stages import Timed
from bench.whole import GROUPS, groups_of, stack_in, workers
from headrace.app.board import board_of
from headrace.app.services import Services, find_services
from headrace.app.settings import settings_from
from headrace.app.wiring import open_store, prepare
from headrace.schemas.records import codecs_of
from headrace.streams.engine.pace import publish_flat_out, publish_in_step
from headrace.streams.engine.publisher import Publisher
from headrace.streams.engine.reader import read
from headrace.streams.load import load_pipeline
from headrace.streams.plan import Plan, plan_of
from headrace.streams.protocol.cache import Cache
from headrace.streams.protocol.stage import Context
from headrace.streams.records import BARRIER, Record
from headrace.streams.stages.monitor import MonitorStage

WINDOWS = 'windows=["1h", "1d", "7d"]'
STEP_MS = 1_800_000
BATCH_MS = 50
SETTLE_S = 300.0


class Topic(NamedTuple):
    """Records that a topic holds, and the bytes of its segments on disk."""

    records: int
    size: int


class Volume(NamedTuple):
    """What a run left, and what it cost; times in microseconds of CPU per event.

    Attributes
    ----------
    monitor
        Of MONITOR's stage alone, by part.
    finals
        How many of the metric records are final.
    """

    events: int
    seconds: float
    topics: dict[str, Topic]
    finals: int
    cpu_us: dict[str, float]
    monitor_us: dict[str, float]


def pipeline_in(folder: Path) -> Path:
    """Write the flights' pipeline with three lengths of windows."""
    text = PIPELINE.read_text()
    file = folder / "pipeline.py"
    shorter = 'windows=["1h", "1d"]'
    assert shorter in text
    file.write_text(re.sub(r" *pace=.*\n", "", text.replace(shorter, WINDOWS)))
    return file


def measured(
    folder: Path, copies: int, weeks: int, *, in_step: bool
) -> tuple[Volume, list[Record]]:
    """Run the pipeline over the history; return what it left, and its counts."""
    file = pipeline_in(folder)
    plan = plan_of(load_pipeline(file))
    with stack_in(folder) as (stack, environment):
        settings = settings_from({k: v for k, v in environment.items() if "HEADRACE" in k})
        services = find_services(settings)
        plan = prepare(plan, settings, services).plan
        with (
            workers(environment, folder / "workers.log", file) as pid,
            Meter(groups_of(pid, stack)) as meter,
        ):
            _wait_for_scorers(services, plan)
            begun_at = time()
            events = _publish(services, plan, history(plan, copies, weeks), in_step=in_step)
            ended_at = time()
            sleep(1.0)
        counts = _counts(services, plan)
        finals = sum(1 for said in read(services.kafka, plan.topics, "metrics") if said["final"])
        records = {
            name: sum(1 for _ in read(services.kafka, plan.topics, name).records())
            for name in _names(plan)
        }
    sizes = _sizes(folder, plan)
    used = {g: meter.used_s(g, begun_at, ended_at) * 1e6 / events for g in GROUPS}
    monitor = monitor_us(plan, counts, events)
    topics = {name: Topic(records[name], sizes[name]) for name in records}
    return Volume(events, ended_at - begun_at, topics, finals, used, monitor), counts


def _names(plan: Plan) -> list[str]:
    return [name.replace("_", "-") for name in plan.topics._fields]


def _wait_for_scorers(services: Services, plan: Plan) -> None:
    """Wait until each role's worker runs."""
    with closing(open_store(services)) as store:
        until = monotonic() + SETTLE_S
        while monotonic() < until:
            board = board_of(store, plan.name).values()
            if {r["role"] for r in board if r["state"] == "running" and r["tasks"]} == {
                "score", "join", "learn",
            }:  # fmt: skip
                return
            sleep(0.1)
    raise TimeoutError("the workers do not run")


def _publish(services: Services, plan: Plan, records: Iterator[Any], *, in_step: bool) -> int:
    """Publish all, and wait until MONITOR has said it; return how many events there were."""
    last = f"volume-{uuid4().hex[:12]}"
    with closing(open_store(services)) as store, Publisher(plan, services.kafka) as publisher:

        def board() -> Any:
            return board_of(store, plan.name)

        steps = (
            publish_in_step(publisher, records, STEP_MS, board)
            if in_step
            else publish_flat_out(publisher, records)
        )
        for _ in steps:
            pass
        publisher.barrier(last)
        _wait_for_barrier(services, plan, last)
        return publisher.events


def _wait_for_barrier(services: Services, plan: Plan, name: str) -> None:
    until = monotonic() + SETTLE_S
    with services.kafka.consumer() as consumer:
        place = TopicPartition(plan.topics.metrics, 0)
        _, end = consumer.get_watermark_offsets(place, timeout=10)
        place.offset = max(0, end - 20_000)
        consumer.assign([place])
        while monotonic() < until:
            for message in consumer.consume(1_000, 0.2):
                if (BARRIER, name.encode()) in (message.headers() or ()):
                    return
    raise TimeoutError(f"not all was counted within {SETTLE_S:.0f} s")


def _counts(services: Services, plan: Plan) -> list[Record]:
    """Return the counts as MONITOR reads them, barriers among them."""
    found: list[Record] = []
    with services.kafka.consumer() as consumer:
        consumer.assign([TopicPartition(plan.topics.counts, 0, 0)])
        while True:
            for message in consumer.consume(1_000, 0.2):
                error = message.error()
                if error is None:
                    headers = tuple((n, v or b"") for n, v in message.headers() or ())
                    found.append(
                        Record(
                            message.topic(), 0, message.offset(), message.timestamp()[1],
                            message.key(), message.value(), headers,
                        )
                    )  # fmt: skip
                elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - a public code
                    return found


def _sizes(folder: Path, plan: Plan) -> dict[str, int]:
    """Return the bytes of each topic's log segments."""
    found = {}
    for name, topic in zip(_names(plan), plan.topics, strict=True):
        logs = [
            file for part in folder.rglob(f"{topic}-[0-9]*") if part.is_dir()
            for file in part.glob("*.log")
        ]  # fmt: skip
        found[name] = sum(file.stat().st_size for file in logs)
    return found


def batches_of(log: Sequence[Record]) -> Iterator[Sequence[Record]]:
    """Go through a log in batches: what has come in a twentieth of a second."""
    place = 0
    while place < len(log):
        end_ms, until = log[place].timestamp_ms + BATCH_MS, place + 1
        while until < len(log) and log[until].timestamp_ms < end_ms:
            until += 1
        yield log[place:until]
        place = until


def monitor_us(plan: Plan, counts: Sequence[Record], events: int) -> dict[str, float]:
    """Return the CPU of MONITOR over its counts, per event and by part."""
    timed = run_monitor(plan, counts)
    return {part: s * 1e6 / events for part, s in timed.seconds.items()}


def run_monitor(plan: Plan, counts: Sequence[Record]) -> Timed:
    """Run MONITOR over its counts, once."""
    ids = {name: 1 for name in plan.schemas}
    header = next(r.value for r in counts if r.value is not None)[1:5]
    codecs = codecs_of(plan.schemas, {**ids, "count": int.from_bytes(header, "big")})
    stage, cache, timed = MonitorStage(plan, codecs), Cache(1_000_000, whole=True), Timed("monitor")
    stage.load(cache)
    gc.freeze()
    for number, batch in enumerate(batches_of(counts)):
        timed.step(stage, batch, cache, Context(), number)
        cache.written = number
    gc.unfreeze()
    return timed


def table(name: str, found: Volume) -> str:
    """Return the figures of one run."""
    lines = [f"{name}: {found.events:,} events in {found.seconds:.1f} s"]
    events = found.events
    for topic, (records, size) in sorted(found.topics.items(), key=lambda each: -each[1].size):
        lines.append(
            f"  {topic:16}{records / events:8.2f} records {size / events:9.1f} bytes per event"
        )
    ours = [each for name, each in found.topics.items()]
    lines.append(
        f"  {'all':16}{sum(t.records for t in ours) / events:8.2f} records"
        f" {sum(t.size for t in ours) / events:9.1f} bytes per event;"
        f" {found.finals / events:.2f} metric records are final"
    )
    parts = ", ".join(f"{part} {us:.1f}" for part, us in found.monitor_us.items())
    lines.append(f"  MONITOR alone {sum(found.monitor_us.values()):.1f} us per event: {parts}")
    parts = ", ".join(f"{group} {us:.0f}" for group, us in found.cpu_us.items())
    lines.append(f"  CPU, us per event: {parts}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.volume", description=__doc__)
    parser.add_argument("--in-step", action="store_true", help="only the run in step")
    parser.add_argument("--flat-out", action="store_true", help="only the run flat out")
    parser.add_argument("--copies", type=int, default=1, help="of each flight")
    parser.add_argument("--weeks", type=int, default=1, help="how often the week is repeated")
    parser.add_argument("--keep", type=Path, help="keep the counts here, to run MONITOR again")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    given = parser.parse_args()
    both = given.in_step == given.flat_out
    everything = {}
    for name, wanted in (("in step", given.in_step), ("flat out", given.flat_out)):
        if not (both or wanted):
            continue
        with tempfile.TemporaryDirectory() as folder:
            found, counts = measured(
                Path(folder), given.copies, given.weeks, in_step=name == "in step"
            )
        print(table(name, found), flush=True)
        everything[name] = found._asdict()
        if given.keep:
            kept = given.keep.with_suffix(f".{name.replace(' ', '-')}")
            kept.write_bytes(pickle.dumps((found.events, counts)))
    if given.json:
        given.json.write_text(json.dumps(everything, indent=2))


if __name__ == "__main__":
    main()
