"""Passing over alerts that a channel will never take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from headrace.app.alerting.sender import group_prefix
from headrace.schemas.errors import InputError
from headrace.streams.engine.connection import Connection
from headrace.streams.engine.courier import Parcels, parcels, pass_over
from headrace.streams.engine.reader import Reading
from headrace.streams.places import suggestion


def skip(
    kafka: Connection, topic: str, pipeline: str, channel: str, *, everything: bool
) -> list[dict[str, Any]]:
    """Have a channel pass over the alert that it does not take, or all that wait for it.

    Parameters
    ----------
    kafka, topic
        Where alerts are.
    pipeline, channel
        Whose alerts, and the channel's name as ``headrace alerts list`` says it.
    everything
        Whether all that wait are passed over, instead of the one that is in the way.

    Returns
    -------
    list of dict
        The alerts that are passed over.

    Raises
    ------
    InputError
        There is no such channel, or nothing stands in its way.
    """
    there = topic in kafka.partition_counts()
    records = list(Reading(kafka, topic).records()) if there else []
    prefix = group_prefix(pipeline)
    standing = parcels(kafka, topic, prefix, records) if there else []
    found = _known({each.group.removeprefix(prefix): each for each in standing}, channel)
    waiting = found.waiting if everything else found.waiting[:1]
    if not waiting or not (everything or found.hindrance):
        raise InputError(_nothing(channel, found.waiting))
    pass_over(kafka, topic, found.group, waiting[-1] + 1)
    gone = set(waiting)
    return [fields for record, fields in records if record.offset in gone]


def _known(known: dict[str, Parcels], channel: str) -> Parcels:
    if channel not in known:
        hint = suggestion(channel, list(known)) if known else "No channel has sent anything yet."
        raise InputError(f'No channel is called "{channel}". {hint}')
    return known[channel]


def _nothing(channel: str, waiting: Sequence[int]) -> str:
    if not waiting:
        return f"{channel} has delivered everything: there is nothing to be passed over."
    return (
        f"{channel} has not failed to deliver any of the {len(waiting)} alerts that wait for it:"
        " let it try first (`headrace alerts send`), or pass over all of them with --all."
    )
