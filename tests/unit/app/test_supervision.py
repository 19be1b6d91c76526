"""When a worker is started again: pure, by the clock that is passed in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.app.supervision import Backoff, fate_of
from headrace.streams.engine import guard


def test_exit_codes_are_the_guards() -> None:
    assert fate_of(guard.STOPPED) == fate_of(guard.RESTART) == "restart"
    assert fate_of(guard.REFUSED) == "refused"
    assert fate_of(guard.FENCED) == "fenced"


@pytest.mark.parametrize("code", [-9, -15, -11, 2, 5, 137])
def test_any_other_end_is_restarted(code: int) -> None:
    assert fate_of(code) == "restart"


def test_at_once_then_doubling_to_the_most() -> None:
    backoff = Backoff()
    pauses = [backoff.pause_s(ran_s=1.0) for _ in range(9)]
    assert pauses == [0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
    assert backoff.restarts == 9


def test_a_minute_of_health_begins_anew() -> None:
    backoff = Backoff()
    for _ in range(5):
        backoff.pause_s(ran_s=0.0)
    assert backoff.pause_s(ran_s=59.9) == 16.0
    assert backoff.pause_s(ran_s=60.0) == 0.0
    assert backoff.pause_s(ran_s=1.0) == 1.0


@given(st.lists(st.floats(0, 59), max_size=3_000))
def test_pauses_are_bounded_and_rise_while_it_is_unwell(runs: list[float]) -> None:
    backoff = Backoff()
    pauses = [backoff.pause_s(ran_s) for ran_s in runs]
    assert pauses == sorted(pauses)
    assert all(0 <= pause <= 30 for pause in pauses)
