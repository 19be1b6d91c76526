"""What is taken from the logs."""

from __future__ import annotations

from headrace.app.top.observed import WINDOWS_KEPT, Observed, _speaks_of_all, newest_with
from tests.unit.top.looks import HOUR_MS, NOON_MS, TOPICS, alert, metric


def observed(*batch: object) -> Observed:
    found = Observed(TOPICS, TOPICS)
    found.take(batch)  # type: ignore[arg-type]
    return found


def test_the_newest_value_counts() -> None:
    found = observed(metric("auc", 0.7), metric("auc", 0.8, detail={"low": 0.1}))
    assert found.whole()["auc"] == (0.8, 7, 0.5, {"low": 0.1}, False)


def test_windows_are_kept_by_length_in_order_and_bounded() -> None:
    ends = [NOON_MS + hour * HOUR_MS for hour in range(WINDOWS_KEPT + 5)]
    batch = [metric("auc", hour / 100, "1h", end) for hour, end in enumerate(ends)]
    found = observed(metric("auc", 0.9, "1d"), *reversed(batch), metric("auc", 0.5, "2h"))
    assert found.lengths() == ["1h", "2h", "1d"]
    assert [end for end, _ in found.windows("1h")] == ends[5:]
    assert found.windows("1w") == []
    assert found.event_time_ms() == ends[-1]


def test_counts_of_the_whole_run_give_rates_by_the_records_own_time() -> None:
    batch = [metric("events", 5.0 * second, at_ms=1_000 * second) for second in range(1, 61)]
    found = observed(*batch, metric("events", 3.0, "1h", at_ms=61_000))
    total, rate, rates = found.counted("events", 60.0)
    assert (total, rate) == (300, 5.0)
    assert set(rates) == {5.0}
    assert found.counted("routed", 60.0) == (None, None, [])


def test_alerts_are_shown_until_they_are_over_the_newest_first() -> None:
    found = observed(
        alert("a", "begun", 1), alert("b", "begun", 2), alert("c", "begun", 3),
        alert("a", "ongoing", 1), alert("b", "over", 2),
    )  # fmt: skip
    assert [(each["id"], each["state"]) for each in found.alerts()] == [
        ("c", "begun"), ("a", "ongoing"),
    ]  # fmt: skip


def test_alerts_that_are_over_are_bounded() -> None:
    found = observed(*(alert(str(n), "over") for n in range(10 * WINDOWS_KEPT)))
    assert found.alerts() == []
    assert len(found._alerts) == WINDOWS_KEPT


def test_records_of_segments_are_passed_over_by_their_key() -> None:
    assert _speaks_of_all(metric("auc", 0.5).record)
    assert not _speaks_of_all(metric("auc", 0.5, segment="origin=EWR").record)
    assert not _speaks_of_all(metric("auc", 0.5, segment='carrier="all"').record)
    assert not _speaks_of_all(metric("auc", 0.5).record._replace(key=None))


def test_the_newest_window_that_says_something() -> None:
    found = observed(
        metric("auc", 0.7, "1h", 1), metric("auc", 0.8, "1h", 2), metric("auc", None, "1h", 3)
    )
    end, values = newest_with(found.windows("1h"), "auc")
    assert (end, values["auc"].value) == (2, 0.8)
    assert newest_with(found.windows("1h"), "mae") == (None, {})


def test_only_topics_that_exist_are_waited_for() -> None:
    assert Observed(TOPICS, []).caught_up()
    assert not Observed(TOPICS, [TOPICS.metrics]).caught_up()
