"""The registry in memory: the twin of the one in SQL, for tests and for replay.

It passes the same suite. Nothing outlives the process.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from threading import RLock
from typing import Any

from headrace.registry.artifacts import signature_of
from headrace.registry.clock import Clock, now
from headrace.registry.kept import (
    DONE,
    FIRST,
    SNAPSHOTS_KEPT,
    Checkpoint,
    CheckpointInfo,
    ServingInfo,
    Snapshot,
    SnapshotInfo,
    Source,
    SourceInfo,
    TaskId,
    VersionInfo,
    Witness,
    plain_json,
    unknown_version,
)


@dataclass
class _Version:
    info: VersionInfo
    declaration: str
    chain: list[tuple[CheckpointInfo, bytes | None]] = field(default_factory=list)

    @property
    def head(self) -> int:
        return self.chain[-1][0].offset if self.chain else 0


@dataclass
class _Model:
    versions: dict[int, _Version] = field(default_factory=dict)
    serving: list[ServingInfo] = field(default_factory=list)


class MemoryRegistry:
    """The registry in memory.

    Parameters
    ----------
    digest_of
        Returns the canonical digest of a checkpoint's state.
    clock
        Says when something was kept.
    """

    def __init__(self, digest_of: Callable[[bytes], str], *, clock: Clock = now) -> None:
        self._digest_of = digest_of
        self._clock = clock
        self._models: dict[str, _Model] = {}
        self._tasks: dict[TaskId, Witness] = {}
        self._snapshots: dict[TaskId, tuple[Snapshot, ...]] = {}  # by offset
        self._taken: dict[tuple[TaskId, int], datetime] = {}  # when each was taken, by offset
        self._sources: dict[tuple[str, ...], SourceInfo] = {}
        self._lock = RLock()

    def migrate(self) -> None:
        """Do nothing: there are no tables."""

    def check(self) -> None:
        """Do nothing: it is here."""

    def close(self) -> None:
        """Do nothing: what is kept stays readable."""

    # -- the protocol's port

    def witness(self, task: TaskId) -> Witness | None:
        """Return what is remembered of a task, None if it was never started."""
        return self._tasks.get(task)

    def put_witness(self, task: TaskId, witness: Witness) -> None:
        """Remember a task, or remember it again."""
        self._tasks[task] = witness

    def newest_snapshot(self, task: TaskId, upto: int) -> Snapshot | None:
        """Return the newest snapshot whose offset is at most ``upto``."""
        return newest_of(self._snapshots.get(task, ()), upto)

    def snapshots(self, pipeline: str) -> list[SnapshotInfo]:
        """Return what snapshots there are of a pipeline's tasks, without their states."""
        return [
            SnapshotInfo(task, each.offset, len(each.state), self._taken[task, each.offset])
            for task, there in sorted(self._snapshots.items())
            for each in there
            if task.pipeline == pipeline
        ]

    def put_snapshot(self, task: TaskId, snapshot: Snapshot) -> None:
        """Keep a snapshot unless there is one at its offset, and of the task's only the newest."""
        with self._lock:
            there = self._snapshots.get(task, ())
            by_offset = {each.offset: each for each in (snapshot, *there)}
            self._taken.setdefault((task, snapshot.offset), self._clock())
            kept = sorted(by_offset)[-SNAPSHOTS_KEPT:]
            self._snapshots[task] = tuple(by_offset[offset] for offset in kept)
            for offset in set(by_offset) - set(kept):
                del self._taken[task, offset]

    def checkpoint_head(self, pipeline: str, version: int) -> int:
        """Return the offset of the newest checkpoint, 0 if there is none."""
        found = self._find(pipeline, version)
        return 0 if found is None else found.head

    def newest_checkpoint(self, pipeline: str, version: int, upto: int) -> Checkpoint | None:
        """Return the newest checkpoint whose offset is at most ``upto``."""
        for info, state in reversed(self._chain(pipeline, version)):
            if info.offset <= upto and state is not None:
                return Checkpoint(info.offset, state)
        return None

    def insert_checkpoint(
        self, pipeline: str, version: int, previous: int, checkpoint: Checkpoint
    ) -> bool:
        """Append a checkpoint to the chain if ``previous`` is still its head; say whether.

        A head that already is this checkpoint was inserted by a call whose answer got lost: True.

        Raises
        ------
        Refused
            Nobody has registered the version.
        """
        offset, state = checkpoint
        new = CheckpointInfo(
            offset=offset,
            previous=previous,
            digest=self._digest_of(state),
            signature=signature_of(state),
            size_bytes=len(state),
            created_at=self._clock(),
        )
        with self._lock:
            chain, head = self._known(pipeline, version).chain, self._known(pipeline, version).head
            if chain and head == offset:
                return chain[-1][0][:3] == new[:3]  # offset, previous, digest
            if head != previous or offset <= previous:
                return False
            chain.append((new, state))
            return True

    # -- checkpoints, for whoever looks on or cleans up

    def checkpoints(self, pipeline: str, version: int) -> list[CheckpointInfo]:
        """Return the chain without the states, oldest first."""
        chain = self._chain(pipeline, version)
        return [info._replace(kept=state is not None) for info, state in chain]

    def checkpoint_state(self, pipeline: str, version: int, offset: int) -> bytes | None:
        """Return the state of the checkpoint at an offset, None if there is none any more."""
        found = [state for info, state in self._chain(pipeline, version) if info.offset == offset]
        return found[0] if found else None

    def drop_states(self, pipeline: str, version: int, offsets: Sequence[int]) -> int:
        """Drop the states of checkpoints; return how many were dropped.

        The links stay: what was learned, from where and signed by whom can still be told. The
        head's state is never dropped, whoever asks for it: a restart begins there.
        """
        with self._lock:
            found = self._find(pipeline, version)
            if found is None:
                return 0
            dropped = 0
            for at, (info, state) in enumerate(found.chain):
                if info.offset in offsets and info.offset < found.head and state is not None:
                    found.chain[at] = (info, None)
                    dropped += 1
            return dropped

    # -- sources

    def sources(self, topic: str, topic_id: str) -> list[SourceInfo]:
        """Return the sources that were published to a topic, the newest first."""
        of = [info for key, info in self._sources.items() if key[:2] == (topic, topic_id)]
        of.sort(key=lambda info: info.source.source)
        return sorted(of, key=lambda i: (i.started_at, i.source.first_row), reverse=True)

    def put_sources(self, sources: Sequence[Source]) -> None:
        """Remember how far sources have been published; one that is further already is left."""
        with self._lock:
            for source in sources:
                self._put_source(source)

    def _put_source(self, source: Source) -> None:
        at, there = self._clock(), self._sources.get(source[:3])
        if there is not None and there.source.acknowledged > source.acknowledged:
            return
        started_at = at if there is None else there.started_at
        finished_at = at if source.state == DONE else None
        self._sources[source[:3]] = SourceInfo(source, started_at, at, finished_at)

    # -- versions

    def register_version(
        self,
        pipeline: str,
        declaration: str,
        digest: str,
        lineage: Mapping[str, Any],
        image: str = "",
        above: int = 0,
    ) -> int:
        """Return the version of a declaration, a new one if its digest is new to the pipeline.

        Versions rise by one, and are greater than ``above``; the first is served at once.
        """
        plain = plain_json(lineage)
        with self._lock:
            known = self.version_of(pipeline, digest)
            if known is not None:
                return known
            model = self._models.setdefault(pipeline, _Model())
            first = not model.versions
            version = max([*model.versions, above]) + 1
            info = VersionInfo(version, digest, image, {}, plain, self._clock())
            model.versions[version] = _Version(info, declaration)
            if first:
                self.serve(pipeline, version, FIRST)
            return version

    def version_of(self, pipeline: str, digest: str) -> int | None:
        """Return the version that a declaration's digest has, None if it has none."""
        found = [info.version for info in self.versions(pipeline) if info.digest == digest]
        return found[0] if found else None

    def versions(self, pipeline: str) -> list[VersionInfo]:
        """Return all versions of a pipeline, oldest first."""
        model = self._models.get(pipeline, _Model())
        return [model.versions[version].info for version in sorted(model.versions)]

    def declaration_of(self, pipeline: str, version: int) -> str | None:
        """Return the canonical text of a version's declaration, None if there is none."""
        found = self._find(pipeline, version)
        return None if found is None else found.declaration

    def put_metrics(self, pipeline: str, version: int, metrics: Mapping[str, Any]) -> None:
        """Write how a version does, in place of what was written before."""
        plain = plain_json(metrics)
        with self._lock:
            found = self._known(pipeline, version)
            found.info = found.info._replace(metrics=plain)

    # -- what is served

    def serving_version(self, pipeline: str) -> int | None:
        """Return the version that is served, None if the pipeline is not known."""
        history = self.serving_history(pipeline)
        return history[-1].version if history else None

    def serve(self, pipeline: str, version: int, reason: str) -> None:
        """Serve a version from now on; nothing is written if it is served already."""
        with self._lock:
            self._known(pipeline, version)
            if self.serving_version(pipeline) != version:
                served = ServingInfo(version, self._clock(), reason)
                self._models[pipeline].serving.append(served)

    def serving_history(self, pipeline: str) -> list[ServingInfo]:
        """Return which version was served since when, and why, oldest first."""
        return list(self._models.get(pipeline, _Model()).serving)

    # -- forgetting

    def forget_task(self, task: TaskId) -> None:
        """Forget that a task was ever started, and its snapshots."""
        self._forget(lambda each: each == task)

    def forget_stage(self, pipeline: str, version: int, stage: str) -> None:
        """Forget that any task of a stage was ever started, and their snapshots."""
        of = (pipeline, version, stage)
        self._forget(lambda task: task[:3] == of)

    def forget_snapshots(self, task: TaskId) -> None:
        """Forget a task's snapshots: its state is made anew from the log."""
        with self._lock:
            self._snapshots.pop(task, None)

    def forget_checkpoints(self, pipeline: str, version: int) -> None:
        """Forget a version's chain: its model is learned again from the log."""
        with self._lock:
            found = self._find(pipeline, version)
            if found is not None:
                found.chain.clear()

    def forget_pipeline(self, pipeline: str) -> None:
        """Forget all of a pipeline: tasks, snapshots, checkpoints, versions, what was served."""
        with self._lock:
            self._models.pop(pipeline, None)
            self._forget(lambda task: task.pipeline == pipeline)

    def _forget(self, which: Callable[[TaskId], bool]) -> None:
        with self._lock:
            for task in [task for task in {**self._tasks, **self._snapshots} if which(task)]:
                self._tasks.pop(task, None)
                self._snapshots.pop(task, None)

    # -- finding

    def _find(self, pipeline: str, version: int) -> _Version | None:
        model = self._models.get(pipeline)
        return None if model is None else model.versions.get(version)

    def _known(self, pipeline: str, version: int) -> _Version:
        found = self._find(pipeline, version)
        if found is None:
            raise unknown_version(pipeline, version)
        return found

    def _chain(self, pipeline: str, version: int) -> list[tuple[CheckpointInfo, bytes | None]]:
        found = self._find(pipeline, version)
        return [] if found is None else list(found.chain)


def newest_of(snapshots: Sequence[Snapshot], upto: int) -> Snapshot | None:
    """Return the newest snapshot whose offset is at most ``upto``, of some in their order."""
    return next((each for each in reversed(snapshots) if each.offset <= upto), None)
