"""What a reader of one metric has to know beside its value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headrace.streams.withholding import REASONS, WITHHELD


def note_of(fields: Mapping[str, Any]) -> str:
    """Return what to know of a record of ``<p>.metrics``; empty for most.

    Examples
    --------
    >>> detail = {"withheld": 2.0}
    >>> note_of({"metric": "accuracy", "value": None, "coverage": 0.19, "detail": detail})
    'withheld: all labels that came are of one class, and 81 % of the predictions have none'
    >>> note_of({"metric": "fresh.auc", "value": 0.81, "coverage": 1.0, "detail": {"later": 0.9}})
    'prequential: the newest model when it learned, which knew later labels in 90 % of the examples'
    """
    name, detail, coverage = fields["metric"], fields["detail"], fields["coverage"]
    reason = round(detail.get(WITHHELD, 0.0) or (fields["value"] if name == WITHHELD else 0.0))
    if reason:
        missing = _share(1 - coverage)
        return f"withheld: {REASONS[reason]}, and {missing} of the predictions have none"
    if not name.startswith("fresh."):
        return ""
    told = "prequential: the newest model when it learned"
    if "later" not in detail:
        return told
    return f"{told}, which knew later labels in {_share(detail['later'])} of the examples"


def _share(share: float) -> str:
    return f"{100 * share:.0f} %"
