"""The state store, by one suite: in memory, and on a real Valkey."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.schemas.errors import ServiceError
from headrace.streams.protocol.ports import Cut, Lost, Store, TaskId
from headrace.streams.store.redis import RedisStore
from headrace.streams.twins.store import MemoryStore

pytestmark = pytest.mark.integration

TASK = TaskId("flights", 3, "score", 2)
OTHER = TaskId("flights", 4, "score", 2)
MINE, THEIRS = "token-1", "token-2"


def cut(offset: int, meta: str = "") -> Cut:
    return Cut((("flights.events", offset), ("flights.labels", 2 * offset)), meta)


class Subject:
    """A store, and the ways in which its server loses things."""

    def __init__(self, store: Store, client: redis.Redis | None) -> None:
        self.store = store
        self._client = client

    def lose_all(self) -> None:
        if self._client is not None:
            self._client.flushdb()
        else:
            assert isinstance(self.store, MemoryStore)
            self.store.wipe()

    def evict_all(self) -> None:
        """Have the server drop what it can, since its memory is short."""
        if self._client is None:
            assert isinstance(self.store, MemoryStore)
            for task in (TASK, OTHER):
                self.store.evict(task)
            return
        self._client.config_set("maxmemory-policy", "allkeys-random")
        self._client.config_set("maxmemory", "1")
        with suppress(redis.ResponseError):  # evicts all, and still has no room for this
            self._client.set("more", "1")
        self._client.config_set("maxmemory", "0")
        self._client.config_set("maxmemory-policy", "noeviction")

    @contextmanager
    def silent(self) -> Iterator[Store]:
        """Have the server answer nobody for a while; a store that is soon tired of waiting."""
        if self._client is None:
            assert isinstance(self.store, MemoryStore)
            self.store.answers = False
            yield self.store
            self.store.answers = True
            return
        at = self._client.get_connection_kwargs()
        impatient = RedisStore(
            f"redis://{at['host']}:{at['port']}/{at['db']}", timeout_s=0.2, retries=0
        )
        self._client.client_pause(4_000)
        yield impatient
        impatient.close()
        self._client.ping()  # waits for the end of the pause, which nobody can shorten

    def replica_that_misses_one_step(self) -> Callable[[], None]:
        """Return what makes a replica of now take over, once one more step was taken."""
        if self._client is not None:
            client = self._client
            dumps = {key: client.dump(key) for key in client.keys()}  # noqa: SIM118 - no dict
            before = {key: held for key, held in dumps.items() if held is not None}

            def take_over() -> None:
                client.flushdb()
                for key, held in before.items():
                    client.restore(key, 0, held)

            return take_over
        memory = self.store
        assert isinstance(memory, MemoryStore)
        return lambda: memory.fail_over(1)


@pytest.fixture(params=["memory", "valkey"])
def subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    if request.param == "memory":
        yield Subject(MemoryStore(undo_limit=10), None)
        return
    url = request.getfixturevalue("redis_url")
    store = RedisStore(url)
    with redis.Redis.from_url(url) as client:
        yield Subject(store, client)
    store.close()


@pytest.fixture
def store(subject: Subject) -> Store:
    return subject.store


def test_a_task_that_was_never_written_has_no_cut(store: Store) -> None:
    assert store.claim(TASK, MINE) is None
    assert store.read(TASK, MINE, ["a"]) == (None, {"a": None})
    assert store.read(TASK, MINE, []) == (None, {})
    assert store.read_all(TASK, MINE) == (None, {})


def test_states_and_cut_are_written_together_and_read_together(store: Store) -> None:
    store.claim(TASK, MINE)
    store.write(TASK, MINE, None, cut(5, "meta é"), {"a": b"1", "b": b"\x00\xff", "": b""})
    assert store.read(TASK, MINE, ["b", "c", "a"]) == (
        cut(5, "meta é"),
        {"b": b"\x00\xff", "c": None, "a": b"1"},
    )
    assert store.read_all(TASK, MINE) == (
        cut(5, "meta é"),
        {"a": b"1", "b": b"\x00\xff", "": b""},
    )
    store.write(TASK, MINE, cut(5, "meta é"), cut(6), {"a": None, "gone": None, "c": b"3"})
    assert store.read_all(TASK, MINE) == (cut(6), {"b": b"\x00\xff", "": b"", "c": b"3"})


def test_a_write_that_is_asked_for_twice_is_done_once(store: Store) -> None:
    store.claim(TASK, MINE)
    store.write(TASK, MINE, None, cut(5), {"a": b"1"})
    store.write(TASK, MINE, None, cut(5), {"a": b"1"})
    store.write(TASK, MINE, cut(4), cut(5), {"a": b"other"})  # whatever it would have written
    assert store.read_all(TASK, MINE) == (cut(5), {"a": b"1"})


def test_who_claims_gets_the_cut_and_fences_the_owner_before(store: Store) -> None:
    store.claim(TASK, MINE)
    store.write(TASK, MINE, None, cut(5), {"a": b"1"})
    assert store.claim(TASK, THEIRS) == cut(5)
    for asked in (
        lambda: store.read(TASK, MINE, ["a"]),
        lambda: store.read_all(TASK, MINE),
        lambda: store.write(TASK, MINE, cut(5), cut(6), {"a": b"2"}),
        lambda: store.write(TASK, MINE, None, cut(5), {"a": b"1"}),  # not even as a repetition
    ):
        with pytest.raises(Lost, match="flights/v3/score/2: the store knows another owner"):
            asked()
    assert store.read_all(TASK, THEIRS) == (cut(5), {"a": b"1"})


def test_nobody_reads_or_writes_a_task_that_was_not_claimed(store: Store) -> None:
    with pytest.raises(Lost):
        store.read(TASK, MINE, [])
    with pytest.raises(Lost):
        store.write(TASK, MINE, None, cut(1), {"a": b"1"})
    assert store.claim(TASK, MINE) is None


@pytest.mark.parametrize("expected", [None, cut(4), cut(6), cut(5, "other")])
def test_another_cut_than_expected_writes_nothing(store: Store, expected: Cut | None) -> None:
    store.claim(TASK, MINE)
    store.write(TASK, MINE, None, cut(5), {"a": b"1"})
    with pytest.raises(Lost, match="expected was"):
        store.write(TASK, MINE, expected, cut(7), {"a": b"2", "b": b"3"})
    assert store.read_all(TASK, MINE) == (cut(5), {"a": b"1"})


def test_a_first_write_does_not_pass_for_a_later_one(store: Store) -> None:
    store.claim(TASK, MINE)
    with pytest.raises(Lost):
        store.write(TASK, MINE, cut(5), cut(6), {"a": b"1"})
    assert store.read_all(TASK, MINE) == (None, {})


def test_tasks_do_not_touch_each_other(store: Store) -> None:
    for task, value in ((TASK, b"3"), (OTHER, b"4")):
        store.claim(task, MINE)
        store.write(task, MINE, None, cut(1), {"a": value})
    store.claim(OTHER, THEIRS)
    assert store.read_all(TASK, MINE) == (cut(1), {"a": b"3"})
    assert store.read_all(OTHER, THEIRS) == (cut(1), {"a": b"4"})


@pytest.mark.parametrize("many", [3_999, 4_000, 4_001, 20_011])
def test_a_big_write_is_one_step(store: Store, many: int) -> None:
    states = {f"k{at}": b"%d" % at for at in range(many)}
    store.claim(TASK, MINE)
    store.write(TASK, MINE, None, cut(1), states)
    assert store.read_all(TASK, MINE) == (cut(1), states)
    assert store.read(TASK, MINE, list(states)) == (cut(1), states)
    gone: dict[str, bytes | None] = dict.fromkeys(list(states)[: many - 1])
    store.write(TASK, MINE, cut(1), cut(2), {**gone, f"k{many - 1}": b"new", "more": b"1"})
    assert store.read_all(TASK, MINE) == (cut(2), {f"k{many - 1}": b"new", "more": b"1"})


def test_a_server_that_lost_everything_is_noticed(subject: Subject) -> None:
    store = subject.store
    store.claim(TASK, MINE)
    store.write(TASK, MINE, None, cut(5), {"a": b"1"})
    subject.lose_all()
    with pytest.raises(Lost):
        store.read(TASK, MINE, ["a"])
    with pytest.raises(Lost):
        store.write(TASK, MINE, cut(5), cut(6), {"a": b"2"})
    assert store.claim(TASK, THEIRS) is None


def test_a_server_that_evicts_loses_a_task_whole(subject: Subject) -> None:
    """Never a state without its cut: a task is one key, so an eviction is a loss like others."""
    store = subject.store
    for task in (TASK, OTHER):
        store.claim(task, MINE)
        store.write(task, MINE, None, cut(5), {"a": b"1", "b": b"2"})
    subject.evict_all()
    for task in (TASK, OTHER):
        with pytest.raises(Lost):
            store.read(task, MINE, ["a"])
        with pytest.raises(Lost):
            store.write(task, MINE, cut(5), cut(6), {"a": b"2"})
        assert store.claim(task, THEIRS) is None
        assert store.read_all(task, THEIRS) == (None, {})


def test_a_server_that_is_silent_is_an_error_of_the_service(subject: Subject) -> None:
    store = subject.store
    store.claim(TASK, MINE)
    store.write(TASK, MINE, None, cut(5), {"a": b"1"})
    with subject.silent() as silent:
        asked: list[Callable[[], object]] = [
            lambda: silent.claim(TASK, THEIRS),
            lambda: silent.read(TASK, MINE, ["a"]),
            lambda: silent.read_all(TASK, MINE),
            lambda: silent.write(TASK, MINE, cut(5), cut(6), {"a": b"2"}),
        ]
        for ask in asked:
            with pytest.raises(ServiceError):
                ask()
    assert store.claim(TASK, MINE) == cut(5)
    assert store.read_all(TASK, MINE) == (cut(5), {"a": b"1"})


def test_a_request_that_arrives_a_second_time_late_changes_nothing(store: Store) -> None:
    """A client that heard no answer asks again; the first request may still be on its way."""
    store.claim(TASK, MINE)
    store.write(TASK, MINE, None, cut(5), {"a": b"1"})
    store.write(TASK, MINE, cut(5), cut(6), {"a": b"2"})
    with pytest.raises(Lost):
        store.write(TASK, MINE, None, cut(5), {"a": b"1"})
    assert store.read_all(TASK, MINE) == (cut(6), {"a": b"2"})
    store.claim(TASK, THEIRS)
    with pytest.raises(Lost):
        store.write(TASK, MINE, cut(5), cut(6), {"a": b"2"})
    assert store.claim(TASK, MINE) == cut(6)  # a late claim takes the task: its owner hears so
    with pytest.raises(Lost):
        store.write(TASK, THEIRS, cut(6), cut(7), {"a": b"3"})
    assert store.read_all(TASK, MINE) == (cut(6), {"a": b"2"})


def test_a_replica_that_was_behind_is_noticed_by_its_cut(subject: Subject) -> None:
    store = subject.store
    store.claim(TASK, MINE)
    store.write(TASK, MINE, None, cut(5), {"a": b"1", "gone": b"x"})
    take_over = subject.replica_that_misses_one_step()
    store.write(TASK, MINE, cut(5), cut(6), {"a": b"2", "b": b"2", "gone": None})
    take_over()
    assert store.read(TASK, MINE, ["a"]) == (cut(5), {"a": b"1"})  # the reader compares cuts
    with pytest.raises(Lost):
        store.write(TASK, MINE, cut(6), cut(7), {"a": b"3"})
    assert store.read_all(TASK, MINE) == (cut(5), {"a": b"1", "gone": b"x"})


TOKENS = st.sampled_from([MINE, THEIRS])
CUTS = st.none() | st.integers(0, 2).map(cut)
KEYS = st.sampled_from(["a", "b", "c"])
STEPS = st.lists(
    st.tuples(st.just("claim"), TOKENS)
    | st.tuples(st.just("read"), TOKENS, st.lists(KEYS, max_size=2, unique=True))
    | st.tuples(st.just("read_all"), TOKENS)
    | st.tuples(
        st.just("write"),
        TOKENS,
        CUTS,
        st.integers(0, 2).map(cut),
        st.dictionaries(KEYS, st.none() | st.binary(max_size=3), max_size=3),
    ),
    max_size=20,
)
NUMBERS = count()


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
def test_memory_and_valkey_answer_alike(redis_url: str, steps: list[tuple[Any, ...]]) -> None:
    """Whatever two owners ask, in whatever order."""
    task = TaskId("alike", 1, "score", next(NUMBERS))
    real, twin = RedisStore(redis_url), MemoryStore()
    for name, *args in steps:
        assert _answer(real, name, task, args) == _answer(twin, name, task, args)
    assert real.peek(task) == twin.peek(task)
    real.close()


def _answer(store: Store, name: str, task: TaskId, args: list[Any]) -> Any:
    try:
        return getattr(store, name)(task, *args)
    except Lost:
        return Lost
