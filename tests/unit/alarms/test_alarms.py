"""Alerts: one for each change, grouped by cause, said when it begins and when it is over."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from headrace.schemas.codec import Codec
from headrace.schemas.records import ALERT
from headrace.streams import alarms
from headrace.streams.alarms import ADVICE, Alert, active, close, follow, record_of
from headrace.streams.detectors.verdicts import Stream, Verdict

HOUR = 3_600_000
CODEC = Codec(ALERT, 1)


def verdict(name: str, since: float, until: float, state: str = "begun", **changes: Any) -> Verdict:
    """Return a verdict; hours are counted from the epoch."""
    stream = Stream(changes.pop("kind", "input"), name, changes.pop("segment", "all"))
    found = Verdict(
        stream, state, int(since * HOUR), int(until * HOUR), 2.0, 0.5,
        (("low", 0.25), ("high", 0.75)), (("high", 0.5), ("new", 0.5)),
    )  # fmt: skip
    return found._replace(**changes)


class Story:
    """Alerts over hours; keeps what was said as records, decoded."""

    def __init__(self) -> None:
        self.alerts: list[Alert] = []
        self.records: list[dict[str, Any]] = []

    def hour(self, end: int, *verdicts: Verdict) -> list[tuple[str, str, list[str]]]:
        """Return id, state and members of what is said at the end of an hour."""
        said = follow(self.alerts, verdicts, end_ms=end * HOUR, near_ms=6 * HOUR, name="p-inputs")
        found = [
            record_of(each, end_ms=end * HOUR, run_length_ms=90 * 24 * HOUR, revision=end)
            for each in said
        ]
        for record in found:
            decoded = CODEC.decode(CODEC.encode(record))
            assert decoded == record
        self.records += found
        return [(r["id"], r["state"], [m["what"] for m in r["members"]]) for r in found]


def test_an_alert_begins_goes_on_and_is_over() -> None:
    story = Story()
    assert story.hour(9) == []
    first = f"p-inputs-{10 * HOUR}"
    assert story.hour(10, verdict("feature.wind", 8, 10)) == [(first, "begun", ["feature.wind"])]
    for hour in range(11, 34):
        assert story.hour(hour, verdict("feature.wind", 8, hour, "ongoing")) == []
    again = verdict("feature.wind", 8, 34, "ongoing", strength=3.0)
    assert story.hour(34, again) == [(first, "ongoing", ["feature.wind"])]
    ended = verdict("feature.wind", 8, 40, "over", strength=0.1)
    assert story.hour(40, ended) == [(first, "over", ["feature.wind"])]
    assert story.alerts == []
    assert story.hour(41, ended) == []
    # What it was like while it went on is what is said of it when it is over.
    assert [r["strength"] for r in story.records] == [2.0, 3.0, 3.0]


def test_a_record_says_what_where_since_when_how_strong_and_what_to_do() -> None:
    story = Story()
    weak = verdict("score", 9, 10, kind="score", strength=1.5)
    strong = verdict("feature.wind", 8, 10, segment="origin=JFK", strength=4.0, effect=0.7)
    story.hour(10, weak, strong)
    (record,) = story.records
    assert record == {
        "id": f"p-inputs-{10 * HOUR}",
        "state": "begun",
        "kind": "input",
        "what": "feature.wind",
        "segment": "origin=JFK",
        "since": 8 * HOUR,
        "noticed": 10 * HOUR,
        "until": 10 * HOUR,
        "strength": 4.0,
        "effect": 0.7,
        "distribution": [
            {"group": "low", "reference": 0.25, "observed": 0.0},
            {"group": "high", "reference": 0.75, "observed": 0.5},
            {"group": "new", "reference": 0.0, "observed": 0.5},
        ],
        "members": [
            {
                "kind": "input", "what": "feature.wind", "segment": "origin=JFK", "state": "begun",
                "since": 8 * HOUR, "strength": 4.0, "effect": 0.7,
            },
            {
                "kind": "score", "what": "score", "segment": "all", "state": "begun",
                "since": 9 * HOUR, "strength": 1.5, "effect": 0.5,
            },
        ],
        "members_left_out": 0,
        "run_length": 90 * 24 * HOUR,
        "advice": ADVICE["input"],
        "revision": 10,
    }  # fmt: skip
    assert active(story.alerts) == {**dict.fromkeys(ADVICE, 0), "input": 1}


def test_references_that_drift_are_an_alert_of_their_own() -> None:
    story = Story()
    drifted = verdict("score", 2, 10, kind="reference")
    (moved, drifts) = story.hour(10, verdict("score", 8, 10, kind="score"), drifted)
    assert moved == (f"p-inputs-{10 * HOUR}", "begun", ["score"])
    assert drifts == (f"p-inputs-reference-{10 * HOUR}", "begun", ["score"])
    assert active(story.alerts) == {**dict.fromkeys(ADVICE, 0), "score": 1, "reference": 1}
    later = [verdict("feature.wind", 3, 12, kind=kind) for kind in ("reference", "input")]
    story.hour(12, *later)
    assert [len(alert["members"]) for alert in story.alerts] == [2, 2]
    story.hour(13, *(each._replace(state="over") for each in (drifted, later[0])))
    assert [alert["id"] for alert in story.alerts] == [moved[0]]


def test_what_begins_within_a_few_tiles_is_one_alert_that_is_said_again_once() -> None:
    story = Story()
    names = [f"feature.f{number:02}" for number in range(20)]
    begun = [verdict(name, 8, 10, strength=2 + n) for n, name in enumerate(names[:3])]
    story.hour(10, *begun)
    story.hour(12, *(verdict(name, 9, 12) for name in names[3:10]))
    assert story.hour(15, *(verdict(name, 15, 15) for name in names[10:])) == []
    said = story.hour(16)
    assert [(state, len(members)) for _, state, members in said] == [("ongoing", 20)]
    assert said[0][2][0] == "feature.f02"  # the strongest first
    assert len(story.records) == 2
    # Later ones are said with the next of the day, not sooner.
    assert story.hour(17, verdict("feature.late", 8, 17)) == []
    assert [story.hour(hour) for hour in range(18, 40)] == [[]] * 22
    assert len(story.hour(40)[0][2]) == 21


def test_what_is_dated_to_the_same_time_is_of_one_cause_however_late_it_is_noticed() -> None:
    story = Story()
    story.hour(10, verdict("feature.wind", 8, 10))
    story.hour(50, verdict("feature.wind_mean_2d", 12, 50))
    other = verdict("feature.price", 47, 50)
    story.hour(50, other)
    assert [len(alert["members"]) for alert in story.alerts] == [2, 1]
    assert active(story.alerts)["input"] == 2


def test_a_member_that_begins_again_is_the_same_member() -> None:
    story = Story()
    story.hour(10, verdict("a", 8, 10), verdict("b", 8, 10))
    story.hour(20, verdict("a", 8, 20, "over"))
    assert [m["state"] for m in story.alerts[0]["members"].values()] == ["over", "begun"]
    said = story.hour(21, verdict("a", 12, 21))
    assert [(state, members) for _, state, members in said] == [("ongoing", ["a", "b"])]
    both = [verdict(name, 8, 22, "over") for name in "ab"]
    assert [state for _, state, _ in story.hour(22, *both)] == ["over"]


def test_what_begins_again_much_later_is_another_change() -> None:
    story = Story()
    story.hour(10, verdict("a", 8, 10), verdict("b", 8, 10))
    story.hour(20, verdict("a", 8, 20, "over"))
    said = story.hour(30, verdict("a", 29, 30))
    assert [(state, members) for _, state, members in said] == [("begun", ["a"])]
    assert [state for _, state, _ in story.hour(31, verdict("a", 29, 31, "over"))] == ["over"]
    assert [alert["noticed"] for alert in story.alerts] == [10 * HOUR]


def test_members_beyond_the_bound_are_counted() -> None:
    story = Story()
    story.hour(10, *(verdict(f"f{number}", 8, 10) for number in range(alarms.MEMBERS_MAX + 7)))
    (record,) = story.records
    assert len(record["members"]) == alarms.MEMBERS_MAX
    assert record["members_left_out"] == 7


def test_closed_alerts_are_over_at_the_next_tile() -> None:
    story = Story()
    story.hour(10, verdict("a", 8, 10))
    close(story.alerts)
    assert [state for _, state, _ in story.hour(11)] == ["over"]


HOURS = st.lists(
    st.lists(
        st.tuples(st.sampled_from("abcdef"), st.sampled_from(["begun", "ongoing", "over"]),
                  st.integers(0, 60), st.floats(0.1, 9)),
        max_size=6,
    ),
    max_size=80,
)  # fmt: skip


@given(HOURS)
def test_laws(hours: list[list[tuple[str, str, int, float]]]) -> None:
    """Whatever detectors say: begun once, over once, at most one more record a day between."""
    story = Story()
    for hour, said in enumerate(hours, 1):
        story.hour(
            hour,
            *(
                verdict(name, min(since, hour), hour, state, strength=how)
                for name, state, since, how in said
            ),
        )
        changed = [
            key
            for alert in story.alerts
            for key, member in alert["members"].items()
            if member["state"] != "over"
        ]
        assert len(changed) == len(set(changed))
        assert sum(active(story.alerts).values()) == len(story.alerts)
    by_id: dict[str, list[dict[str, Any]]] = {}
    for record in story.records:
        by_id.setdefault(record["id"], []).append(record)
    for records in by_id.values():
        states = [record["state"] for record in records]
        assert states[0] == "begun"
        assert states.count("begun") == 1
        assert "over" not in states[:-1]
        reminders = [r["until"] for r in records if r["state"] == "ongoing"]
        assert all(later - earlier >= 24 * HOUR for earlier, later in pairwise(reminders))
        assert len({record["noticed"] for record in records}) == 1
