"""How good the served predictions were: exactly, from the examples."""

from __future__ import annotations

from math import log
from typing import Any

import numpy as np


def auc(labels: list[bool], scores: list[float]) -> float:
    """Return the exact area under the ROC curve; ties count half (Mann and Whitney)."""
    label, score = np.array(labels), np.array(scores)
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    positive = int(label.sum())
    negative = len(label) - positive
    if not positive or not negative:
        return float("nan")
    excess = float(ranks[label].sum()) - positive * (positive + 1) / 2
    return excess / (positive * negative)


def intervals(rows: list[dict[str, Any]]) -> dict[str, tuple[float, float]]:
    """Return the normal 95 % intervals of the means over examples that have a label."""
    if len(rows) < 2:
        return {}
    score = np.array([row["score"] for row in rows])
    label = np.array([bool(row["label"]) for row in rows])
    off = score - label
    loss = -np.log(np.maximum(np.where(label, score, 1.0 - score), 1e-15))
    found = {}
    for name, each in (("log_loss", loss), ("brier", off * off), ("calibration_bias", off)):
        mean, half = float(each.mean()), 1.959963984540054 * float(each.std(ddof=1))
        half /= len(rows) ** 0.5
        least = -1.0 if name == "calibration_bias" else 0.0
        found[name] = max(least, mean - half), mean + half
    return found


def figures(examples: list[tuple[int, dict[str, Any]]]) -> dict[str, float]:
    """Return AUC, log loss and accuracy of the served predictions, and the baselines' accuracy."""
    if not examples:
        return {}
    rows = [example for _, example in examples]
    labels, scores = [row["label"] for row in rows], [row["score"] for row in rows]
    losses = [
        -log(max(score if label else 1.0 - score, 1e-15))
        for label, score in zip(labels, scores, strict=True)
    ]
    found = {
        "auc": auc(labels, scores),
        "log_loss": sum(losses) / len(rows),
        "accuracy": sum(row["prediction"] == row["label"] for row in rows) / len(rows),
    }
    for name in rows[0]["baselines"]:
        said = [(row["baselines"][name], row["label"]) for row in rows]
        answered = [a == b for a, b in said if a is not None]
        found[f"accuracy.{name}"] = sum(answered) / len(answered) if answered else float("nan")
    return found
