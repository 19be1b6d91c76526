"""``headrace check``: how values are read, and classes that are read otherwise than written."""

from pathlib import Path

import pytest

from headrace.app.cli import failures
from headrace.app.cli.main import main

UNFAITHFUL = """
from datetime import datetime
from river import linear_model
from headrace import Event, InEvent, Pipeline, Source, value
from pydantic import Field, field_validator

class Order(Event):
    id: str
    at: datetime
    price: float
    returned: bool

    @field_validator("price")
    @classmethod
    def cents(cls, price: float) -> float:
        return price * 100

class Coded(Event):
    id: str = Field(alias="orderId", pattern="^[A-Z]{3}$")
    at: datetime
    price: float
    returned: bool

def pipeline(name, model):
    return Pipeline(
        name=name, events=Source(model, id="id", key="id", time="at", format="avro"),
        features=[value("price")], model=linear_model.LogisticRegression(),
        labels=InEvent("returned"),
    )

one = pipeline("one", Order)
"""


def test_check_refuses_a_class_that_is_read_otherwise_than_it_was_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "unfaithful.py"
    file.write_text(UNFAITHFUL)
    assert main(["check", str(file)]) == failures.UNUSABLE
    said = " ".join(capsys.readouterr().err.split())
    assert "headrace: one: Order.price is " in said
    assert "leave alone what it has already changed, or put its result into a field" in said
    assert "unfaithful.py, line 25)" in said


def test_check_says_how_values_are_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "coded.py"
    file.write_text(UNFAITHFUL.replace('"one", Order', '"one", Coded'))
    assert main(["check", str(file)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    for part in (
        "microseconds or nanoseconds since 1970 in the years 1991 to 2199",
        "Coded in avro not tried, Coded: no valid values can be made up (orderId: String should",
        "Say some: Field(examples=[...]).",
        "murmur2_random",
        "of the topic _headrace-schemas, not of another schema registry",
    ):
        assert part in said
