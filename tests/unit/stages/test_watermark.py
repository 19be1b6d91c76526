import msgpack
from hypothesis import given
from hypothesis import strategies as st

from headrace.streams.watermark import advance, fresh_clock

TIMES = st.lists(st.integers(0, 50), max_size=30)


@given(TIMES)
def test_it_is_the_running_maximum_of_the_lower_median_of_five(times: list[int]) -> None:
    clock, highest = fresh_clock(), None
    for number, time in enumerate(times, 1):
        assert advance(clock, time) == highest
        window = sorted(times[max(0, number - 5) : number])
        if len(window) >= 3:
            median = window[(len(window) - 1) // 2]
            highest = median if highest is None else max(highest, median)
        assert clock[0] == highest
        clock = msgpack.unpackb(msgpack.packb(clock))
        assert len(clock[1]) <= 5


def test_one_bad_clock_does_not_move_it() -> None:
    clock = fresh_clock()
    for time in (10, 10**15, 11, 12, 13, 14, 15):
        advance(clock, time)
    assert clock[0] == 14 - 1
