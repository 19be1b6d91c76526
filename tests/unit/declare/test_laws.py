"""A model that breaks one of the three laws is refused by name."""

from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import pytest
from river import anomaly, base, compose, forest, linear_model, preprocessing, tree

from headrace.streams.event import Event
from headrace.streams.laws import check_laws, synthetic_examples
from headrace.streams.load import load_pipeline
from headrace.streams.pipeline import InEvent, Pipeline, Source, category, count, value
from headrace.streams.plan import Plan, plan_of

EXAMPLES = Path(__file__).parents[3] / "examples"


class Order(Event):
    id: str
    shop: Literal["a", "b"]
    at: datetime
    price: float
    items: int
    fresh: bool
    note: str
    gift: bool
    team: Literal["x", "y", "z"]


class Nervous(base.Classifier):
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def learn_one(self, x: Any, y: Any, **kwargs: Any) -> None:
        pass

    def predict_proba_one(self, x: Any, **kwargs: Any) -> Any:
        self.asked += 1
        return {True: 0.5, False: 0.5}


class Forgetful(base.Classifier):
    """Comes back from a restart having learned nothing."""

    def __init__(self) -> None:
        self.seen = 0

    def learn_one(self, x: Any, y: Any, **kwargs: Any) -> None:
        self.seen += 1

    def predict_proba_one(self, x: Any, **kwargs: Any) -> Any:
        return {True: 1 / (1 + self.seen)}

    def __getstate__(self) -> dict[str, int]:
        return {"seen": 0}


class Picky(base.Classifier):
    """Answers only when the price is known."""

    def learn_one(self, x: Any, y: Any, **kwargs: Any) -> None:
        pass

    def predict_proba_one(self, x: Any, **kwargs: Any) -> Any:
        return {True: 1 / (1 + abs(x["price"]))}


class Secretive(Forgetful):
    """Answers the same, with a different state each time."""

    made = 0

    def __init__(self) -> None:
        super().__init__()
        Secretive.made += 1
        self.number = Secretive.made

    def __getstate__(self) -> dict[str, int]:
        return dict(self.__dict__)


def plan_with(model: Any, label: str = "gift") -> Plan:
    return plan_of(
        Pipeline(
            name="orders",
            events=Source(Order, id="id", key="shop", time="at"),
            labels=InEvent(label),
            features=[
                value("price", "items", "fresh"), category("shop"), category("note", top=4),
                count(over="1h"),
            ],
            model=model,
        )
    )  # fmt: skip


def plainly(value: Any) -> str:
    """A digest that is enough here: types, contents and their order."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{key!r}:{plainly(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(plainly, value)) + "]"
    if isinstance(value, set):
        return plainly(sorted(value, key=repr))
    if hasattr(value, "getstate"):
        return repr(value.getstate())
    if hasattr(value, "__dict__") and not callable(value):
        return type(value).__name__ + plainly(value.__dict__)
    return repr(value)


@pytest.mark.parametrize(
    "path", sorted(EXAMPLES.glob("*/pipeline.py")), ids=lambda p: p.parent.name
)
def test_the_examples_keep_the_laws(path: Path) -> None:
    assert check_laws(plan_of(load_pipeline(path)), plainly) == []


@pytest.mark.parametrize(
    "model",
    [tree.HoeffdingTreeClassifier(), preprocessing.MinMaxScaler() | anomaly.HalfSpaceTrees(seed=3)],
    ids=["tree", "half-space trees"],
)
def test_models_of_other_kinds_keep_them(model: Any) -> None:
    assert check_laws(plan_with(model), plainly) == []


def test_several_classes_are_tried_with_their_names() -> None:
    plan = plan_with(tree.HoeffdingTreeClassifier(), "team")
    assert {label for _, label in synthetic_examples(plan)} == {"x", "y", "z"}
    assert check_laws(plan, plainly) == []


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (Nervous(), "the model (Nervous) changes when it predicts"),
        (Forgetful(), "the model (Forgetful) goes on differently when it was saved and restored"),
        (Picky(), "the model (Picky) cannot predict a row of these features (KeyError: 'price')"),
        (Secretive(), "the model (Secretive) learns the same twice into different states"),
        (forest.ARFClassifier(n_models=3), "learns the same twice and answers differently"),
        (
            compose.Select("price") | linear_model.LogisticRegression(),
            "the model (LogisticRegression) cannot learn a row of these features (KeyError",
        ),
    ],
)
def test_a_model_that_breaks_a_law_is_named(model: Any, said: str) -> None:
    found = check_laws(plan_with(model), plainly)
    assert any(said in sentence for sentence in found), found
    assert all(sentence.startswith("orders: ") for sentence in found)


def test_synthetic_rows_have_absent_keys_and_one_has_none() -> None:
    rows = [x for x, _ in synthetic_examples(plan_with(tree.HoeffdingTreeClassifier()))]
    assert {} in rows
    assert any("price" not in x and x for x in rows)
    assert rows == [x for x, _ in synthetic_examples(plan_with(tree.HoeffdingTreeClassifier()))]
