"""An alert as people read it: a line that says what has changed, and the rest below it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from headrace.streams.duration import duration_text
from headrace.streams.observe import ALL

GROUPS_SHOWN = 5
MEMBERS_SHOWN = 10

_STATES = {
    "begun": "has changed",
    "ongoing": "is still changed",
    "over": "is no longer changed",
}
_MANY = {"begun": "have changed", "ongoing": "are still changed", "over": "are no longer changed"}
_OF_REFERENCE = {
    "begun": "drifted while its reference was learned",
    "ongoing": "has no steady reference yet",
    "over": "has a new reference",
}
_URGENCY = {"begun": "warning", "ongoing": "info", "over": "success"}

Alert = Mapping[str, Any]
"""The fields of an ``alert`` record, times as datetimes."""


class Message(NamedTuple):
    """What is sent.

    Attributes
    ----------
    urgency
        ``warning``, ``info`` or ``success``, as Apprise has them.
    """

    title: str
    body: str
    urgency: str


def message_of(pipeline: str, alert: Alert) -> Message:
    """Return what is sent of an alert."""
    title = f"{pipeline}: {summary(alert)}"
    said = [*_facts(alert), *_shares(alert), *_members(alert), "", alert["advice"], ""]
    promise = duration_text(alert["run_length"])
    said.append(f"Promised: one false alarm in {promise} of event time, on average.")
    said.append(f"Alert {alert['id']}; `headrace tail {pipeline} alerts` shows all of it.")
    return Message(title, "\n".join(said), _URGENCY.get(alert["state"], "info"))


def trial_message(moment: datetime) -> Message:
    """Return what ``headrace alerts test`` sends."""
    body = f"Sent at {_at(moment)} by `headrace alerts test`: alerts of Headrace arrive here."
    return Message("Headrace: a test", body, "info")


def summary(alert: Alert) -> str:
    """Return in one line what has changed, where, and whether it still is.

    Examples
    --------
    >>> alert = {"kind": "score", "what": "score", "segment": "origin=JFK", "state": "begun"}
    >>> summary({**alert, "members": [0, 0], "members_left_out": 1})
    'score (origin=JFK) and 2 more have changed'
    """
    more = len(alert["members"]) + alert["members_left_out"] - 1
    others = f" and {more} more" if more else ""
    if alert["kind"] == "reference":
        words = _OF_REFERENCE
        others = f" (and {more} more)" if more else ""
    else:
        words = _MANY if more else _STATES
    return f"{_named(alert)}{others} {words.get(alert['state'], alert['state'])}"


def _named(alert: Alert) -> str:
    what, segment = str(alert["what"]), alert["segment"]
    return what if segment == ALL else f"{what} ({segment})"


def _facts(alert: Alert) -> list[str]:
    size = "difference of means" if _is_mean(alert) else "PSI"
    return [
        f"Since about {_at(alert['since'])}, noticed at {_at(alert['noticed'])},"
        f" seen until {_at(alert['until'])} (event time).",
        f"Strength {alert['strength']:.3g}, where 1 raises an alarm;"
        f" effect {alert['effect']:.3g} ({size}).",
    ]


def _is_mean(alert: Alert) -> bool:
    return [each["group"] for each in alert["distribution"]] == ["mean"]


def _shares(alert: Alert) -> list[str]:
    """Return the groups that differ most, as they were and are."""
    if _is_mean(alert):
        (mean,) = alert["distribution"]
        return ["", f"Mean: {mean['reference']:.4g} before, {mean['observed']:.4g} now."]
    groups = sorted(
        alert["distribution"], key=lambda each: -abs(each["observed"] - each["reference"])
    )
    found = [
        f"  {each['group']}: {each['reference']:.1%} before, {each['observed']:.1%} now"
        for each in groups[:GROUPS_SHOWN]
    ]
    return ["", "Shares of groups, those that differ most:", *found] if found else []


def _members(alert: Alert) -> list[str]:
    others = [
        _named(each) + (" (over)" if each["state"] == "over" else "")
        for each in alert["members"][1 : MEMBERS_SHOWN + 1]
    ]
    left = len(alert["members"]) + alert["members_left_out"] - 1 - len(others)
    if left > 0:
        others.append(f"{left} more")
    return ["", f"With it: {', '.join(others)}."] if others else []


def _at(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
