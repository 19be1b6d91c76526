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
