"""``headrace replay``: files in memory, and what is said of them."""

from __future__ import annotations

import csv
import gzip
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.app.cli.main import main
from headrace.app.ordering import Order, check_order
from headrace.app.replaying import Files, replay_files, sentences
from headrace.app.sorting import sorted_by_time
from headrace.schemas.errors import InputError, ServiceError
from headrace.streams.load import load_pipeline
from headrace.streams.ordering import Ordering
from headrace.streams.outgoing import Outgoing
from headrace.streams.plan import Plan, plan_of
from headrace.streams.replay import replay
from headrace.streams.rows import Reading, read_rows

ROOT = Path(__file__).parents[3]
FLIGHTS = ROOT / "examples" / "flights" / "pipeline.py"
WEEK = ROOT / "data" / "flights_nyc13_week.csv.gz"
ROWS = 400


@pytest.fixture(scope="module")
def plan() -> Plan:
    return plan_of(load_pipeline(FLIGHTS))


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with gzip.open(WEEK, "rt") as week:
        rows = [next(week) for _ in range(ROWS + 1)]
    path = tmp_path_factory.mktemp("history") / "flights.csv"
    path.write_text("".join(rows))
    return path


@pytest.fixture(autouse=True)
def fixed_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "0")  # as `make test` has it: the command begins anew else


def backwards(history: Path) -> Path:
    header, *rows = history.read_text().splitlines()
    path = history.with_name("backwards.csv")
    path.write_text("\n".join([header, *reversed(rows)]))
    return path


def command(*words: object) -> int:
    return main(["replay", str(FLIGHTS), "--step", "1h", *map(str, words)])


def test_it_is_the_replay_of_the_same_rows(
    plan: Plan, history: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels: Any = plan.pipeline.labels
    rows = list(read_rows(history, plan.pipeline.events.event))
    known = list(read_rows(history, labels.label, unless_blank=labels.value))
    result = replay(plan.pipeline, rows, known, step="1h")
    assert command("--events", history, "--labels", history, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["summary"] == dict(result.summary)
    assert report["predictions"] == len(result.predictions) == ROWS
    assert report["examples"] == len(result.examples)
    assert report["rows"]["labels"]["passed"] == ROWS - len(known)
    assert (report["order"], report["dead_letters"]) == (None, {})


def test_people_see_quality_beside_baselines_and_what_was_read(
    history: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("--events", history, "--labels", history) == 0
    said = capsys.readouterr().out
    for part in ("AUC", "log loss", "accuracy", "served model", "majority", "left late"):
        assert part in said
    assert f"{ROWS} events gave {ROWS} predictions and 0 dead letters in " in said
    assert ", in slices of 1h." in said
    assert "Each label was learned when it was known: p50 " in said
    assert f"Read {history}: {ROWS} rows on {ROWS + 1} lines; " in said


def test_an_order_that_is_no_historys_is_refused_sorted_or_taken_as_it_is(
    history: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = backwards(history)
    assert command("--events", path, "--labels", history) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert f"headrace: {path} is not in order of time: line " in said.err
    assert "Nothing was done. Say --sort to take them by their times, or --as-is" in said.err
    found = []
    for words in (["--sort"], ["--as-is"]):
        assert command("--events", path, "--labels", history, "--json", *words) == 0
        found.append(json.loads(capsys.readouterr().out))
    assert command("--events", history, "--labels", history, "--json", "--sort") == 0
    in_order = json.loads(capsys.readouterr().out)
    assert found[0]["examples"] == in_order["examples"] > 300
    assert found[1]["examples"] < 50
    assert command("--events", path, "--sort", "--as-is") == 2
    assert "--sort and --as-is exclude each other" in capsys.readouterr().err


def test_few_late_events_are_warned_of(history: Path, capsys: pytest.CaptureFixture[str]) -> None:
    header, *rows = history.read_text().splitlines()
    path = history.with_name("few.csv")
    path.write_text("\n".join([header, *rows[1:], rows[0]]))
    assert command("--events", path) == 0
    said = capsys.readouterr()
    assert f"headrace: {path} is not in order of time: line {ROWS + 1} is " in said.err
    assert ". --sort takes them by their times.\n" in said.err
    assert "1 events came too late for their entity's past" in said.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--step", "soon"], "headrace: --step: 'soon' is not a duration"),
        (["--delimiter", "tab"], "its cells seem to stand between ',', not 'tab'"),
        (["--encoding", "utf-16"], "no utf-16"),
        (["--delimiter", ";;"], "is not one character"),
        (["--partitions", "0"], "greater than or equal to 1"),
    ],
)
def test_what_cannot_be_used_is_said(
    history: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("--events", history, *words) == 2
    assert said in capsys.readouterr().err


def test_labels_for_a_pipeline_that_takes_none_are_refused(history: Path) -> None:
    pumps = plan_of(load_pipeline(ROOT / "examples" / "pumps" / "pipeline.py"))
    files = Files(history, history, order=Order.AS_IS)
    with pytest.raises(InputError, match="takes no labels from a topic, so --labels"):
        replay_files(pumps, files, step=None, partitions=1, say=lambda *_: None)


def test_an_anomaly_detector_without_labels_has_no_quality_to_show(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "pumps.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file, delimiter="|")
        rows.writerow(["id", "pump", "at", "pressure_bar", "temperature_c"])
        rows.writerows([f"p{n}", "a", f"2024-05-01T00:{n:02}:00Z", 5, 40] for n in range(60))
    pumps = ROOT / "examples" / "pumps" / "pipeline.py"
    assert main(["replay", str(pumps), "--events", str(path), "--delimiter", "|"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("60 events gave 60 predictions and 0 dead letters in ")
    assert "labels" not in said


def test_dead_letters_are_said_by_reason(plan: Plan, tmp_path: Path) -> None:
    function = tmp_path / "pipeline.py"
    function.write_text(
        "from datetime import datetime\n"
        "from river import linear_model\n"
        "from headrace import Event, InEvent, Pipeline, Source, apply\n"
        "class Ride(Event):\n    ride: str\n    at: datetime\n    km: float\n    long: bool\n"
        "def inverse(km: float) -> float:\n    return 1 / km\n"
        "p = Pipeline(name='p', events=Source(Ride, id='ride', key='ride', time='at'),\n"
        "    labels=InEvent('long'), features=[apply(inverse, 'km')],\n"
        "    model=linear_model.LogisticRegression())\n"
    )
    rides = plan_of(load_pipeline(function))
    lines = [f"r{n},2024-05-01T00:{n:02}:00Z,{n % 3},{n % 2}" for n in range(9)]
    path = tmp_path / "rides.csv"
    path.write_text("\n".join(["ride,at,km,long", *lines]))
    files = Files(path)
    report = replay_files(rides, files, step=None, partitions=2, say=lambda *_: None)
    assert report.dead_letters == {"feature_failed": 3}
    assert "6 predictions and 3 dead letters (3 feature_failed) in" in sentences(report, files)[0]


def test_what_can_be_read_once_only_is_not_looked_at(plan: Plan) -> None:
    ordering = Ordering(plan)
    assert check_order(plan, Path("/dev/stdin"), Reading(), ordering, lambda _: None) is None
    assert ordering.events == 0


# -- sorting


TIMES = st.integers(-5, 5) | st.integers(-(2**62), 2**62)
PARTS = st.tuples(
    TIMES,
    st.booleans(),
    st.binary(max_size=3),
    st.binary(max_size=3),
    st.none() | st.integers(1, 9),
)
RECORDS = st.lists(PARTS.map(lambda parts: Outgoing(*parts)))


@settings(deadline=None)
@given(RECORDS)
def test_sorting_is_stable_and_keeps_all(records: list[Outgoing]) -> None:
    assert list(sorted_by_time(records)) == sorted(records, key=lambda record: record.time_ms)


def test_sorting_leaves_nothing_behind_and_says_what_it_lacks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    some = sorted_by_time(Outgoing(-n, False, b"", b"x" * 100) for n in range(30_000))
    assert next(some).time_ms == -29_999
    some.close()  # type: ignore[attr-defined]

    monkeypatch.setattr(sqlite3, "connect", lambda _: _Full())
    with pytest.raises(ServiceError, match="could not be sorted: database or disk is full"):
        list(sorted_by_time([]))


class _Full:
    def execute(self, *_: Any) -> Any:
        raise sqlite3.OperationalError("database or disk is full")

    def close(self) -> None: ...
