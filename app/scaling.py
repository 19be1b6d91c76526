"""Slots that are no more: out of their groups, and what a broker forgot of them brought to its end.

A static member does not leave by itself: until its session ends, nobody has its tasks. And a slot
whose last transaction's end a broker forgot (``headrace.streams.engine.forgotten``) would have
ended it at its next start, which does not come.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from itertools import count

import structlog

from headrace.app.supervisor import Slot as Place
from headrace.schemas.errors import ServiceError
from headrace.streams.engine.connection import Connection
from headrace.streams.engine.forgotten import Slot, end_forgotten
from headrace.streams.engine.groups import Groups
from headrace.streams.engine.roles import group_of
from headrace.streams.flow import ROLES, outputs_of
from headrace.streams.plan import Plan

_TRY_S = 10.0
_PAUSE_S = 0.5

_log = structlog.get_logger("headrace.run")


def scale_in(kafka: Connection, plan: Plan, places: Sequence[Place], transaction_ms: int) -> None:
    """Take the workers of slots that are no more out of their groups, and end what they left.

    Parameters
    ----------
    places
        The slots that there are from now on.
    transaction_ms
        For how long a transaction may be open.
    """
    groups = Groups(kafka)
    for role in ROLES:
        group = group_of(plan.name, role)
        numbers = {place.number for place in places if place.role == role}
        _let_leave(groups, group, {f"{group}-{number}" for number in numbers})
        for number in count(max(numbers, default=-1) + 1):
            written = _Written(kafka, outputs_of(plan, role))
            if not _ended(kafka, Slot(f"{group}-{number}", group, transaction_ms, written)):
                break


def _let_leave(groups: Groups, group: str, wanted: set[str]) -> None:
    gone = [name for name in groups.members(group) if name and name not in wanted]
    if gone and groups.let_leave(group, gone):
        _log.info("scaled in: members taken out of the group", group=group, members=gone)


class _Written:
    """All that a slot may have written, asked for once it is known to have a past."""

    def __init__(self, kafka: Connection, outputs: Sequence[str]) -> None:
        self._kafka = kafka
        self._outputs = outputs

    def __call__(self) -> Mapping[str, int]:
        counts = self._kafka.partition_counts()
        return {topic: counts[topic] for topic in self._outputs if topic in counts}


def _ended(kafka: Connection, slot: Slot) -> bool:
    """End what a slot's last transaction decided; return whether it has had one.

    Slots are numbered without gaps, so behind one that has none there is no other.
    """
    until = time.monotonic() + _TRY_S
    while True:
        try:
            return end_forgotten(kafka, slot)
        except ServiceError as error:
            if time.monotonic() > until:
                _log.warning(
                    "scaled in: a slot's last transaction is not looked at",
                    slot=slot.transactional_id,
                    reason=str(error),
                )
                return False
            time.sleep(_PAUSE_S)
