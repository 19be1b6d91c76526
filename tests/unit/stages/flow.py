"""A small pipeline, and its stages run by the protocol's own processing, in memory."""

from __future__ import annotations

import json
import pickle
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, cast

import msgpack
from pydantic import Field
from river import linear_model, optim, preprocessing

from headrace.schemas.codec import Codec
from headrace.schemas.counts import counted as everything
from headrace.schemas.records import Codecs, numbered_codecs
from headrace.streams.model import fresh_served
from headrace.streams.pipeline import (
    Event,
    InEvent,
    Labels,
    Monitor,
    Pipeline,
    Source,
    apply,
    category,
    count,
    last_value,
    majority,
    mean,
    since_last,
    value,
)
from headrace.streams.plan import Plan, plan_of
from headrace.streams.protocol.cache import Cache
from headrace.streams.protocol.ports import Cut, TaskId
from headrace.streams.protocol.stage import Context, Stage
from headrace.streams.protocol.steps import drive
from headrace.streams.protocol.task import Spec, Task, apply_records
from headrace.streams.records import BARRIER, BARRIER_SOURCE, Emit, Record
from headrace.streams.topics import Partitions

START = datetime(2024, 5, 1, 12, tzinfo=UTC)
START_MS = int(START.timestamp() * 1000)
NOW_MS = START_MS + 86_400_000
PARTITIONS = Partitions(events=2, labels=2, predictions=2)


class Reading(Event):
    """A machine's reading; its key "m0" lies on partition 1 of two, "m1" on 0."""

    id: str
    machine: str
    at: datetime
    load: Annotated[float, Field(ge=0, le=1_000)]
    kind: Literal["new", "old"] = "new"
    heat: float | None = None
    broken: bool = False


class Verdict(Event):
    id: str
    at: datetime
    broken: bool


def headroom(load: float) -> float:
    """Fail on purpose for one load."""
    if load == 13:
        raise ArithmeticError("thirteen")
    return 1_000 - load


def hot(event: Reading) -> bool | None:
    """Fail on purpose for one load; say nothing without a heat."""
    if event.load == 14:
        raise ArithmeticError("fourteen")
    return None if event.heat is None else event.heat > 50


FEATURES = [
    value("load"),
    value("heat"),
    category("kind"),
    apply(headroom, "load"),
    count(over="1h"),
    mean("load", over="1h"),
    since_last(),
]


def logistic() -> Any:
    return preprocessing.StandardScaler() | linear_model.LogisticRegression(optim.SGD(0.1))


def pipeline(**changes: Any) -> Pipeline:
    declared: dict[str, Any] = {
        "name": "machines",
        "events": Source(Reading, id="id", key="machine", time="at", lateness="10m"),
        "labels": Labels(Verdict, id="id", value="broken", time="at", wait="1h", lateness="10m"),
        "features": FEATURES,
        "model": logistic(),
        "monitor": Monitor(segments=["kind"], baselines=[majority(), last_value(), hot]),
    }
    return Pipeline(**{**declared, **changes})


IN_EVENT: dict[str, Any] = {
    "labels": InEvent("broken"),
    "monitor": Monitor(baselines=[majority()]),
}

PLAN = plan_of(pipeline())
CODECS = numbered_codecs(PLAN.schemas)


def codecs_for(plan: Plan) -> Codecs:
    return CODECS if plan is PLAN else numbered_codecs(plan.schemas)


def at(minutes: float) -> str:
    return (START + timedelta(minutes=minutes)).isoformat()


def reading(number: int, minutes: float, machine: Any = "m1", **fields: Any) -> bytes:
    declared = {"id": f"e{number}", "machine": machine, "at": at(minutes), "load": 1.0 + number}
    return json.dumps({**declared, **fields}).encode()


def verdict(number: int, minutes: float, broken: Any = True, **fields: Any) -> bytes:
    declared = {"id": f"e{number}", "at": at(minutes), "broken": broken}
    return json.dumps({**declared, **fields}).encode()


def feed(
    topic: str, values: Iterable[bytes | Record | None], partition: int = 0, *, gaps: bool = False
) -> list[Record]:
    """Return values as the records of a partition; a record keeps its key and headers."""
    found = []
    for offset, each in enumerate(values):
        record = each if isinstance(each, Record) else Record("", 0, 0, NOW_MS, None, each)
        at = offset * (2 if gaps else 1)
        found.append(record._replace(topic=topic, partition=partition, offset=at))
    return found


def barrier(name: str, source: str | None = None) -> Record:
    headers = [(BARRIER, name.encode())]
    if source is not None:
        headers.append((BARRIER_SOURCE, source.encode()))
    return Record("", 0, 0, NOW_MS, None, None, tuple(headers))


class Runner:
    """A task of one stage: batches come in, emits come out, states stay."""

    def __init__(self, stage: Stage, cache: Cache | None = None) -> None:
        self.stage = stage
        self.cache = cache or Cache(1_000_000, whole=True)
        cut = Cut(())
        spec = Spec(TaskId("machines", 1, stage.name, 0), (), stored=stage.name != "learn")
        self.task = Task(spec, stage, "", cut, cut, cut, self.cache)
        self.emits: list[Emit] = []
        self.snapshots: list[bytes] = []
        stage.load(self.cache)

    def run(self, *batches: Sequence[Record], context: Context | None = None) -> list[Emit]:
        """Process batches; return what these emitted."""
        context = context or Context(model=fresh_served(PLAN, 1))
        start = len(self.emits)
        for batch in batches:
            steps = apply_records(self.task, batch, cast(Any, None), context)
            effects = drive(steps)
            self.task.sequence += 1
            self.cache.seal(self.task.sequence)
            self.emits += effects.emits
            if effects.snapshot is not None:
                self.snapshots.append(effects.snapshot)
        return self.emits[start:]

    def restarted(self, stage: Stage) -> Runner:
        """Return a new owner of the same states."""
        fresh = Cache(1_000_000, whole=True)
        fresh.fill({key: msgpack.packb(state) for key, state in self.cache.items()})
        return Runner(stage, fresh)

    def states(self) -> dict[str, Any]:
        """Return all states as plain data."""
        return {
            key: msgpack.unpackb(msgpack.packb(state), strict_map_key=False)
            for key, state in self.cache.items()
        }


def decoded(emits: Iterable[Emit], topic: str, codec: Codec) -> list[dict[str, Any]]:
    """Return the records that were emitted to a topic; barriers left out."""
    found = [codec.decode(emit.value) for emit in emits if emit.topic == topic and emit.value]
    assert all(isinstance(record, dict) for record in found), found
    return cast(list[dict[str, Any]], found)


def totals(emits: Iterable[Emit], plan: Plan = PLAN) -> Counter[tuple[int, str, str]]:
    """Return what the count records of some batches add up to."""
    added: Counter[tuple[int, str, str]] = Counter()
    for record in decoded(emits, plan.topics.counts, codecs_for(plan).count):
        for tile, segment, name, n in everything(record):
            added[tile, segment, name] += n
    return added


def counted(emits: Iterable[Emit], plan: Plan = PLAN) -> Counter[str]:
    """Return the totals over all times, of everything."""
    added: Counter[str] = Counter()
    for (_, segment, name), n in totals(emits, plan).items():
        if segment == "all":
            added[name] += n
    return added


def without_counts(emits: Iterable[Emit], plan: Plan = PLAN) -> list[Emit]:
    return [emit for emit in emits if emit.topic != plan.topics.counts or emit.value is None]


def barriers(emits: Iterable[Emit]) -> list[tuple[str, int, str, str]]:
    """Return topic, partition, name and source of the barriers that were passed on."""
    found = []
    for emit in emits:
        headers = dict(emit.headers)
        if BARRIER in headers:
            name, source = headers[BARRIER].decode(), headers[BARRIER_SOURCE].decode()
            found.append((emit.topic, emit.partition, name, source))
    return found


dumps, loads = pickle.dumps, pickle.loads
