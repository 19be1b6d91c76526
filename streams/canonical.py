"""A declaration as canonical text, and what a change of it means for the state that there is."""

from __future__ import annotations

import hashlib
import inspect
import json
from dataclasses import fields, is_dataclass
from typing import Any

from headrace.schemas.avro import declared_fields
from headrace.streams.estimators import decides_itself
from headrace.streams.event import Event
from headrace.streams.pipeline import InEvent, Labels, Pipeline

BY_MODEL = "by the model"
"""Stands for the decision of a model that decides itself. Before, a threshold of ours was asked in
its place: such a declaration has become another version."""

_LEFT_OUT = frozenset({"place", "control_records"})
"""Where a declaration stands, and what is written beside the data: no state depends on them."""

_PARTS = {
    "name": "the name",
    "events": "the events",
    "features": "the features",
    "labels": "the labels",
    "model": "the model",
    "learned": "what the model comes with",
    "decide": "the decision",
    "segments": "the segments",
    "features_by_segment": "the features by segment",
    "baselines": "the baselines",
}


def canonical_text(pipeline: Pipeline, learned: str | None = None) -> str:
    """Return what a pipeline's states and records depend on, as JSON with sorted keys.

    Functions stand with module, name and the hash of their source; models with River's
    representation. Places, the rolling windows and costs that are only watched are no part of it.

    Parameters
    ----------
    learned
        Canonical digest of what the model comes with; None of a fresh one.
    """
    parts = {
        "name": pipeline.name,
        "events": [_schema(pipeline.events.event), _plain(pipeline.events)],
        "features": _plain(pipeline.flat_features()),
        "labels": _labels(pipeline.labels),
        "model": [_classes(pipeline.model), repr(pipeline.model)],
        "decide": BY_MODEL if decides_itself(pipeline.model) else _plain(pipeline.decide),
        "segments": _plain(pipeline.monitor.segments),
        "baselines": _plain(pipeline.monitor.baselines),
    }
    told = _plain(pipeline.monitor.features_by_segment)
    if told:  # so declarations without it are what they were
        parts["features_by_segment"] = told
    if learned is not None:
        parts["learned"] = learned
    return json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def declaration_diff(old: str, new: str) -> str:
    """Return in one sentence what an edit keeps and what it makes to be rebuilt.

    Parameters
    ----------
    old, new
        Canonical texts (:func:`canonical_text`).

    Examples
    --------
    >>> print(declaration_diff('{"decide": 0.5}', '{"decide": 0.6}').split(":")[0])
    The decision changed, so a new version begins
    """
    before, after = json.loads(old), json.loads(new)
    changed = [said for part, said in _PARTS.items() if before.get(part) != after.get(part)]
    if not changed:
        return "Nothing changed that state depends on: all of it is kept."
    listed = " and ".join(filter(None, [", ".join(changed[:-1]), changed[-1]]))
    kept = "published records" if "the name" in changed else "topics, published records"
    return (
        f"{listed[0].upper()}{listed[1:]} changed, so a new version begins: its windows, waiting"
        f" predictions and model are rebuilt from the logs; {kept} and the old version's state"
        " are kept."
    )


def _schema(model: type[Event]) -> list[Any]:
    """Return an event's fields with their rules; titles and docs are no part of them."""
    rules = model.model_json_schema()
    parts = [declared_fields(model), rules["properties"], rules.get("required", [])]
    nested = rules.get("$defs")  # so classes without nested ones are what they were
    return [*parts, _without_words(nested)] if nested else parts


def _without_words(rules: Any) -> Any:
    if isinstance(rules, dict):
        kept = {name: rule for name, rule in rules.items() if name != "description"}
        return {name: _without_words(rule) for name, rule in kept.items()}
    return [_without_words(rule) for rule in rules] if isinstance(rules, list) else rules


def _labels(labels: Labels | InEvent | None) -> Any:
    return [_schema(labels.label), _plain(labels)] if isinstance(labels, Labels) else _plain(labels)


def _classes(model: Any) -> list[str]:
    """Return the classes of a model's steps, which River's representation shortens."""
    steps = list(model.steps.values()) if hasattr(model, "steps") else [model]
    return [f"{type(step).__module__}.{type(step).__qualname__}" for step in steps]


def _plain(value: Any) -> Any:
    """Return declared data as JSON: classes by name, functions by name and source."""
    if inspect.isclass(value):
        return value.__qualname__
    if inspect.isfunction(value):
        source = hashlib.sha256(inspect.getsource(value).encode()).hexdigest()
        return [value.__module__, value.__qualname__, source]
    if is_dataclass(value):
        shown = [each.name for each in fields(value) if each.name not in _LEFT_OUT]
        return [type(value).__name__, {name: _plain(getattr(value, name)) for name in shown}]
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
