"""A pipeline on real services whose workers are killed and stopped while it runs."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from confluent_kafka import TopicPartition

from headrace.app.services import Services, find_services
from headrace.app.settings import Settings, settings_from
from headrace.app.supervision import REFUSED
from headrace.app.wiring import Prepared, open_store, prepare, role_spec
from headrace.registry.kept import TaskId
from headrace.streams.engine.admin import Topics
from headrace.streams.engine.publisher import Publisher
from headrace.streams.load import load_pipeline
from headrace.streams.outgoing import Outgoing
from headrace.streams.plan import Plan, plan_of
from headrace.streams.records import BARRIER
from headrace.streams.topics import TopicSpec
from tests.faults.nursery import Forked, Nursery
from tests.faults.services import LOW_PORTS
from tests.faults.slots import Fault, Slot, wait_until

ROOT = Path(__file__).parents[2]
FLIGHTS = ROOT / "examples" / "flights" / "pipeline.py"

_RENAMED = """
from dataclasses import replace
from headrace.streams.load import load_pipeline

renamed = replace(load_pipeline({path!r}, {pipeline!r}), name={name!r})
"""


_TAKEN_OVER = re.compile(r"taken over .* seconds=([\d.]+)")


class System:
    """Workers of a pipeline, and what publishes to it.

    Parameters
    ----------
    name
        The pipeline gets this name, since others run on the same services.
    pipeline
        Which of the file's pipelines.
    inputs
        Partition counts of ``events`` and ``labels``, if not as the settings say.
    ways
        Variables of single slots, by their names: other addresses of the services.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        environment: Mapping[str, str],
        file: Path = FLIGHTS,
        *,
        pipeline: str | None = None,
        inputs: Mapping[str, int] | None = None,
        ways: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.file = folder / "pipeline.py"
        self.file.write_text(_RENAMED.format(path=str(file), pipeline=pipeline, name=name))
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("HEADRACE_")},
            "PYTHONHASHSEED": "0",
            "HEADRACE_DATA": str(folder / "data"),
            **environment,
        }
        self.settings: Settings = settings_from(self.environment)
        self.services: Services = find_services(self.settings)
        self.plan: Plan = plan_of(load_pipeline(self.file))
        brokers = Topics(self.services.kafka.brokers)
        for what, partitions in (inputs or {}).items():
            config = {"max.message.bytes": "16777216"}
            brokers.ensure([TopicSpec(getattr(self.plan.topics, what), partitions, config)])
        self.prepared: Prepared = prepare(self.plan, self.settings, self.services)
        self.store = open_store(self.services)
        self.ways = dict(ways or {})
        self._made = 0
        self._nursery: Nursery | None = None
        self._logs: dict[int, Path] = {}
        self._wanted = {
            str(TaskId(name, self.prepared.version, stage.name, number)): role
            for role in ("score", "join", "learn")
            for stage in role_spec(self.prepared, role)[0].stages
            for number in range(stage.tasks)
        }
        self.slots: dict[str, Slot] = {}

    def _worker(self) -> Forked:
        """Return a process that has imported everything, and waits to be told what to be."""
        if self._nursery is None:
            self._nursery = Nursery("tests.faults.worker", ROOT, self.environment)
        self._made += 1
        log = self.folder / f"worker-{self._made:03}.log"
        made = self._nursery.fork(log)
        self._logs[made.pid] = log
        return made

    def slot(self, role: str, number: int = 0) -> Slot:
        """Return a worker's place, made if need be."""
        return self.slots.setdefault(f"{role}-{number}", self.make_slot(role, number))

    def make_slot(self, role: str, number: int) -> Slot:
        """Return a place that nobody looks after yet."""
        slot = Slot(role, number, self.file, self._worker, next(LOW_PORTS))
        slot.environment = self.ways.get(str(slot), {})
        return slot

    def start(self, score: int = 1, join: int = 1, learn: int = 1) -> None:
        """Start workers without faults."""
        for role, count in (("score", score), ("join", join), ("learn", learn)):
            for number in range(count):
                self.slot(role, number).start()

    def wait_running(self, limit_s: float = 60) -> None:
        """Wait until each worker says that it runs, and each task is somebody's."""
        wait_until(self._all_run, limit_s, "all workers run")

    def _all_run(self) -> bool:
        self.look_after()
        board = self.workers()
        reports = [board.get(name, {}) for name in self.slots]
        roles = {slot.role for slot in self.slots.values()}
        held = {task for report in reports for task in report.get("tasks", ())}
        return all(
            report.get("state") == "running" and report.get("pid") == slot.pid
            for report, slot in zip(reports, self.slots.values(), strict=True)
        ) and held >= {task for task, role in self._wanted.items() if role in roles}

    def tasks_of(self, role: str) -> int:
        """Return how many tasks a role has."""
        return sum(1 for wanted in self._wanted.values() if wanted == role)

    def workers(self) -> dict[str, dict[str, Any]]:
        found = self.store.workers(self.name)
        return {name: json.loads(text) for name, text in found.items()}

    def look_after(self, faults: Mapping[str, list[Fault]] | None = None) -> None:
        """Start every worker again that has ended, with its next fault if there is one."""
        for name, slot in self.slots.items():
            ran = slot.process is not None
            if not slot.ended():
                continue
            refused = ran and slot.codes[-1] == REFUSED
            assert not refused, f"{name} refused to start: no supervisor restarts it"
            if not slot.left_empty and time.monotonic() >= slot.due_s:
                following = (faults or {}).get(name)
                slot.start(following.pop(0) if following else slot.following)

    def set_disk(self, *, full: bool) -> None:
        """Let SQLite's file grow no more, or again."""
        for slot in self.slots.values():
            slot.set_disk(full=full)

    def log_of(self, slot: Slot) -> Path:
        """Return the file to which a worker writes."""
        assert slot.pid is not None
        return self._logs[slot.pid]

    def restore_s(self, slot: Slot) -> float:
        """Return how long a worker says that it took over tasks, in all."""
        said = self._logs[slot.pid].read_text(errors="replace") if slot.pid else ""
        return sum(float(seconds) for seconds in _TAKEN_OVER.findall(said))

    def publish(self, publisher: Publisher, records: Iterable[Outgoing]) -> None:
        for record in records:
            publisher.send(record)
        publisher.flush()

    def finish(self, publisher: Publisher, limit_s: float = 90) -> None:
        """Wait until all that was published is learned and counted, looking after the workers."""
        barrier = uuid4().hex
        place = TopicPartition(self.plan.topics.metrics, 0)
        with self.services.kafka.consumer() as consumer:
            _, place.offset = consumer.get_watermark_offsets(place, timeout=10)
            consumer.assign([place])
            publisher.barrier(barrier)

            def has_come() -> bool:
                self.look_after()
                found = [m for m in consumer.consume(1_000, 0.05) if m.error() is None]
                return any((BARRIER, barrier.encode()) in (m.headers() or ()) for m in found)

            wait_until(has_come, limit_s, "all is learned and counted")

    def replace(self, slot: Slot, fault: Fault) -> None:
        """Stop a worker in good order, and start one with a fault in its place."""
        slot.signal(signal.SIGTERM)
        wait_until(slot.ended, 15, "a worker stops")
        slot.start(fault)

    def stop(self) -> list[int]:
        """Stop all workers as a supervisor does; return their exit codes."""
        for slot in self.slots.values():
            slot.ask_to_stop()
        return [code for slot in self.slots.values() if (code := slot.wait()) is not None]

    def close(self) -> None:
        for slot in self.slots.values():
            slot.kill()
        if self._nursery is not None:
            self._nursery.close()
        self.store.close()

    def logs(self) -> str:
        """Return the ends of the workers' logs, for a failure's message."""
        parts = []
        for path in sorted(self.folder.glob("*.log"))[-12:]:
            lines = path.read_text(errors="replace").splitlines()[-15:]
            parts.append(f"== {path.name}\n" + "\n".join(lines))
        return "\n".join(parts)


@contextmanager
def running(system: System) -> Iterator[System]:
    """Lend a system; its processes are gone afterwards, whatever happened."""
    try:
        yield system
    except BaseException:
        print(system.logs())
        raise
    finally:
        system.close()
