"""What MONITOR costs at 20,000 events a second, in process: share of a core, and where it goes.

The counts are those that the stages make of the flights of the week, in batches as commits make
them at that rate, again and again, all within one hour and the next of event time; labels come as
they would, an hour later. Run with ``.venv/bin/python -m bench.monitor``.
"""

from __future__ import annotations

import pickle
from typing import Any, NamedTuple

from bench.stages import PARTITIONS, ROOT, Timed, emitted, inputs_of, joined
from headrace.schemas.counts import counted
from headrace.schemas.records import Codecs, numbered_codecs
from headrace.streams.load import load_pipeline
from headrace.streams.model import fresh_served, served_from
from headrace.streams.observe import ALL, Tally
from headrace.streams.plan import Plan, plan_of
from headrace.streams.protocol.cache import Cache
from headrace.streams.protocol.stage import Context, Stage
from headrace.streams.records import Record
from headrace.streams.stages.join import JoinStage
from headrace.streams.stages.learn import LearnStage
from headrace.streams.stages.monitor import MonitorStage
from headrace.streams.stages.route import RouteStage
from headrace.streams.stages.score import ScoreStage

EVENTS_PER_SECOND = 20_000
SECONDS = 20
SCORE_MS, OTHERS_MS = 15, 50
HOUR_MS = 3_600_000
START_MS = 1_800_000_000_000


def counts_of(plan: Plan, codecs: Codecs) -> tuple[int, list[list[dict[str, Any]]]]:
    """Return how many events there are, and the counts that each stage makes of them."""
    topics = plan.topics
    events, labels = inputs_of(plan)
    few, many = (EVENTS_PER_SECOND * ms // 1_000 for ms in (SCORE_MS, OTHERS_MS))

    def run(stage: Stage, feed: list[Record], batch: int, context: Context) -> Timed:
        timed = Timed(stage.name)
        timed.run(stage, feed, context, batch)
        return timed

    def pass_through(context: Context) -> list[Timed]:
        score = run(ScoreStage(plan, codecs, 0, PARTITIONS), events, few, context)
        route = run(RouteStage(plan, codecs, 0, PARTITIONS), labels, many, Context())
        pairs = joined(
            plan,
            emitted(score.emits, topics.predictions),
            emitted(route.emits, topics.labels_routed),
        )
        join = run(JoinStage(plan, codecs, 0, PARTITIONS), pairs, 2 * many, Context())
        learner = LearnStage(plan, codecs, 1, 1, pickle.dumps, pickle.loads)
        learn = run(learner, emitted(join.emits, topics.examples), many, Context())
        return [score, route, join, learn]

    first = pass_through(Context(model=fresh_served(plan, 1)))
    announced = emitted(first[-1].emits, topics.models)
    state = [codecs.model.decode(record.value) for record in announced][-1]
    assert isinstance(state, dict)
    taught = served_from(plan, 1, state["learned_to"], state["state"], pickle.loads)
    return len(events), [
        [_decoded(codecs, record) for record in emitted(timed.emits, topics.counts)]
        for timed in pass_through(Context(model=taught))
    ]


def _decoded(codecs: Codecs, record: Record) -> dict[str, Any]:
    found = codecs.count.decode(record.value)
    assert isinstance(found, dict)
    return found


def moved(count: dict[str, Any], hour: int) -> dict[str, Any]:
    """Return a count whose cells are all of one hour."""
    tally, start = Tally(HOUR_MS), START_MS + hour * HOUR_MS
    cell = tally.cell(start)
    for _, segment, name, n in counted(count):
        (cell.values if segment == ALL else cell.segments[segment])[name] += n
    found = tally.record(count["stage"], count["partition"], start, None)
    assert found is not None
    return found


def log_of(
    plan: Plan, codecs: Codecs, events: int, counts: list[list[dict[str, Any]]]
) -> list[Record]:
    """Return the counts' log of some seconds at full speed, as SCORE and the others commit."""
    timed: list[tuple[float, bytes]] = []
    length_ms = 1_000 * events / EVENTS_PER_SECOND
    for turn in range(int(1_000 * SECONDS / length_ms)):
        for stage in counts:
            for place, count in enumerate(stage):
                hour = 1 if count["stage"] == "score" else 0
                at_ms = length_ms * (turn + place / len(stage))
                timed.append((at_ms, codecs.count.encode(moved(count, hour))))
    timed.sort()
    return [
        Record(plan.topics.counts, 0, offset, START_MS + int(at_ms), None, value)
        for offset, (at_ms, value) in enumerate(timed)
    ]


class Share(NamedTuple):
    """What MONITOR takes of a core.

    Attributes
    ----------
    counts, metrics
        Records it reads and writes in a second.
    percent
        Of a core, by part.
    """

    counts: float
    metrics: float
    percent: dict[str, float]


def share_of(plan: Plan) -> Share:
    """Return what MONITOR takes of a core."""
    codecs = numbered_codecs(plan.schemas)
    events, counts = counts_of(plan, codecs)
    log = log_of(plan, codecs, events, counts)
    stage, cache, timed = MonitorStage(plan, codecs), Cache(1_000_000, whole=True), Timed("monitor")
    stage.load(cache)
    end_ms, batches, place = log[0].timestamp_ms, 0, 0
    while place < len(log):  # a batch is what has come in 50 ms
        end_ms += OTHERS_MS
        until = place
        while until < len(log) and log[until].timestamp_ms < end_ms:
            until += 1
        timed.step(stage, log[place:until], cache, Context(), batches)
        cache.written = batches  # as if the store had it
        place, batches = until, batches + 1
    percent = {part: 100 * s / SECONDS for part, s in timed.seconds.items()}
    return Share(len(log) / SECONDS, len(timed.emits) / SECONDS, percent)


def main() -> None:
    share = share_of(plan_of(load_pipeline(ROOT / "examples" / "flights" / "pipeline.py")))
    parts = "  ".join(f"{name} {percent:.2f} %" for name, percent in share.percent.items())
    total = sum(share.percent.values())
    said = f"{share.counts:.0f} counts/s, {share.metrics:.0f} metrics/s"
    print(f"{said}: {total:.2f} % of a core  = {parts}")


if __name__ == "__main__":
    main()
