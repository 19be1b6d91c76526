"""What can be wrong with a declared model, its label and its decision."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator
from typing import Any

from river import base
from river.active.base import ActiveLearningClassifier

from headrace.schemas.avro import (
    avro_type,
    field_types,
    literal_integers,
    literal_values,
    plain_type,
)
from headrace.streams.estimators import decides_itself, last_of, name_of, reads_text
from headrace.streams.event import Event
from headrace.streams.pipeline import Cost, InEvent, Labels, Pipeline, Threshold
from headrace.streams.places import Fault
from headrace.streams.trained import new_model_of
from headrace.streams.ways_out import type_name, way_out

_LABEL_TYPES = {
    "binary": (bool,),
    "multiclass": (str, int),
    "regression": (float, int),
    "anomaly": (bool,),
}
_WANTED = {
    "multiclass": ("a classifier", "bool, or text as a Literal"),
    "regression": ("a regressor", "float or int"),
    "anomaly": ("an anomaly detector", "bool"),
}

_NOT_ASKED = (
    (
        base.SupervisedAnomalyDetector,
        "scores a label that is there already: a prediction is made before there is one",
        "Use a detector that scores features, as river.anomaly.HalfSpaceTrees.",
    ),
    (
        base.MultiTargetRegressor | base.MultiLabelClassifier,
        "learns several labels at once, and an event has one",
        "Use a model of one label, and a pipeline for each.",
    ),
    (
        ActiveLearningClassifier,
        "says which labels to ask for: here each label that comes is learned",
        "Give the classifier that it wraps.",
    ),
)
"""Estimators that have the name of a kind which is served, and other questions and answers."""


def task_of(pipeline: Pipeline) -> str | None:
    """Return binary, multiclass, regression or anomaly; None if the model is none of these."""
    model = pipeline.model
    last = last_of(model)
    if last is None:
        return None
    if isinstance(last, base.AnomalyDetector | base.AnomalyFilter):
        return "anomaly"
    if isinstance(model, base.Classifier):
        return "binary" if label_type(pipeline) is bool else "multiclass"
    return "regression" if isinstance(model, base.Regressor) else None


def label_type(pipeline: Pipeline) -> Any:
    """Return the plain type of the label's field, None if there is none.

    ``Literal[0, 1]`` is a flag: bool; a ``Literal`` of other integers stays one.
    """
    labels: Any = pipeline.labels
    owner = labels.label if isinstance(labels, Labels) else pipeline.events.event
    if not isinstance(labels, Labels | InEvent) or not is_event(owner):
        return None
    field = owner.model_fields.get(labels.value)
    plain = None if field is None else plain_type(field.annotation)[0]
    return bool if sorted(literal_integers(plain)) == [0, 1] else plain


def class_names(pipeline: Pipeline) -> tuple[str, ...]:
    """Return what the classes of a label are called, as far as it declares them."""
    plain = label_type(pipeline)
    return literal_values(plain) or tuple(str(value) for value in literal_integers(plain))


def model_faults(pipeline: Pipeline) -> Iterator[Fault]:
    """Yield what is wrong with the model, and with the label that it is to learn."""
    model, task = pipeline.model, task_of(pipeline)
    refusal = _refusal(model, task)
    if refusal is not None or task is None:
        yield from filter(None, [refusal])
        return
    text = reads_text(model)
    if text is not None:
        yield Fault(
            f"the model's {type(text).__name__} splits a text into words, and a model is given"
            " numbers alone: no text reaches it yet.",
            'Leave it out, and make numbers of the text by functions, as apply(words, "text")'
            " (docs/features.md, Text).",
        )
    if pipeline.labels is not None:
        yield from _label_type_faults(pipeline, task)
    elif task != "anomaly":
        hint = "Declare labels=Labels(...) or InEvent(...)."
        yield Fault(f"the model ({task}) learns from labels, and there are none.", hint)


def _refusal(model: Any, task: str | None) -> Fault | None:
    """Return why something is no model that can be served, None if it is one."""
    if inspect.isclass(model):
        return Fault(f"model={model.__name__} is a class.", f"Write {model.__name__}().")
    if last_of(model) is None:
        return Fault("the model is a pipeline without steps.", "Write step | step | model.")
    for kind, why, hint in _NOT_ASKED:
        if isinstance(last_of(model), kind):
            return Fault(f"the model ends in {name_of(model)}, which {why}.", hint)
    if task is None:
        said = f"the model ends in {name_of(model)}, which predicts nothing Headrace knows."
        return Fault(said, "End it in a River classifier, regressor or anomaly detector.")
    try:
        new_model_of(model, trained=False)
    except Exception as error:  # noqa: BLE001 - a user's model may raise anything
        said = f"the model cannot be cloned ({type(error).__name__}: {error})."
        return Fault(said, "Keep what __init__ is given under the same names, as River does.")
    return None


def _label_type_faults(pipeline: Pipeline, task: str) -> Iterator[Fault]:
    labels: Any = pipeline.labels
    owner = labels.label if isinstance(labels, Labels) else pipeline.events.event
    known = isinstance(labels, Labels | InEvent) and is_event(owner)
    if not known or labels.value not in field_types(owner):
        return
    declared, optional = field_types(owner)[labels.value]
    said = f"the label {owner.__name__}.{labels.value}"
    if optional:
        yield Fault(f"{said} may be null.", "A label says something.", labels.place)
    flag = label_type(pipeline) is bool and task != "regression"
    kind = bool if flag else str if literal_values(declared) else declared
    several = task == "multiclass" and not _takes_classes(pipeline.model)
    if kind not in _LABEL_TYPES[task] or (several and kind is int):
        model, wanted = _WANTED[task]
        what = f"{said} is {type_name(kind)}; {model} learns {wanted}."
        yield Fault(what, _label_way_out(kind, task), labels.place)
    elif several:
        what = f"{said} has several classes, and {name_of(pipeline.model)} takes two."
        yield Fault(what, "Wrap it: river.multiclass.OneVsRestClassifier(...).", labels.place)


def _label_way_out(kind: Any, task: str) -> str:
    if kind is int and task in ("multiclass", "anomaly"):
        return (
            "Declare it as Literal[0, 1], or as bool with Field(strict=False), which reads 0 and 1;"
            " several classes need a model that takes several, as"
            " river.multiclass.OneVsRestClassifier(...)."
        )
    return "" if avro_type(kind) is not None else way_out(kind)


def _takes_classes(model: Any) -> bool:
    return bool(getattr(model, "_multiclass", True))


def is_event(owner: Any) -> bool:
    """Return whether something is a subclass of :class:`headrace.Event`."""
    return inspect.isclass(owner) and issubclass(owner, Event)


def decide_faults(pipeline: Pipeline) -> Iterator[Fault]:
    """Yield what is wrong with how scores become decisions."""
    decide: Any = pipeline.decide
    task = task_of(pipeline)
    if decide is None:
        return
    if decides_itself(pipeline.model):
        said = f"decide= has no effect: the model's {name_of(pipeline.model)} decides."
        yield Fault(said, "Leave it, or end the model in the detector that the filter wraps.")
    if task in ("multiclass", "regression"):
        yield Fault(f"decide= is for true or false; this model is {task}.", "Leave it.")
    if isinstance(decide, Cost):
        yield from cost_faults("decide", decide)
    elif not isinstance(decide, Threshold):
        yield Fault(f"decide={decide!r} is none.", "Use Threshold(0.5) or Cost(...).")
    elif not math.isfinite(decide.value) or (task == "binary" and not 0 <= decide.value <= 1):
        said = f"Threshold({decide.value}) is no probability."
        yield Fault(said, "Use a number from 0 to 1.", decide.place)


def cost_faults(where: str, cost: Cost) -> Iterator[Fault]:
    """Yield what is wrong with the costs of ``decide=`` or ``business=``."""
    for what in ("false_positive", "false_negative"):
        amount = getattr(cost, what)
        if not math.isfinite(amount) or amount < 0:
            said = f"{where}=Cost({what}={amount}) is no cost."
            yield Fault(said, "Use a number from 0 on.", cost.place)
    if cost.false_positive == cost.false_negative == 0:
        yield Fault(
            f"{where}=Cost(0, 0) tells no answers apart.", "Say what one costs.", cost.place
        )
