"""What ``check`` says of models: River's whole catalogue, filters, models that come trained."""

import inspect
import random
from collections.abc import Iterator
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import pytest
from river import api, base, feature_extraction, linear_model, preprocessing

from headrace.app.checking import broken_laws, check_file
from headrace.app.cli.main import main
from headrace.app.settings import Settings, settings_from
from headrace.schemas.errors import DeclarationError
from headrace.streams.estimators import nested
from headrace.streams.event import Event
from headrace.streams.pipeline import InEvent, Pipeline, Source, apply, category, count, value
from headrace.streams.plan import plan_of


class Thing(Event):
    id: str
    shop: Literal["a", "b"]
    at: datetime
    price: float
    items: int
    flag: bool
    team: Literal["x", "y", "z"]
    text: str = ""


LABELS = {"flag": "binary", "price": "regression", "team": "multiclass"}

FAULTS = (
    "which predicts nothing Headrace knows",
    "a classifier learns bool, or text as a Literal",
    "a regressor learns float or int",
    "an anomaly detector learns bool",
    "Wrap it: river.multiclass.OneVsRestClassifier(...)",
    "is a pipeline without steps",
    "which scores a label that is there already",
    "which learns several labels at once",
    "which says which labels to ask for",
    "splits a text into words",
)
"""What a model is refused for before it is tried."""

UNFIT = {
    "ensemble.VotingClassifier": "has predict_proba_one, as river.multiclass",
    "multiclass.OneVsOneClassifier": "has predict_proba_one, as river.multiclass",
    "multiclass.OutputCodeClassifier": "has predict_proba_one, as river.multiclass",
    "linear_model.BayesianLinearRegression": "changes when it predicts",
    "facto.": "try preprocessing.StandardScaler() before it",
}
"""What a model without a seed to be given is refused for when it is tried."""


def settings(folder: Path) -> Settings:
    return settings_from({"HEADRACE_DATA": str(folder)})


def estimators() -> Iterator[tuple[str, Any]]:
    """Yield River's estimators that its own tests can build, by name."""
    seen: set[Any] = set()
    for module in sorted(api.__all__):
        members = inspect.getmembers(import_module(f"river.{module}"), inspect.isclass)
        for name, kind in members:
            if not issubclass(kind, base.Estimator) or inspect.isabstract(kind) or kind in seen:
                continue
            seen.add(kind)
            try:
                made = kind(**next(iter(kind._unit_test_params())))
            except (TypeError, RuntimeError):  # wants what its tests do not know, or a newer Python
                continue
            yield f"{module}.{name}", made


def refusals(model: Any, label: str, folder: Path, *, text: bool = False) -> list[str]:
    numbers = [name for name in ("price", "items", "flag") if name != label]
    kinds = [] if label == "team" else [category("team")]
    features: list[Any] = [value(*numbers), *kinds, count(over="1h")]
    if text:
        features.append(category("text"))
    things = Pipeline(
        name="things",
        events=Source(Thing, id="id", key="shop", time="at"),
        labels=InEvent(label),
        features=features,
        model=model,
    )
    try:
        return broken_laws(plan_of(things), settings(folder))
    except DeclarationError as error:
        return list(error.faults)


def with_seed(model: Any) -> Any:
    """Return a model whose parts have a seed, wherever they take one."""
    for part in nested(model):
        if "seed" in inspect.signature(type(part)).parameters:
            part.seed = 7
    return model.clone()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # numpy's, where a model diverges
def test_rivers_catalogue_works_or_is_refused_for_what_is_true_of_it(tmp_path: Path) -> None:
    worked = set()
    for name, model in estimators():
        for label in LABELS:
            found = refusals(model, label, tmp_path)
            if found and "Give it a seed" in found[0]:
                found = refusals(with_seed(model), label, tmp_path)
            if not found:
                worked.add((name, label))
                continue
            unfit = next((said for prefix, said in UNFIT.items() if name.startswith(prefix)), None)
            known = FAULTS if unfit is None else (*FAULTS, unfit)
            assert any(said in found[0] for said in known), (name, label, found)
    assert len(worked) >= 78, len(worked)
    assert {label for _, label in worked} == set(LABELS)


@pytest.mark.parametrize("kind", ["BagOfWords", "TFIDF"])
def test_words_of_a_text_are_refused_in_one_sentence_with_a_way_out(
    kind: str, tmp_path: Path
) -> None:
    model = getattr(feature_extraction, kind)(on="text") | linear_model.LogisticRegression()
    (said,) = refusals(model, "flag", tmp_path, text=True)
    assert "apply(words" in said


def words(text: str) -> int:
    return len(text.split())


def says_free(text: str) -> bool:
    return "free" in text.lower().split()


def test_the_way_out_works(tmp_path: Path) -> None:
    things = Pipeline(
        name="things",
        events=Source(Thing, id="id", key="shop", time="at"),
        labels=InEvent("flag"),
        features=[apply(words, "text"), apply(says_free, "text")],
        model=preprocessing.StandardScaler() | linear_model.LogisticRegression(),
    )
    assert broken_laws(plan_of(things), settings(tmp_path)) == []


FILE = """
import random
from datetime import datetime
from river import anomaly, linear_model, preprocessing
from headrace import Event, InEvent, Pipeline, Source, count, value

class Trip(Event):
    id: str
    town: str
    at: datetime
    km: float
    late: bool

model = {model}
{teach}

trips = Pipeline(
    name="trips",
    events=Source(Trip, id="id", key="town", time="at"),
    labels=InEvent("late"),
    features=[value("km"), count(over="1h")],
    model=model,
)
"""
LOGISTIC = "preprocessing.StandardScaler() | linear_model.LogisticRegression()"
TEACH = """
for number in range(100):
    model.learn_one({"km": NUMBER, "count_1h": 1.0}, number % 7 > 3)
"""


@pytest.fixture
def at_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("HEADRACE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")
    return tmp_path


def written(folder: Path, model: str, teach: str = "") -> Path:
    path = folder / "pipeline.py"
    path.write_text(FILE.format(model=model, teach=teach))
    return path


def test_check_says_that_a_model_begins_with_what_it_has_learned(
    at_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(at_home, LOGISTIC, TEACH.replace("NUMBER", "number % 7.0"))
    assert main(["check", str(path)]) == 0
    (plan,) = check_file(path, settings(at_home))
    said = " ".join(capsys.readouterr().out.split())
    assert f"begins with what it has learned already ({str(plan.learned)[:16]})" in said
    assert main(["check", str(written(at_home, LOGISTIC))]) == 0
    assert "begins with" not in capsys.readouterr().out


def test_a_model_that_has_learned_something_else_each_time_is_refused(at_home: Path) -> None:
    path = written(at_home, LOGISTIC, TEACH.replace("NUMBER", "random.random()"))
    random.seed()
    with pytest.raises(DeclarationError, match="something else each time that the file is read"):
        check_file(path, settings(at_home))


def test_check_says_who_decides_and_what_becomes_of_late_events(
    at_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chain = "anomaly.QuantileFilter(anomaly.HalfSpaceTrees(seed=1), q=0.98)"
    assert main(["check", str(written(at_home, chain))]) == 0
    assert "when QuantileFilter says so (its classify)" in capsys.readouterr().out
    late = 'compose.Select("count_1h") | linear_model.LogisticRegression()'
    path = written(at_home, late)
    path.write_text("from river import compose\n" + path.read_text())
    assert main(["check", str(path)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "late events have no past, and the model cannot do without" in said
