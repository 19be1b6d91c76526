"""A flow of toy stages: integers instead of features and models, the same shapes of state.

Exact, fast, and without a rule of its own that could hide one of the protocol's.
"""

from __future__ import annotations

import random
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgpack

from headrace.streams.flow import StageDecl
from headrace.streams.protocol.stage import Context, Effects, Stage, View
from headrace.streams.protocol.task import Task
from headrace.streams.records import Emit, Record, TopicPartition
from headrace.streams.simulation.flow import CheckpointAt, Flow, Publication, Read, Served
from headrace.streams.simulation.invariants import Invariant
from headrace.streams.topics import TopicSpec

PARTITIONS = 2
APPENDED = {"message.timestamp.type": "LogAppendTime"}
PRIME = 1_000_003


def place(key: object) -> int:
    return zlib.crc32(str(key).encode()) % PARTITIONS


def pack(value: Any) -> bytes:
    packed: bytes = msgpack.packb(value)
    return packed


def unpack(value: bytes | None) -> Any:
    return msgpack.unpackb(value or b"\xc0", strict_map_key=False)


def predict(features: Sequence[int], model: int) -> int:
    return (features[0] * 31 + features[1] * 17 + model * 13) % PRIME


def learn(model: int, example: Mapping[str, Any]) -> int:
    return int((model * 31 + sum(example["f"]) + example["y"] * 7) % PRIME)


class ToyStage:
    whole = False
    poison_keys: tuple[str, ...] = ()

    def __init__(self, name: str, partition: int) -> None:
        self.name = name
        self.partition = partition

    def load(self, view: View) -> None: ...

    def prepare(self, records: Sequence[Record]) -> Any:
        return [(record, unpack(record.value)) for record in records]

    def keys(self, prepared: Any) -> list[str]:
        return ["total"]

    def poison(self, record: Record, error: Exception, view: View, context: Context) -> Effects:
        dead = pack([self.name, record.partition, record.offset, str(error)])
        return Effects([Emit("dead", 0, None, dead), count({"dead": 1})])

    def apply(self, prepared: Any, view: View, context: Context) -> Effects:
        emits: list[Emit] = []
        counts: Counter[str] = Counter()
        for record, value in prepared:
            self.one(record, value, view, context, emits, counts)
        if counts:
            emits.append(count(counts))
        return Effects([] if context.restoring else emits)

    def one(
        self,
        record: Record,
        value: Any,
        view: View,
        context: Context,
        emits: list[Emit],
        counts: Counter[str],
    ) -> None:
        raise NotImplementedError


def count(values: Mapping[str, int]) -> Emit:
    return Emit("counts", 0, None, pack(dict(values)))


class ToyScore(ToyStage):
    def keys(self, prepared: Any) -> list[str]:
        keys = ["w", *(f"e{value['entity']}" for _, value in prepared)]
        return list(dict.fromkeys(keys))

    def one(
        self,
        record: Record,
        value: Any,
        view: View,
        context: Context,
        emits: list[Emit],
        counts: Counter[str],
    ) -> None:
        watermark = view.get("w") or 0
        view.put("w", max(watermark, value["t"]))
        key = f"e{value['entity']}"
        state = view.get(key) or [0, 0]
        state[0] += 1
        state[1] = (state[1] * 7 + value["x"]) % 1009
        view.put(key, state)
        if value.get("poison"):
            raise ValueError("poison")
        counts["scored"] += 1
        if not context.restoring:
            served = context.model
            features = [*state, watermark]
            prediction = {
                "id": value["id"],
                "src": [record.partition, record.offset],
                "f": features,
                "to": served.learned_to,
                "p": predict(features, served.model),
            }
            emits.append(Emit("predictions", place(value["id"]), None, pack(prediction)))


class ToyRoute(ToyStage):
    def keys(self, prepared: Any) -> list[str]:
        return ["w"]

    def one(
        self,
        record: Record,
        value: Any,
        view: View,
        context: Context,
        emits: list[Emit],
        counts: Counter[str],
    ) -> None:
        if value.get("poison"):
            raise ValueError("poison")
        watermark = view.get("w") or 0
        view.put("w", max(watermark, value["t"]))
        counts["routed"] += 1
        routed = {**value, "src": [record.partition, record.offset], "w": watermark}
        emits.append(Emit("routed", place(value["id"]), None, pack(routed)))


class ToyJoin(ToyStage):
    """Whichever comes second finds the first; the lowest offset of either side wins."""

    whole = True

    def one(
        self,
        record: Record,
        value: Any,
        view: View,
        context: Context,
        emits: list[Emit],
        counts: Counter[str],
    ) -> None:
        key = f"i{value['id']}"
        state = view.get(key) or {"e": None, "y": []}
        if record.topic == "predictions":
            if state["e"] is not None:
                counts["duplicate_event"] += 1
                return
            state["e"] = {name: value[name] for name in ("id", "src", "f", "p")}
            labels = state["y"]
        else:
            state["y"].append([value["y"], value["src"]])
            labels = state["y"][-1:]
        if state["e"] is not None and labels and labels[0] == state["y"][0]:
            example = {**state["e"], "y": labels[0][0], "label": labels[0][1]}
            emits.append(Emit("examples", 0, None, pack(example)))
            counts["matched"] += 1
        view.put(key, state)


class ToyLearn(ToyStage):
    def __init__(self, name: str, partition: int) -> None:
        super().__init__(name, partition)
        self.model = 0

    def reset(self, state: bytes | None) -> None:
        self.model = 0 if state is None else unpack(state)

    def dump(self) -> bytes:
        return pack(self.model)

    def keys(self, prepared: Any) -> list[str]:
        return []

    def apply(self, prepared: Any, view: View, context: Context) -> Effects:
        for _, value in prepared:
            self.model = learn(self.model, value)
        if context.restoring:
            return Effects()
        to = prepared[-1][0].offset + 1
        announcement = Emit("models", 0, None, pack({"to": to, "m": self.model}))
        return Effects([announcement, count({"learned": len(prepared)})], snapshot=self.dump())


class ToyMonitor(ToyStage):
    def one(
        self,
        record: Record,
        value: Any,
        view: View,
        context: Context,
        emits: list[Emit],
        counts: Counter[str],
    ) -> None:
        total = view.get("total") or {}
        for name, number in sorted(value.items()):
            total[name] = total.get(name, 0) + number
        view.put("total", total)


STAGES: Mapping[str, Callable[[str, int], Stage]] = {
    "score": ToyScore,
    "route": ToyRoute,
    "join": ToyJoin,
    "learn": ToyLearn,
    "monitor": ToyMonitor,
}


class ToyFlow(Flow):
    name = "toy"
    topics: Sequence[TopicSpec] = (
        TopicSpec("events", PARTITIONS),
        TopicSpec("labels", PARTITIONS),
        TopicSpec("predictions", PARTITIONS, APPENDED),
        TopicSpec("routed", PARTITIONS, APPENDED),
        TopicSpec("examples", 1),
        TopicSpec("models", 1),
        TopicSpec("counts", 1),
        TopicSpec("dead", 1),
    )
    roles: Mapping[str, Sequence[StageDecl]] = {
        "score": (StageDecl("score", "score", ("events",), PARTITIONS),),
        "join": (
            StageDecl("route", "join", ("labels",), PARTITIONS),
            StageDecl("join", "join", ("predictions", "routed"), PARTITIONS, snapshot_records=8),
            StageDecl("monitor", "join", ("counts",), 1, snapshot_records=8),
        ),
        "learn": (StageDecl("learn", "learn", ("examples",), 1, stored=False),),
    }
    models: TopicPartition = ("models", 0)
    predictions = "predictions"
    counts = "counts"
    unfolded: Sequence[str] = ("events", "labels")

    def stage(self, name: str, partition: int) -> Stage:
        return STAGES[name](name, partition)

    def published(self, rng: random.Random, events: int) -> list[Publication]:
        found: list[tuple[float, Publication]] = []
        time_ms = 1000
        for number in range(events):
            time_ms += rng.choice([0, 3, 10, 40])
            entity = rng.randrange(6)
            event = {"id": number, "entity": entity, "t": time_ms, "x": rng.randrange(100)}
            if rng.random() < 0.02:
                event["poison"] = 1
            at = float(number)
            found.append((at, publication("events", place(entity), event, time_ms)))
            if rng.random() < 0.05:
                found.append((at + 3, publication("events", place(entity), event, time_ms)))
            labels = 1 if rng.random() < 0.8 else rng.choice([0, 2, 3])
            for _ in range(labels):
                label = {"id": number, "y": rng.randrange(3), "t": time_ms + rng.randrange(200)}
                if rng.random() < 0.02:
                    label["poison"] = 1
                at = number + rng.choice([0, 1, 4, 9, -6, 25])
                where = rng.randrange(PARTITIONS)
                found.append((at, publication("labels", where, label, label["t"])))
        found.sort(key=lambda pair: (pair[0], rng.random()))
        return [each for _, each in found]

    def fresh(self) -> Served:
        return Served(0, 0)

    def context_model(self, served: Served) -> Served:
        return served

    def remind(self, task: Task, rng: random.Random) -> bool:
        return False

    def announced(self, record: Record, checkpoint_at: CheckpointAt) -> Served | None:
        value = unpack(record.value)
        return Served(value["to"], value["m"])

    def learned_from(self, state: bytes) -> Any:
        return unpack(state)

    def comparable(self, model: Any) -> str:
        return str(model)

    def origin(self, record: Record) -> tuple[TopicPartition, int, int] | None:
        value = unpack(record.value)
        partition, offset = value["src"]
        return ("events", partition), offset, value["to"]

    def counted(self, value: bytes | None) -> Mapping[Any, int]:
        counts: Mapping[Any, int] = unpack(value)
        return counts

    def oracle(self, read: Read) -> Iterator[tuple[Invariant, str]]:
        """Every good event has one prediction; every id with both sides has one example."""
        events = [unpack(r.value) for p in range(PARTITIONS) for r in read(("events", p))]
        labels = [unpack(r.value) for p in range(PARTITIONS) for r in read(("labels", p))]
        good = Counter(e["id"] for e in events if not e.get("poison"))
        predicted = Counter(
            unpack(r.value)["id"] for p in range(PARTITIONS) for r in read(("predictions", p))
        )
        labelled = {label["id"] for label in labels if not label.get("poison")}
        examples = Counter(unpack(r.value)["id"] for r in read(("examples", 0)))
        if predicted != good:
            yield Invariant.EVENTS, "not one for each good event"
        if examples != Counter(labelled & good.keys()):
            yield Invariant.EXAMPLES, "not one for each event with a label"


def publication(topic: str, partition: int, value: Any, time_ms: int) -> Publication:
    return Publication((topic, partition), None, pack(value), time_ms)
