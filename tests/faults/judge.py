"""What must hold after a run with faults: the oracle's report, and states equal to a fold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from headrace.app.wiring import model_digest, open_registry, open_signer, role_spec
from headrace.registry.kept import TaskId
from headrace.streams.protocol.cache import Cache
from headrace.streams.protocol.ports import Cut
from headrace.streams.protocol.stage import Context
from headrace.streams.protocol.steps import drive
from headrace.streams.protocol.task import Spec, Task, apply_records
from headrace.streams.records import Record
from headrace.streams.twins.store import MemoryStore
from tests.faults.system import System
from tests.oracle.logs import Logs, read_logs, topic_names
from tests.oracle.report import Report
from tests.oracle.truth import check
from tests.oracle.wire import Schemas
from tests.systems.folded import Said, alerts_of_counts, records_of


class Tally(NamedTuple):
    """What there is in the logs, and what should be.

    Attributes
    ----------
    events
        Events in the log; all of them are valid, so each must have one prediction.
    lost, doubled
        Events without a prediction; predictions of no event, or of one that has one already.
    unpublished
        Events that were acknowledged and that are not in the log.
    """

    events: int
    predictions: int
    examples: int
    lost: int
    doubled: int
    unpublished: int


@dataclass(frozen=True)
class Verdict:
    """What a run amounts to.

    Attributes
    ----------
    states_differing
        Tasks whose state is not the fold's.
    compared
        How many values the oracle has compared.
    wrong
        Everything that differs from the truth, in sentences.
    """

    tally: Tally
    states_differing: int
    compared: int
    wrong: list[str]

    @property
    def holds(self) -> bool:
        """Whether nothing is lost, doubled, or different."""
        bad = self.tally.lost or self.tally.doubled or self.tally.unpublished
        return not bad and not self.states_differing and not self.wrong


def verdict_of(system: System, logs: Logs, published: int) -> Verdict:
    """Judge a run that has come to its end.

    Parameters
    ----------
    published
        How many different events were published and acknowledged.
    """
    report, states = truth_of(system, logs), state_differences(system, logs)
    return Verdict(
        tally=tally_of(logs, published),
        states_differing=len(states),
        compared=report.compared.total(),
        wrong=[
            *(f"{kind}: {n} differ" for kind, n in report.differing.items()),
            *report.differences[:10],
            *states[:10],
            *checkpoint_differences(system)[:10],
        ],
    )


def tally_of(logs: Logs, published: int) -> Tally:
    """Count what was lost and doubled, by the coordinates that each prediction carries."""
    places = {
        (number, record.offset): record.value
        for number, record in logs.anew("events")
        if not record.is_control
    }
    schemas, topic = Schemas(logs.schemas()), logs.topics["predictions"]
    decoded = (schemas.decode(record.value or b"", topic) for _, record in logs.of("predictions"))
    each = Counter((said["source_partition"], said["source_offset"]) for said in decoded)
    right = places.keys() & each.keys()
    return Tally(
        events=len(places),
        predictions=each.total(),
        examples=sum(1 for _ in logs.of("examples")),
        lost=len(places) - len(right),
        doubled=each.total() - len(right),
        unpublished=published - len(set(places.values())),
    )


def logs_of(system: System) -> Logs:
    """Return everything in the system's topics, at ``read_committed``."""
    topics = system.plan.topics
    names = topic_names(system.name, events=topics.events, labels=topics.labels)
    return read_logs(system.services.kafka.brokers, names)


def truth_of(system: System, logs: Logs) -> Report:
    """Return the oracle's report over a run's logs, models and alerts included."""
    loads = open_signer(system.settings).loads
    return check(logs, loads=loads, alerts=alerts_of(system, logs))


def alerts_of(system: System, logs: Logs) -> list[Said]:
    """Return the alerts that a fresh MONITOR raises on a run's counts."""
    spec, _ = role_spec(system.prepared, "join")
    (monitor,) = (stage.make(0) for stage in spec.stages if stage.name == "monitor")
    return alerts_of_counts(monitor, system.plan.topics, logs)


def state_differences(system: System, logs: Logs) -> list[str]:
    """Compare what the store holds with a fold of the run's logs by fresh stages."""
    wrong = []
    for role in ("score", "join"):
        spec, _ = role_spec(system.prepared, role)
        for stage in spec.stages:
            if stage.name == "monitor":
                continue  # its cut is within counts; the oracle compares what it says
            for number in range(stage.tasks):
                key = TaskId(system.name, system.prepared.version, stage.name, number)
                held_cut, held = system.store.peek(key)
                if held_cut is None:
                    wrong.append(f"{key}: the store holds nothing")
                    continue
                records = _records(logs, stage.inputs, number, held_cut)
                folded = _folded(Spec(key, stage.inputs), stage.make(number), records)
                if dict(held) != folded:
                    names = sorted(set(held) ^ set(folded))
                    wrong.append(f"{key}: at {held_cut} {len(names)} keys differ: {names[:5]}")
    return wrong


def _records(logs: Logs, inputs: Iterable[str], number: int, cut: Cut) -> list[Record]:
    """Return what a task has read up to its cut, in order of append time as a restore does."""
    found = []
    for topic in inputs:
        end = cut.next_of(topic)
        found += [each for each in records_of(logs, topic, number) if each.offset < end]
    return sorted(found, key=lambda record: record.timestamp_ms)  # stable: offsets stay in order


def _folded(spec: Spec, stage: object, records: list[Record]) -> dict[str, bytes]:
    cache = Cache(10_000_000, whole=True)
    stage.load(cache)  # type: ignore[attr-defined]  # a Stage
    nowhere = Cut(tuple((topic, 0) for topic in spec.inputs))
    task = Task(spec, stage, "", nowhere, nowhere, nowhere, cache)  # type: ignore[arg-type]  # same
    drive(apply_records(task, records, MemoryStore(), Context(restoring=True)))
    sealed = cache.seal(1)
    return {key: packed for key, packed in sealed.items() if packed is not None}


def checkpoint_differences(system: System) -> list[str]:
    """Return what is wrong with the chain of checkpoints: order, links and digests."""
    signer, version = open_signer(system.settings), system.prepared.version
    registry = open_registry(system.settings, system.services)
    wrong, before = [], 0
    try:
        for info in registry.checkpoints(system.name, version):
            state = registry.checkpoint_state(system.name, version, info.offset)
            assert state is not None, "nobody has pruned"
            if info.previous != before:
                wrong.append(f"checkpoint {info.offset} follows {info.previous}, not {before}")
            if info.digest != model_digest(signer.loads(state)):
                wrong.append(f"checkpoint {info.offset}: another digest")
            before = info.offset
    finally:
        registry.close()
    return wrong
