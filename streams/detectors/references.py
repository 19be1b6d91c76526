"""What becomes of a history that is due: it is the reference, or it has drifted, and that is said.

A history that has drifted (:mod:`headrace.streams.detectors.stationarity`) is not learned from. It
begins anew at the day from which on it is another one, and is judged again when it is as long as it
was to be; until then the alarm goes on, and what was learned before stays. After two weeks what is
there is learned from whatever it is: a stream that drifts for ever is not left without a watch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from headrace.streams.detectors.calendar import Calendar
from headrace.streams.detectors.calibration import Ask
from headrace.streams.detectors.episodes import NORMAL_DAYS
from headrace.streams.detectors.learning import Learner, begin_again
from headrace.streams.detectors.stationarity import Drift, drift_within
from headrace.streams.groups import paired, psi

KIND = "reference"
"""Of what is said of a reference that drifts."""


def judged(
    learner: Learner, ask: Ask, names: Sequence[str] | None, slot: int, calendar: Calendar
) -> str | None:
    """Judge a history that is due; return what is to be said of it.

    Parameters
    ----------
    learner
        Changed in place: of a history that has drifted ``drift`` says how.
    names
        Of a distribution's groups; None of a mean.

    Returns
    -------
    str or None
        ``begun``: it has drifted; ``ongoing``: it still does; ``over``: it did, and is learned from
        now. None: it is learned from, and there is nothing to say.
    """
    before, due = learner.get("judged"), learner["due"]
    new = due if before is None else min(due, -(-(slot - before) // calendar.slots))
    learner["judged"], known = slot, learner.get("drift")
    if known is not None and slot - known["at"] >= NORMAL_DAYS * calendar.slots:
        return "over"
    drift = drift_within(ask, new)
    if drift is None:
        return None if known is None else "over"
    begin_again(learner, slot + 1 - (due - drift.day) * calendar.slots)
    if known is not None:
        return "ongoing"
    learner["drift"] = {"at": slot, "since": learner["first"], **_sizes(drift, names)}
    return "begun"


def _sizes(drift: Drift, names: Sequence[str] | None) -> dict[str, Any]:
    """Return how large a drift is, as plain data: shares, or means, of both its parts."""
    (*before, m), (*after, n) = drift.before, drift.after
    if names is None:
        effect, labels = after[0] / n - before[0] / m, ["mean"]
    else:
        width = len(names)
        effect, labels = psi(paired(after[:width], before[:width])), list(names)
    return {
        "strength": drift.strength,
        "effect": effect,
        "reference": [[name, each / m] for name, each in zip(labels, before, strict=False)],
        "observed": [[name, each / n] for name, each in zip(labels, after, strict=False)],
    }


def shares(pairs: Sequence[Sequence[Any]]) -> tuple[tuple[str, float], ...]:
    """Return groups with their shares as verdicts have them."""
    return tuple((name, share) for name, share in pairs)
