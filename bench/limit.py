"""The in-process limit: decode, features, predict, learn and encode in one plain loop.

No log, no store, no batches, no exactly-once: the same work on the same events as fast as this
interpreter does it. What the whole system reaches is said as a share of this, measured in one run.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from time import process_time
from typing import Any

from headrace.schemas.records import numbered_codecs
from headrace.streams.plan import Plan

NOW_MS = 1_800_000_000_000
REPEAT = 3

PARTS = ("decode", "features", "predict", "learn", "encode")


def limit_us(plan: Plan, events: Sequence[bytes], labels: Sequence[bool]) -> float:
    """Return CPU microseconds per event of the whole loop: the fastest of some runs."""
    return min(_timed(lambda: _loop(plan, events, labels)) for _ in range(REPEAT)) / len(events)


def parts_us(plan: Plan, events: Sequence[bytes], labels: Sequence[bool]) -> dict[str, float]:
    """Return CPU microseconds per event of each part, in a loop of its own."""
    decoded = [plan.decode_event(value, NOW_MS) for value in events]
    encode = numbered_codecs(plan.schemas).prediction.encode
    rows = _features(plan, decoded)
    door, model = plan.features.door, plan.new_model()
    xs = [door(row) for row in rows]
    predictions = [
        _prediction(plan, event, row, 0.5, number)
        for number, (event, row) in enumerate(zip(decoded, rows, strict=True))
    ]

    def learn() -> None:
        model = plan.new_model()
        for x, label in zip(xs, labels, strict=True):
            model.learn_one(dict(x), label)

    for x, label in zip(xs[:2_000], labels, strict=False):
        model.learn_one(dict(x), label)
    loops: dict[str, Callable[[], Any]] = {
        "decode": lambda: [plan.decode_event(value, NOW_MS) for value in events],
        "features": lambda: [door(row) for row in _features(plan, decoded)],
        "predict": lambda: [model.predict_proba_one(x) for x in xs],
        "learn": learn,
        "encode": lambda: [encode(each) for each in predictions],
    }
    return {
        name: min(_timed(loop) for _ in range(REPEAT)) / len(events) for name, loop in loops.items()
    }


def _timed(loop: Callable[[], Any]) -> float:
    gc.collect()
    began = process_time()
    loop()
    return (process_time() - began) * 1e6


def _features(plan: Plan, decoded: Sequence[Any]) -> list[list[Any]]:
    program, states, rows = plan.features, {}, []
    for event in decoded:
        row, inputs = program.derive(event)
        key = plan.event_key(event)
        states[key], _ = program.step(states.get(key), row, inputs, plan.event_time_ms(event))
        rows.append(row)
    return rows


def _prediction(plan: Plan, event: Any, row: Any, score: float, number: int) -> dict[str, Any]:
    return {
        "id": f"flights.events-0-{number}",
        "event_id": plan.event_id(event),
        "key": plan.event_key(event),
        "event_time": plan.event_time_ms(event),
        "source_partition": 0,
        "source_offset": number,
        "watermark": None,
        "late": False,
        "prediction": score >= 0.5,
        "score": score,
        "probabilities": {"false": 1.0 - score, "true": score},
        "model": plan.name,
        "version": 1,
        "learned_to": number,
        "features": plan.features.record(row),
        "baselines": {},
        "segments": plan.segments(event),
    }


def _loop(plan: Plan, events: Sequence[bytes], labels: Sequence[bool]) -> None:
    program, model = plan.features, plan.new_model()
    encode = numbered_codecs(plan.schemas).prediction.encode
    states: dict[str, Any] = {}
    for number, (value, label) in enumerate(zip(events, labels, strict=True)):
        event = plan.decode_event(value, NOW_MS)
        row, inputs = program.derive(event)
        key = plan.event_key(event)
        states[key], _ = program.step(states.get(key), row, inputs, plan.event_time_ms(event))
        x = program.door(row)
        score = float(model.predict_proba_one(x)[True])
        encode(_prediction(plan, event, row, score, number))
        model.learn_one(x, label)
