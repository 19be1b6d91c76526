"""JOIN with long waits: its state is read by key, and says and does the same as one held whole."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from random import Random
from typing import Any

import msgpack
import pytest

from headrace.registry.memory import MemoryRegistry
from headrace.schemas.errors import Refused
from headrace.streams.protocol.commit import commit
from headrace.streams.protocol.layout import UPGRADED
from headrace.streams.protocol.ports import Cut, Store, TaskId
from headrace.streams.protocol.snapshots import SNAPSHOT_ENTRIES_MAX, is_due
from headrace.streams.protocol.stage import Context
from headrace.streams.protocol.steps import drive
from headrace.streams.protocol.takeover import Ports, take_over
from headrace.streams.protocol.task import READ_KEYS_MAX, Spec, Task, process
from headrace.streams.records import BARRIER, Emit, Record
from headrace.streams.stages import join as joining
from headrace.streams.stages.join import JoinStage
from headrace.streams.stages.marks import Mark, mark_record
from headrace.streams.twins.broker import Broker
from headrace.streams.twins.log import MemoryLog
from headrace.streams.twins.store import MemoryStore
from tests.unit.stages import test_join
from tests.unit.stages.flow import CODECS, PLAN, START_MS
from tests.unit.stages.test_join import MINUTE, ONE, PREDICTIONS, ROUTED, label

TASK = TaskId("machines", 1, "join", 0)
CACHE = 7
Patch = pytest.MonkeyPatch


@pytest.fixture(autouse=True)
def waits_are_long(monkeypatch: Patch) -> None:
    """An hour is long: the plan's wait."""
    monkeypatch.setattr(joining, "WHOLE_WAIT_MS_MAX", PLAN.wait_ms - 1)


@cache
def scored() -> dict[str, Any]:
    """Return the fields of a prediction, as SCORE emits it."""
    fields = CODECS.prediction.decode(test_join.prediction(1, 0).value)
    assert isinstance(fields, dict)
    return fields


def prediction(number: int, minutes: float, mark: float | None = None) -> Record:
    changes = {
        "event_id": f"e{number}",
        "event_time": START_MS + int(minutes * MINUTE),
        "watermark": None if mark is None else START_MS + int(mark * MINUTE),
    }
    value = CODECS.prediction.encode({**scored(), **changes})
    return Record(PREDICTIONS, 0, 0, 1, None, value)


def held_whole(monkeypatch: Patch) -> JoinStage:
    with monkeypatch.context() as patch:
        patch.setattr(joining, "WHOLE_WAIT_MS_MAX", PLAN.wait_ms)
        return JoinStage(PLAN, CODECS, 0, ONE)


def by_key(limit: int | None = None) -> JoinStage:
    return JoinStage(PLAN, CODECS, 0, ONE, limit, span=3)


class CountingStore(MemoryStore):
    """Counts what is read."""

    def __init__(self) -> None:
        super().__init__()
        self.keys_read: list[int] = []
        self.read_whole = 0

    def read(self, task: TaskId, token: str, keys: Any) -> Any:
        self.keys_read.append(len(keys))
        return super().read(task, token, keys)

    def read_all(self, task: TaskId, token: str) -> Any:
        self.read_whole += 1
        return super().read_all(task, token)


class System:
    """A broker, a store, a registry; owners of JOIN's task come and go."""

    def __init__(self, store: Store | None = None) -> None:
        self.broker = Broker()
        for topic in PLAN.topics:
            self.broker.create(topic, 1)
        self.store = CountingStore()
        self._store = store or self.store
        self.registry = MemoryRegistry(lambda state: state.decode())
        self.registry.register_version("machines", "{}", "d", {"code": "c"})
        self.owners = 0
        self.task: Task
        self.ports: Ports

    def take_over(self, stage: JoinStage) -> Task:
        self.owners += 1
        log = MemoryLog(self.broker, "group", "slot", (PREDICTIONS, ROUTED))
        log.init()
        log.join()
        log.poll()
        self.ports = Ports(log, self._store, self.registry)
        spec = Spec(TASK, (PREDICTIONS, ROUTED), cache_limit=CACHE, snapshot_records=10**9)
        self.task = drive(take_over(spec, stage, self.ports, f"token-{self.owners}"))
        return self.task

    def write(self, record: Record) -> Record:
        place, value = (record.topic, 0), record.value
        at = self.broker.append(place, None, value, headers=record.headers, timestamp_ms=1)
        return record._replace(offset=at)

    def run(self, records: list[Record]) -> None:
        written = [self.write(record) for record in records]
        batch = drive(process(self.task, written, self._store, Context()))
        drive(commit([(self.task, [batch])], self.ports))

    def cached(self) -> int:
        """Return how many entries are in memory once what is written may go."""
        self.task.cache.seal(self.task.sequence)
        return len(self.task.cache)

    def states(self) -> dict[str, Any]:
        packed = self.store.peek(TASK)[1]
        return {key: msgpack.unpackb(v, strict_map_key=False) for key, v in packed.items()}

    def law(self) -> dict[str, Any]:
        """Return the states without the index."""
        return {k: v for k, v in self.states().items() if k[:2] == "i:" or k in ("w", "b")}

    def examples(self) -> Counter[bytes | None]:
        return Counter(r.value for r in self.broker.history((PLAN.topics.examples, 0)))

    def counts(self) -> Counter[tuple[int, str]]:
        found: Counter[tuple[int, str]] = Counter()
        for record in self.broker.history((PLAN.topics.counts, 0)):
            said: Any = CODECS.count.decode(record.value)
            for cell in said["cells"]:
                found.update({(cell["tile"], name): n for name, n in cell["values"].items()})
        return found


def made_up(seed: int, events: int = 120) -> Iterator[Record]:
    """Go through predictions and labels: on time, late, early, twice, never; ids come again."""
    rng = Random(seed)
    minute, labels = 0.0, list[tuple[float, Record]]()
    for number in range(events):
        minute += rng.choice([0, 1, 2, 10])
        told = None if number < 3 else minute - 5
        name = number if rng.random() < 0.9 else max(0, number - 3)
        yield prediction(name, minute - rng.choice([0, 0, 4, 20]), mark=told)
        after = rng.choice([0, 1, 20, 58, 59, 70, -2])
        place = minute + rng.choice([after, after, 0, 65])
        if rng.random() < 0.85:
            for _ in range(1 + (rng.random() < 0.1)):
                value = rng.random() < 0.5
                labels.append((place, label(name, minute + after, label=value)))
        labels.sort(key=lambda pair: pair[0])
        while labels and labels[0][0] <= minute:
            _, given = labels.pop(0)
            fields: Any = CODECS.routed_label.decode(given.value)
            fields["watermark"] = None if told is None else START_MS + int((told - 3) * MINUTE)
            yield given._replace(value=CODECS.routed_label.encode(fields))


def batches(seed: int) -> Iterator[list[Record]]:
    rng, records = Random(f"{seed} batches"), list(made_up(seed))
    while records:
        size = rng.choice([1, 2, 5, 20])
        yield records[:size]
        del records[:size]


def emptied(seed: int) -> list[Record]:
    """Return what makes all that waits leave."""
    return [prediction(900, 9_000, mark=9_000), label(901, 9_000, mark=9_000)]


@pytest.mark.parametrize("seed", range(6))
def test_it_is_what_a_state_in_memory_is(seed: int, monkeypatch: Patch) -> None:
    whole, keyed = System(), System()
    whole.take_over(held_whole(monkeypatch))
    keyed.take_over(by_key())
    for number, batch in enumerate([*batches(seed), emptied(seed)]):
        if number % 5 == 4:
            keyed.take_over(by_key())
        whole.run(batch)
        keyed.run(batch)
        assert keyed.law() == whole.law()
        assert keyed.cached() <= CACHE
        waits = (whole.task.stage, keyed.task.stage)
        assert len({stage.waiting for stage in waits if isinstance(stage, JoinStage)}) == 1
    assert keyed.examples() == whole.examples() != Counter()
    assert keyed.counts() == whole.counts()
    assert {name for _, name in keyed.counts()} > {"expired", "unmatched_label", "matched"}
    assert keyed.store.read_whole == 0
    left = Counter(re.sub(r"\d+", "", key) for key in keyed.states())
    index = {"n": 1, "x": 1, "x:": 1, "xl:": 1, "y": 1, "y:": 1, "yl:": 1}
    assert left == {"w": 1, "i:e": 2, **index}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("lost", [False, True])
def test_a_restore_leads_to_the_same_state(seed: int, lost: bool) -> None:
    system = System()
    system.take_over(by_key())
    for batch in batches(seed):
        system.run(batch)
    before = system.states()
    if lost:
        system.store.wipe()
    system.take_over(by_key())
    assert system.states() == before
    stage = system.task.stage
    assert isinstance(stage, JoinStage)
    assert stage.entries == sum(len(s[0]) + len(s[1]) for k, s in before.items() if k[:2] == "i:")


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("crash", [False, True])
def test_a_state_that_was_held_whole_goes_on(seed: int, crash: bool, monkeypatch: Patch) -> None:
    """What the version before has written is read once as a whole, and gets its index."""
    before, always = System(), System()
    before.take_over(held_whole(monkeypatch))
    always.take_over(by_key())
    given = list(batches(seed))
    for batch in given[: len(given) // 2]:
        before.run(batch)
        always.run(batch)
    assert "n" not in before.states()
    if crash:
        with monkeypatch.context() as patch:
            patch.setattr("headrace.streams.protocol.takeover.look_around", lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                before.take_over(by_key())
    before.take_over(by_key())
    assert before.states() == always.states()
    assert before.store.read_whole == 2  # to begin with, when it was held whole, and once more
    for batch in given[len(given) // 2 :]:
        before.run(batch)
        always.run(batch)
    assert before.states() == always.states()
    assert before.examples() == always.examples()
    assert before.counts() == always.counts()


def test_an_upgrade_is_written_under_a_cut_of_its_own(monkeypatch: Patch) -> None:
    """A store takes a write under the cut that it has for one that was made before."""
    system = System()
    system.take_over(held_whole(monkeypatch))
    system.run([prediction(1, 0)])
    cuts: list[Cut] = []
    write = MemoryStore.write

    def noting(self: Any, task: Any, token: Any, expected: Any, new: Cut, puts: Any) -> None:
        cuts.append(new)
        write(self, task, token, expected, new, puts)

    monkeypatch.setattr(MemoryStore, "write", noting)
    system.take_over(by_key())
    assert [cut.meta for cut in cuts] == [UPGRADED, ""]
    assert cuts[0].offsets == cuts[1].offsets
    cuts.clear()
    system.take_over(by_key())
    assert cuts == []


def test_neither_memory_nor_a_take_over_grows_with_what_waits() -> None:
    system = System()
    system.take_over(by_key())
    for start in range(0, 300, 50):
        system.run([prediction(n, n / 100, mark=n / 100) for n in range(start, start + 50)])
    stage = system.task.stage
    assert isinstance(stage, JoinStage)
    assert (stage.waiting, stage.entries) == (300, 300)
    assert system.cached() <= CACHE
    system.store.keys_read.clear()
    system.take_over(by_key())
    assert sum(system.store.keys_read) <= 10
    stage = system.task.stage
    assert isinstance(stage, JoinStage)
    assert stage.waiting == 300
    system.store.keys_read.clear()
    system.run([label(7, 1, mark=1)])
    assert sum(system.store.keys_read) <= 12


def test_much_that_is_due_at_once_is_read_in_parts(monkeypatch: Patch) -> None:
    monkeypatch.setattr("headrace.streams.protocol.task.READ_KEYS_MAX", 10)
    assert READ_KEYS_MAX > 10
    system = System()
    system.take_over(by_key())
    system.run([prediction(n, n / 100, mark=n / 100) for n in range(60)])
    assert system.cached() <= CACHE
    system.store.keys_read.clear()
    system.run([label(901, 9_000, mark=9_000)])
    assert max(system.store.keys_read) == 10
    assert sum(system.store.keys_read) > 60
    assert system.counts()[START_MS, "expired"] == 60


def test_the_bound_counts_what_had_its_label_too() -> None:
    system = System()
    system.take_over(by_key(limit=2))
    stage = system.task.stage
    assert isinstance(stage, JoinStage)
    assert stage.limit == 2
    system.run([prediction(n, n, mark=n) for n in range(2)])
    system.run([label(n, n + 1) for n in range(2)])
    assert (stage.waiting, stage.entries, stage.prefer()) == (0, 2, None)
    system.run([prediction(2, 2, mark=2)])
    assert stage.prefer() == ROUTED
    system.run([prediction(n, n, mark=n) for n in (3, 4)])
    with pytest.raises(Refused, match="5 entries in all"):
        stage.prefer()


def test_without_a_word_ten_times_as_much_may_wait() -> None:
    assert by_key().limit == 10 * JoinStage(PLAN, CODECS, 0, ONE, 250_000).limit == 2_500_000


def test_poison_leaves_state_and_index_as_they_were(monkeypatch: Patch) -> None:
    arrive = JoinStage._arrive

    def fails(self: JoinStage, record: Record, item: Any, clocks: Any, view: Any) -> Any:
        outcome = arrive(self, record, item, clocks, view)
        if item["event_id"] == "e2":
            raise ZeroDivisionError
        return outcome

    monkeypatch.setattr(JoinStage, "_arrive", fails)
    poisoned, expected = System(), System()
    poisoned.take_over(by_key())
    expected.take_over(by_key())
    poisoned.run([prediction(1, 0), prediction(3, 2), prediction(2, 1)])
    expected.run([prediction(1, 0), prediction(3, 2)])
    assert poisoned.states() == expected.states()
    assert poisoned.counts()[-1, "dead_letter.poison"] or poisoned.counts().total() == 3


def test_marks_barriers_and_rubbish_are_what_they_were(monkeypatch: Patch) -> None:
    whole, keyed = System(), System()
    whole.take_over(held_whole(monkeypatch))
    keyed.take_over(by_key())
    others = [
        mark_record(Mark(0, START_MS + 90 * MINUTE), PREDICTIONS, 0),
        mark_record(Mark(0, START_MS + 90 * MINUTE), ROUTED, 0),
        mark_record(Mark(9, START_MS), ROUTED, 0),
        Emit(ROUTED, 0, None, None, ((BARRIER, b"b:route-0"),)),
        Emit(PREDICTIONS, 0, None, b"{}"),
    ]
    records = [Record(e.topic, 0, 0, 1, None, e.value, e.headers) for e in others]
    for system in (whole, keyed):
        system.run([prediction(1, 0), label(9, 1), *records])
    assert keyed.law() == whole.law()
    assert keyed.counts() == whole.counts()
    assert {name for _, name in keyed.counts()} > {"expired", "unmatched_label"}


def test_a_big_state_is_not_read_to_be_kept_in_the_registry(monkeypatch: Patch) -> None:
    system = System()
    task = system.take_over(by_key())
    system.run([prediction(1, 0)])
    task.spec = replace(task.spec, snapshot_records=1)
    assert SNAPSHOT_ENTRIES_MAX >= 1
    assert is_due(task)
    monkeypatch.setattr("headrace.streams.protocol.snapshots.SNAPSHOT_ENTRIES_MAX", 0)
    assert not is_due(task)
