"""What a run amounts to: for people a table, for machines plain data."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.table import Table

from tests.faults.campaign import Campaign, Done
from tests.faults.deaths import KILLED
from tests.faults.judge import Verdict
from tests.faults.moves import ROLLED

SOON_S = 3.0
"""After a kill the next commit comes within this time and what restoring state costs."""

GAP_S = 3.0
"""The longest gap of a rolling restart, on a machine that has a core to spare."""


def table(done: Sequence[Done], passed_over: Mapping[str, int]) -> Table:
    """Return the recovery times by kind of fault."""
    found = Table(box=None, pad_edge=False)
    columns = ("fault", "done", "passed over", "recovery p50, s", "max, s", "each takes, s")
    for name in columns:
        found.add_column(name, justify="left" if name == "fault" else "right")
    for kind in dict.fromkeys([each.kind for each in done] + list(passed_over)):
        of = [each for each in done if each.kind == kind]
        times = [each.recovery_s for each in of]
        found.add_row(
            kind, str(len(of)), str(passed_over.get(kind, 0)),
            f"{statistics.median(times):.1f}" if of else "", f"{max(times):.1f}" if of else "",
            f"{statistics.mean(each.took_s for each in of):.1f}" if of else "",
        )  # fmt: skip
    return found


def killed(done: Sequence[Done]) -> dict[str, float]:
    """Return how soon all tasks had committed after workers were killed and slots were filled."""
    of = [each for each in done if each.kind.startswith(KILLED)]
    if not of:
        return {}
    times = sorted(each.commit_s for each in of)
    return {
        "faults": len(of),
        "p50_s": statistics.median(times),
        "p99_s": times[min(len(times) - 1, round(0.99 * len(times)))],
        "max_s": times[-1],
        "within_3_s_and_restore": sum(each.commit_s <= SOON_S + each.restore_s for each in of),
        "restore_p50_s": statistics.median(each.restore_s for each in of),
    }


def gaps(done: Sequence[Done]) -> dict[str, float]:
    """Return the longest gaps of rolling restarts."""
    found = [each.gap_s for each in done if each.kind == ROLLED and each.gap_s is not None]
    if not found:
        return {}
    within = sum(gap <= GAP_S for gap in found)
    return {
        "restarts": len(found),
        "p50_s": statistics.median(found),
        "max_s": max(found),
        "within_3_s": within,
    }


def lines(campaign: Campaign, verdict: Verdict) -> list[str]:
    """Return what is said below the table."""
    found, tally = [], verdict.tally
    if soon := killed(campaign.done):
        found.append(
            f"kill -9, the slot filled again: {soon['faults']} times; the next commits p50"
            f" {soon['p50_s']:.1f} s, p99 {soon['p99_s']:.1f} s; {soon['within_3_s_and_restore']}"
            f" within {SOON_S:g} s and restoring (p50 {soon['restore_p50_s']:.1f} s)"
        )
    if gap := gaps(campaign.done):
        found.append(
            f"rolling restarts of all: {gap['restarts']} times; longest gap p50"
            f" {gap['p50_s']:.1f} s, max {gap['max_s']:.1f} s; {gap['within_3_s']}"
            f" within {GAP_S:g} s"
        )
    found.append(
        f"{len(campaign.late)} of {len(campaign.done)} recovered late,"
        f" {len(campaign.failed)} went otherwise than they must"
    )
    found.append(
        f"{tally.events:,} events, {tally.predictions:,} predictions,"
        f" {tally.examples:,} examples: {tally.lost} lost, {tally.doubled} doubled,"
        f" {tally.unpublished} unpublished, {verdict.states_differing} states differ;"
        f" {verdict.compared:,} values compared"
    )
    return found


def as_json(campaign: Campaign, verdict: Verdict, **run: Any) -> dict[str, Any]:
    """Return a run as plain data."""
    return {
        **run,
        "verdict": {**asdict(verdict), "tally": verdict.tally._asdict()},
        "killed": killed(campaign.done),
        "rolled": gaps(campaign.done),
        "failed": campaign.failed,
        "late": campaign.late,
        "faults": [asdict(done) for done in campaign.done],
        "passed_over": dict(campaign.passed_over),
    }
