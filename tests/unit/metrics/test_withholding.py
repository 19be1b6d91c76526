"""What the labels that came are no fair sample for is not said, and why."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from river import linear_model

from headrace.streams.buckets import number_bucket
from headrace.streams.event import Event
from headrace.streams.figures import Figure
from headrace.streams.metrics import Metrics
from headrace.streams.pipeline import InEvent, Labels, Monitor, Pipeline, Source, majority, value
from headrace.streams.plan import Plan, plan_of
from headrace.streams.replay import Result, replay
from headrace.streams.totals import Totals
from headrace.streams.withholding import BY_DELAY, MISSING, ONE_CLASS, WITHHELD, fair
from tests.unit.metrics.test_metrics import CLASSES

DAY = 86_400_000
START = datetime(2024, 5, 1, tzinfo=UTC)


class Loan(Event):
    id: str
    town: str
    at: datetime
    sum: float
    sure: bool = True


class Fate(Event):
    id: str
    at: datetime
    lost: bool


def plan_with(wait: str = "10d") -> Plan:
    return plan_of(
        Pipeline(
            name="loans",
            events=Source(Loan, id="id", key="town", time="at"),
            labels=Labels(Fate, id="id", value="lost", time="at", wait=wait),
            features=[value("sum")],
            model=linear_model.LogisticRegression(),
            monitor=Monitor(segments=["town"], baselines=[majority()], windows=["1d", "5d"]),
        )
    )


def totals(events: int, true: int, false: int, delay: int = 0, true_delay: int = 0) -> Totals:
    """Return what is counted of a window: right answers, and labels of these delays, in days."""
    found: Totals = {
        "": {"events": events, "labelled": true + false, "outcome.tp": true, "outcome.tn": false}
    }
    if delay:
        late, early = str(number_bucket(true_delay * DAY)), str(number_bucket(delay * DAY))
        found["true_delay"] = {late: true}
        found["delay"] = {early: false}
        found["delay"][late] = found["delay"].get(late, 0) + true
    return found


JOINED = Metrics(plan_with())


def reason(totals: Totals) -> float | None:
    figures = JOINED.figures(totals)
    told = figures[WITHHELD].value
    accuracy = figures["accuracy"]
    assert (accuracy.value is None) == bool(told)
    assert accuracy.detail.get(WITHHELD, 0) == told
    assert ("low" in accuracy.detail) == (not told)
    return told


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (totals(100, 0, 19), ONE_CLASS),
        (totals(100, 19, 0), ONE_CLASS),
        (totals(100, 0, 89), ONE_CLASS),
        (totals(100, 0, 90), 0),  # up to a tenth is missing
        (totals(1_000, 300, 400), 0),  # a sample of both, without a word about delays
        (totals(1_000, 300, 400, delay=5, true_delay=5), 0),
        (totals(1_000, 300, 400, delay=2, true_delay=9), BY_DELAY),
        (totals(1_000, 450, 450, delay=2, true_delay=9), 0),
        (totals(9, 3, 4, delay=2, true_delay=9), 0),  # of so few it may be chance
    ],
)
def test_of_outcomes_nothing_is_said_where_labels_are_no_fair_sample(
    found: Totals, wanted: int
) -> None:
    assert reason(found) == wanted


def test_what_is_not_of_outcomes_is_said() -> None:
    figures = JOINED.figures(totals(100, 0, 19))
    assert figures["coverage"] == Figure(0.19, 100)
    assert figures["events"].value == 100
    assert figures["true_share"].value is None
    assert figures[WITHHELD] == Figure(float(ONE_CLASS), 100)


def test_a_segment_is_judged_by_itself_and_says_it_in_its_detail_alone() -> None:
    figures = JOINED.figures(totals(100, 0, 19), segment=True)
    assert figures["accuracy"].value is None
    assert figures["accuracy"].detail[WITHHELD] == ONE_CLASS
    assert WITHHELD not in figures
    assert JOINED.figures(totals(100, 9, 10), segment=True)["accuracy"].value == 1


def test_of_several_classes_one_alone_is_no_sample() -> None:
    metrics = Metrics(CLASSES)
    found: Totals = {"": {"events": 9, "labelled": 2}, "outcome.actual": {"a": 2}}
    found["outcome.hit"] = {"a": 2}
    joined = metrics._joined
    metrics._joined = True
    try:
        assert metrics.figures(found)["accuracy"].value is None
        found["outcome.actual"] = {"a": 1, "b": 1}
        assert metrics.figures(found)["accuracy"].value is not None
    finally:
        metrics._joined = joined


def test_without_labels_there_is_nothing_to_withhold() -> None:
    assert WITHHELD not in JOINED.figures({"": {"events": 9}})


def test_a_window_that_awaits_labels_withholds_what_depends_on_the_delay_whatever_is_in() -> None:
    almost = JOINED.figures(totals(1_000, 475, 475, delay=2, true_delay=9))
    assert almost[WITHHELD].value == 0
    told = fair(almost)
    assert told["accuracy"].value is None
    assert told[WITHHELD].value == BY_DELAY
    one = JOINED.figures(totals(100, 0, 19))
    assert fair(one) == one
    assert MISSING > 0.05


def loans(days: int, *, true_after: float, false_after: float, kept: float = 1.0) -> Any:
    """Return 60 loans a day of which a third is lost, with labels after so many days."""
    rng = Random(3)
    events: list[dict[str, Any]] = []
    labels: list[dict[str, Any]] = []
    for number in range(60 * days):
        at = START + timedelta(days=number / 60)
        lost = rng.random() < 1 / 3
        row = {"id": f"l{number}", "town": f"t{number % 2}", "at": at}
        events.append({**row, "sum": rng.gauss(3 if lost else 0, 1)})
        after = (true_after if lost else false_after) * rng.uniform(0.9, 1.1)
        if rng.random() < kept:
            labels.append({"id": row["id"], "at": at + timedelta(days=after), "lost": lost})
    return events, sorted(labels, key=lambda each: each["at"])


def replayed(days: int, **changes: float) -> Result:
    events, labels = loans(days, **changes)
    return replay(plan_with().pipeline, events, labels, step="1d")


def accuracies(result: Result) -> list[float | None]:
    return [each["value"] for each in result.metrics if each["metric"] == "accuracy"]


def test_labels_that_the_wait_cuts_off_are_no_accuracy() -> None:
    """What is lost is known after 17 days, and the wait is 10: only what is well has a label."""
    result = replayed(30, true_after=17, false_after=5)
    assert result.summary["coverage"] < 0.7  # type: ignore[operator]
    assert result.summary["accuracy"] is None
    assert result.summary[WITHHELD] == ONE_CLASS
    assert result.summary["baseline.majority.accuracy"] is None
    assert set(accuracies(result)) == {None}
    assert any(each["final"] for each in result.metrics if each["metric"] == "accuracy")


def test_labels_of_which_some_are_cut_off_because_of_what_they_say_are_no_accuracy() -> None:
    """Of what is lost a half is known within the wait."""
    result = replayed(30, true_after=10, false_after=5)
    assert result.summary["accuracy"] is None
    assert result.summary[WITHHELD] == BY_DELAY
    finals = [each for each in result.metrics if each["final"] and each["window"] == "5d"]
    judged = [each for each in finals if each["metric"] == "accuracy" and each["segment"] == "all"]
    assert judged
    assert {each["value"] for each in judged} == {None}


def test_a_random_sample_of_labels_is_judged() -> None:
    result = replayed(30, true_after=5, false_after=5, kept=0.19)
    assert result.summary["coverage"] < 0.2  # type: ignore[operator]
    assert result.summary["accuracy"] > 0.6  # type: ignore[operator]
    assert result.summary[WITHHELD] == 0


def test_the_newest_model_is_not_compared_where_labels_come_late() -> None:
    """It knows labels of later events: its loss is no measure for the one that was served."""
    result = replayed(12, true_after=5, false_after=5)
    regrets = [each["support"] for each in result.metrics if each["metric"] == "regret"]
    assert set(regrets) == {1}  # before the very first one nothing was known
    told = [each for each in result.metrics if each["metric"] == "fresh.log_loss"]
    assert told[-1]["detail"]["later"] > 0.99


def test_a_plan_whose_labels_are_in_the_event_withholds_nothing() -> None:
    plan = plan_of(replace(plan_with().pipeline, labels=InEvent("sure"), features=[value("sum")]))
    figures = Metrics(plan).figures(totals(100, 0, 19))
    assert figures["accuracy"].value == 1
    assert WITHHELD not in figures
