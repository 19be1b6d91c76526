"""The watch: what it says of streams that change, and of those that do not."""

from collections import Counter

import msgpack
import numpy as np
import pytest

from headrace.streams.detectors import noise
from headrace.streams.detectors.roster import SEGMENTS_MAX
from headrace.streams.detectors.verdicts import Stream, Verdict
from headrace.streams.detectors.watch import Watch
from tests.unit.detectors.streams_made import (
    DAY_MS,
    HOUR_MS,
    INPUTS,
    OUTCOMES,
    REFERENCE_DAYS,
    Counts,
    Make,
    answers,
    inputs,
    outcomes,
    said,
    terms,
    watched,
)

AT = (REFERENCE_DAYS + 2) * 24
"""The hour at which something changes."""

AT_WEEKLY = 42 * 24


def begun(verdicts: list[Verdict]) -> list[Verdict]:
    return [each for each in verdicts if each.state == "begun"]


def test_says_nothing_where_nothing_changes() -> None:
    assert said(Watch(terms(), INPUTS), 20 * 24, lambda _, rng: inputs(rng)) == []


def test_a_shift_is_said_once_with_what_it_is() -> None:
    found = said(
        Watch(terms(), INPUTS), AT + 48, lambda hour, rng: inputs(rng, shift=2.0 * (hour >= AT))
    )
    (first,) = begun(found)
    assert first.stream == Stream("input", "feature.x", "all")
    assert AT * HOUR_MS < first.until_ms <= (AT + 6) * HOUR_MS
    assert abs(first.since_ms - AT * HOUR_MS) <= 6 * HOUR_MS
    assert first.strength >= 1.0
    assert first.effect > 0.2
    assert [name for name, _ in first.reference] == [name for name, _ in first.observed]
    for shares in (first.reference, first.observed):
        assert sum(share for _, share in shares) == pytest.approx(1.0)
    lowest = first.reference[1][0]  # the first tenth
    assert dict(first.observed)[lowest] < dict(first.reference)[lowest] / 2
    assert [each.state for each in found[1:]] == ["ongoing"]  # once a day


def test_names_change_too() -> None:
    found = said(
        Watch(terms(), INPUTS),
        AT + 24,
        lambda hour, rng: inputs(rng, odd=0.5 if hour >= AT else 0.1),
    )
    (first,) = begun(found)
    assert first.stream.name == "feature.c"
    assert dict(first.observed)["=b"] > 2 * dict(first.reference)["=b"]


def test_a_rhythm_of_the_day_is_no_change() -> None:
    def make(hour: int, rng: np.random.Generator) -> Counts:
        wave = np.sin(2 * np.pi * hour / 24)
        return inputs(rng, events=int(60 + 40 * wave), shift=4.0 * wave)

    assert said(Watch(terms(), INPUTS), 20 * 24, make) == []


def _weekly(shift: float) -> Make:
    """Return what two days of seven, which are three times as far off as the change, look like."""

    def make(hour: int, rng: np.random.Generator) -> Counts:
        weekend = hour // 24 % 7 >= 5
        return inputs(rng, shift=3.0 * shift * weekend + shift * (hour >= AT_WEEKLY))

    return make


def test_a_rhythm_of_the_week_is_no_change_and_hides_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watch = Watch(terms(days=14), INPUTS)
    assert not begun(said(watch, AT_WEEKLY, _weekly(0.5)))
    (first, *_) = begun(said(watch, AT_WEEKLY + 7 * 24, _weekly(0.5)))
    assert first.stream.name == "feature.x"
    delay = first.until_ms // HOUR_MS - AT_WEEKLY
    assert 0 < delay <= 24
    monkeypatch.setattr(noise, "WEEKS_MIN", 99)  # days of the week are days like others
    later = begun(said(watch, AT_WEEKLY + 7 * 24, _weekly(0.5)))
    assert not later or later[0].until_ms // HOUR_MS - AT_WEEKLY > 2 * delay


def test_a_history_that_begins_in_the_midst_of_a_day_tells_weekdays_apart() -> None:
    def make(hour: int, rng: np.random.Generator) -> Counts:
        return inputs(rng, shift=2.0 * (hour // 24 % 7 >= 5)) if hour >= 15 else {}

    watch = Watch(terms(days=14), INPUTS)
    state = watch.fresh()
    rng = np.random.default_rng(4)
    for hour in range(35 * 24):
        assert not watch.observe(state, hour * HOUR_MS, make(hour, rng))
    week = np.array(state["fits"]["feature.x|all"]["week"])
    assert np.abs(week[5:]).min(axis=0).max() > 0.2  # some group has more of both weekend days
    assert np.abs(week[:5]).max() < np.abs(week[5:]).max()


def test_what_is_over_is_said_to_be() -> None:
    def make(hour: int, rng: np.random.Generator) -> Counts:
        return inputs(rng, shift=2.0 * (AT <= hour < AT + 12))

    found = said(Watch(terms(), INPUTS), AT + 16 * 24, make)
    assert [each.state for each in found if each.state != "ongoing"] == ["begun", "over"]


def test_after_two_weeks_a_change_is_the_new_normal() -> None:
    def make(hour: int, rng: np.random.Generator) -> Counts:
        return inputs(rng, shift=2.0 * (hour >= AT) - 2.0 * (hour >= AT + 30 * 24))

    found = [v for v in said(Watch(terms(), INPUTS), AT + 32 * 24, make) if v.state != "ongoing"]
    assert [each.state for each in found] == ["begun", "over", "begun"]
    assert found[2].until_ms > (AT + 30 * 24) * HOUR_MS  # against what is normal by now


def test_a_loss_that_rises_is_said_and_one_that_falls_is_not() -> None:
    def make(wrong: float) -> list[Verdict]:
        return said(
            Watch(terms(), OUTCOMES),
            AT + 4 * 24,
            lambda hour, rng: {"all": outcomes(rng, wrong=wrong if hour >= AT else 0.2)},
        )

    risen = {each.stream.name: each for each in begun(make(0.5))}
    assert {"log_loss", "accuracy"} <= set(risen)
    assert risen["log_loss"].effect > 0.2
    assert risen["log_loss"].reference[0][0] == "mean"
    assert risen["accuracy"].effect < -0.2
    assert not {each.stream.name for each in begun(make(0.02))} & {"log_loss", "accuracy"}


def test_a_loss_that_the_scores_expect_is_no_excess_and_flipped_labels_are() -> None:
    def make(sure: float, flipped: float) -> dict[str, Verdict]:
        def counts(hour: int, rng: np.random.Generator) -> Counts:
            changed = hour >= AT
            return {"all": answers(rng, 40, sure if changed else 0.9, flipped * changed)}

        found = said(Watch(terms(), OUTCOMES), AT + 3 * 24, counts)
        return {each.stream.name: each for each in begun(found)}

    unsure = make(0.6, 0.0)
    assert "log_loss" in unsure
    assert "excess_loss" not in unsure
    flipped = make(0.9, 0.2)["excess_loss"]
    (_, usual), (_, observed) = *flipped.reference, *flipped.observed
    assert abs(usual) < 0.03
    # each flip costs ln(0.9 / 0.1), and eight of ten are of what was right
    assert observed - usual == pytest.approx(flipped.effect)
    assert 0.1 < flipped.effect < 0.5


def test_a_storm_of_some_hours_is_less_than_a_shift_that_lasts() -> None:
    def hours_of(wrong: float, lasts: int) -> list[Verdict]:
        def counts(hour: int, rng: np.random.Generator) -> Counts:
            return {"all": outcomes(rng, 60, wrong if AT <= hour < AT + lasts else 0.2)}

        return begun(said(Watch(terms(), OUTCOMES), AT + 5 * 24, counts))

    assert hours_of(0.9, 2) == []
    assert hours_of(0.4, 4 * 24) != []


def test_fits_of_a_release_before_sums_had_bounds_go_on() -> None:
    watch, rng = Watch(terms(), INPUTS), np.random.default_rng(8)
    state, found = watch.fresh(), []
    for hour in range(AT + 24):
        if hour == AT:
            state = msgpack.unpackb(msgpack.packb(state))
            for fit in state["fits"].values():
                del fit["bounds"]
        counts = inputs(rng, shift=2.0 * (hour >= AT))
        found += watch.observe(state, hour * HOUR_MS, counts)
    assert [each.stream.name for each in begun(found)] == ["feature.x"]


def test_one_segment_can_be_told_from_all() -> None:
    def make(hour: int, rng: np.random.Generator) -> Counts:
        bad = outcomes(rng, 30, wrong=0.8 if hour >= AT else 0.2)
        return {"all": outcomes(rng, 600), "site=a": bad, "site=b": outcomes(rng, 570)}

    found = begun(said(Watch(terms(), OUTCOMES), AT + 24, make))
    assert {each.stream.segment for each in found} == {"site=a"}


def test_labels_that_stop_are_said() -> None:
    def make(hour: int, rng: np.random.Generator) -> Counts:
        found = outcomes(rng)
        return {"all": found | {"labelled": 40} if hour >= AT else found | {"labelled": 57}}

    assert "coverage" in {
        v.stream.name for v in begun(said(Watch(terms(), OUTCOMES), AT + 24, make))
    }


def test_empty_tiles_and_thin_streams_never_alarm() -> None:
    def make(hour: int, rng: np.random.Generator) -> Counts:
        if hour >= AT:
            return {}
        thin = outcomes(rng, 1, wrong=0.0) if hour % 12 == 0 else {}
        return {**inputs(rng), "site=thin": thin}

    assert said(Watch(terms(), (*INPUTS, *OUTCOMES)), AT + 10 * 24, make) == []


def test_the_same_state_and_totals_give_the_same_answer_whoever_holds_them() -> None:
    rng = np.random.default_rng(3)
    one = Watch(terms(), INPUTS)
    here, there = one.fresh(), one.fresh()
    for hour in range(AT + 30):
        counts = inputs(rng, shift=2.0 * (hour >= AT))
        verdicts = one.observe(here, hour * HOUR_MS, counts)
        there = msgpack.unpackb(msgpack.packb(there))
        assert Watch(terms(), INPUTS).observe(there, hour * HOUR_MS, counts) == verdicts
    assert msgpack.packb(here) == msgpack.packb(there)
    assert len(msgpack.packb(here)) < 200_000


def test_short_tiles_are_taken_together() -> None:
    long, short = Watch(terms(), INPUTS), Watch(terms(tile_ms=HOUR_MS // 2), INPUTS)
    whole, parts = long.fresh(), short.fresh()
    rng = np.random.default_rng(4)
    for hour in range(AT + 10):
        shift = 2.0 * (hour >= AT)
        first, second = inputs(rng, 30, shift), inputs(rng, 30, shift)
        both = {
            name: first["all"].get(name, 0) + second["all"].get(name, 0)
            for name in first["all"] | second["all"]
        }
        verdicts = long.observe(whole, hour * HOUR_MS, {"all": both})
        assert short.observe(parts, hour * HOUR_MS, first) == []
        assert short.observe(parts, hour * HOUR_MS + HOUR_MS // 2, second) == verdicts


def test_what_is_large_need_not_wait_for_the_end_of_the_hour() -> None:
    long, short = Watch(terms(), INPUTS), Watch(terms(tile_ms=HOUR_MS // 4), INPUTS)
    whole, parts = long.fresh(), short.fresh()
    rng = np.random.default_rng(6)
    early: list[tuple[int, Verdict]] = []
    for hour in range(AT + 1):
        quarters = [inputs(rng, 30, 12.0 * (hour >= AT))["all"] for _ in range(4)]
        counts: Counter[str] = Counter()
        for place, quarter in enumerate(quarters):
            counts.update(quarter)
            at_ms = hour * HOUR_MS + place * HOUR_MS // 4
            early += [(place, each) for each in short.observe(parts, at_ms, {"all": quarter})]
        late = long.observe(whole, hour * HOUR_MS, {"all": dict(counts)})
    (place, first), *more = early
    assert (first.stream.name, first.state) == ("feature.x", "begun")
    assert place < 3
    assert first.until_ms == AT * HOUR_MS + (place + 1) * HOUR_MS // 4
    assert (AT - 12) * HOUR_MS <= first.since_ms <= AT * HOUR_MS
    assert {each.stream for _, each in early} == {each.stream for each in late}
    assert len(early) == len(late) == 1 + len(more)  # each once
    assert parts["sums"] == whole["sums"]


def test_segments_are_bounded() -> None:
    watch = Watch(terms(), OUTCOMES)
    state = watch.fresh()
    rng = np.random.default_rng(5)
    counts = {f"site={n}": outcomes(rng, 3) for n in range(SEGMENTS_MAX + 5)}
    watch.observe(state, 0, counts)
    assert len(state["segments"]) == SEGMENTS_MAX
    inputs_alone = Watch(terms(), INPUTS)
    state = inputs_alone.fresh()
    inputs_alone.observe(state, 0, counts)
    assert state["segments"] == []


@pytest.mark.parametrize(
    ("task", "counts", "name"),
    [
        (
            "multiclass",
            {"outcome.actual:a": 60, "outcome.hit:a": 50, "outcome.said:a": 60},
            "accuracy",
        ),
        ("regression", {"outcome.n": 60, "outcome.absolute": 60_000_000}, "mae"),
        ("anomaly", {"outcome.tp": 5, "outcome.tn": 50, "outcome.fp": 5}, "accuracy"),
    ],
)
def test_each_task_has_its_outcomes(task: str, counts: dict[str, int], name: str) -> None:
    worse = {
        "multiclass": {"outcome.hit:a": 20},
        "regression": {"outcome.absolute": 600_000_000},
        "anomaly": {"outcome.tn": 20, "outcome.fp": 35},
    }[task]

    def make(hour: int, rng: np.random.Generator) -> Counts:
        found = dict(counts) | (worse if hour >= AT else {})
        key = next(iter(worse))
        return {"all": found | {key: found[key] + int(rng.integers(-3, 4))}}

    found = begun(said(Watch(terms(task=task), OUTCOMES), AT + 24, make))
    assert name in {each.stream.name for each in found}


@pytest.mark.parametrize(
    ("task", "name"), [("multiclass", "class_share"), ("regression", "label_mean")]
)
def test_labels_that_say_something_else_are_told_though_answers_are_as_good(
    task: str, name: str
) -> None:
    def make(hour: int, rng: np.random.Generator) -> Counts:
        a = int(rng.binomial(60, 0.7 if hour < AT else 0.3))
        if task == "multiclass":
            shares = {"outcome.actual:a": a, "outcome.actual:b": 60 - a, "outcome.hit:a": a}
            return {"all": shares | {"outcome.hit:b": 60 - a}}
        off = int(rng.integers(50, 70))
        return {
            "all": {"outcome.n": 60, "outcome.absolute": off * 10**6, "outcome.label": a * 10**6}
        }

    found = begun(said(Watch(terms(task=task), OUTCOMES), AT + 24, make))
    assert [each.stream for each in found] == [Stream("outcome", name, "all")]
    assert abs(found[0].effect) > 0.2


def test_a_watch_that_has_to_learn_all_anew_is_as_at_its_beginning() -> None:
    watch = Watch(terms(()), INPUTS)
    state, rng, found = watch.fresh(), np.random.default_rng(7), []
    for hour in range(AT + 20 * 24):
        score = "score:64" if hour < AT else "score:-64"
        totals = {"all": {"events": 50, score: int(rng.integers(40, 60)), "score:0": 9}}
        found += [v.state for v in watch.observe(state, hour * HOUR_MS, totals)]
        assert bool(state["fits"]) == bool(state["sums"]["sums"])
    assert [each for each in found if each != "ongoing"] == ["begun", "over"]


def test_a_long_silence_is_no_history() -> None:
    watch = Watch(terms(), INPUTS)
    state, rng = watch.fresh(), np.random.default_rng(6)
    for hour in range(48):
        watch.observe(state, hour * HOUR_MS, inputs(rng))
    later = 100 * DAY_MS
    for hour in range(24):
        assert watch.observe(state, later + hour * HOUR_MS, inputs(rng, shift=4.0)) == []


def test_a_watch_says_as_the_hours_go_by() -> None:
    quiet = [hour for hour, v in watched(Watch(terms(), INPUTS), 24, lambda _, r: inputs(r)) if v]
    assert quiet == []
