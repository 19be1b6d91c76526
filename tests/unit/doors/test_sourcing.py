"""Files are published once, however often their publisher is killed.

The product's own publisher, stages and protocol, in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest

from headrace.app.sourcing import Files
from headrace.registry.kept import DONE, LEFT, OPEN
from headrace.registry.memory import MemoryRegistry
from headrace.schemas.errors import InputError, Refused
from tests.systems.histories import PLAN, ROWS, STEP_MS, Row, Run, fresh, history, whole, writer
from tests.systems.published import KilledError


@pytest.fixture
def files(tmp_path: Path) -> Callable[..., Files]:
    return writer(tmp_path)


# -- stopped, and begun again


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("step_ms", [None, STEP_MS])
def test_however_often_it_is_killed_nothing_is_doubled_and_nothing_lost(
    files: Callable[..., Files], seed: int, step_ms: int | None
) -> None:
    run, rng, rows = fresh(), Random(seed), history()
    given = files("whole", rows, rows)
    kills = 0
    while True:
        life = rng.randint(0, 200) if kills < 5 else None
        try:
            run.publish(given, step_ms=step_ms, life=life, rng=rng)
        except KilledError:
            kills += 1
        else:
            break
        run.flow.turn()
    outcome, wanted = run.outcome(), whole(files, step_ms=step_ms).outcome()
    repeated = [outcome["counts"].pop(f"repeated_{what}", 0) for what in ("event", "label")]
    assert outcome == wanted
    assert kills == 5
    assert sum(repeated) > 0


def test_where_the_registry_knows_nothing_the_log_decides(files: Callable[..., Files]) -> None:
    run, rows = fresh(), history()
    given = files("whole", rows, rows)
    run.publish(given)
    lost = Run(run.flow, MemoryRegistry(str))
    lost.publish(given)
    outcome = lost.outcome()
    assert outcome["counts"].pop("repeated_event") == ROWS
    assert outcome["counts"].pop("repeated_label") == sum(bool(row["broken"]) for row in rows)
    assert outcome == whole(files).outcome()


def test_what_was_published_whole_is_not_published_again(
    files: Callable[..., Files], capsys: pytest.CaptureFixture[str]
) -> None:
    run, rows = fresh(), history()
    given = files("whole", rows, rows)
    run.publish(given)
    labels = sum(bool(row["broken"]) for row in rows)
    sources = run.publish(given)
    assert sources.said()[1] == (
        f"{ROWS} events and {labels} labels were published before (--again would publish a whole"
        " file once more, as new events)."
    )
    assert run.outcome() == whole(files).outcome()


def test_again_means_all_rows_as_new_and_goes_on_itself(files: Callable[..., Files]) -> None:
    run, rows = fresh(), history()
    given = files("whole", rows, rows)
    run.publish(given)
    again = given._replace(again=True)
    for life in (150, 60, 80):
        with pytest.raises(KilledError):
            run.publish(again, life=life, rng=Random(life))
    run.publish(again)
    run.publish(given)
    outcome = run.outcome()
    assert set(outcome["predicted"].values()) == {2}
    assert outcome["counts"]["events"] == 2 * ROWS


def test_a_file_that_grew_goes_on(files: Callable[..., Files]) -> None:
    run, rows = fresh(), history()
    for end in (1, 60, 60, 130, ROWS):
        run.publish(files("grows", rows[:end], rows[:end]))
    assert run.outcome() == whole(files).outcome()


def test_two_at_once_are_one(files: Callable[..., Files]) -> None:
    """The second publishes all from the first row, since the registry knows of nothing yet."""
    run, rows = fresh(), history()
    given = files("whole", rows, rows)
    blind = Run(run.flow, MemoryRegistry(str))
    with pytest.raises(KilledError):
        run.publish(given, life=120)
    blind.publish(given)
    run.publish(given)
    outcome = run.outcome()
    assert outcome["counts"]["repeated_event"] > 0
    assert set(outcome["predicted"].values()) == {1}
    assert outcome["examples"] == whole(files).outcome()["examples"]


# -- edited


EDITS: dict[str, Callable[[list[Row]], list[Row]]] = {
    "changed": lambda rows: [*rows[:9], {**rows[9], "load": 7, "broken": "true"}, *rows[10:]],
    "first changed": lambda rows: [{**rows[0], "load": 7, "id": "other"}, *rows[1:]],
    "inserted first": lambda rows: [{**rows[0], "id": "new", "broken": "true"}, *rows],
    "taken out": lambda rows: [*rows[:5], *rows[9:]],
    "first taken out": lambda rows: rows[3:],
    "cut": lambda rows: rows[:20],
    "turned": lambda rows: rows[::-1],
}  # fmt: skip


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("of", ["events", "labels"])
def test_a_file_that_was_edited_is_refused(files: Callable[..., Files], edit: str, of: str) -> None:
    run, rows = fresh(), history()
    rows[9]["broken"] = "false"
    run.publish(files("f", rows[:120], rows[:120]))
    edited = EDITS[edit](rows)
    events, labels = (edited, rows) if of == "events" else (rows, edited)
    with pytest.raises(Refused, match=r"rows .* published before.*--again"):
        run.publish(files("f", events, labels))
    assert sum(run.outcome()["predicted"].values()) == 120
    run.publish(files("f", events, labels, again=True))
    assert sum(run.outcome()["predicted"].values()) >= 120 + len(events)


def test_another_file_of_the_same_name_is_another_source(files: Callable[..., Files]) -> None:
    run = fresh()
    for seed in (1, 2):
        rows = [{**row, "id": f"{seed}-{row['id']}"} for row in history(50, seed=seed)]
        run.publish(files("today", rows, rows))
    assert len(run.outcome()["predicted"]) == 100


def test_a_row_that_is_none_is_mended_and_the_rest_goes_on(files: Callable[..., Files]) -> None:
    run, rows = fresh(), history()
    with pytest.raises(InputError, match=r"line 122"):
        run.publish(files("f", [*rows[:120], {**rows[120], "load": "heavy"}, *rows[121:]], rows))
    run.publish(files("f", rows, rows))
    outcome = run.outcome()
    assert outcome["counts"].pop("repeated_event", 0) == 0
    assert outcome == whole(files).outcome()


# -- what is told


def test_what_another_file_does_to_this_one_is_told(
    files: Callable[..., Files], capsys: pytest.CaptureFixture[str]
) -> None:
    run, rows = fresh(), history()
    with pytest.raises(KilledError):
        run.publish(files("jan", rows[100:], rows[100:]), life=120, rng=Random(0))
    run.publish(files("dec", rows[:70], rows[:70]))
    told = capsys.readouterr().err
    assert "jan.csv was not published to its end" in told
    assert "dec.csv begins at 2024-05-01" in told
    assert "late" in told


def test_what_cannot_be_read_twice_is_published_once(
    files: Callable[..., Files], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace.app.sourcing._can_be_read_again", lambda path: False)
    run, rows = fresh(), history()
    sources = run.publish(files("pipe", rows, rows))
    assert "cannot be read twice" in sources.said()[-1]
    assert run.outcome() == whole(files).outcome()
    assert run.registry.sources(PLAN.topics.events, "t") == []


def test_states_in_the_registry(files: Callable[..., Files]) -> None:
    run, rows = fresh(), history()
    jan = files("jan", rows[:100], rows[:100], more=True)
    with pytest.raises(KilledError):
        run.publish(jan, life=150, rng=Random(1))
    ids = {
        name: run.flow.broker.topic_id(name) for name in (PLAN.topics.events, PLAN.topics.labels)
    }

    def states() -> list[str]:
        return [i.source.state for name, of in ids.items() for i in run.registry.sources(name, of)]

    assert states() == [OPEN, OPEN]
    run.publish(jan)
    assert states() == [DONE, LEFT]
    assert datetime.now(UTC) > run.registry.sources(*next(iter(ids.items())))[0].started_at
