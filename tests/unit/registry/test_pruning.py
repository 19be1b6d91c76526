"""Which states nobody needs any more."""

from datetime import UTC, datetime, timedelta
from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from headrace.registry.kept import CheckpointInfo, ServingInfo
from headrace.registry.pruning import StateRetention, unneeded_states, unserved_since

NOW = datetime(2024, 5, 9, 12, tzinfo=UTC)
SHORT = StateRetention(timedelta(hours=1), timedelta(days=3), timedelta(days=30))


def chain_of(ages: list[timedelta], dropped: frozenset[int] = frozenset()) -> list[CheckpointInfo]:
    """Return links at 10, 20, 30, … of these ages, some without their state."""
    return [
        CheckpointInfo(10 * n, 10 * n - 10, f"d{n}", "", 100, NOW - age, 10 * n not in dropped)
        for n, age in enumerate(ages, 1)
    ]


def hours(*ages: float) -> list[timedelta]:
    return [timedelta(hours=age) for age in ages]


def test_one_a_day_is_kept_and_the_last_hour_whole() -> None:
    chain = chain_of(hours(50, 49, 30, 26, 25, 11, 3, 0.9, 0.5, 0.4, 0.3, 0))
    # The days end at 12 h, 36 h and 60 h before NOW's noon.
    assert unneeded_states(chain, SHORT, NOW, 0) == [10, 30, 40, 60, 70]


def test_daily_states_end_too_but_not_the_one_that_kept_examples_need() -> None:
    chain = chain_of(hours(24 * 9, 24 * 8, 24 * 7, 24 * 6, 5, 4, 3))
    assert unneeded_states(chain, SHORT, NOW, 0) == [10, 20, 30, 40]
    assert unneeded_states(chain, SHORT, NOW, 25) == [10, 30, 40]
    assert unneeded_states(chain, SHORT, NOW, 30) == [10, 20, 40]


def test_a_pipeline_that_has_slept_for_a_year_keeps_its_newest_states() -> None:
    chain = chain_of(hours(*[9_000.0] * 9))
    assert unneeded_states(chain, SHORT, NOW, 10**9) == [10, 20, 30, 40, 50, 60]


def test_what_was_dropped_is_not_dropped_again() -> None:
    chain = chain_of(hours(*[9_000.0] * 5), frozenset({10, 20}))
    assert unneeded_states(chain, SHORT, NOW, 0) == []
    assert unneeded_states([], SHORT, NOW, 0) == []


@given(
    gaps=st.lists(st.floats(0, 40), max_size=60),
    every=st.floats(0, 50),
    daily=st.floats(0, 400),
    oldest=st.integers(0, 700),
)
def test_any_chain_keeps_what_is_needed(
    gaps: list[float], every: float, daily: float, oldest: int
) -> None:
    chain = chain_of(hours(*reversed(list(accumulate(gaps)))))
    retention = StateRetention(timedelta(hours=every), timedelta(hours=daily), timedelta(0))
    unneeded = unneeded_states(chain, retention, NOW, oldest)
    kept = [info for info in chain if info.offset not in unneeded]
    assert kept[-retention.newest :] == chain[-retention.newest :]
    before = [info.offset for info in chain if info.offset <= oldest]
    assert not before or before[-1] in {info.offset for info in kept}
    for info in chain:
        age = NOW - info.created_at
        if age <= retention.every:
            assert info in kept
        if age <= retention.daily:
            of_day = [k for k in kept if k.created_at.date() == info.created_at.date()]
            assert of_day, "a day within the time of daily states lost all of its states"
    # Doing it again drops nothing more.
    again = [info._replace(kept=info in kept) for info in chain]
    assert unneeded_states(again, retention, NOW, oldest) == []


def test_since_when_a_version_is_not_served() -> None:
    monday, tuesday, friday = (datetime(2024, 5, day, tzinfo=UTC) for day in (6, 7, 10))
    history = [
        ServingInfo(1, monday, ""), ServingInfo(2, tuesday, ""), ServingInfo(3, friday, ""),
    ]  # fmt: skip
    assert unserved_since(history, 1) == tuesday
    assert unserved_since(history, 2) == friday
    assert unserved_since(history, 3) is None
    assert unserved_since(history, 4) is None
    assert unserved_since([], 1) is None
    again = [*history, ServingInfo(1, friday + timedelta(1), "")]
    assert unserved_since(again, 1) is None
    assert unserved_since(again, 3) == friday + timedelta(1)
