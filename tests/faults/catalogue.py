"""All kinds of faults, each with its odds."""

from __future__ import annotations

from tests.faults.deaths import DEATHS
from tests.faults.kinds import Kind
from tests.faults.moves import MOVES
from tests.faults.outages import outages
from tests.faults.overlaps import OVERLAPS
from tests.faults.stops import STOPS


def all_kinds(*, postgres: bool) -> tuple[Kind, ...]:
    """Return all that can befall a trial."""
    return (*DEATHS, *STOPS, *MOVES, *outages(postgres=postgres), *OVERLAPS)
