"""How the parts are put together: the one place that knows them all.

:func:`prepare` makes a pipeline ready (topics, schema ids, version), once and idempotently;
:func:`worker_of` builds one process of a role.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import Any

from headrace.app.ending import tell_ending
from headrace.app.services import Services
from headrace.app.settings import Settings
from headrace.app.signing import signing_key
from headrace.registry.artifacts import Signer
from headrace.registry.digest import canonical_digest
from headrace.registry.kept import Checkpoint
from headrace.registry.lineage import lineage
from headrace.registry.sql import SqlRegistry
from headrace.schemas.errors import SettingsError
from headrace.schemas.records import Codecs
from headrace.streams.canonical import declaration_diff
from headrace.streams.engine.admin import Topics, TopicState
from headrace.streams.engine.checkpoints import Cadence
from headrace.streams.engine.clients import Timing
from headrace.streams.engine.guard import Guard
from headrace.streams.engine.ids import SchemaIds, codecs_for, register_schemas
from headrace.streams.engine.log import KafkaLog
from headrace.streams.engine.models import Follower
from headrace.streams.engine.parts import Parts
from headrace.streams.engine.quiet import Quiet
from headrace.streams.engine.reader import read
from headrace.streams.engine.roles import RoleSpec, StageSpec
from headrace.streams.engine.worker import Worker
from headrace.streams.flow import StageDecl, StageParts, make_stage, outputs_of, stage_decls
from headrace.streams.plan import Plan
from headrace.streams.protocol.stage import Stage
from headrace.streams.protocol.steps import Hook
from headrace.streams.store.redis import RedisStore
from headrace.streams.topics import Partitions, topic_specs

_LOOK_BACK_RECORDS = 16
"""So many records before the end of each partition are asked for their version."""

RIDE_OUT_RETRIES = 20
"""How often a worker asks Redis again before it ends: for 5 s, if nobody listens.

So a Redis that is only restarted costs no worker its start: all would begin anew at one moment.
"""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A pipeline that can run.

    Attributes
    ----------
    version
        The number that the registry has given to the declaration.
    topic_states
        What was found and done of each topic.
    edit
        In one sentence what an edited declaration keeps and rebuilds; empty if it is not edited.
    """

    plan: Plan
    settings: Settings
    services: Services
    version: int
    codecs: Codecs
    partitions: Partitions
    topic_states: list[TopicState]
    edit: str


def prepare(plan: Plan, settings: Settings, services: Services, *, create: bool = True) -> Prepared:
    """Make a pipeline ready to run; everything that is there already stays as it is.

    Parameters
    ----------
    create
        Whether what is missing is made; otherwise it is an error.

    Raises
    ------
    ServiceError
        A service does not answer.
    SchemaError
        A schema does not grow from what its topic has.
    SettingsError
        Something is missing, and nothing may be made.
    """
    partitions, states = prepare_topics(plan, settings, services, create=create)
    ids = SchemaIds(services.kafka)
    registered = register_schemas(ids, plan) if create else ids.known()
    codecs = codecs_for(plan, registered)
    registry = open_registry(settings, services)
    try:
        version, edit = _version(plan, registry, services, create=create)
    finally:
        registry.close()
    return Prepared(plan, settings, services, version, codecs, partitions, states, edit)


def prepare_topics(
    plan: Plan, settings: Settings, services: Services, *, create: bool = True
) -> tuple[Partitions, list[TopicState]]:
    """Create the topics that are missing; return the partition counts and what was found."""
    broker = Topics(services.kafka.brokers, services.kafka.security)
    have = broker.partition_counts()
    events = have.get(plan.topics.events, settings.partitions)
    labels = have.get(plan.topics.labels, settings.partitions)
    partitions = Partitions(events, labels, have.get(plan.topics.predictions, events))
    specs = topic_specs(
        plan.topics, partitions, joined=plan.labels == "topic", retention=plan.retention
    )
    missing = [spec.name for spec in specs if spec.name not in have]
    if missing and not create:
        raise SettingsError(
            f"{plan.name}: Kafka at {services.kafka.brokers} has no topic {', '.join(missing)}."
            " `headrace topics` with the pipeline's file creates them."
        )
    return partitions, broker.ensure(specs) if create else []


def _version(
    plan: Plan, registry: SqlRegistry, services: Services, *, create: bool
) -> tuple[int, str]:
    """Return the declaration's version, and what an edit means for the state that there is."""
    if create:
        registry.migrate()
    known = registry.version_of(plan.name, plan.digest)
    if known is None and not create:
        raise SettingsError(
            f"{plan.name}: this declaration has no version yet. `headrace run` gives it one."
        )
    served = registry.serving_version(plan.name)
    before = None if served is None else registry.declaration_of(plan.name, served)
    edit = "" if before in (None, plan.canonical) else declaration_diff(str(before), plan.canonical)
    if known is None:
        made_by = lineage(plan.digest, plan.learned)
        used = newest_version_used(plan, services)
        known = registry.register_version(
            plan.name, plan.canonical, plan.digest, made_by, above=used
        )
    if create and served != known:
        registry.serve(plan.name, known, edit or "first start")
    return known, edit


def newest_version_used(plan: Plan, services: Services) -> int:
    """Return the highest version of a pipeline of which log or store have something, 0 if none.

    A registry that was restored from a backup does not know the versions that came after it. Their
    numbers stand in predictions and in the keys of states, and may not mean another declaration.
    """
    store = open_store(services)
    try:
        used = [task.version for task in store.tasks(plan.name)]
    finally:
        store.close()
    have = services.kafka.partition_counts()
    for what, topic in (("models", plan.topics.models), ("predictions", plan.topics.predictions)):
        if topic in have:
            records = read(services.kafka, plan.topics, what, last=_LOOK_BACK_RECORDS)
            used += [record["version"] for record in records]
    return max(used, default=0)


# -- the ports


def open_signer(settings: Settings) -> Signer:
    """Return what signs model artifacts and reads them."""
    configured = settings.signing_key.get_secret_value() if settings.signing_key else None
    return Signer(signing_key(settings.data, configured), settings.allow)


def open_registry(settings: Settings, services: Services) -> SqlRegistry:
    """Return the registry; its checkpoints carry the canonical digest of their model."""
    signer = open_signer(settings)
    if services.registry_url.startswith("sqlite:"):
        settings.data.mkdir(parents=True, exist_ok=True)
    return SqlRegistry(services.registry_url, lambda state: model_digest(signer.loads(state)))


def model_digest(state: dict[str, Any]) -> str:
    """Return the canonical digest of the model in a checkpoint's state."""
    return canonical_digest(state["model"])


def open_store(services: Services, *, retries: int = 3) -> RedisStore:
    """Return the store of task state."""
    return RedisStore(services.redis_url, retries=retries)


# -- a worker


class _Dumps:
    """Signs states, and remembers how long the last one took."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer
        self.seconds = 0.0

    def __call__(self, state: Any) -> bytes:
        begun = time.perf_counter()
        signed = self._signer.dumps(state)
        self.seconds = time.perf_counter() - begun
        return signed


def worker_of(prepared: Prepared, role: str, slot: int, hook: Hook | None = None) -> Worker:
    """Return one process of a role, ready to run.

    Parameters
    ----------
    role
        ``score``, ``join`` or ``learn``.
    slot
        Its place among the role's workers: it takes up where the last one in this slot stopped.
    hook
        Called around each remote call of take-over and commit; tests alone set one.
    """
    settings, services = prepared.settings, prepared.services
    spec, dumps = role_spec(prepared, role)
    guard = Guard(settings.stall_s, tell=tell_ending)
    timing = Timing(session_ms=settings.session_ms, transaction_ms=settings.transaction_ms)
    registry = open_registry(settings, services)
    follower = _follower(prepared, registry) if role == "score" else None
    parts = Parts(
        log=KafkaLog(services.kafka, spec.group, str(slot), guard, timing, spec.outputs),
        store=open_store(services, retries=RIDE_OUT_RETRIES),
        registry=registry,
        guard=guard,
        folder=settings.data / "faust",
        follower=follower,
        cadence=_cadence(prepared, role, dumps),
    )
    worker = Worker(spec, slot, parts, hook)
    if follower is not None:
        follower.changed = worker.report_soon
    return worker


def _cadence(prepared: Prepared, role: str, dumps: _Dumps) -> Cadence | Quiet | None:
    """Return what tells a role's stages of the time, which they do not know."""
    if role == "learn":
        return Cadence(lambda: dumps.seconds)
    return Quiet(prepared.plan.pace_ms / 1000) if role == "join" else None


def role_spec(prepared: Prepared, role: str) -> tuple[RoleSpec, _Dumps]:
    """Return what a role's workers run."""
    settings, signer = prepared.settings, open_signer(prepared.settings)
    dumps = _Dumps(signer)
    made_of = StageParts(
        plan=prepared.plan,
        codecs=prepared.codecs,
        partitions=prepared.partitions,
        version=prepared.version,
        dumps=dumps,
        loads=signer.loads,
        waiting_max=settings.waiting_limit,
    )
    decls = stage_decls(prepared.plan, prepared.partitions)
    spec = RoleSpec(
        pipeline=prepared.plan.name,
        version=prepared.version,
        name=role,
        stages=tuple(_stage_spec(decl, made_of) for decl in decls if decl.role == role),
        commit_s=settings.commit_ms(role) / 1000,
        outputs=outputs_of(prepared.plan, role),
        start_at_end=settings.start_at_end,
        cache_limit=settings.state_entries,
    )
    return spec, dumps


def _stage_spec(decl: StageDecl, made_of: StageParts) -> StageSpec:
    def make(partition: int) -> Stage:
        return make_stage(decl.name, partition, made_of)

    limits = decl.snapshot_records, decl.cache_max
    return StageSpec(decl.name, decl.inputs, decl.tasks, decl.stored, make, *limits)


def _follower(prepared: Prepared, registry: SqlRegistry) -> Follower:
    plan, version = prepared.plan, prepared.version

    def newest() -> Checkpoint | None:
        head = registry.checkpoint_head(plan.name, version)
        return registry.newest_checkpoint(plan.name, version, head)

    return Follower(
        plan,
        prepared.codecs,
        version,
        open_signer(prepared.settings).loads,
        partial(registry.checkpoint_state, plan.name, version),
        newest,
    )
