"""A task's states in memory: what batches see, what may go, and what a failure leaves."""

from __future__ import annotations

import pytest

from headrace.streams.protocol.cache import Cache


def test_a_batch_reads_what_the_batches_before_it_changed() -> None:
    cache = Cache(10, whole=False)
    assert cache.missing(["a", "b"]) == ["a", "b"]
    cache.fill({"a": b"\x01", "b": None})
    assert cache.missing(["a", "b"]) == []
    assert (cache.get("a"), cache.get("b"), cache.get("c")) == (1, None, None)
    cache.put("a", 2)
    cache.put("b", 5)
    assert cache.seal(1) == {"a": b"\x02", "b": b"\x05"}
    assert cache.get("a") == 2
    cache.put("b", None)
    assert cache.seal(2) == {"b": None}
    assert cache.get("b") is None
    assert cache.missing(["b"]) == []  # that it has none is known
    assert dict(cache.items()) == {"a": 2}


def test_what_did_not_change_is_not_written() -> None:
    cache = Cache(10, whole=False)
    cache.fill({"a": b"\x01"})
    cache.put("a", 1)
    assert cache.seal(1) == {}


def test_a_whole_cache_is_missing_nothing_and_keeps_no_graves() -> None:
    cache = Cache(0, whole=True)
    assert cache.missing(["a"]) == []
    cache.put("a", 1)
    cache.seal(1)
    cache.written = 1
    cache.put("a", None)
    assert cache.seal(2) == {"a": None}
    assert len(cache) == 0


def test_what_waits_to_be_written_is_never_evicted() -> None:
    cache = Cache(1, whole=False)
    for number, key in enumerate("abc", 1):
        cache.put(key, number)
        cache.seal(number)
    assert (len(cache), cache.pinned()) == (3, 3)
    cache.written = 2
    cache.seal(4)
    assert cache.pinned() == 1
    assert cache.missing(["a", "b", "c"]) == ["a", "b"]  # the newest one stays, and is pinned
    cache.written = 4
    cache.seal(5)
    assert (len(cache), cache.pinned()) == (1, 0)


def test_a_rollback_undoes_what_was_not_settled() -> None:
    cache = Cache(10, whole=False)
    cache.fill({"a": b"\x91\x01"})
    cache.get("a").append(2)
    cache.put("a", cache.get("a"))
    cache.settle()
    cache.get("a").append(3)  # changed in place, never put
    cache.put("b", 9)
    cache.rollback()
    assert cache.get("a") == [1, 2]
    assert cache.get("b") is None
    assert cache.seal(1) == {"a": b"\x92\x01\x02"}


def test_a_state_that_cannot_be_packed_keeps_nothing() -> None:
    cache = Cache(10, whole=False)
    cache.put("a", 1)
    cache.put("b", object())
    with pytest.raises(TypeError):
        cache.settle()
    cache.rollback()
    assert cache.seal(1) == {}
