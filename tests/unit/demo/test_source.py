"""What the demo publishes."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from headrace.app.demo.show import Options, step_of
from headrace.app.demo.source import History, history_of, pipeline_file, week_file, year_file
from headrace.schemas.errors import InputError, SettingsError
from headrace.streams.load import load_pipeline
from headrace.streams.plan import Plan, plan_of


@pytest.fixture(scope="module")
def plan() -> Plan:
    return plan_of(load_pipeline(pipeline_file()))


def test_the_week_is_whole_and_in_order(plan: Plan) -> None:
    history = history_of(plan, week_file())
    records = list(history.records)
    assert sum(not record.is_label for record in records) == 5_155
    assert sum(record.is_label for record in records) == 5_139
    times = [record.time_ms for record in records]
    assert times == sorted(times)
    assert (history.first_ms, history.last_ms) == (times[0], times[-1])
    assert history.share(history.last_ms) == 1.0


def test_until_leaves_out_what_happened_later_labels_too(plan: Plan) -> None:
    until = datetime(2013, 2, 5)  # noqa: DTZ001 - as the command line hands it on: UTC is meant
    history = history_of(plan, week_file(), until)
    records = list(history.records)
    end_ms = round(until.replace(tzinfo=UTC).timestamp() * 1000)
    assert sum(not record.is_label for record in records) == 908
    assert sum(record.is_label for record in records) == 705
    assert max(record.time_ms for record in records) < end_ms == history.last_ms


def test_until_before_the_first_event_is_refused_by_name(plan: Plan) -> None:
    with pytest.raises(SettingsError, match="--until"):
        history_of(plan, week_file(), datetime(2012, 1, 1, tzinfo=UTC))


def test_share() -> None:
    history = History(iter(()), 100, 300)
    assert [history.share(t) for t in (None, 0, 100, 200, 300, 900)] == [0, 0, 0, 0.5, 1, 1]


def test_an_installed_package_says_in_a_sentence_that_the_data_are_not_in_it(
    tmp_path: Path,
) -> None:
    with pytest.raises(SettingsError, match=r"clone the repository and run `make demo`"):
        pipeline_file(tmp_path)


def test_a_year_that_was_built_is_used_again(tmp_path: Path) -> None:
    (tmp_path / "flights_nyc13.csv.gz").write_bytes(b"built before")
    said: list[str] = []
    found = year_file(lambda what, _: said.append(what), folder=tmp_path)
    assert found == tmp_path / "flights_nyc13.csv.gz"
    assert not said


def test_slices() -> None:
    assert step_of(Options()) == 30 * 60_000
    assert step_of(Options(year=True)) == 60 * 60_000
    assert step_of(Options(year=True, in_step="10m")) == 10 * 60_000
    with pytest.raises(InputError, match="--in-step"):
        step_of(Options(in_step="soon"))
