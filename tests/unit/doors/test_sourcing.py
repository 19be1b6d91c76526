"""Files are published once, however often their publisher is killed, and in however many parts.

The product's own publisher, stages and protocol, in memory.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest

from headrace.app.sourcing import Files
from headrace.registry.kept import DONE, LEFT, OPEN
from headrace.registry.memory import MemoryRegistry
from headrace.schemas.counts import counted
from headrace.schemas.errors import InputError, Refused
from headrace.streams.plan import plan_of
from headrace.streams.records import WATERMARK
from headrace.streams.replay import parts_in_memory
from headrace.streams.twins.flow import MemoryFlow
from tests.systems.published import NOW_MS, KilledError, publish
from tests.unit.stages.flow import START, START_MS, pipeline

ROWS = 200
STEP_MS = 1_800_000
PLAN = plan_of(pipeline())

Row = dict[str, Any]


class Run(NamedTuple):
    """A flow that files are published to, and the registry that mirrors them."""

    flow: MemoryFlow
    registry: MemoryRegistry

    def publish(self, files: Files, **how: Any) -> Any:
        return publish(self.flow, self.registry, files, **how)

    def outcome(self) -> dict[str, Any]:
        """Return what came of all that was published, apart from where it lay in the logs."""
        self.flow.turn()
        self._let_time_pass()
        self.flow.finish()
        topics, codecs = self.flow.plan.topics, self.flow.parts.codecs
        counts: Counter[str] = Counter()
        for record in self.flow.history(topics.counts):
            said = codecs.count.decode(record.value)
            assert isinstance(said, dict)
            for _, segment, name, n in counted(said):
                if segment == "all" and not name.startswith(MODELS) and ":" not in name:
                    counts[name] += n
        names = ("event_id", "label", "label_time")
        return {
            "predicted": Counter(e["event_id"] for e in self._of(topics.predictions)),
            "examples": Counter(tuple(e[n] for n in names) for e in self._of(topics.examples)),
            "letters": Counter(e["reason"] for e in self._of(topics.dead_letters)),
            "counts": +counts,
        }

    def _let_time_pass(self) -> None:
        """Have somebody promise that a year has passed: then nothing waits any more."""
        topics, broker = self.flow.plan.topics, self.flow.broker
        promise = ((WATERMARK, str(START_MS + 365 * 86_400_000).encode()),)
        for name in (topics.events, topics.labels):
            for number in range(broker.partition_count(name)):
                broker.append((name, number), None, None, headers=promise, timestamp_ms=NOW_MS)
        self.flow.turn()

    def predictions(self) -> list[tuple[Any, ...]]:
        names = ("event_id", "score", "watermark", "features", "late")
        return sorted(
            tuple(str(e[name]) for name in names)
            for e in self._of(self.flow.plan.topics.predictions)
        )

    def _of(self, topic: str) -> list[dict[str, Any]]:
        topics, codecs = self.flow.plan.topics, self.flow.parts.codecs
        codec = {
            topics.predictions: codecs.prediction,
            topics.examples: codecs.example,
            topics.dead_letters: codecs.dead_letter,
        }[topic]
        found = [codec.decode(record.value) for record in self.flow.history(topic)]
        return [each for each in found if isinstance(each, dict)]


MODELS = ("scored", "unscored", "outcome.", "fresh.", "regret.", "baseline.")
"""How counts begin that depend on which model answered: on chance, when published flat out."""


def fresh(partitions: int = 2) -> Run:
    return Run(MemoryFlow(parts_in_memory(PLAN, partitions)), MemoryRegistry(str))


def history(rows: int = ROWS, *, seed: int = 1) -> list[Row]:
    """Return rows of events with what became of them up to an hour later; of some never."""
    rng, now, found = Random(seed), START, []
    for number in range(rows):
        now += timedelta(seconds=rng.randrange(240))
        known = now + timedelta(minutes=rng.uniform(1, 59))
        label = rng.choice(["true", "false", "false", ""])
        found.append(
            {"id": f"e{number}", "machine": f"m{rng.randrange(4)}", "at": now.isoformat(),
             "load": rng.randrange(1, 900), "known": known.isoformat(), "broken": label}
        )  # fmt: skip
    return found


def write(path: Path, rows: Iterable[Row], columns: Sequence[str]) -> Path:
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow([name.partition("=")[0] for name in columns])
        table.writerows([[row[name.rpartition("=")[2]] for name in columns] for row in rows])
    return path


EVENT = ("id", "machine", "at", "load")
LABEL = ("id", "at=known", "broken")


@pytest.fixture
def files(tmp_path: Path) -> Callable[..., Files]:
    """Writes rows as a file of events and one of labels."""

    def make(name: str, events: Iterable[Row], labels: Iterable[Row], **how: Any) -> Files:
        return Files(
            write(tmp_path / f"{name}.csv", events, EVENT),
            write(tmp_path / f"{name}-labels.csv", labels, LABEL),
            **how,
        )

    return make


def whole(files: Callable[..., Files], partitions: int = 2, **how: Any) -> Run:
    run, rows = fresh(partitions), history()
    run.publish(files("whole", rows, rows), **how)
    return run


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


# -- seams


def by_event(rows: list[Row], at: int) -> list[tuple[list[Row], list[Row]]]:
    """Cut a history where rows stand: labels stand with their events."""
    return [(rows[:at], rows[:at]), (rows[at:], rows[at:])]


def by_moment(rows: list[Row], at: int) -> list[tuple[list[Row], list[Row]]]:
    """Cut a history at a moment: labels stand in the file of the time when they became known."""
    moment = rows[at]["at"]
    early = [row for row in rows if row["known"] < moment]
    return [(rows[:at], early), (rows[at:], [row for row in rows if row["known"] >= moment])]


@pytest.mark.parametrize("cut", [by_event, by_moment])
@pytest.mark.parametrize("at", [2, 100, 101, ROWS - 1])
@pytest.mark.parametrize("more", [False, True])
@pytest.mark.parametrize("step_ms", [None, STEP_MS])
def test_a_history_in_two_files_is_as_good_as_in_one(
    files: Callable[..., Files], cut: Any, at: int, more: bool, step_ms: int | None
) -> None:
    run, rows = fresh(), history()
    for number, (events, labels) in enumerate(cut(rows, at)):
        goes_on = more and number == 0
        run.publish(files(f"part{number}", events, labels, more=goes_on), step_ms=step_ms)
    one = whole(files, step_ms=step_ms)
    assert run.outcome() == one.outcome()


@pytest.mark.parametrize("cut", [by_event, by_moment])
@pytest.mark.parametrize("number", [1, 5, 9])
def test_labels_that_are_left_are_learned_neither_sooner_nor_later(
    files: Callable[..., Files], cut: Any, number: int
) -> None:
    """In step the models of two files are those of one, if each slice is in one file.

    Of one partition: of several, examples of a slice have no order among them.
    """
    run, rows = fresh(1), history()
    (first, second) = cut(rows, firsts_of_slices(rows)[number])
    run.publish(files("jan", *first, more=True), step_ms=STEP_MS)
    run.publish(files("feb", *second), step_ms=STEP_MS)
    one = whole(files, 1, step_ms=STEP_MS)
    assert run.predictions() == one.predictions()
    assert run.outcome() == one.outcome()


def firsts_of_slices(rows: list[Row]) -> list[int]:
    numbers = [int(datetime.fromisoformat(r["at"]).timestamp() * 1000) // STEP_MS for r in rows]
    return [at for at in range(1, len(rows)) if numbers[at] != numbers[at - 1]]


@pytest.mark.parametrize("more", [False, True])
def test_a_history_in_many_files(files: Callable[..., Files], more: bool) -> None:
    run, rows = fresh(1), history()
    cuts = [each for number, each in enumerate(firsts_of_slices(rows)) if number % 3 == 0]
    for start, end in pairwise([0, *cuts, ROWS]):
        goes_on = more and end < ROWS
        run.publish(
            files(f"from{start}", rows[start:end], rows[start:end], more=goes_on), step_ms=STEP_MS
        )
    one = whole(files, 1, step_ms=STEP_MS)
    assert run.outcome() == one.outcome()
    assert not more or run.predictions() == one.predictions()


def test_labels_that_are_left_wait_for_their_turn_through_kills(
    files: Callable[..., Files],
) -> None:
    run, rows = fresh(), history()
    (first, second) = by_event(rows, 100)
    said = run.publish(files("jan", *first, more=True)).said()[1]
    assert "labels after the last event (2024-05-01" in said
    feb = files("feb", *second)
    for life in (1, 30, 130):
        with pytest.raises(KilledError):
            run.publish(feb, life=life, rng=Random(life))
    run.publish(feb)
    outcome = run.outcome()
    for what in ("event", "label"):
        outcome["counts"].pop(f"repeated_{what}", None)
    assert outcome == whole(files).outcome()


def test_labels_that_are_left_and_not_there_any_more_are_missed(
    files: Callable[..., Files],
) -> None:
    run, rows = fresh(), history()
    (first, second) = by_event(rows, 100)
    jan = files("jan", *first, more=True)
    run.publish(jan)
    assert jan.labels is not None
    jan.labels.rename(jan.labels.with_name("moved.csv"))
    feb = files("feb", *second)
    with pytest.raises(Refused, match=r"jan-labels.csv is not there any more, of which \d+ labels"):
        run.publish(feb)
    run.publish(jan._replace(labels=jan.labels.with_name("moved.csv"), more=False))
    run.publish(feb)
    assert run.outcome() == whole(files).outcome()


def test_labels_that_are_left_come_with_the_end_of_their_own_file(
    files: Callable[..., Files],
) -> None:
    run, rows = fresh(), history()
    given = files("whole", rows, rows, more=True)
    run.publish(given)
    run.publish(given)
    run.publish(given._replace(more=False))
    assert run.outcome() == whole(files).outcome()


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
    (first, _) = by_event(rows, 100)
    jan = files("jan", *first, more=True)
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
