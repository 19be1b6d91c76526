"""What refusals name as their remedy: ``rebuild`` and ``reset``.

``rebuild`` drops what is kept of a stage, so that its next start makes the state anew from the
log up to the committed offsets, without emitting: nothing is lost and nothing doubled. ``reset``
forgets where a stage, or the whole pipeline, had come to: its next start begins anew.

Both refuse while a worker is alive, and may be repeated: each step leaves things so that the next
try comes to the same end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

from headrace.app.alerting.sender import group_prefix
from headrace.app.board import alive, board_of
from headrace.app.evidence import reached_by
from headrace.app.services import find_services
from headrace.app.settings import Settings
from headrace.app.targets import Target, target_of
from headrace.app.wiring import open_registry, open_store
from headrace.registry.kept import TaskId, Witness
from headrace.registry.sql import SqlRegistry
from headrace.schemas.errors import InputError, Refused
from headrace.streams.engine.admin import Topics as Broker
from headrace.streams.engine.connection import Connection
from headrace.streams.engine.described import Described
from headrace.streams.engine.groups import Groups
from headrace.streams.engine.roles import group_of
from headrace.streams.flow import ROLES, StageDecl, stage_decls
from headrace.streams.places import suggestion
from headrace.streams.plan import Plan
from headrace.streams.protocol.ports import Committed, Cut
from headrace.streams.protocol.takeover import PINNED
from headrace.streams.store.redis import RedisStore
from headrace.streams.topics import Partitions

Progress = Callable[[str, float | None], None]
Place = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Site:
    """A pipeline with all that is kept of it.

    Attributes
    ----------
    versions
        All of its versions, oldest first.
    version
        The one that is served.
    """

    settings: Settings
    kafka: Connection
    registry: SqlRegistry
    store: RedisStore
    groups: Groups
    target: Target
    versions: tuple[int, ...]
    version: int

    @property
    def name(self) -> str:
        """The pipeline's name."""
        return self.target.name

    def stages(self) -> tuple[StageDecl, ...]:
        """Return its stages, by the partitions that its topics have now."""
        have = self.kafka.partition_counts()
        topics = self.target.topics
        counts = (topics.events, topics.labels, topics.predictions)
        partitions = Partitions(*(have.get(topic, 0) for topic in counts))
        # Of a plan, topics and labels are read; a pipeline that is known by name has no plan.
        return stage_decls(cast(Plan, self.target), partitions)

    def stage(self, name: str) -> StageDecl:
        """Return one stage by its name."""
        found = {decl.name: decl for decl in self.stages()}
        if name not in found:
            raise InputError(f'{self.name} has no stage "{name}". {suggestion(name, found)}')
        return found[name]

    def tasks(self, decl: StageDecl, version: int) -> list[TaskId]:
        """Return the tasks of a stage."""
        return [TaskId(self.name, version, decl.name, number) for number in range(decl.tasks)]


@contextmanager
def site_of(text: str, settings: Settings) -> Iterator[Site]:
    """Lend a pipeline with all that is kept of it, by its name or its file."""
    services = find_services(settings)
    registry, store = open_registry(settings, services), open_store(services)
    try:
        registry.migrate()
        target = target_of(text, registry, services.kafka)
        versions = tuple(info.version for info in registry.versions(target.name))
        served = registry.serving_version(target.name) or 1
        groups = Groups(services.kafka)
        yield Site(
            settings, services.kafka, registry, store, groups, target, versions or (1,), served
        )
    finally:
        registry.close()
        store.close()


def check_idle(site: Site) -> None:
    """See that no worker of a pipeline is alive, and take those that were out of their groups.

    Raises
    ------
    Refused
        One is alive.
    """
    found = alive(site.store, site.name)
    if found:
        raise Refused(
            f"{site.name}: {', '.join(found)} {'are' if len(found) > 1 else 'is'} alive.",
            "Stop `headrace run` first: what it keeps in memory would be written back.",
        )
    for role in ROLES:
        group = group_of(site.name, role)
        site.groups.let_leave(group, [name for name in site.groups.members(group) if name])
    for worker in board_of(site.store, site.name):
        site.store.drop_worker(site.name, worker)


# -- rebuild


def rebuild(site: Site, stage: str, progress: Progress, *, accept_loss: bool = False) -> str:
    """Drop a stage's state, so that its next start restores it from the log; say what was done.

    Parameters
    ----------
    accept_loss
        Whether to begin where the log begins now, if what came before is gone.

    Raises
    ------
    Refused
        A worker is alive; or part of the log is gone, and no loss was accepted.
    InputError
        There is no such stage.
    """
    decl = site.stage(stage)
    progress("looking for workers", None)
    check_idle(site)
    progress("reading offsets", None)
    bounds = site.groups.bounds(_places(decl))
    witnesses = {task: site.registry.witness(task) for task in site.tasks(decl, site.version)}
    lost = _lost(witnesses, decl, bounds)
    if lost and not accept_loss:
        raise Refused(
            f"{site.name}: what {stage} was made of is not in the log any more: {'; '.join(lost)}.",
            "Begin where the log begins now:"
            f" `headrace rebuild {site.name} {stage} --accept-loss`.",
        )
    set_anew = _commit_missing(site, decl, bounds, progress, accept_loss=accept_loss)
    if accept_loss:
        _begin_at_head(site, decl, witnesses, bounds)
    _forget_state(site, decl, (site.version,), progress)
    said = f"{site.name}: the state of {stage} ({decl.tasks} tasks) is dropped; the next start"
    said += " makes it anew from the log and emits nothing again."
    if set_anew:
        said += f" Committed offsets were set: {_listed(set_anew)}."
    return said + (f" Lost: {'; '.join(lost)}." if lost else "")


def _places(decl: StageDecl) -> list[Place]:
    return [(topic, number) for topic in decl.inputs for number in range(decl.tasks)]


def _listed(offsets: dict[Place, Committed]) -> str:
    return ", ".join(f"{topic}-{number} {at.offset}" for (topic, number), at in offsets.items())


def _lost(
    witnesses: dict[TaskId, Witness | None], decl: StageDecl, bounds: dict[Place, tuple[int, int]]
) -> list[str]:
    """Return what a restore from the beginning needs, and the log has no more."""
    lost = []
    for task, witness in witnesses.items():
        starts = {} if witness is None else dict(witness.starts)
        for topic in decl.inputs:
            first, start = bounds[topic, task.partition][0], starts.get(topic, 0)
            if first > start:
                lost.append(f"{first - start} records of {topic}-{task.partition} before {first}")
    return lost


def _commit_missing(
    site: Site,
    decl: StageDecl,
    bounds: dict[Place, tuple[int, int]],
    progress: Progress,
    *,
    accept_loss: bool,
) -> dict[Place, Committed]:
    """Set committed offsets that are gone or lie outside of the log; return them."""
    group = group_of(site.name, decl.role)
    have = site.groups.committed(group)
    anew: dict[Place, Committed] = {}
    missing = [place for place in _places(decl) if place not in have]
    some = len(missing) < len(_places(decl))
    if missing and (some or _started(site, decl)):
        anew = _offsets_anew(site, decl, missing, bounds, progress, accept_loss=accept_loss)
    for place, at in have.items():
        if place not in bounds:
            continue
        first, end = bounds[place]
        inside = min(max(at.offset, first if accept_loss else 0), end)
        if inside != at.offset:
            anew[place] = at._replace(offset=inside)
    site.groups.commit(group, anew)
    return anew


def _started(site: Site, decl: StageDecl) -> bool:
    """Return whether there is anything that says that a stage has been started."""
    tasks = site.tasks(decl, site.version)
    head = 0 if decl.stored else site.registry.checkpoint_head(site.name, site.version)
    return head > 0 or any(
        site.registry.witness(task) is not None or site.store.cut(task) is not None
        for task in tasks
    )


def _offsets_anew(
    site: Site,
    decl: StageDecl,
    missing: list[Place],
    bounds: dict[Place, tuple[int, int]],
    progress: Progress,
    *,
    accept_loss: bool,
) -> dict[Place, Committed]:
    """Return where to go on, as a stage's outputs and its state's cut say."""
    progress(f"reading how far {decl.name} had come, in what it has written", None)
    reached = reached_by(decl.name, site.target, site.version, site.kafka)
    head = 0 if decl.stored else site.registry.checkpoint_head(site.name, site.version)
    found: dict[Place, Committed] = {}
    for topic, number in missing:
        cut = site.store.cut(TaskId(site.name, site.version, decl.name, number))
        first, end = bounds[topic, number]
        at = max(reached.get((topic, number), 0), head, _cut_at(cut, topic))
        if decl.name == "join" and cut is None and end > first:
            if not accept_loss:
                raise Refused(
                    f"{site.name}: how far join had read {topic}-{number} is not known any more:"
                    " committed offset and state are both gone.",
                    "Go on at the end of the log, without the pairs that were still open:"
                    f" `headrace rebuild {site.name} join --accept-loss`.",
                )
            at = end
        meta = cut.meta if cut is not None else ""
        found[topic, number] = Committed(min(max(at, first), end), meta)
    return found


def _cut_at(cut: Cut | None, topic: str) -> int:
    return 0 if cut is None else dict(cut.offsets).get(topic, 0)


def _begin_at_head(
    site: Site,
    decl: StageDecl,
    witnesses: dict[TaskId, Witness | None],
    bounds: dict[Place, tuple[int, int]],
) -> None:
    """Let the history of each task begin no earlier than the log does."""
    described = Described(site.kafka)
    topics = {topic: described.topic(topic) for topic in decl.inputs}
    ids = tuple((topic, found.id) for topic, found in topics.items())
    counts = tuple((topic, found.partitions) for topic, found in topics.items())
    for task, witness in witnesses.items():
        before = {} if witness is None else dict(witness.starts)
        starts = tuple(
            (topic, max(before.get(topic, 0), bounds[topic, task.partition][0]))
            for topic in decl.inputs
        )
        base = witness or Witness(ids, counts, ())
        site.registry.put_witness(task, base._replace(starts=starts))


def _forget_state(
    site: Site, decl: StageDecl, versions: tuple[int, ...], progress: Progress
) -> None:
    tasks = [task for version in versions for task in site.tasks(decl, version)]
    for done, task in enumerate(tasks):
        progress(f"dropping the state of {decl.name}", done / len(tasks))
        site.store.forget(task)
        site.registry.forget_snapshots(task)
    if not decl.stored:
        for version in versions:
            site.registry.forget_checkpoints(site.name, version)


# -- reset


def reset_stage(site: Site, stage: str, progress: Progress) -> str:
    """Let a stage begin anew: its next start reads its inputs from the beginning, and emits again.

    The beginning is the log's, or its end where ``start_at_end`` is set.
    """
    decl = site.stage(stage)
    check_idle(site)
    progress("reading offsets", None)
    bounds = site.groups.bounds(_places(decl))
    _forget_state(site, decl, site.versions, progress)
    for version in site.versions:
        site.registry.forget_stage(site.name, version, stage)
    at_end = site.settings.start_at_end
    # As a first start pins them: nothing has been processed yet.
    pins = {place: Committed(bounds[place][at_end], PINNED) for place in _places(decl)}
    site.groups.commit(group_of(site.name, decl.role), pins)
    return f"{site.name}: {stage} begins anew: {_listed(pins)}."


def reset(site: Site, progress: Progress) -> str:
    """Forget all of a pipeline but its inputs: offsets, state, models, versions, outputs."""
    check_idle(site)
    for decl in site.stages():
        _forget_state(site, decl, site.versions, progress)
    progress("deleting groups and outputs", None)
    for task in site.store.tasks(site.name):  # of partitions that are no more
        site.store.forget(task)
    broker = Broker(site.kafka.brokers, site.kafka.security)
    senders = site.groups.names(group_prefix(site.name))
    broker.delete_groups([*(group_of(site.name, role) for role in ROLES), *senders])
    gone = outputs_of(site.target)
    broker.delete(gone)
    site.registry.forget_pipeline(site.name)
    return (
        f"{site.name}: forgotten. Its inputs stay; `headrace run` begins anew. Deleted topics:"
        f" {', '.join(gone)}."
    )


def outputs_of(target: Target) -> list[str]:
    """Return the topics that a pipeline writes."""
    topics: Any = target.topics
    inputs = {topics.events, topics.labels}
    return [name for name in topics if name not in inputs]
