import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.streams.partitioner import murmur2, partition_of

# From Kafka's own UtilsTest.testMurmur2.
KAFKA = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize(("key", "hashed"), KAFKA.items())
def test_it_hashes_as_kafka_does(key: bytes, hashed: int) -> None:
    assert murmur2(key) == hashed % 2**32


@given(st.binary(max_size=40), st.integers(1, 50))
def test_every_key_has_a_partition(key: bytes, count: int) -> None:
    place = partition_of(key, count)
    assert place == (murmur2(key) & 0x7FFFFFFF) % count
    assert 0 <= place < count
