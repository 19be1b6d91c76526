"""What is kept of a pipeline's past, and for how long: states go when nobody needs them.

``headrace run`` prunes every ten minutes, ``headrace prune`` does it once. What goes:

- states of checkpoints; their links stay (:mod:`headrace.registry.pruning`);
- what a version that has not been served for long has in Redis, and its snapshots. Whoever runs
  that version again has its state made anew from the log, or is refused if the log was cut.

Every step may be repeated, and may be done by several processes at once.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import structlog

from headrace.app.remedies import Site, site_of
from headrace.app.settings import Settings
from headrace.registry.kept import TaskId
from headrace.registry.pruning import StateRetention, unneeded_states, unserved_since
from headrace.schemas.errors import HeadraceError
from headrace.streams.duration import duration_ms

FIRST_S = 60.0
EVERY_S = 600.0
"""Pruning begins so long after the start, and is repeated after so long."""

_log = structlog.get_logger("headrace.prune")


class Pruned(NamedTuple):
    """What was dropped.

    Attributes
    ----------
    states
        How many states of checkpoints.
    state_bytes
        How big they were, in bytes.
    tasks
        Tasks of versions that are not served any more, whose state and snapshots were dropped.
    """

    states: int = 0
    state_bytes: int = 0
    tasks: tuple[TaskId, ...] = ()

    def __str__(self) -> str:
        said = f"{self.states:,} states of checkpoints ({self.state_bytes / 1e6:,.1f} MB)"
        if self.tasks:
            versions = ", ".join(str(each) for each in sorted({t.version for t in self.tasks}))
            said += f", and what {len(self.tasks)} tasks of old versions ({versions}) had kept"
        return said


def retention_of(settings: Settings) -> StateRetention:
    """Return how long states are kept."""
    return StateRetention(
        every=_duration(settings.keep_checkpoints),
        daily=_duration(settings.keep_daily_checkpoints),
        versions=_duration(settings.keep_versions),
    )


def _duration(text: str) -> timedelta:
    return timedelta(milliseconds=duration_ms(text))


def prune(site: Site, *, dry_run: bool = False) -> Pruned:
    """Drop what nobody needs any more of a pipeline; return what it was.

    Parameters
    ----------
    dry_run
        Whether to drop nothing, and only say what would go.

    Raises
    ------
    ServiceError
        A service does not answer. What was dropped before stays dropped, and does no harm.
    """
    retention, now = retention_of(site.settings), datetime.now(UTC)
    states = state_bytes = 0
    examples = (site.target.topics.examples, 0)
    oldest_example, _ = site.groups.bounds([examples])[examples]
    for version in site.versions:
        chain = site.registry.checkpoints(site.name, version)
        offsets = unneeded_states(chain, retention, now, oldest_example)
        states += len(offsets)
        state_bytes += sum(info.size_bytes for info in chain if info.offset in set(offsets))
        if offsets and not dry_run:
            site.registry.drop_states(site.name, version, offsets)
    old = tuple(_tasks_of_old_versions(site, now - retention.versions))
    for task in () if dry_run else old:
        site.store.forget(task)
        site.registry.forget_snapshots(task)
    return Pruned(states, state_bytes, old)


def _tasks_of_old_versions(site: Site, before: datetime) -> Iterator[TaskId]:
    """Return the tasks that have something of versions that were last served before a moment."""
    history = site.registry.serving_history(site.name)
    ends = {version: unserved_since(history, version) for version in site.versions}
    old = {version for version, end in ends.items() if end is not None and end < before}
    snapshots = {info.task for info in site.registry.snapshots(site.name)}
    for task in sorted(snapshots.union(site.store.tasks(site.name))):
        if task.version in old:
            yield task


class Pruner:
    """Prunes now and then, in a thread of its own; a service that is away is asked again later.

    Parameters
    ----------
    pipeline
        The pipeline's name.
    """

    def __init__(self, pipeline: str, settings: Settings) -> None:
        self._pipeline = pipeline
        self._settings = settings
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="headrace-prune", daemon=True)

    def __enter__(self) -> Pruner:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(1)

    def _run(self) -> None:
        pause_s = FIRST_S
        while not self._ended.wait(pause_s):
            pause_s = EVERY_S
            try:
                with site_of(self._pipeline, self._settings) as site:
                    pruned = prune(site)
            except HeadraceError as error:
                _log.warning("pruning failed; it is tried again", reason=str(error))
            else:
                if pruned.states or pruned.tasks:
                    _log.info("pruned", dropped=str(pruned))
