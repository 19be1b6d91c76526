"""Headrace: a streaming-first prediction system.

Everything that a user's pipeline file imports stands here; the rooms behind it load when a name is
first used, so ``import headrace`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headrace.app.doors import Publisher, read
    from headrace.schemas.errors import (
        ArtifactError,
        DeclarationError,
        HeadraceError,
        Refused,
        SchemaError,
        ServiceError,
        SettingsError,
    )
    from headrace.streams.event import Event
    from headrace.streams.pipeline import (
        Alarms,
        Cost,
        InEvent,
        Labels,
        Monitor,
        Pipeline,
        Source,
        Threshold,
        TopicRetention,
        apply,
        category,
        count,
        distinct,
        hour,
        last,
        last_value,
        log1p,
        majority,
        maximum,
        mean,
        minimum,
        since_last,
        std,
        total,
        value,
        window,
    )
    from headrace.streams.replay import replay

_PLACES = {
    "headrace.app.doors": ("Publisher", "read"),
    "headrace.schemas.errors": (
        "ArtifactError",
        "DeclarationError",
        "HeadraceError",
        "Refused",
        "SchemaError",
        "ServiceError",
        "SettingsError",
    ),
    "headrace.streams.event": ("Event",),
    "headrace.streams.pipeline": (
        "Alarms",
        "Cost",
        "InEvent",
        "Labels",
        "Monitor",
        "Pipeline",
        "Source",
        "Threshold",
        "TopicRetention",
        "apply",
        "category",
        "count",
        "distinct",
        "hour",
        "last",
        "last_value",
        "log1p",
        "majority",
        "maximum",
        "mean",
        "minimum",
        "since_last",
        "std",
        "total",
        "value",
        "window",
    ),
    "headrace.streams.replay": ("replay",),
}
_MODULE_OF = {name: module for module, names in _PLACES.items() for name in names}

__all__ = [
    "Alarms",
    "ArtifactError",
    "Cost",
    "DeclarationError",
    "Event",
    "HeadraceError",
    "InEvent",
    "Labels",
    "Monitor",
    "Pipeline",
    "Publisher",
    "Refused",
    "SchemaError",
    "ServiceError",
    "SettingsError",
    "Source",
    "Threshold",
    "TopicRetention",
    "apply",
    "category",
    "count",
    "distinct",
    "hour",
    "last",
    "last_value",
    "log1p",
    "majority",
    "maximum",
    "mean",
    "minimum",
    "read",
    "replay",
    "since_last",
    "std",
    "total",
    "value",
    "window",
]


def __getattr__(name: str) -> object:
    try:
        module = _MODULE_OF[name]
    except KeyError:
        raise AttributeError(f"module 'headrace' has no attribute {name!r}") from None
    return getattr(import_module(module), name)


def __dir__() -> list[str]:
    return sorted(__all__)
