"""What ``check`` says of features that may be known only with the label."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from headrace.app.cli.main import main

FILE = """
from datetime import datetime
from river import linear_model
from headrace import Event, InEvent, Labels, Pipeline, Source, category, value

class Loan(Event):
    id: str
    town: str
    at: datetime
    sum: float
    days_overdue: float | None = None
    defaulted_on: float | None = None
    status: str = "open"
    lost: bool = False

class Fate(Event):
    id: str
    at: datetime
    defaulted: bool
    status: str

loans = Pipeline(
    name="loans",
    events=Source(Loan, id="id", key="town", time="at"),
    labels={labels},
    features=[{features}],
    model={model},
)
"""
LABELS = 'Labels(Fate, id="id", value="defaulted", time="at", wait="30d")'
LOGISTIC = "linear_model.LogisticRegression()"


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("HEADRACE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")
    return tmp_path


def checked(home: Path, capsys: pytest.CaptureFixture[str], *options: str, **parts: str) -> str:
    path = home / "pipeline.py"
    usual = {"labels": LABELS, "features": 'value("sum")', "model": LOGISTIC}
    path.write_text(FILE.format(**{**usual, **parts}))
    main(["check", str(path), *options])
    said = capsys.readouterr()
    return " ".join((said.out + said.err).split())


def files(home: Path, number: int = 300) -> list[str]:
    rng = Random(4)
    with (home / "loans.jsonl").open("w") as events, (home / "fates.jsonl").open("w") as labels:
        for n in range(number):
            at = datetime(2024, 5, 1, tzinfo=UTC) + timedelta(hours=n)
            lost = rng.random() < 0.3
            row = {
                "id": f"l{n}", "town": "t", "at": at.isoformat(), "sum": rng.gauss(9, 1),
                "days_overdue": rng.uniform(30, 99) if lost else rng.uniform(0, 3), "lost": lost,
            }  # fmt: skip
            events.write(json.dumps(row) + "\n")
            fate = {"id": row["id"], "defaulted": lost, "status": "closed"}
            labels.write(json.dumps({**fate, "at": (at + timedelta(days=9)).isoformat()}) + "\n")
    return ["--events", str(home / "loans.jsonl"), "--labels", str(home / "fates.jsonl")]


def test_what_the_label_has_too_is_asked_about(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = checked(home, capsys, features='value("sum", "defaulted_on"), category("status")')
    assert "leak? feature status reads 'status', which the label has too: is it known when" in said
    assert "leak? feature defaulted_on reads 'defaulted_on', whose name has the label's in" in said
    assert "feature sum" not in said
    assert "leak?" not in checked(home, capsys, labels='InEvent("lost")')
    anomalies = {"labels": "None", "model": "anomaly.HalfSpaceTrees(seed=1)"}
    path = home / "pipeline.py"
    path.write_text(
        FILE.format(features='value("sum")', **anomalies).replace(
            "import linear_model", "import anomaly"
        )
    )
    assert main(["check", str(path)]) == 0
    assert "leak?" not in capsys.readouterr().out


def test_a_sample_shows_what_alone_orders_the_labels(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = files(home)
    features = 'value("sum", "days_overdue")'
    said = checked(home, capsys, *options, features=features)
    assert "loans: leak? each alone orders the labels: days_overdue (AUC 1.000)" in said
    said = checked(home, capsys, *options)
    assert "loans: no feature alone orders the labels of 300 events." in said
    said = checked(home, capsys, *options[:2], features=features, labels='InEvent("lost")')
    assert "leak? each alone orders the labels: days_overdue" in said


def test_where_nothing_can_be_said_the_reason_is(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = files(home, 30)
    assert "30 labels are too few, or of one class, to look for leaks" in checked(
        home, capsys, *options
    )
    assert "its labels are on a topic of their own. Give --labels." in checked(
        home, capsys, *options[:2]
    )
    numbers = {"labels": 'InEvent("sum")', "model": "linear_model.LinearRegression()"}
    said = checked(home, capsys, *options[:2], features='category("town")', **numbers)
    assert "a label that is a number is not looked at for leaks" in said
