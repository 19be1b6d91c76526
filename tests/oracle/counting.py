"""What the stages should have counted, counted again from the logs, and compared name by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from math import frexp, log
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.oracle import facts
from tests.oracle.learning import Learned
from tests.oracle.logs import Logs
from tests.oracle.report import Report
from tests.oracle.scoring import Truth


def number_bucket(value: float) -> int:
    """32 to an octave, from 2**-40 to 2**64."""
    mantissa, exponent = frexp(abs(value))
    number = (exponent + 40) * 32 + int(mantissa * 64) - 32 + 1
    number = 0 if not value or number < 0 else min(number, 105 * 32)
    return -number if value < 0 else number


def probability_bucket(value: float) -> int:
    """64 to an octave of the distance to the nearer of 0 and 1, down to 2**-17."""
    if value > 0.5:
        return 1 - probability_bucket(1.0 - value)
    mantissa, exponent = frexp(value)
    if value <= 0 or exponent < -16:
        return -16 * 64 - 1
    return exponent * 64 + int(mantissa * 128) - 64


def millionths(value: float) -> int:
    return round(1_000_000 * value)


# -- SCORE's


def count_predictions(truth: Truth) -> None:
    """Count every prediction's features, score and segments."""
    for prediction in truth.predictions.values():
        fields = prediction.fields
        time_ms = fields["event_time"]
        truth.count("events", time_ms)
        if fields["late"]:
            truth.count("late_for_features", time_ms)
        for name, value in fields["features"].items():
            truth.count(f"feature.{name}:{_value_key(name, value)}", time_ms)
        truth.count(f"score:{probability_bucket(fields['score'])}", time_ms)
        truth.count("scored", time_ms)
        for name in facts.SEGMENTS:
            segment = f"{name}={prediction.event[name]}"
            truth.count("events", time_ms, segment=segment)
            truth.count("scored", time_ms, segment=segment)


def _value_key(name: str, value: Any) -> str:
    if value is None:
        return "null"
    if name == "carrier":
        return f"={value}" if value in facts.CARRIERS else "other"
    return f"={value}" if name == "origin" else str(number_bucket(value))


# -- LEARN's


def count_outcomes(
    truth: Truth, examples: list[tuple[int, dict[str, Any]]], learned: Learned
) -> None:
    """Count how each served prediction and its baselines did, and how the newest model would."""
    offsets = np.array([offset for offset, _ in examples], np.int64)
    times = np.array([example["label_time"] for _, example in examples], np.int64)
    for position, (_, example) in enumerate(examples):
        time_ms, label = example["event_time"], example["label"]
        truth.count("examples", time_ms)
        truth.count(f"lag:{number_bucket(_lag(offsets, times, position, example))}", time_ms)
        truth.count(f"delay:{number_bucket(example['label_time'] - time_ms)}", time_ms)
        pairs = [("labelled", 1), *_outcome("outcome", label, example["score"])]
        for name, said in example["baselines"].items():
            pairs.append(_confusion(f"baseline.{name}", label, said))
        segments = [f"{name}={value}" for name, value in example["segments"].items()]
        for segment in ("all", *segments):
            for name, n in pairs:
                truth.count(name, time_ms, n, segment)
        for name, n in _spread("outcome", label, example["score"]):
            truth.count(name, time_ms, n)
        fresh = label, learned.fresh[position]
        for name, n in [*_outcome("fresh", *fresh), *_spread("fresh", *fresh)]:
            truth.count(name, time_ms, n)


def _lag(
    offsets: npt.NDArray[np.int64], times: npt.NDArray[np.int64], position: int,
    example: dict[str, Any],
) -> int:  # fmt: skip
    """Count the examples that the served model lacked and that were true by its event time."""
    first = int(np.searchsorted(offsets[:position], example["learned_to"]))
    first = max(first, position - facts.LAG_EXAMPLES_MAX)
    return int(np.count_nonzero(times[first:position] <= example["event_time"]))


def _confusion(prefix: str, label: bool, said: bool | None) -> tuple[str, int]:
    if said is None:
        return f"{prefix}.unscored", 1
    return f"{prefix}.{'t' if said == label else 'f'}{'p' if said else 'n'}", 1


def _outcome(prefix: str, label: bool, score: float) -> list[tuple[str, int]]:
    """Return what is counted of every segment."""
    return [
        _confusion(prefix, label, score >= 0.5),
        (f"{prefix}.scored", 1),
        (f"{prefix}.log_loss", _log_loss(label, score)),
    ]


def _log_loss(label: bool, score: float) -> int:
    return millionths(-log(max(score if label else 1.0 - score, 1e-15)))


def _spread(prefix: str, label: bool, score: float) -> list[tuple[str, int]]:
    """Return what is counted of the whole alone."""
    tenth = min(int(score * 10), 9)
    pairs = [
        (f"{prefix}.{str(label).lower()}:{probability_bucket(score)}", 1),
        (f"{prefix}.log_loss_squared", _log_loss(label, score) ** 2),
        (f"{prefix}.brier", millionths((score - label) ** 2)),
        (f"{prefix}.brier_squared", millionths((score - label) ** 2) ** 2),
        (f"{prefix}.sure:{tenth}", 1),
        (f"{prefix}.sure_sum:{tenth}", millionths(score)),
    ]
    return [*pairs, (f"{prefix}.sure_hit:{tenth}", 1)] if label else pairs


# -- what was counted


def values_of(cell: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """Go through all that a cell adds, by name: 16 bits of a bucket, 32 of its count."""
    yield from cell["values"].items()
    for family, data in cell["buckets"].items():
        half = len(data) // 3
        keys = np.frombuffer(data[:half], "<i2").tolist()
        for key, n in zip(keys, np.frombuffer(data[half:], "<i4").tolist(), strict=True):
            yield f"{family}:{key}", n


def counted(logs: Logs, truth: Truth) -> Counter[tuple[int, str, str]]:
    """Return what all count records add up to."""
    found: Counter[tuple[int, str, str]] = Counter()
    for _, record in logs.of("counts"):
        fields = truth.schemas.decode(record.value or b"", logs.topics["counts"])
        for cell in fields["cells"]:
            for name, n in values_of(cell):
                found[cell["tile"], cell["segment"], name] += n
    return found


def check_counts(logs: Logs, truth: Truth, report: Report) -> Counter[tuple[int, str, str]]:
    """Compare each count of each tile and segment; return what was counted."""
    found, wanted = counted(logs, truth), truth.counts
    for place in sorted(found.keys() | wanted.keys()):
        if found[place] or wanted[place]:
            report.same("counts", place, found[place], wanted[place])
    return found
