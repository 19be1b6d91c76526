"""``headrace simulate``: worlds of a user's own pipeline, and what is found in them."""

import json
from pathlib import Path

import pytest

from headrace.app.cli.main import main

ROOT = Path(__file__).parents[3]
EXAMPLES = sorted(path.relative_to(ROOT) for path in ROOT.glob("examples/*/pipeline.py"))

PIPELINE = """
from datetime import datetime
from itertools import count as counter
from typing import Annotated
from pydantic import Field
from river import linear_model
from headrace import Event, InEvent, Pipeline, Source, apply, mean, value

class Order(Event):
    id: str
    shop: str
    at: datetime
    price: Annotated[float, Field(gt=0, le=500)]
    code: str = "none"
    paid: bool

class Forgetful(linear_model.LogisticRegression):
    calls = counter()
    def learn_one(self, x, y):
        super().learn_one({**x, "price": float(next(self.calls))}, y)

calls = counter()

def well(price: float) -> float:
    return price / 2

def badly(price: float) -> float:
    return float(next(calls))

orders = Pipeline(
    name="orders",
    events=Source(Order, id="id", key="shop", time="at"),
    labels=InEvent("paid"),
    features=[value("price"), mean("price", over="1h"), apply(well, "price", name="half")],
    model=linear_model.LogisticRegression(),
)
"""


@pytest.fixture(autouse=True)
def fixed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "0")  # else the command would begin anew, with us in it
    monkeypatch.chdir(ROOT)


def written(folder: Path, *changes: tuple[str, str]) -> str:
    text = PIPELINE
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    file = folder / "orders.py"
    file.write_text(text)
    return str(file)


def simulated(file: str, *flags: str, worlds: int = 2) -> int:
    return main(["simulate", file, "--worlds", str(worlds), "--seed", "3", *flags])


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda path: path.parent.name)
def test_each_example_holds(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert simulated(str(file), "--events", "20", worlds=1) == 0
    shown = capsys.readouterr().out
    assert "1 worlds of 20 events from seed 3" in shown
    assert "No violation" in shown


def test_what_came_of_it_is_written_for_programs(tmp_path: Path) -> None:
    out = tmp_path / "report.json"
    assert simulated(written(tmp_path), "--json", str(out), "--events", "60", worlds=3) == 0
    report = json.loads(out.read_text())
    assert report["violation"] is None
    assert (report["pipeline"], report["seed"], report["worlds"]) == ("orders", 3, 3)
    assert sum(report["faults"].values()) > 0


@pytest.mark.parametrize(
    "change",
    [
        ("apply(well", "apply(badly"),
        ("model=linear_model.LogisticRegression()", "model=Forgetful()"),
    ],
    ids=["a feature", "a model"],
)
def test_what_does_not_depend_on_its_input_alone_is_found_and_made_small(
    change: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "report.json"
    file = written(tmp_path, change)
    assert simulated(file, "--events", "60", "--json", str(out)) == 1
    shown, said = capsys.readouterr()
    assert "Violation in the world of seed 3" in shown
    assert "It needs no fault" in shown
    assert "headrace: orders: what comes out depends on" in said
    assert "--seed 3 --worlds 1 --events 60" in said
    violation = json.loads(out.read_text())["violation"]
    assert violation["faults"] == 0
    assert len(violation["trace"]) < 40
    assert violation["wrong"]


def test_values_that_cannot_be_made_up_are_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pattern = 'Annotated[str, Field(pattern="^[A-Z]{3}$"'
    file = written(tmp_path, ('code: str = "none"', f"code: {pattern})]"))
    assert simulated(file) == 2
    said = capsys.readouterr().err
    assert "Order: no valid values can be made up (code: " in said
    assert "Field(examples=[...])" in said
    examples = f'code: {pattern}, examples=["ABC", "XYZ"])]'
    file = written(tmp_path, ('code: str = "none"', examples))
    assert simulated(file, "--events", "20", worlds=1) == 0
