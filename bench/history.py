"""The flights week as often as is wanted, and with as many flights as are wanted.

The week has 31 flights an hour. A stream worth a bench has more: so each flight leaves several
times, seconds apart and with ids of its own, as if the airports had that many times the traffic.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from headrace.streams.load import load_pipeline
from headrace.streams.outgoing import Outgoing, interleaved
from headrace.streams.plan import Plan, plan_of
from headrace.streams.rows import read_rows

ROOT = Path(__file__).parents[1]
PIPELINE = ROOT / "examples" / "flights" / "pipeline.py"
WEEK_S = 7 * 24 * 3_600
WEEK = ROOT / "data" / "flights_nyc13_week.csv.gz"


def flights() -> Plan:
    return plan_of(load_pipeline(PIPELINE))


def history(plan: Plan, copies: int, weeks: int = 1, first_week: int = 0) -> Iterator[Outgoing]:
    """Go through events and labels in the order of their own times.

    Parameters
    ----------
    copies
        How many times the traffic of New York's airports.
    weeks
        How often the week is repeated, each a week later.
    first_week
        How many weeks later the first one is.
    """
    labels: Any = plan.pipeline.labels
    departures = list(read_rows(WEEK, plan.pipeline.events.event))
    arrivals = list(read_rows(WEEK, labels.label, unless_blank="label"))
    for week in range(first_week, first_week + weeks):
        moves = [(f"+{week}.{copy}", week * WEEK_S + copy) for copy in range(copies)]
        yield from interleaved(
            plan,
            [_moved(each, "event_time", *move) for each in departures for move in moves],
            [_moved(each, "label_time", *move) for each in arrivals for move in moves],
        )


def _moved(row: Any, time: str, suffix: str, later_s: int) -> Any:
    """Return a copy of an event or a label, with an id of its own and some seconds later."""
    later = getattr(row, time) + timedelta(seconds=later_s)
    return row.model_copy(update={"event_id": row.event_id + suffix, time: later})
