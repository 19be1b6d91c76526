"""One pipeline of each kind with rows for it, and the plain fold that everything must equal."""

from __future__ import annotations

import csv
import gzip
import pickle
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from math import sin
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from river import anomaly, forest, linear_model, naive_bayes, preprocessing, tree

from headrace.registry.digest import canonical_digest
from headrace.streams.load import load_pipeline
from headrace.streams.pipeline import Pipeline
from headrace.streams.plan import Plan, plan_of
from headrace.streams.replay import Result

ROOT = Path(__file__).parents[3]
START = datetime(2024, 5, 1, tzinfo=UTC)
ROWS = 120

Row = dict[str, Any]


class Case(NamedTuple):
    pipeline: Pipeline
    events: Sequence[Row]
    labels: Sequence[Row] | None = None
    trained: bool = False
    """Whether its model has learned something before the first event."""


def example(name: str) -> Pipeline:
    return load_pipeline(ROOT / "examples" / name / "pipeline.py")


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def electricity(**changes: Any) -> Case:
    rng = Random(1)
    rows = [
        {"id": f"e{n}", "region": f"r{n % 2}", "at": at(30 * n), "price": rng.random(),
         "demand": (1 + sin(n)) / 2, "transfer": rng.random(), "rose": sin(n + 1) > sin(n)}
        for n in range(ROWS)
    ]  # fmt: skip
    return Case(replace(example("electricity"), **changes), rows)


def pumps(**changes: Any) -> Case:
    rng = Random(2)
    rows = [
        {"id": f"p{n}", "pump": f"p{n % 3}", "at": at(n / 2), "pressure_bar": rng.gauss(5, 1),
         "temperature_c": None if n % 7 == 0 else rng.gauss(40, 5)}
        for n in range(ROWS)
    ]  # fmt: skip
    return Case(replace(example("pumps"), **changes), rows)


def rides(**changes: Any) -> Case:
    rng = Random(3)
    events, labels = [], []
    for n in range(ROWS):
        distance = rng.uniform(1, 20)
        ride = {"ride": f"r{n}", "zone": f"z{n % 4}", "at": at(2 * n)}
        events.append({**ride, "distance_km": distance, "passengers": 1 + n % 4})
        if n % 10:
            minutes = 2 * distance + rng.uniform(0, 5)
            labels.append({"ride": f"r{n}", "at": at(2 * n + minutes), "minutes": minutes})
    return Case(replace(example("rides"), **changes), events, labels)


def tickets(**changes: Any) -> Case:
    rng = Random(4)
    events, labels = [], []
    for n in range(ROWS):
        channel = rng.choice(["chat", "mail", "phone"])
        team = {"chat": "accounts", "mail": "billing", "phone": "technical"}[channel]
        ticket = {"ticket": f"t{n}", "customer": f"c{n % 5}", "opened_at": at(20 * n)}
        product = f"product {rng.randrange(40)}"
        events.append(
            {**ticket, "channel": channel, "product": product, "words": rng.randrange(99)}
        )
        closed = {"ticket": f"t{n}", "closed_at": at(20 * n + rng.uniform(5, 500))}
        labels.append({**closed, "team": team if rng.random() < 0.9 else "billing"})
    return Case(replace(example("tickets"), **changes), events, labels)


def flights(**changes: Any) -> Case:
    pipeline = example("flights")
    events, labels = [], []
    with gzip.open(ROOT / "data" / "flights_nyc13_week.csv.gz", "rt") as file:
        for row in islice(csv.DictReader(file), 2 * ROWS):
            events.append(_typed(row, pipeline.events.event))
            if row["label"]:
                names = ("event_id", "label_time")
                labels.append({name: row[name] for name in names} | {"label": row["label"] == "1"})
    return Case(replace(pipeline, **changes), events, labels)


def _typed(row: dict[str, str], model: Any) -> Row:
    texts = {"event_id", "event_time", "carrier", "origin"}
    found: Row = {}
    for name in model.model_fields:
        text = row[name]
        found[name] = text if name in texts else float(text) if text else None
    return found | {"dep_weekday": int(row["dep_weekday"])}


def silent_at_first() -> Case:
    return electricity(model=naive_bayes.GaussianNB())  # type: ignore[no-untyped-call]


def growing() -> Case:
    """A forest whose state is soon too big to travel in an announcement."""
    return electricity(model=forest.ARFClassifier(n_models=12, seed=7))


def regression_tree() -> Case:
    return rides(model=tree.HoeffdingTreeRegressor(grace_period=20))


def filtered() -> Case:
    """An anomaly detector whose filter decides."""
    detector = anomaly.HalfSpaceTrees(n_trees=5, height=4, window_size=20, seed=1)
    model = preprocessing.MinMaxScaler() | anomaly.QuantileFilter(detector, q=0.9)
    return pumps(model=model, decide=None)


def trained() -> Case:
    """A model that comes with a year of experience."""
    model = preprocessing.StandardScaler() | linear_model.LogisticRegression()
    rng = Random(5)
    for _ in range(500):
        x = {"price": rng.random(), "demand": rng.random()}
        model.learn_one(x, x["demand"] > 0.5)
    return electricity(model=model)._replace(trained=True)


KINDS: dict[str, Callable[[], Case]] = {
    "binary": flights,
    "multiclass": tickets,
    "regression": rides,
    "anomaly without labels": pumps,
    "label in the event": electricity,
    "silent at first": silent_at_first,
    "a tree": regression_tree,
    "a filter": filtered,
    "trained": trained,
}


# -- the plain fold: River alone, one example after the other


def answer(plan: Plan, model: Any, x: dict[str, Any]) -> tuple[Any, Any]:
    """Return prediction and score as River gives them."""
    if plan.task == "regression":
        return model.predict_one(x), None
    if plan.task == "anomaly":
        score, last = model.score_one(x), list(model.steps.values())[-1]
        decides = getattr(last, "classify", lambda score: score >= plan.threshold)
        return decides(score), score
    found = model.predict_proba_one(x)
    if not found:
        return None, None
    if plan.task == "binary":
        score = found[True] if True in found else 1.0 - found[False]
        return score >= plan.threshold, score
    score = max(found.values())
    return min(name for name in found if found[name] == score), score


def check_against_fold(case: Case, result: Result) -> None:
    """Every prediction comes of its features and the model it names; so does the last model."""
    plan = plan_of(case.pipeline)
    program = plan.features
    model = deepcopy(case.pipeline.model) if case.trained else plan.new_model()
    examples = iter(zip(result.examples.records, result.examples, strict=True))
    ahead = next(examples, None)
    supervised = plan.labels != "none"

    def learn_to(offset: float) -> None:
        nonlocal ahead
        while ahead is not None and ahead[0].offset < offset:
            x = program.door(program.row(ahead[1]["features"]))
            model.learn_one(x, *([ahead[1]["label"]] if supervised else []))
            ahead = next(examples, None)

    at_offset, asked = 0, pickle.loads(pickle.dumps(model))
    for said in sorted(result.predictions, key=lambda each: each["learned_to"]):
        if said["learned_to"] != at_offset:
            at_offset = said["learned_to"]
            learn_to(at_offset)
            asked = pickle.loads(
                pickle.dumps(model)
            )  # River's scalers note what they are asked for
        x = program.door(program.row(said["features"]))
        assert (said["prediction"], said["score"]) == answer(plan, asked, x), said
    learn_to(float("inf"))
    assert canonical_digest(result.model) == canonical_digest(model)
