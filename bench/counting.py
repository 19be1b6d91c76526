"""What counting costs the stages: each of them with and without, in turn, in one process.

Without, a stage's tally takes nothing in and its record of counts is not written; all else is the
same. Batches are those of 20,000 events a second: what comes between two commits of SCORE (15 ms)
and of the others (50 ms); tiles are a week, so that a batch is of one or two, as it is at that
rate. Run with ``.venv/bin/python -m bench.counting``.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from time import process_time
from typing import Any, NamedTuple

from bench.monitor import EVENTS_PER_SECOND, OTHERS_MS, SCORE_MS
from bench.stages import PARTITIONS, ROOT, Timed, emitted, inputs_of, joined, last_state, learner
from headrace.schemas.codec import Codec
from headrace.schemas.records import numbered_codecs
from headrace.streams.load import load_pipeline
from headrace.streams.model import fresh_served, served_from
from headrace.streams.observe import Observer, Tally
from headrace.streams.pipeline import Pipeline
from headrace.streams.plan import Plan, plan_of
from headrace.streams.protocol.cache import Cache
from headrace.streams.protocol.stage import Context, Stage
from headrace.streams.records import Record
from headrace.streams.stages import output
from headrace.streams.stages.join import JoinStage
from headrace.streams.stages.route import RouteStage
from headrace.streams.stages.score import ScoreStage

FEW, MANY = (EVENTS_PER_SECOND * ms // 1_000 for ms in (SCORE_MS, OTHERS_MS))
REPEAT = 5


class _Silent(Tally):
    """A tally that counts nothing."""

    def count(self, *_: Any, **__: Any) -> None:
        """Do nothing."""

    def defer(self, *_: Any) -> None:
        """Do nothing."""

    def record(self, *_: Any) -> None:
        """Return that there is nothing."""


class Cost(NamedTuple):
    """CPU of a stage in microseconds per event.

    Attributes
    ----------
    without
        If nothing is counted.
    counting
        How much more it is if it is.
    """

    without: float
    counting: float


@contextmanager
def silence() -> Iterator[None]:
    """Have stages count nothing meanwhile."""
    before, output.Tally = output.Tally, _Silent  # type: ignore[misc]  # on purpose
    try:
        yield
    finally:
        output.Tally = before  # type: ignore[misc]  # same


def cost_of(
    make: Callable[[], Stage], feed: Sequence[Record], context: Context, batch: int, events: int
) -> tuple[Cost, Timed]:
    """Return what a stage costs, the median of some runs, and a run of it that counts.

    Two of it go side by side, batch by batch: so what else the machine does befalls both.
    """
    found = []
    for _ in range(REPEAT):
        counting, silent = Timed(""), Timed("")
        one, other = make(), make()
        caches = Cache(1_000_000, whole=True), Cache(1_000_000, whole=True)
        one.load(caches[0])
        other.load(caches[1])
        for start in range(0, len(feed), batch):
            part = feed[start : start + batch]
            counting.step(one, part, caches[0], context, start)
            with silence():
                silent.step(other, part, caches[1], context, start)
        spent = [sum(timed.seconds.values()) * 1e6 / events for timed in (silent, counting)]
        found.append(Cost(spent[0], spent[1] - spent[0]))
    return sorted(found, key=lambda cost: cost.counting)[REPEAT // 2], counting


def counting_costs(pipeline: Pipeline) -> dict[str, Cost]:
    """Return what counting costs each stage, over the flights of the week."""
    plan = plan_of(replace(pipeline, monitor=replace(pipeline.monitor, windows=["7d"])))
    codecs, topics = numbered_codecs(plan.schemas), plan.topics
    events, labels = inputs_of(plan)
    found = {}

    def measured(make: Callable[[], Stage], feed: list[Record], batch: int, **with_: Any) -> Timed:
        name = make().name
        found[name], timed = cost_of(make, feed, Context(**with_), batch, len(events))
        return timed

    def scorer() -> Stage:
        return ScoreStage(plan, codecs, 0, PARTITIONS)

    first = Timed("")
    first.run(scorer(), events, Context(model=fresh_served(plan, 1)), FEW)
    predictions = emitted(first.emits, topics.predictions)
    route = measured(lambda: RouteStage(plan, codecs, 0, PARTITIONS), labels, MANY)
    pairs = joined(plan, predictions, emitted(route.emits, topics.labels_routed))
    join = measured(lambda: JoinStage(plan, codecs, 0, PARTITIONS), pairs, 2 * MANY)
    examples = emitted(join.emits, topics.examples)
    learn = measured(lambda: learner(plan, codecs), examples, MANY)
    state = last_state(codecs, learn.emits, topics.models)
    taught = served_from(plan, 1, len(examples), state, pickle.loads)
    measured(scorer, events, FEW, model=taught)
    return found


def columns_us(plan: Plan) -> float:
    """Return what ten features cost in SCORE's counts, per event: the fastest of some runs."""
    codecs = numbered_codecs(plan.schemas)
    events, _ = inputs_of(plan)
    timed = Timed("")
    model = fresh_served(plan, 1)
    timed.run(ScoreStage(plan, codecs, 0, PARTITIONS), events, Context(model=model), FEW)
    decoded = (codecs.prediction.decode(emit.value) for emit in timed.emits)
    predictions = [each for each in decoded if isinstance(each, dict)]
    for each in predictions:
        each["event_time"] = 0  # a batch is of one tile
    bare = [{**each, "features": {}} for each in predictions]
    whole, none = Observer(plan), Observer(plan)
    none._columns = []  # noqa: SLF001 - it cannot be had otherwise
    spent = [
        _counted_s(whole, predictions, codecs.count) - _counted_s(none, bare, codecs.count)
        for _ in range(REPEAT)
    ]
    return min(spent) * 1e7 / len(predictions) / len(plan.feature_fields)


def _counted_s(observer: Observer, predictions: Sequence[dict[str, Any]], codec: Codec) -> float:
    began = process_time()
    for start in range(0, len(predictions), FEW):
        tally = Tally(1)
        for each in predictions[start : start + FEW]:
            observer.scored(tally, each)
        codec.encode(tally.record("score", 0, None, None) or {})
    return process_time() - began


def main() -> None:
    pipeline = load_pipeline(ROOT / "examples" / "flights" / "pipeline.py")
    plan, costs = plan_of(pipeline), counting_costs(pipeline)
    print(f"microseconds per event; batches of {FEW} (SCORE) and {MANY}")
    for name, cost in costs.items():
        print(f"{name:8} without {cost.without:6.2f}  counting {cost.counting:5.2f}")
    print(f"ten features in SCORE's counts {columns_us(plan):5.2f}")


if __name__ == "__main__":
    main()
