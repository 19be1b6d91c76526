"""What the stages should have counted, counted again from the logs, and compared name by name."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator, Sequence
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


def count_predictions(truth: Truth, by_segment: Sequence[str] = ()) -> None:
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
        truth.count(f"answer:{str(fields['prediction']).lower()}", time_ms)
        delay_ms = max(0, prediction.timestamp_ms - time_ms)
        truth.count(f"event_delay:{number_bucket(delay_ms)}", time_ms)
        known = prediction.age_ms is not None
        age = f"entity_age:{number_bucket(prediction.age_ms or 0)}"
        truth.count(age if known else "new_entity", time_ms)
        places = [(time_ms, f"{name}={prediction.event[name]}") for name in facts.SEGMENTS]
        for at, segment in (*places, (None, f"version:{fields['version']}")):
            truth.count("events", at, segment=segment)
            truth.count("scored", at, segment=segment)
        for name in by_segment:
            key = _value_key(name, fields["features"][name])
            for at, segment in places:
                truth.count(f"feature.{name}:{key}", at, segment=segment)


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
        _count_ages(truth, example, _model_age(offsets, times, position, example))
        pairs = [("labelled", 1), *_outcome("outcome", label, example["score"])]
        for name, said in example["baselines"].items():
            pairs.append(_confusion(f"baseline.{name}", label, said))
        segments = [f"{name}={value}" for name, value in example["segments"].items()]
        places = [(time_ms, segment) for segment in ("all", *segments)]
        for at, segment in (*places, (None, f"version:{example['version']}")):
            for name, n in pairs:
                truth.count(name, at, n, segment)
        for name, n in _spread("outcome", label, example["score"]):
            truth.count(name, time_ms, n)
        fresh = label, learned.fresh[position]
        for name, n in [*_outcome("fresh", *fresh), *_spread("fresh", *fresh)]:
            truth.count(name, time_ms, n)
        _count_regret(truth, example, fresh, times[:position])


def _count_ages(truth: Truth, example: dict[str, Any], age_ms: int | None) -> None:
    """Count how old the label was when it came, and the newest that its model had learned."""
    time_ms = example["event_time"]
    delay = number_bucket(example["label_time"] - time_ms)
    truth.count(f"delay:{delay}", time_ms)
    if example["label"]:
        truth.count(f"true_delay:{delay}", time_ms)
    if age_ms is not None:
        truth.count(f"model_age:{number_bucket(age_ms)}", time_ms)


def _count_regret(
    truth: Truth,
    example: dict[str, Any],
    fresh: tuple[bool, float],
    known: npt.NDArray[np.int64],
) -> None:
    """Count it where the newest model knew no label that was true only after the event."""
    if np.any(known > example["event_time"]):
        truth.count("fresh.later", example["event_time"])
        return
    regret = _log_loss(example["label"], example["score"]) - _log_loss(*fresh)
    truth.count("equal.n", example["event_time"])
    truth.count("equal.loss", example["event_time"], regret)
    truth.count("equal.loss_squared", example["event_time"], regret * regret)


def _lag(
    offsets: npt.NDArray[np.int64], times: npt.NDArray[np.int64], position: int,
    example: dict[str, Any],
) -> int:  # fmt: skip
    """Count the examples that the served model lacked and that were true by its event time."""
    first = int(np.searchsorted(offsets[:position], example["learned_to"]))
    first = max(first, position - facts.LAG_EXAMPLES_MAX)
    return int(np.count_nonzero(times[first:position] <= example["event_time"]))


def _model_age(
    offsets: npt.NDArray[np.int64], times: npt.NDArray[np.int64], position: int,
    example: dict[str, Any],
) -> int | None:  # fmt: skip
    """Return how much older than an event the newest label was that its model had learned."""
    known = int(np.searchsorted(offsets[:position], example["learned_to"]))
    if known <= max(0, position - facts.LAG_EXAMPLES_MAX):
        return None
    event_time: int = example["event_time"]
    return max(0, event_time - int(times[:known].max()))


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
        (f"{prefix}.log_loss_squared", _log_loss(label, score) ** 2),
        (f"{prefix}.expected", _entropy(score)),
    ]


def _log_loss(label: bool, score: float) -> int:
    return millionths(-log(max(score if label else 1.0 - score, 1e-15)))


def _entropy(score: float) -> int:
    parts = [chance * log(max(chance, 1e-15)) for chance in (score, 1.0 - score)]
    return millionths(-parts[0] - parts[1])


def _spread(prefix: str, label: bool, score: float) -> list[tuple[str, int]]:
    """Return what is counted of the whole alone."""
    tenth = min(int(score * 10), 9)
    pairs = [
        (f"{prefix}.{str(label).lower()}:{probability_bucket(score)}", 1),
        (f"{prefix}.brier", millionths((score - label) ** 2)),
        (f"{prefix}.brier_squared", millionths((score - label) ** 2) ** 2),
        (f"{prefix}.sure:{tenth}", 1),
        (f"{prefix}.sure_sum:{tenth}", millionths(score)),
        (f"{prefix}.sure_squared:{tenth}", millionths((score - label) ** 2)),
    ]
    return [*pairs, (f"{prefix}.sure_hit:{tenth}", 1)] if label else pairs


# -- what was counted


def values_of(cell: dict[str, Any]) -> Iterator[tuple[str, str, int]]:
    """Go through all that a cell adds; a bucket has 16 bits, its count 32."""
    for name, n in cell["values"].items():
        yield cell["segment"], name, n
    for family, data in cell["buckets"].items():
        for start in range(0, len(data), 6):
            key, n = struct.unpack("<hi", data[start : start + 6])
            yield cell["segment"], f"{family}:{key}", n
    for name, column in cell["columns"].items():
        for segment, n in zip(cell["segments"], column, strict=True):
            yield segment, name, n


def counted(logs: Logs, truth: Truth) -> Counter[tuple[int, str, str]]:
    """Return what all count records add up to."""
    found: Counter[tuple[int, str, str]] = Counter()
    for _, record in logs.of("counts"):
        fields = truth.schemas.decode(record.value or b"", logs.topics["counts"])
        for cell in fields["cells"]:
            for segment, name, n in values_of(cell):
                found[cell["tile"], segment, name] += n
    return found


def check_counts(logs: Logs, truth: Truth, report: Report) -> Counter[tuple[int, str, str]]:
    """Compare each count of each tile and segment; return what was counted."""
    found, wanted = counted(logs, truth), truth.counts
    for place in sorted(found.keys() | wanted.keys()):
        if found[place] or wanted[place]:
            report.same("counts", place, found[place], wanted[place])
    return found
