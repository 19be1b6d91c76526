"""What ``headrace check`` says of a pipeline: everything that it will be, and all that is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from headrace.app.leaking import leak_hints
from headrace.app.settings import Settings
from headrace.app.signing import KEY_BYTES_MIN
from headrace.registry.artifacts import Signer
from headrace.registry.digest import canonical_digest
from headrace.schemas.errors import ArtifactError, DeclarationError
from headrace.streams.detectors.calendar import Calendar
from headrace.streams.detectors.learning import reference_days
from headrace.streams.duration import duration_text
from headrace.streams.estimators import name_of, steps_of
from headrace.streams.laws import check_laws, late_note
from headrace.streams.load import load_pipeline, load_pipelines
from headrace.streams.model import Bundle
from headrace.streams.pipeline import Cost, InEvent, Labels, LearnedBaseline
from headrace.streams.plan import Plan, plan_of
from headrace.streams.roundtrip import round_trips
from headrace.streams.stages.lookout import watch_terms
from headrace.streams.subjects import schemas_by_subject
from headrace.streams.times import ACCEPTED as TIMES
from headrace.streams.topics import Partitions, topic_specs

PARTITIONING = (
    "murmur2, as Java's clients do; librdkafka's need partitioner=murmur2_random. Records that"
    " another rule has placed become wrong_partition: publish them by headrace.Publisher"
)
"""What a producer must do, since SCORE refuses what lies elsewhere."""

WRITERS = (
    "those of the topic _headrace-schemas, not of another schema registry: records with another's"
    " ids become unknown_schema. Publish by headrace.Publisher, or as JSON"
)
"""Whose ids Avro records must bear."""


def check_file(path: Path, settings: Settings) -> list[Plan]:
    """Return the plans of a file's pipelines, whose models keep the laws.

    Raises
    ------
    DeclarationError
        With the faults of all its pipelines.
    """
    plans: list[Plan] = []
    faults: list[str] = []
    for pipeline in load_pipelines(path):
        try:
            plan = plan_of(pipeline)
        except DeclarationError as error:
            faults += error.faults
            continue
        plans.append(plan)
        faults += broken_laws(plan, settings)
        faults += made_otherwise(plan, path)
        faults += unfaithful(plan)
    if faults:
        raise DeclarationError(faults)
    return plans


def broken_laws(plan: Plan, settings: Settings) -> list[str]:
    """Return one sentence for each law that a plan's model breaks, saved as the registry saves."""
    # Any key does: what is signed here is read here, and kept nowhere.
    signer = Signer(bytes(KEY_BYTES_MIN), settings.allow)
    try:
        signer.loads(signer.dumps(Bundle(plan).state()))
    except ArtifactError as error:
        return [f"{plan.name}: the model cannot be kept: {error}"]
    return check_laws(plan, canonical_digest, dumps=signer.dumps, loads=signer.loads)


def made_otherwise(plan: Plan, path: Path) -> list[str]:
    """Return what is wrong if a model that comes trained is another one at the next reading.

    Each worker reads the file: they would not begin with the same model.
    """
    if plan.learned is None:
        return []
    again = plan_of(load_pipeline(path, plan.name))
    if again.learned == plan.learned:
        return []
    return [
        f"{plan.name}: the model has learned something already, and something else each time that"
        " the file is read. Give it a seed, teach it in a fixed order, or read it from a file."
    ]


def unfaithful(plan: Plan) -> list[str]:
    """Return one sentence for each class of which is read what was not written."""
    place = plan.pipeline.place
    return [
        f"{plan.name}: {trial.fault}\n  ({place})"
        for trial in round_trips(plan.pipeline).values()
        if trial.fault is not None
    ]


def described(plan: Plan, partitions: int) -> RenderableType:
    """Return a pipeline as a person reads it.

    Parameters
    ----------
    partitions
        How many partitions the partitioned topics would be created with.
    """
    head = Text.assemble((plan.name, "bold"), f"  {plan.task}, labels: {_labels(plan)}")
    hints = [Text(f"leak? {hint}", style="yellow") for hint in leak_hints(plan)]
    return Group(
        head,
        *hints,
        _topics(plan, partitions),
        _schemas(plan),
        _reading(plan),
        _features(plan),
        _model(plan),
        _monitor(plan),
    )


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold cyan", box=None)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _labels(plan: Plan) -> str:
    labels = plan.pipeline.labels
    if isinstance(labels, Labels):
        return f"{plan.topics.labels}, up to {labels.wait} after the event"
    if isinstance(labels, InEvent):
        return f"the event's own field {labels.value}, hidden from the features"
    return "none, it learns from every event"


def _topics(plan: Plan, partitions: int) -> Table:
    table = _table("Topics", "topic", "partitions", "cleanup", "kept")
    sizes = Partitions(partitions, partitions, partitions)
    joined = plan.labels == "topic"
    for spec in topic_specs(plan.topics, sizes, joined=joined, retention=plan.retention):
        kept = duration_text(int(spec.config["retention.ms"]))
        table.add_row(spec.name, str(spec.partitions), spec.config["cleanup.policy"], kept)
    return table


def _schemas(plan: Plan) -> Table:
    table = _table("Schemas", "subject", "fields")
    for subject, schema in schemas_by_subject(plan).items():
        names = [field["name"] for field in schema["fields"]]
        table.add_row(subject, ", ".join(names))
    return table


def _reading(plan: Plan) -> Table:
    table = _table("Reading", "what", "")
    table.add_row("times", f"{TIMES} (docs/pipeline.md, Times)")
    for name, trial in round_trips(plan.pipeline).items():
        done = f"{trial.tried} made up, written, and read as the same"
        table.add_row(name, f"not tried, {trial.untried}" if trial.untried else done)
    source = plan.pipeline.events
    table.add_row("partitions", f"by {source.key} ({PARTITIONING})")
    if "avro" in (source.format, getattr(plan.pipeline.labels, "format", None)):
        table.add_row("schema ids", WRITERS)
    return table


def _features(plan: Plan) -> Table:
    table = _table("Features", "feature", "kind", "made of", "window")
    kinds = dict(plan.feature_fields)
    for feature in plan.pipeline.flat_features():
        made = feature.function.__name__ if feature.function else feature.kind
        read = f"{made}({', '.join(feature.fields)})"
        window = "" if feature.over is None else feature.over
        if feature.over is not None and not feature.current:
            window += ", without the event itself"
        table.add_row(feature.name, kinds[feature.name], read, window)
    return table


def _model(plan: Plan) -> Table:
    table = _table("Model", "what", "")
    steps = steps_of(plan.pipeline.model)
    table.add_row("steps", " | ".join(type(step).__name__ for step in steps))
    decide = plan.pipeline.decide
    if plan.decided_by_model:
        table.add_row("true", f"when {name_of(plan.pipeline.model)} says so (its classify)")
    elif plan.task in ("binary", "anomaly"):
        why = " (the cheaper answer)" if isinstance(decide, Cost) else ""
        table.add_row("true from a score of", f"{plan.threshold:g}{why}")
    if plan.learned is not None:
        table.add_row("begins with", f"what it has learned already ({plan.learned[:16]})")
    note = late_note(plan)
    if note is not None:
        table.add_row("late events", note)
    table.add_row("laws", "predicting changes nothing; restored equals never stopped; twice equal")
    table.add_row("digest", plan.digest[:16])
    return table


def _monitor(plan: Plan) -> Table:
    monitor = plan.pipeline.monitor
    table = _table("Monitoring", "what", "")
    rows = [
        ("windows", f"{', '.join(monitor.windows)}; written every {monitor.pace}"),
        ("segments", ", ".join(monitor.segments)),
        ("baselines", ", ".join(_baselines(plan))),
        ("drift against", f"the first {monitor.reference} of event time"),
        ("alarms", _alarms(plan)),
        ("late beyond", plan.pipeline.events.lateness),
    ]
    if isinstance(cost := monitor.business, Cost):
        said = f"false positive {cost.false_positive:g}, false negative {cost.false_negative:g}"
        rows.append(("costs", f"{said} {cost.unit}"))
    for name, said in rows:
        table.add_row(name, said or "none")
    return table


def _alarms(plan: Plan) -> str:
    terms = watch_terms(plan)
    if terms is None:
        return ""
    block_ms = Calendar.of(terms.tile_ms).block_ms
    learned = duration_text(reference_days(terms.reference_ms, block_ms) * block_ms)
    said = f"a false one in {duration_text(terms.run_length_ms)} at most, on average"
    return f"{said}; what is usual is learned from the first {learned}"


def _baselines(plan: Plan) -> Iterator[str]:
    for baseline in plan.pipeline.monitor.baselines:
        yield baseline.kind if isinstance(baseline, LearnedBaseline) else baseline.__name__
