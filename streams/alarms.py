"""From verdicts to alerts: one for each change, said when it begins and when it is over.

Detectors speak of one statistic each (:mod:`headrace.streams.detectors`); a sensor that breaks
changes twenty features, and their windows hours later. A change has happened between the time that
it is dated to and the time at which it was noticed: verdicts whose such times overlap, or nearly
so, are *members* of one alert. That references drift is an alert of its own: it is dated to long
before, and speaks of the watch itself.

An alert is said when it begins; again once a day while it goes on, and sooner, though at most once
a day, if it has gained members since; and when all of its members are over.

Everything here is a function of the verdicts and of event time. Times are in milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from headrace.streams.detectors.cohorts import RATE
from headrace.streams.detectors.references import KIND as REFERENCE
from headrace.streams.detectors.verdicts import Verdict

REMIND_MS = 86_400_000
"""How often an alert that goes on is said."""

MEMBERS_MAX = 100
"""So many members are listed in a record."""

ADVICE: Mapping[str, str] = {
    "input": "Look at what delivers this feature: a sensor, a join, a unit, a release upstream. If"
    " the world has changed, leave it: the model goes on learning.",
    "score": "The model answers otherwise than it did. If no input changed with it, look at what it"
    " has learned last: `headrace status` says how far, metrics say how well.",
    "outcome": "The answers fit their labels otherwise than before. Compare with the baselines and"
    " with `fresh.` metrics: if those are well, scorers lag behind; if not, the relation has"
    " changed, and the model needs time, another rate, or other features.",
    "labels": "Labels come otherwise than before: look at what publishes them. Metrics of young"
    " windows say little until they are in.",
    RATE: "Of events of the same age, more or fewer have this label than had before. Look"
    " at what is labelled, and at who labels it: metrics of outcomes tell of it only after the"
    " wait. If the world has changed, leave it: the model goes on learning.",
    REFERENCE: "What is usual was learned while it changed. It is learned anew from `since` on,"
    " and changes of this statistic are seen late until then. If what came before was a start-up"
    " or a fault, leave it; if the change goes on, look for its cause as for any other.",
}
"""What to do, by kind."""

Alert = dict[str, Any]
"""An alert that is not over, as plain data: ``id``, ``noticed``, ``said``, ``reminded``,
``grown``, and ``members`` by kind, statistic and segment."""


class Said(NamedTuple):
    """An alert that is to be said now.

    Attributes
    ----------
    state
        ``begun``, ``ongoing`` or ``over``.
    """

    alert: Alert
    state: str


def follow(
    alerts: list[Alert], verdicts: Iterable[Verdict], *, end_ms: int, near_ms: int, name: str
) -> list[Said]:
    """Take in the verdicts of a tile; return what is to be said at its end.

    Parameters
    ----------
    alerts
        Those that are not over; changed in place.
    end_ms
        The end of the tile.
    near_ms
        How far apart verdicts may be that are taken to have one cause.
    name
        Prefix of the ids of new alerts.
    """
    for verdict in verdicts:
        _take(alerts, verdict, end_ms, near_ms, name)
    said = []
    for alert in alerts:
        state = _state_to_say(alert, end_ms, near_ms)
        if state is not None:
            said.append(Said(alert, state))
            _note(alert, state, end_ms)
    alerts[:] = [alert for alert in alerts if not _is_over(alert)]
    return said


def close(alerts: Iterable[Alert]) -> None:
    """Have all alerts said as over at the next tile: nobody watches what they speak of any more."""
    for alert in alerts:
        for member in alert["members"].values():
            member["state"] = "over"


def active(alerts: Iterable[Alert]) -> dict[str, int]:
    """Return how many alerts there are of each kind."""
    found = dict.fromkeys(ADVICE, 0)
    for alert in alerts:
        found[strongest(alert)[0]["kind"]] += 1
    return found


def strongest(alert: Alert) -> list[dict[str, Any]]:
    """Return an alert's members, those that are not over first, the strongest first."""
    return sorted(
        alert["members"].values(),
        key=lambda m: (m["state"] == "over", -m["strength"], m["what"], m["segment"]),
    )


# -- grouping


def _take(alerts: list[Alert], verdict: Verdict, end_ms: int, near_ms: int, name: str) -> None:
    key = ":".join(verdict.stream)
    holder = next((alert for alert in alerts if _is_changed(alert, key)), None)
    if verdict.state == "over":
        if holder is not None:
            holder["members"][key].update(state="over", until=verdict.until_ms)
        return
    if holder is None:
        holder = _near(alerts, verdict, near_ms)
        if holder is None:
            sort = f"{name}-{REFERENCE}" if _is_of_reference(verdict.stream.kind) else name
            holder = _new(f"{sort}-{end_ms}", end_ms)
            alerts.append(holder)
        holder["grown"] = True
    holder["members"][key] = _member(verdict)


def _is_changed(alert: Alert, key: str) -> bool:
    return key in alert["members"] and alert["members"][key]["state"] != "over"


def _near(alerts: Sequence[Alert], verdict: Verdict, near_ms: int) -> Alert | None:
    """Return the newest alert that a verdict may have its cause in common with."""
    of_reference = _is_of_reference(verdict.stream.kind)
    alike = (
        alert
        for alert in reversed(alerts)
        if all(_is_of_reference(m["kind"]) == of_reference for m in alert["members"].values())
    )
    found = (alert for alert in alike if verdict.since_ms <= alert["noticed"] + near_ms)
    return next(found, None)


def _is_of_reference(kind: str) -> bool:
    return kind == REFERENCE


def _new(alert_id: str, end_ms: int) -> Alert:
    return {
        "id": alert_id,
        "noticed": end_ms,
        "said": None,  # end of the tile at which it was said last
        "reminded": None,  # the same, as ongoing
        "grown": False,  # it has members that were not said yet
        "members": {},
    }


def _member(verdict: Verdict) -> dict[str, Any]:
    kind, what, segment = verdict.stream
    return {
        "kind": kind,
        "what": what,
        "segment": segment,
        "state": verdict.state,
        "since": verdict.since_ms,
        "until": verdict.until_ms,
        "strength": verdict.strength,
        "effect": verdict.effect,
        "reference": [list(share) for share in verdict.reference],
        "observed": [list(share) for share in verdict.observed],
    }


# -- what is said


def _state_to_say(alert: Alert, end_ms: int, near_ms: int) -> str | None:
    said, reminded = alert["said"], alert["reminded"]
    if said is None:
        return "begun"
    if _is_over(alert):
        return "over"
    if end_ms - said >= REMIND_MS:
        return "ongoing"
    grown = alert["grown"] and end_ms - alert["noticed"] >= near_ms
    return "ongoing" if grown and (reminded is None or end_ms - reminded >= REMIND_MS) else None


def _note(alert: Alert, state: str, end_ms: int) -> None:
    alert["said"], alert["grown"] = end_ms, False
    if state == "ongoing":
        alert["reminded"] = end_ms


def _is_over(alert: Alert) -> bool:
    return all(member["state"] == "over" for member in alert["members"].values())


def record_of(said: Said, *, end_ms: int, run_length_ms: int, revision: int) -> dict[str, Any]:
    """Return what is said as an ``alert`` record.

    Parameters
    ----------
    end_ms
        The end of the tile at which it is said.
    run_length_ms
        The promise.
    revision
        The next offset of the counts topic.
    """
    members = strongest(said.alert)
    first = members[0]
    shown = ("kind", "what", "segment", "since", "strength", "effect")
    return {
        "id": said.alert["id"],
        "state": said.state,
        **{name: first[name] for name in shown},
        "noticed": said.alert["noticed"],
        "until": end_ms,
        "distribution": _distribution(first["reference"], first["observed"]),
        "members": [
            {name: member[name] for name in (*shown, "state")} for member in members[:MEMBERS_MAX]
        ],
        "members_left_out": max(0, len(members) - MEMBERS_MAX),
        "run_length": run_length_ms,
        "advice": ADVICE[first["kind"]],
        "revision": revision,
    }


def _distribution(
    reference: Iterable[tuple[str, float]], observed: Iterable[tuple[str, float]]
) -> list[dict[str, Any]]:
    """Return both shares of each group, in the reference's order; groups of it alone come last."""
    before, now = dict(reference), dict(observed)
    return [
        {"group": group, "reference": before.get(group, 0.0), "observed": now.get(group, 0.0)}
        for group in dict.fromkeys([*before, *now])
    ]
