"""What the registry keeps, as plain values: tasks, witnesses, snapshots, checkpoints, versions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from headrace.schemas.errors import Refused

FIRST = "the first version"
"""Why a pipeline's first version is served."""

SNAPSHOTS_KEPT = 2
"""How many of a task's snapshots are kept: the newest, and one from before it."""


class TaskId(NamedTuple):
    """Name of a task: the unit of order, state, cut and restore."""

    pipeline: str
    version: int
    stage: str
    partition: int

    def __str__(self) -> str:
        return f"{self.pipeline}/v{self.version}/{self.stage}/{self.partition}"


class Witness(NamedTuple):
    """What the registry remembers of a task that has been started.

    Attributes
    ----------
    topic_ids
        ``(topic, Kafka's topic id)`` of each input: a topic that was recreated has another one.
    partitions
        ``(topic, partition count)`` of each input.
    starts
        ``(topic, first offset)`` where the task's history begins.
    """

    topic_ids: tuple[tuple[str, str], ...]
    partitions: tuple[tuple[str, int], ...]
    starts: tuple[tuple[str, int], ...]


class Snapshot(NamedTuple):
    """A task's state, whole, at a cut: where a restore may begin instead of at the log's head.

    The state is a function of the log before the cut: whoever wrote it, it is right at or before
    the committed offset.

    Attributes
    ----------
    offset
        Next offset of the task's first input.
    cut
        The cut in its canonical text.
    """

    offset: int
    cut: str
    state: bytes


class SnapshotInfo(NamedTuple):
    """A snapshot without its state."""

    task: TaskId
    offset: int
    size_bytes: int
    created_at: datetime


class Checkpoint(NamedTuple):
    """A model's state, having learned the examples before ``offset``."""

    offset: int
    state: bytes


OPEN, LEFT, DONE = "open", "left", "done"
"""What is to come of a source: rows of a publication that was stopped; labels that were left for
the file that goes on; nothing, until its file grows."""


class Source(NamedTuple):
    """A file's rows, or some of them, as they are published to a topic in a fixed order.

    Attributes
    ----------
    topic, topic_id
        Where to; a topic that was made anew has another id.
    source
        Its name in the header of its records.
    name
        The file, for people.
    by_time
        Whether its rows are published in the order of their times, and not in the file's.
    first_row
        How many rows of the file are before its first: those of other sources.
    rows, digest
        Of how many rows the digest is. By time: all of them. In the file's order: those that are
        acknowledged.
    head_rows, head_digest
        The same of its first rows, by which the file is known again.
    sample
        Digests of some rows, by which an edited file is known.
    acknowledged
        So many of its records, in the order of publishing, are acknowledged by the broker.
    time_ms
        The latest time of these.
    state
        ``open``, ``left`` or ``done``.
    """

    topic: str
    topic_id: str
    source: str
    name: str
    by_time: bool
    first_row: int
    rows: int
    digest: str
    head_rows: int
    head_digest: str
    sample: tuple[int, ...] = ()
    acknowledged: int = 0
    time_ms: int | None = None
    state: str = OPEN


class SourceInfo(NamedTuple):
    """A source, and when it was published."""

    source: Source
    started_at: datetime
    updated_at: datetime
    finished_at: datetime | None


class VersionInfo(NamedTuple):
    """A version of a pipeline, without the text of its declaration.

    Attributes
    ----------
    digest
        Of the declaration.
    image
        The container image that runs it, if one was named.
    lineage
        What it was first registered with: Python, River, numpy, platform, code.
    """

    version: int
    digest: str
    image: str
    metrics: Mapping[str, Any]
    lineage: Mapping[str, Any]
    created_at: datetime


class CheckpointInfo(NamedTuple):
    """A checkpoint without its state: a link of its chain, which stays for ever.

    Attributes
    ----------
    previous
        Offset of the checkpoint that this one builds on; 0 begins a chain.
    digest
        Canonical digest of the state.
    signature
        HMAC that the artifact carries, in hexadecimal; empty if it carries none.
    size_bytes
        Of the state as it was written.
    kept
        Whether its state is still there (:mod:`headrace.registry.pruning`).
    """

    offset: int
    previous: int
    digest: str
    signature: str
    size_bytes: int
    created_at: datetime
    kept: bool = True


class ServingInfo(NamedTuple):
    """Since when a version has been served, and why."""

    version: int
    since: datetime
    reason: str


def plain_json(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of what any database can keep as JSON.

    Raises
    ------
    ValueError
        It holds NaN or infinity.
    TypeError
        It holds what is no JSON.
    """
    copied: dict[str, Any] = json.loads(json.dumps(value, allow_nan=False))
    return copied


def unknown_version(pipeline: str, version: int) -> Refused:
    """Return the error for a version that nobody has registered."""
    return Refused(
        f"The registry knows no version {version} of {pipeline!r}.",
        "`headrace run` registers a pipeline's version before anything is kept under it.",
    )
