"""A stream's history while it is learned what is usual, and what is made of it.

1. The reference is kept by bucket and slot; what would be too much has neighbouring buckets taken
   together. At its end it says how buckets are grouped, and gives the first fit.
2. From then on a slot is one row of counts by group.
3. The history goes on while nothing alarms; each time it has doubled, up to four weeks, the fit is
   made anew. Few days make for high thresholds, so the watch sharpens by itself.

A history too thin to say anything is followed until it is not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from headrace.streams.detectors.calendar import Calendar
from headrace.streams.detectors.calibration import Ask, Fit, members_of
from headrace.streams.detectors.channels import Channel, Families
from headrace.streams.detectors.noise import SCORE_UNIT, Series, bounds_of, rank_scores
from headrace.streams.groups import Groups, grouping_of, is_number

DAYS_MIN = 3
DAYS_GROWN = 28
DAYS_MAX = 56
RAW_MAX = 8_000
"""So many counts by slot and bucket are kept of a stream."""

COARSE_MIN = 64
"""With no more buckets than this none are taken together."""

FIT_EVENTS = 200
"""A history of fewer events is too thin to be held against."""

_TENTHS_MIN = 3

Learner = dict[str, Any]


def fresh_learner(days: int) -> Learner:
    """Return what is known of a stream before anything was seen.

    Parameters
    ----------
    days
        After so many it is fit for the first time.
    """
    return {
        "raw": [],
        "size": 0,
        "step": 1,
        "grouping": None,
        "rows": [],
        "due": days,
        "first": None,
        "judged": None,
        "drift": None,
    }


def reference_days(reference_ms: int, block_ms: int) -> int:
    """Return how many blocks are learned from before anything is said."""
    return max(DAYS_MIN, min(-(-reference_ms // block_ms), DAYS_MAX))


def note(
    learner: Learner, channel: Channel, families: Families, slot: int, calendar: Calendar
) -> None:
    """Add a slot to a stream's history; one without events is no row."""
    if channel.mean is not None:
        total, n = channel.mean(families)
        if n > 0:
            _first(learner, slot)
            learner["rows"].append([slot, n, [total]])
        return
    family = families.get(channel.family or "", {})
    n = sum(family.values())
    if n <= 0:
        return
    _first(learner, slot)
    if learner["grouping"] is None:
        learner["raw"].append([slot, _coarse(family, learner["step"])])
        learner["size"] += len(learner["raw"][-1][1])
        _bound(learner)
    else:
        groups = Groups(learner["grouping"])
        learner["rows"].append([slot, n, groups.counts(family)])


def _first(learner: Learner, slot: int) -> None:
    if learner["first"] is None:
        learner["first"] = slot


def _coarse(family: Mapping[str, int], step: int) -> dict[str, int]:
    """Return counts with so many neighbouring buckets taken together, named by the last."""
    if step == 1:
        return dict(family)
    found: dict[str, int] = {}
    for key, n in family.items():
        name = str(int(key) | (step - 1)) if is_number(key) else key
        found[name] = found.get(name, 0) + n
    return found


def _bound(learner: Learner) -> None:
    """Keep a history by bucket small: take buckets together, or group them now."""
    raw = learner["raw"]
    if learner["size"] <= RAW_MAX:
        return
    keys = {key for _, family in raw for key in family}
    if sum(map(is_number, keys)) <= COARSE_MIN:
        _group(learner)
        return
    learner["step"] *= 2
    learner["raw"] = [[slot, _coarse(family, learner["step"])] for slot, family in raw]
    learner["size"] = sum(len(family) for _, family in learner["raw"])


def _group(learner: Learner) -> None:
    """Say how buckets are grouped, by all that was seen so far."""
    merged: dict[str, int] = {}
    for _, family in learner["raw"]:
        for key, n in family.items():
            merged[key] = merged.get(key, 0) + n
    grouping = grouping_of(merged)
    grouping["lowest"] &= -learner["step"]
    groups = Groups(grouping)
    learner["rows"] = [
        [slot, sum(family.values()), groups.counts(family)] for slot, family in learner["raw"]
    ]
    learner["grouping"], learner["raw"] = grouping, []


def is_due(learner: Learner, slot: int, calendar: Calendar) -> bool:
    """Return whether the history is long enough for the next fit; a thin one moves on by a day."""
    due, first = learner["due"], learner["first"]
    if due is None or first is None or slot + 1 - first < due * calendar.slots:
        return False
    start = slot + 1 - due * calendar.slots
    learner["rows"] = [row for row in learner["rows"] if row[0] >= start]
    learner["raw"] = [row for row in learner["raw"] if row[0] >= start]
    learner["size"] = sum(len(family) for _, family in learner["raw"])
    events = sum(row[1] for row in learner["rows"])
    events += sum(sum(family.values()) for _, family in learner["raw"])
    if events >= FIT_EVENTS:
        if learner["raw"]:
            learner["ungrouped"] = learner["raw"]
            _group(learner)
        return True
    learner["first"] = start + calendar.slots
    return False


def begin_again(learner: Learner, slot: int) -> None:
    """Let a history that is due begin at a later slot; one that was just grouped, by bucket."""
    learner["first"] = slot
    ungrouped = learner.get("ungrouped")
    if ungrouped:
        learner["raw"] = [row for row in ungrouped if row[0] >= slot]
        learner["size"] = sum(len(family) for _, family in learner["raw"])
        learner["rows"], learner["grouping"] = [], None


def ask_of(
    learner: Learner, channel: Channel, slot: int, calendar: Calendar, rate: float
) -> tuple[Ask, dict[str, Any]]:
    """Return the history to calibrate by, and what else a fit says."""
    days, slots = learner["due"], calendar.slots
    start = slot + 1 - days * slots
    width = len(learner["rows"][0][2])
    n, counts = np.zeros(days * slots), np.zeros((days * slots, width))
    for at, events, found in learner["rows"]:
        n[at - start] = events
        counts[at - start] = found
    extra: dict[str, Any] = {"side": channel.side, "days": days, "scores": None}
    scores, looked_at, sums = None, [True] * width, counts
    if channel.mean is None:
        numbers = Groups(learner["grouping"]).numbers
        if numbers:
            totals = [int(total) for total in counts.sum(axis=0)]
            extra["scores"] = rank_scores(totals, numbers)
            scores = np.array(extra["scores"], dtype=np.float64).T / SCORE_UNIT
            sums = np.concatenate((counts, counts @ scores), axis=-1)
            looked_at += [True, True]
            if numbers - 2 >= _TENTHS_MIN:  # the tenths beside them, and location, see these
                looked_at[0] = looked_at[numbers - 1] = False
    series = Series(
        n.reshape(days, slots), sums.reshape(days, slots, -1),
        0 if channel.mean is not None else width, scores, channel.name not in _UNBOUNDED,
        calendar.dates(start, days),
    )  # fmt: skip
    ask = Ask(series, rate, channel.side, tuple(looked_at))
    extra["members"] = members_of(ask).tolist()
    extra["bounds"] = bounds_of(calendar.spans, slots, of_mean=channel.mean is not None)
    return ask, extra


_UNBOUNDED = ("log_loss", "excess_loss", "mae", "label_mean")


def plain_fit(fit: Fit, extra: Mapping[str, Any], slot: int, calendar: Calendar) -> dict[str, Any]:
    """Return a fit as plain data; profiles by the slot of the day."""
    turned = (slot + 1) % calendar.slots  # the history begins at this slot of the day
    noise = fit.noise
    return {
        **extra,
        "profile": np.roll(noise.profile, turned, axis=0).tolist(),
        "week": noise.week.tolist(),
        "v": np.roll(noise.v, turned, axis=0).tolist(),
        "tau2": noise.tau2.tolist(),
        "extra": noise.extra.tolist(),
        "limits": fit.limits.tolist(),
        "centers": [fit.centers.tolist()],
        "wide": [fit.wide.tolist()],
    }


def next_due(days: int) -> int | None:
    """Return after how many days a stream is fit again; None if it has seen enough."""
    return min(2 * days, DAYS_GROWN) if days < DAYS_GROWN else None


def found_in(
    fit: Mapping[str, Any], channel: Channel, grouping: Groups | None, families: Families
) -> tuple[int, Sequence[float]]:
    """Return how many events a slot has, and what is found of them by scalar."""
    if channel.mean is not None:
        total, n = channel.mean(families)
        return (n, [total]) if n > 0 else (0, [0.0])
    assert grouping is not None, channel.name
    counts = grouping.counts(families.get(channel.family or "", {}))
    if fit["scores"] is None:
        return sum(counts), counts
    scored = [
        sum([n * score for n, score in zip(counts, scores, strict=True)]) / SCORE_UNIT
        for scores in fit["scores"]
    ]
    return sum(counts), [*counts, *scored]
