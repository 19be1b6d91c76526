"""The shelf: what was saved is there again, and what has not changed is not written again."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest

from headrace.streams.detectors.verdicts import Terms
from headrace.streams.detectors.watch import Watch
from headrace.streams.protocol.cache import Cache
from headrace.streams.stages.shelf import BLOCK, Shelf

HOUR = 3_600_000
TERMS = Terms(HOUR, 72 * HOUR, 90 * 24 * HOUR, "binary", (("x", "number"), ("kind", "category")))


def again(cache: Cache) -> Cache:
    """Return a cache with what another one holds, as bytes."""
    found = Cache(1_000, whole=True)
    found.fill({key: cache._packed[key] for key in cache._packed})
    return found


def loaded(cache: Cache, side: str = "inputs") -> Any:
    return Shelf(side).load(again(cache))


def packed(state: Any) -> Any:
    """Return a state as it comes back from its bytes, whatever the order of its fields."""
    return msgpack.unpackb(msgpack.packb(state), strict_map_key=False)


def stream(*rows: Any, **fields: Any) -> dict[str, Any]:
    return {"size": 0, "rows": list(rows), "raw": [], **fields}


def test_nothing_saved_is_nothing() -> None:
    shelf, cache = Shelf("inputs"), Cache(1_000, whole=True)
    assert shelf.load(cache) is None
    shelf.save(cache, {"begun": 3})
    assert list(cache.seal(1)) == ["w:inputs"]
    assert loaded(cache) == {"begun": 3}
    assert loaded(cache, "outcomes") is None


def test_only_the_end_of_what_grows_is_written() -> None:
    shelf, cache = Shelf("inputs"), Cache(1_000, whole=True)
    streams = {"b": stream(*range(2 * BLOCK + 1)), "a": stream(1)}
    state: dict[str, Any] = {"streams": streams, "fits": {"a": {"v": [1.0]}}, "sums": [0.5]}
    shelf.save(cache, state)
    blocks = [f"w:inputs:rows:{number}:b" for number in range(3)]
    named = ["w:inputs", "w:inputs:fits:a", "w:inputs:streams:a", "w:inputs:streams:b"]
    assert sorted(cache.seal(1)) == sorted([*named, *blocks, "w:inputs:rows:0:a"])
    shelf.touch(cache)
    streams["b"]["rows"].append(7)
    state["sums"] = [0.75]
    shelf.save(cache, state)
    assert sorted(cache.seal(2)) == ["w:inputs", blocks[2]]
    assert loaded(cache) == state
    assert list(loaded(cache)["streams"]) == ["b", "a"]  # watches go by this order


def test_what_is_replaced_is_written_and_what_is_gone_goes() -> None:
    shelf, cache = Shelf("inputs"), Cache(1_000, whole=True)
    streams = {"a": stream(*range(BLOCK + 1)), "b": stream(1)}
    state: dict[str, Any] = {"streams": streams, "fits": {"a": {"v": [1.0]}, "b": {"v": [2.0]}}}
    shelf.save(cache, state)
    cache.seal(1)
    streams["a"]["rows"], streams["a"]["raw"] = [5], [6]
    state["fits"] = {"a": {"v": [3.0]}}
    del streams["b"]
    shelf.save(cache, state)
    gone = {key for key, packed in cache.seal(2).items() if packed is None}
    assert gone == {
        "w:inputs:fits:b", "w:inputs:rows:0:b", "w:inputs:rows:1:a", "w:inputs:streams:b",
    }  # fmt: skip
    assert loaded(cache) == state
    anew = Shelf("inputs")
    anew.load(cache)
    anew.clear(cache)
    cache.seal(3)
    assert len(cache) == 0


def test_what_was_changed_in_place_and_not_saved_is_undone() -> None:
    shelf, cache = Shelf("inputs"), Cache(1_000, whole=True)
    state: dict[str, Any] = {"segments": [], "streams": {"a": stream(1, episode={"since": 1})}}
    shelf.save(cache, state)
    cache.seal(1)
    state = shelf.load(cache)  # type: ignore[assignment]  # there is one
    cache.seal(2)
    shelf.touch(cache)
    state["segments"].append("by=a")
    state["streams"]["a"]["episode"]["since"] = 2
    state["streams"]["a"]["rows"].append(2)
    cache.rollback()
    assert shelf.load(cache) == {
        "segments": [], "streams": {"a": stream(1, episode={"since": 1})},
    }  # fmt: skip


@pytest.mark.parametrize("kinds", [("input", "score"), ("outcome", "labels")])
def test_a_watch_keeps_to_what_the_shelf_expects_of_it(kinds: tuple[str, ...]) -> None:
    """Days of hours, learned from, fitted and judged: what is loaded is always what is there."""
    watch, shelf, cache = Watch(TERMS, kinds), Shelf("inputs"), Cache(10_000, whole=True)
    state = watch.fresh()
    for hour in range(7 * 24):
        n = 40 + hour % 24
        values = {"events": n, "feature.x:7": n - 9, f"feature.x:{hour % 5}": 9, "score:-64": n}
        values |= {f"feature.kind:={'ab'[hour % 2]}": n, "labelled": n, "outcome.tp": n // 2}
        values |= {"outcome.tn": n - n // 2, "outcome.scored": n, "outcome.log_loss": n * 400_000}
        shelf.touch(cache)
        watch.observe(state, hour * HOUR, {"all": values, f"by={hour % 3}": values})
        shelf.save(cache, state)
        cache.seal(hour)
        if hour % 17 == 0 or hour > 6 * 24:
            assert packed(loaded(cache)) == packed(state), hour
    assert state["fits"]
