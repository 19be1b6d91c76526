"""Which stages a pipeline has, and how each is made: for engine, replay and simulator alike.

::

    events ─▶ SCORE ─▶ predictions ─▶ JOIN ─▶ examples ─▶ LEARN      labels in a topic
              labels ─▶ ROUTE ───────▶
    events ─▶ SCORE ─▶ examples ─▶ LEARN                             labels in events, or none
    counts ─▶ MONITOR                                                both
"""

from __future__ import annotations

from dataclasses import dataclass

from headrace.schemas.records import Codecs
from headrace.streams.model import Dumps, Loads
from headrace.streams.plan import Plan
from headrace.streams.protocol.snapshots import SNAPSHOT_RECORDS
from headrace.streams.protocol.stage import Stage
from headrace.streams.stages.due import SPAN
from headrace.streams.stages.join import JoinStage
from headrace.streams.stages.learn import INLINE_BYTES_MAX, LearnStage
from headrace.streams.stages.monitor import MonitorStage
from headrace.streams.stages.route import RouteStage
from headrace.streams.stages.score import ScoreStage
from headrace.streams.topics import Partitions

ROLES = ("score", "join", "learn")
"""The kinds of processes; each runs the stages of its name's role."""


JOIN_CACHE_MAX = 20_000
"""Of what waits long so much is in memory: what came last, which is asked for again soonest."""


@dataclass(frozen=True, slots=True)
class StageDecl:
    """A stage of a pipeline.

    Attributes
    ----------
    role
        The kind of process that runs it.
    inputs
        Its input topics; a task reads the same partition number of each.
    tasks
        How many tasks it has: the partition count of its inputs.
    stored
        Whether its state lives in the store (LEARN's lives in checkpoints).
    snapshot_records
        After so many records its state is kept in the registry too; 0: never.
    cache_max
        How many entries its cache keeps at most; None: as many as is set for all.
    """

    name: str
    role: str
    inputs: tuple[str, ...]
    tasks: int
    stored: bool = True
    snapshot_records: int = 0
    cache_max: int | None = None


@dataclass(frozen=True, slots=True)
class StageParts:
    """What stages are made of.

    Attributes
    ----------
    version
        The declaration's version.
    dumps, loads
        Make an artifact of a model's state, and read it.
    waiting_max, index_span
        See :class:`JoinStage`.
    inline_bytes_max
        See :class:`LearnStage`.
    """

    plan: Plan
    codecs: Codecs
    partitions: Partitions
    version: int
    dumps: Dumps
    loads: Loads
    waiting_max: int | None = None
    inline_bytes_max: int = INLINE_BYTES_MAX
    index_span: int = SPAN


def stage_decls(plan: Plan, partitions: Partitions) -> tuple[StageDecl, ...]:
    """Return the stages of a pipeline, in the order in which records flow."""
    topics, kept = plan.topics, SNAPSHOT_RECORDS
    decls = [StageDecl("score", "score", (topics.events,), partitions.events)]
    if plan.labels == "topic":
        inputs = (topics.predictions, topics.labels_routed)
        decls += [
            StageDecl("route", "join", (topics.labels,), partitions.labels, True, kept),
            StageDecl("join", "join", inputs, partitions.predictions, True, kept, JOIN_CACHE_MAX),
        ]
    decls.append(StageDecl("monitor", "join", (topics.counts,), 1, True, kept))
    decls.append(StageDecl("learn", "learn", (topics.examples,), 1, stored=False))
    return tuple(decls)


def outputs_of(plan: Plan, role: str) -> tuple[str, ...]:
    """Return all topics that a role's transactions may write to.

    Parameters
    ----------
    role
        One of :data:`ROLES`.
    """
    topics = plan.topics
    always = (topics.counts, topics.dead_letters)
    if role == "score":
        return (topics.predictions, topics.examples, *always)
    if role == "learn":
        return (topics.models, *always)
    routed = (topics.labels_routed,) if plan.labels == "topic" else ()
    return (*routed, topics.examples, topics.metrics, topics.alerts, *always)


def make_stage(name: str, partition: int, parts: StageParts) -> Stage:
    """Return a fresh stage for one task.

    Parameters
    ----------
    name
        That of one of :func:`stage_decls`.
    partition
        The task's partition number.
    """
    plan, codecs, partitions = parts.plan, parts.codecs, parts.partitions
    if name == "score":
        return ScoreStage(plan, codecs, partition, partitions)
    if name == "route":
        return RouteStage(plan, codecs, partition, partitions)
    if name == "join":
        limit, span = parts.waiting_max, parts.index_span
        return JoinStage(plan, codecs, partition, partitions, limit, span)
    if name == "learn":
        sources = partitions.predictions if plan.labels == "topic" else partitions.events
        inline = parts.inline_bytes_max
        return LearnStage(plan, codecs, parts.version, sources, parts.dumps, parts.loads, inline)
    if name == "monitor":
        return MonitorStage(plan, codecs)
    raise ValueError(f"no stage has the name {name!r}")
