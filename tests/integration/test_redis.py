"""Redis as a server: what only it has, on a real Valkey."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import redis

from headrace.app.stack.process import free_port
from headrace.app.stack.stack import Stack
from headrace.schemas.errors import Refused, ServiceError
from headrace.streams.protocol.ports import Lost
from headrace.streams.store.redis import RedisStore
from tests.integration.test_store import MINE, TASK, cut

pytestmark = pytest.mark.integration


def test_a_server_that_evicts_is_refused(redis_url: str) -> None:
    store = RedisStore(redis_url)
    store.check()
    with redis.Redis.from_url(redis_url) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            with pytest.raises(Refused, match=r"127\.0\.0\.1:\d+ has maxmemory-policy allkeys-lru"):
                store.check()
        finally:
            client.config_set("maxmemory-policy", "noeviction")
    store.close()


def test_a_server_without_room_writes_nothing(redis_url: str) -> None:
    store = RedisStore(redis_url)
    store.claim(TASK, MINE)
    store.write(TASK, MINE, None, cut(1), {"a": b"1"})
    with redis.Redis.from_url(redis_url) as client:
        client.config_set("maxmemory", "1mb")
        try:
            with pytest.raises(ServiceError, match="maxmemory"):
                store.write(TASK, MINE, cut(1), cut(2), {"a": b"2" * 2_000_000})
        finally:
            client.config_set("maxmemory", "0")
    assert store.read_all(TASK, MINE) == (cut(1), {"a": b"1"})
    store.close()


def test_nobody_at_the_address_is_said_with_the_remedy() -> None:
    store = RedisStore(f"redis://127.0.0.1:{free_port()}/0", retries=1)
    questions: list[Callable[[], object]] = [store.check, lambda: store.claim(TASK, MINE)]
    for asked in questions:
        with pytest.raises(ServiceError, match=r"Redis at 127\.0\.0\.1:.*HEADRACE_REDIS_URL"):
            asked()
    store.close()


def test_a_server_that_hangs_is_given_up(redis_url: str) -> None:
    store = RedisStore(redis_url, timeout_s=0.2, retries=1)
    store.claim(TASK, MINE)
    with redis.Redis.from_url(redis_url) as client:
        client.client_pause(1_500)
        begun = time.monotonic()
        with pytest.raises(ServiceError):
            store.write(TASK, MINE, None, cut(1), {"a": b"1"})
        assert time.monotonic() - begun < 1.4
        client.client_unpause()
    store.close()


def test_a_write_whose_answer_was_lost_is_repeated_by_the_client(redis_url: str) -> None:
    store = RedisStore(redis_url)
    store.claim(TASK, MINE)
    with redis.Redis.from_url(redis_url) as client:
        for at in range(5):
            client.client_kill_filter(_type="normal", skipme=True)
            store.write(TASK, MINE, cut(at) if at else None, cut(at + 1), {"a": b"%d" % at})
    assert store.read_all(TASK, MINE) == (cut(5), {"a": b"4"})
    store.close()


def test_a_wrong_password_is_no_reason_to_try_again(stack: Stack) -> None:
    address = str(stack.addresses["redis"]).removeprefix("redis://")
    store = RedisStore(f"redis://user:wrong@{address}")
    with pytest.raises(Refused, match="does not accept user or password"):
        store.check()
    store.close()


def test_what_is_forgotten_begins_anew(redis_url: str) -> None:
    store = RedisStore(redis_url)
    store.claim(TASK, MINE)
    store.write(TASK, MINE, None, cut(1), {"a": b"1"})
    assert store.peek(TASK) == (cut(1), {"a": b"1"})
    store.forget(TASK)
    assert store.peek(TASK) == (None, {})
    with pytest.raises(Lost):
        store.read(TASK, MINE, [])
    assert store.claim(TASK, MINE) is None
    store.close()


def test_workers_say_how_they_stand_on_a_board(redis_url: str) -> None:
    store = RedisStore(redis_url)
    store.put_worker("flights", "score-0", '{"a": 1}')
    store.put_worker("flights", "score-0", '{"a": 2}')
    store.put_worker("flights", "learn-0", "{}")
    store.put_worker("other", "score-0", "{}")
    assert store.workers("flights") == {"score-0": '{"a": 2}', "learn-0": "{}"}
    store.drop_worker("flights", "learn-0")
    store.drop_worker("flights", "nobody")
    assert store.workers("flights") == {"score-0": '{"a": 2}'}
    store.close()
