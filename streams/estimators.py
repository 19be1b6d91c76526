"""What can be read off a River model without asking it anything."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

from river import base
from river.feature_extraction import BagOfWords


def steps_of(model: Any) -> list[Any]:
    """Return a pipeline's steps in order, those of pipelines within it too; else the model alone.

    Examples
    --------
    >>> from river import linear_model, preprocessing
    >>> model = preprocessing.StandardScaler() | linear_model.LinearRegression()
    >>> [type(step).__name__ for step in steps_of(model)]
    ['StandardScaler', 'LinearRegression']
    """
    if not hasattr(model, "steps"):
        return [model]
    return [inner for step in model.steps.values() for inner in steps_of(step)]


def last_of(model: Any) -> Any:
    """Return the step that answers; None of a pipeline without steps."""
    return next(reversed(steps_of(model)), None)


def name_of(model: Any) -> str:
    """Return the class of the step that answers, for messages."""
    return type(last_of(model)).__name__


def decides_itself(model: Any) -> bool:
    """Return whether an anomaly detector says itself which scores are anomalies.

    River's filters do (``QuantileFilter``, ``ThresholdFilter``), and whatever else has their method
    ``classify(score)``.
    """
    last = last_of(model)
    detects = isinstance(last, base.AnomalyDetector | base.AnomalyFilter)
    return detects and callable(getattr(last, "classify", None))


def reads_text(model: Any) -> Any:
    """Return the first estimator in a model that splits a text into words, None if none does."""
    # Not isinstance: River's answers for the last step of a pipeline.
    return next((each for each in nested(model) if issubclass(type(each), BagOfWords)), None)


def nested(model: Any) -> Iterator[Any]:
    """Yield a model and all estimators that it is made of, outer ones first."""
    waiting, seen = deque([model]), set[int]()
    while waiting:
        each = waiting.popleft()
        if id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, list | tuple):
            waiting += each
        elif isinstance(each, dict):
            waiting += each.values()
        elif issubclass(type(each), base.Base):
            yield each
            waiting += vars(each).values()
