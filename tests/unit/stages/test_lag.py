"""Model lag and age: what a served model did not know, and how old the newest was that it knew."""

from __future__ import annotations

from headrace.streams.stages.lag import EXAMPLES_KEPT, ModelLag


def test_lag_counts_from_learned_to_and_by_event_time() -> None:
    lag = ModelLag()
    assert lag.of(0, 100) == 0
    for offset, time in ((0, 10), (2, 30), (3, None), (5, 20)):
        lag.add(offset, time)
    assert lag.of(0, 100) == 3
    assert lag.of(0, 20) == 2
    assert lag.of(1, 100) == 2
    assert lag.of(5, 19) == 0
    assert lag.of(6, 100) == 0
    again = ModelLag(lag.state())
    assert again.of(1, 100) == 2


def test_a_model_is_as_old_as_the_newest_label_that_it_had_learned() -> None:
    lag = ModelLag()
    assert lag.age_ms(5, 100) is None
    for offset, time in ((0, None), (2, 30), (3, None), (5, 20)):
        lag.add(offset, time)
    for again in (lag, ModelLag(lag.state())):
        assert again.age_ms(0, 100) is None, "nothing was learned"
        assert again.age_ms(1, 100) is None, "what was learned had no label"
        assert again.age_ms(3, 100) == 70
        assert again.age_ms(6, 100) == 70
        assert again.age_ms(6, 10) == 0, "what came after the event was known"
    for offset in range(6, EXAMPLES_KEPT + 6):
        lag.add(offset, 40)
    assert lag.age_ms(4, 100) is None, "that is further back than is looked"
    assert ModelLag(lag.state()).age_ms(8, 100) == lag.age_ms(8, 100) == 60


def test_the_state_of_before_ages_were_counted_is_taken_up() -> None:
    lag = ModelLag()
    lag.add(0, 30)
    again = ModelLag(lag.state()[:2])
    assert (again.of(0, 100), again.age_ms(1, 100)) == (1, None)
    again.add(1, 50)
    assert again.age_ms(2, 100) == 50


def test_lag_looks_back_at_a_bounded_number_of_examples() -> None:
    lag, fresh = ModelLag(), ModelLag()
    for offset in range(2 * EXAMPLES_KEPT + 10):
        lag.add(offset, 0)
        if offset > EXAMPLES_KEPT:
            fresh.add(offset, 0)
    assert lag.of(0, 1) == fresh.of(0, 1) == EXAMPLES_KEPT
    assert lag.state() == fresh.state()
    assert ModelLag(lag.state()).state() == lag.state()
