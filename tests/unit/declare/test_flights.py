"""The shipped example is as good as it is said to be, and its year can be rebuilt."""

import csv
import gzip
import math
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
from river import metrics

from headrace.streams.load import load_pipeline
from headrace.streams.plan import Plan, plan_of

ROOT = Path(__file__).parents[3]
SLICE_MS = 30 * 60 * 1_000


@pytest.fixture(scope="module")
def plan() -> Plan:
    return plan_of(load_pipeline(ROOT / "examples/flights/pipeline.py"))


def week() -> list[dict[str, str]]:
    with gzip.open(ROOT / "data/flights_nyc13_week.csv.gz", "rt", newline="") as file:
        return list(csv.DictReader(file))


def parsed(model: Any, row: dict[str, str]) -> Any:
    given = {name: row[name] for name in model.model_fields if row[name] != ""}
    return model.model_validate_strings(given, strict=False)


def served(plan: Plan, rows: list[dict[str, str]]) -> Iterator[tuple[bool, float]]:
    """Labels with the scores that were served, each by the model of the half hour before."""
    events = [parsed(plan.pipeline.events.event, row) for row in rows]
    labels = [
        (parsed(plan.pipeline.labels.label, row), number)  # type: ignore[union-attr]
        for number, row in enumerate(rows)
        if row["label"]
    ]
    labels.sort(key=lambda item: plan.label_time_ms(item[0]))
    model = plan.new_model()
    states: dict[str, Any] = {}
    known: dict[int, Any] = {}
    scores: dict[int, float] = {}
    waiting = iter([*labels, (None, -1)])
    label, of = next(waiting)
    for number, event in enumerate(events):
        now = plan.event_time_ms(event)
        while label is not None and plan.label_time_ms(label) // SLICE_MS < now // SLICE_MS:
            model.learn_one(known.pop(of), plan.label_value(label))
            yield plan.label_value(label), scores[of]
            label, of = next(waiting)
        row, inputs = plan.features.derive(event)
        key = plan.event_key(event)
        states[key], _ = plan.features.step(states.get(key), row, inputs, now)
        known[number] = plan.features.door(row)
        scores[number] = model.predict_proba_one(known[number])[True]
    while label is not None:
        yield plan.label_value(label), scores[of]
        label, of = next(waiting)


def test_the_week_in_half_hour_slices(plan: Plan) -> None:
    auc: Any = metrics.ROCAUC(n_thresholds=200)  # type: ignore[no-untyped-call]
    right, losses = [], []
    for label, score in served(plan, week()):
        auc.update(label, score)
        right.append(plan.decide(score) == label)
        losses.append(-math.log(max(1e-15, score if label else 1 - score)))
    assert len(losses) == 5_139
    assert auc.get() >= 0.84
    assert sum(losses) / len(losses) <= 0.405
    assert sum(right) / len(right) >= 0.83


def test_rows_become_bytes_and_come_back(plan: Plan) -> None:
    row = week()[100]
    event = parsed(plan.pipeline.events.event, row)
    assert plan.decode_event(plan.encode_event(event), 2**60) == event
    assert plan.event_id(event) == row["event_id"]
    assert set(plan.segments(event)) == {"origin", "carrier"}


@pytest.mark.slow
def test_the_year_is_rebuilt_from_its_package(tmp_path: Path) -> None:
    module = load_module(ROOT / "examples/flights/build_year.py")
    target = tmp_path / "year.csv.gz"
    module.main(target)
    with gzip.open(target, "rt", newline="") as file:
        year = list(csv.DictReader(file))
    assert len(year) == 328_514
    assert sum(row["label"] == "" for row in year) == 1_175
    of_week = {row["event_id"] for row in week()}
    assert [row for row in year if row["event_id"] in of_week] == week()


def load_module(path: Path) -> Any:
    spec = spec_from_file_location("build_year", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
