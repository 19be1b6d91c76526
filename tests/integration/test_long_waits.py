"""JOIN's state that is read by key, on a real Valkey: what the store in memory has, and no more."""

from __future__ import annotations

import msgpack
import pytest

from headrace.streams.store.redis import RedisStore
from tests.unit.stages import test_long_waits as law
from tests.unit.stages.test_long_waits import TASK, System, batches, by_key

pytestmark = pytest.mark.integration

waits_are_long = law.waits_are_long


def test_a_real_store_holds_what_the_one_in_memory_holds(redis_url: str) -> None:
    store = RedisStore(redis_url)
    real, twin = System(store), System()
    real.take_over(by_key())
    twin.take_over(by_key())
    for number, batch in enumerate(batches(3)):
        real.run(batch)
        twin.run(batch)
        if number % 7 == 6:
            real.take_over(by_key())
    assert real.examples() == twin.examples()
    assert real.counts() == twin.counts()
    packed = store.peek(TASK)[1]
    states = {key: msgpack.unpackb(each, strict_map_key=False) for key, each in packed.items()}
    assert states == twin.states()
    store.close()
