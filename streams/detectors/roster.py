"""Which streams a pipeline's watch looks at, and what part of the promise each has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headrace.streams.detectors.channels import (
    SHARE_OF_KIND,
    Channel,
    Families,
    channels_of,
    families_of,
    families_wanted,
    segment_channels,
)
from headrace.streams.observe import ALL

SEGMENTS_MAX = 30
"""Of more segments, the later ones are not watched."""

SHARE_OF_ALL = 0.6
"""What of a kind's false alarms is for all events together, where segments are watched too."""

Totals = Mapping[str, Mapping[str, int]]
"""Counts by segment and name."""


class Roster:
    """The streams of some kinds: those of all events, and those of each segment.

    A stream's key is ``name|segment``.

    Parameters
    ----------
    task, features
        The declaration's.
    kinds
        Of which kinds.
    run_length
        In how many blocks the whole pipeline may have one false alarm.
    label_ages_ms
        At which ages of events their labels are looked at.
    """

    def __init__(
        self,
        task: str,
        features: tuple[tuple[str, str], ...],
        kinds: tuple[str, ...],
        run_length: float,
        label_ages_ms: tuple[int, ...] = (),
    ) -> None:
        whole = channels_of(task, features, kinds, label_ages_ms)
        self._whole = {channel.name: channel for channel in whole}
        self._parts = {each.name: each for each in segment_channels(task, kinds)}
        self._wanted = families_wanted(whole)
        self._run_length = run_length

    def read(self, known: list[str], totals: Totals) -> dict[str, Families]:
        """Return what is read of each watched segment's counts.

        Parameters
        ----------
        known
            Segments that are watched, in the order in which they appeared; grows.
        """
        found: dict[str, Families] = {}
        for segment in sorted(totals):
            if segment != ALL and segment not in known:
                if not self._parts or len(known) >= SEGMENTS_MAX:
                    continue
                known.append(segment)
            found[segment] = families_of(totals[segment], self._wanted)
        return found

    def channels(self, known: list[str]) -> list[tuple[str, str, Channel]]:
        """Return all streams: key, segment, and how it is read."""
        found = [(f"{name}|{ALL}", ALL, channel) for name, channel in self._whole.items()]
        for segment in known:
            found += [(f"{name}|{segment}", segment, each) for name, each in self._parts.items()]
        return found

    def of(self, key: str) -> tuple[str, Channel]:
        """Return a stream's segment, and how it is read."""
        name, _, segment = key.partition("|")
        return segment, (self._whole if segment == ALL else self._parts)[name]

    def rate(self, known: list[str], segment: str, channel: Channel) -> float:
        """Return how many false alarms a stream may have in a block."""
        kind = channel.kind
        allowed = SHARE_OF_KIND[kind] / self._run_length
        segmented = any(each.kind == kind for each in self._parts.values())
        beside = self._whole if segment == ALL else self._parts
        parts = channel.parts / sum(each.parts for each in beside.values() if each.kind == kind)
        if segment == ALL:
            return allowed * (SHARE_OF_ALL if segmented else 1.0) * parts
        place = known.index(segment) + 1  # 1/2 + 1/6 + 1/12 + ... = 1
        return allowed * (1.0 - SHARE_OF_ALL) / (place * (place + 1)) * parts


def added(part: dict[str, Any], found: Mapping[str, Families]) -> dict[str, Any]:
    """Add a tile to the part of a slot that is there already."""
    for segment, families in found.items():
        within = part.setdefault(segment, {})
        for family, counts in families.items():
            total = within.setdefault(family, {})
            for key, n in counts.items():
                total[key] = total.get(key, 0) + n
    return part
