"""JOIN's law, over all interleavings of short logs, against the predicate by brute force."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.streams.stages.due import Heaps, Index, Pages
from headrace.streams.stages.matching import Arrival, Matching, Rules, fresh_clocks
from tests.unit.stages.interleaving import Entry, Logs, brute_force, interleavings, logs


class MemoryView:
    """States in a dictionary, live, as a stage sees them."""

    def __init__(self) -> None:
        self.states: dict[str, Any] = {}

    def get(self, key: str) -> Any:
        return self.states.get(key)

    def put(self, key: str, state: Any) -> None:
        if state is None:
            self.states.pop(key, None)
        else:
            self.states[key] = state

    def items(self) -> Iterable[tuple[str, Any]]:
        return sorted(self.states.items())


class Fold(NamedTuple):
    examples: Counter[tuple[int, int]]
    counts: Counter[tuple[str, int]]
    state: Any
    waiting: tuple[int, int]
    settled: int | None


def heaps() -> Index:
    return Heaps()


def pages() -> Index:
    """Return an index with so small leaves and pages that few entries fill several."""
    return Pages(span=2)


INDICES = pytest.mark.parametrize("index", [heaps, pages])


def fold(
    logs: Logs,
    order: Sequence[bool],
    collect_at: Iterable[int] | None = None,
    index: Callable[[], Index] = heaps,
) -> Fold:
    """Run JOIN's law over one interleaving: True takes the next prediction."""
    matching, view = Matching(logs.rules, index()), MemoryView()
    clocks = fresh_clocks(*logs.sources)
    matching.begin(view)
    examples: Counter[tuple[int, int]] = Counter()
    counts: Counter[tuple[str, int]] = Counter()
    feeds: dict[bool, Iterator[Entry]] = {True: iter(logs.predictions), False: iter(logs.labels)}
    collected = set(range(len(order)) if collect_at is None else collect_at)
    for step, side in enumerate(order):
        arrival, label = next(feeds[side])
        if label is None:
            prediction = str(arrival.offset).encode()
            outcome = matching.event(view, clocks, arrival, prediction)
        else:
            state = [arrival.offset, arrival.time_ms, label, arrival.source, 0]
            outcome = matching.label(view, clocks, arrival, state)
        counts.update(outcome.counts)
        if outcome.match is not None:
            examples[int(outcome.match.prediction), outcome.match.label[0]] += 1
        if step in collected or step == len(order) - 1:
            counts.update(matching.collect(view, clocks))
    matching.finish(view)
    waiting = (matching.events_waiting, matching.labels_waiting)
    reloaded = Matching(logs.rules, index())
    reloaded.load(view)
    assert (reloaded.events_waiting, reloaded.labels_waiting) == waiting
    assert reloaded.firsts_kept == matching.firsts_kept == kept(view)
    assert list(reloaded.collect(view, clocks)) == []
    final: Any = copy.deepcopy([sorted(view.states.items()), clocks])
    return Fold(examples, counts, final, waiting, matching.settled(clocks))


def kept(view: MemoryView) -> int:
    return sum(len(state[0]) for key, state in view.items() if key.startswith("i:"))


def check(logs: Logs, index: Callable[[], Index]) -> None:
    examples, counts, settled = brute_force(logs)
    states = []
    for order in interleavings(logs):
        result = fold(logs, order, index=index)
        assert result.examples == examples
        assert +result.counts == counts
        assert result.settled == (None if settled == float("-inf") else settled)
        states.append((result.state, result.waiting, result.settled))
        rarely = fold(logs, order, range(0, len(order), 3), index)
        assert rarely == result
    assert all(state == states[0] for state in states)


@INDICES
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(logs=logs(st.sampled_from([0, 1, 3, 4, 5, 5])))
def test_every_interleaving_of_two_logs_has_one_outcome(
    index: Callable[[], Index], logs: Logs
) -> None:
    check(logs, index)


@pytest.mark.slow
@INDICES
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(logs=logs(st.just(6)))
def test_every_interleaving_of_six_and_six(index: Callable[[], Index], logs: Logs) -> None:
    check(logs, index)


def arrival(event_id: str, offset: int, time_ms: int, watermark: int | None = None) -> Arrival:
    return Arrival(event_id, offset, time_ms, 0, watermark)


def test_a_watermark_that_went_back_makes_a_label_late_and_no_second_outcome() -> None:
    matching, view, clocks = Matching(Rules(10, 0, 0)), MemoryView(), fresh_clocks(1, 1)
    matching.event(view, clocks, arrival("a", 0, 100), b"")
    matching.label(view, clocks, arrival("b", 0, 500, 500), [0, 500, True, 0, 0])
    assert list(matching.collect(view, clocks)) == [("expired", 100)]
    outcome = matching.label(view, clocks, arrival("a", 1, 105, 50), [1, 105, True, 0, 1])
    assert outcome == ([("late_label", 105)], None)


def test_collecting_costs_what_leaves() -> None:
    """A thousand wait; a batch that lets nothing go looks at none of them."""
    matching, clocks = Matching(Rules(10_000, 0, 0)), fresh_clocks(1, 1)
    asked: list[str] = []

    class Asking(MemoryView):
        def get(self, key: str) -> Any:
            asked.append(key)
            return super().get(key)

    view = Asking()
    for number in range(1_000):
        matching.event(view, clocks, arrival(f"e{number}", number, number), b"")
    matching.label(view, clocks, arrival("x", 0, 9_000, 9_000), [0, 9_000, True, 0, 0])
    asked.clear()
    assert list(matching.collect(view, clocks)) == []
    assert asked == []
    matching.label(view, clocks, arrival("y", 1, 10_003, 10_003), [1, 10_003, True, 0, 1])
    asked.clear()
    assert [time for _, time in matching.collect(view, clocks)] == [0, 1, 2]
    assert len(asked) == 3
