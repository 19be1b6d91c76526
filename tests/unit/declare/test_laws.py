"""A model that breaks one of the three laws is refused by name."""

from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import pytest
from river import anomaly, base, compose, forest, linear_model, preprocessing, tree

from headrace.streams.event import Event
from headrace.streams.features.declared import Features
from headrace.streams.laws import check_laws, late_note
from headrace.streams.load import load_pipeline
from headrace.streams.pipeline import InEvent, Pipeline, Source, category, count, mean, value
from headrace.streams.plan import Plan, plan_of
from headrace.streams.synthetic import synthetic_examples

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
    discount: float | None = None
    tax: float | None = None
    mood: str | None = None


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
    """Answers only when the discount is known."""

    def learn_one(self, x: Any, y: Any, **kwargs: Any) -> None:
        pass

    def predict_proba_one(self, x: Any, **kwargs: Any) -> Any:
        return {True: 1 / (1 + abs(x["discount"]))}


class Certain(base.Classifier):
    """Knows no probabilities, as River's OneVsOneClassifier."""

    def learn_one(self, x: Any, y: Any, **kwargs: Any) -> None:
        pass

    def predict_one(self, x: Any, **kwargs: Any) -> Any:
        return True


class Divergent(Certain):
    def predict_proba_one(self, x: Any, **kwargs: Any) -> Any:
        return {True: float("nan")}


class Timid(Certain):
    def predict_proba_one(self, x: Any, **kwargs: Any) -> Any:
        raise ValueError("no")


class Hungry(Certain):
    """Needs something of an entity or a price."""

    def predict_proba_one(self, x: Any, **kwargs: Any) -> Any:
        if not x:
            raise ValueError("nothing at all")
        return {True: 0.5}


class Snob(Certain):
    """Needs a mood."""

    def predict_proba_one(self, x: Any, **kwargs: Any) -> Any:
        return {True: x["mood=well"]}


class Unkept(Certain):
    def predict_proba_one(self, x: Any, **kwargs: Any) -> Any:
        return {True: 0.5}

    def learn_one(self, x: Any, y: Any, **kwargs: Any) -> None:
        self.learned = lambda: (x, y)


class Secretive(Forgetful):
    """Answers the same, with a different state each time."""

    made = 0

    def __init__(self) -> None:
        super().__init__()
        Secretive.made += 1
        self.number = Secretive.made

    def __getstate__(self) -> dict[str, int]:
        return dict(self.__dict__)


def plan_with(model: Any, *features: Features, label: str = "gift") -> Plan:
    return plan_of(
        Pipeline(
            name="orders",
            events=Source(Order, id="id", key="shop", time="at"),
            labels=InEvent(label),
            features=features or [
                value("price", "items", "fresh", "discount"), category("shop"),
                category("note", top=4),
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
    plan = plan_with(tree.HoeffdingTreeClassifier(), label="team")
    assert {label for _, label in synthetic_examples(plan)} == {"x", "y", "z"}
    assert check_laws(plan, plainly) == []


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (Nervous(), "the model (Nervous) changes when it predicts"),
        (Forgetful(), "the model (Forgetful) goes on differently when it was saved and restored"),
        (
            Picky(),
            "the model (Picky) cannot predict a row without discount (KeyError: 'discount'), and"
            ' these can be null. Write value("discount", missing=0), or missing="mean"',
        ),
        (Secretive(), "the model (Secretive) learns the same twice into different states"),
        (forest.ARFClassifier(n_models=3), "learns the same twice and answers differently"),
        (
            compose.Select("discount") | linear_model.LogisticRegression(),
            "the model (LogisticRegression) cannot learn a row without discount (KeyError",
        ),
        (
            compose.Select("shop") | linear_model.LogisticRegression(),
            "cannot learn a row of these features (KeyError: 'shop'). It is given the keys price,",
        ),
        (
            Certain(),
            "Headrace scores by probabilities: use a classifier that has predict_proba_one",
        ),
        (Divergent(), "try preprocessing.StandardScaler() before it."),
        (Timid(), "cannot predict a row of these features (ValueError: no)."),
        (Unkept(), "cannot be tried (AttributeError: Can't pickle local object"),
    ],
)
def test_a_model_that_breaks_a_law_is_named(model: Any, said: str) -> None:
    found = check_laws(plan_with(model), plainly)
    assert any(said in sentence for sentence in found), found
    assert all(sentence.startswith("orders: ") for sentence in found)


def test_a_model_that_needs_one_of_several_is_told_of_them_all() -> None:
    (said,) = check_laws(
        plan_with(Hungry(), value("discount", "tax"), mean("price", over="1h", current=False)),
        plainly,
    )
    assert "cannot predict a row without any of discount, tax, mean_price_1h (ValueError" in said
    assert 'Write value("discount", missing=0), or missing="mean", or declare' in said


def test_a_category_has_nothing_to_be_filled_with() -> None:
    (said,) = check_laws(plan_with(Snob(), category("mood", values=["well"])), plainly)
    assert said.endswith("and these can be null. Declare the field so that it is never null.")


def test_late_events_are_no_reason_to_refuse_a_model_and_are_told_of() -> None:
    model = compose.Select("count_1h") | linear_model.LogisticRegression()
    plan = plan_with(model, count(over="1h"))
    assert check_laws(plan, plainly) == []
    note = late_note(plan)
    assert note is not None
    assert "their predictions are null" in note
    assert late_note(plan_with(model, count(over="1h", missing=0))) is None
    assert late_note(plan_with(linear_model.LogisticRegression(), value("price"))) is None
