"""After a world: everything must be as the sequential fold over its own logs has it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import msgpack

from headrace.streams.records import Emit, Record
from headrace.streams.simulation.fold import Fold
from headrace.streams.simulation.invariants import Invariant
from headrace.streams.simulation.publishers import STRANGER

if TYPE_CHECKING:
    from headrace.streams.simulation.flow import Served
    from headrace.streams.simulation.world import World

Wrong = Iterator[tuple[Invariant, str]]
"""What does not hold, and where."""


def check(world: World) -> Wrong:
    """Go through the invariants that do not hold."""
    for flow in world.flow.parts:
        fold = Fold(world, flow)
        fold.run()
        yield from flow.oracle(fold.read)
        yield from _outputs(fold)
        yield from _counts(fold)
        yield from _states(fold)
        yield from _models(fold)
        yield from _checkpoints(fold)


def _content(records: Iterable[Record | Emit]) -> Counter[tuple[Any, ...]]:
    return Counter(
        (r.partition, r.key, r.value, r.headers) for r in records if STRANGER not in dict(r.headers)
    )


def _outputs(fold: Fold) -> Wrong:
    flow = fold.flow
    skip = {flow.counts, flow.models[0], *flow.unfolded}
    expected: dict[str, list[Emit]] = {}
    for emits in fold.emitted.values():
        for emit in emits:
            expected.setdefault(emit.topic, []).append(emit)
    for topic in flow.topics:
        if topic.name in skip:
            continue
        found = [r for number in range(topic.partitions) for r in fold.read((topic.name, number))]
        have, want = _content(found), _content(expected.get(topic.name, ()))
        for sentence, differing in (("too many", have - want), ("missing", want - have)):
            if differing:
                example = str(next(iter(differing)))[:200]
                said = f"{topic.name}: {differing.total()} {sentence}, as {example}"
                yield Invariant.OUTPUTS, said


def _counts(fold: Fold) -> Wrong:
    flow = fold.flow
    have: Counter[Any] = Counter()
    want: Counter[Any] = Counter()
    for record in fold.read((flow.counts, 0)):
        have.update(flow.counted(record.value))
    for emits in fold.emitted.values():
        for emit in emits:
            if emit.topic == flow.counts:
                want.update(flow.counted(emit.value))
    differing = {name: (have[name], want[name]) for name in have | want if have[name] != want[name]}
    if differing:
        yield Invariant.COUNTS, f"(have, want): {differing}"[:300]


def _states(fold: Fold) -> Wrong:
    for key, folded in fold.states.items():
        _, packed = fold.world.store.peek(key)
        have = {name: msgpack.unpackb(v, strict_map_key=False) for name, v in packed.items()}
        want = msgpack.unpackb(msgpack.packb(folded), strict_map_key=False)
        if have != want:
            names = sorted(n for n in have.keys() | want.keys() if have.get(n) != want.get(n))
            first = names[0]
            said = f"{key}: {names[:5]}: {have.get(first)} != {want.get(first)}"
            yield Invariant.STATES, said[:400]


def _models(fold: Fold) -> Wrong:
    flow, missing = fold.flow, []

    read = fold.world.registry.reader_of_all(flow.name)

    def checkpoint_at(offset: int) -> bytes | None:
        found = read(offset)
        if found is None:
            missing.append(offset)
        return found

    said = [flow.announced(record, checkpoint_at) for record in fold.read(flow.models)]
    if missing:
        yield Invariant.REFERENCES, f"not those at {missing}"
    announced: list[Served] = [each for each in said if each is not None]
    for served in announced:
        if flow.comparable(served.model) != flow.comparable(fold.model_at(served.learned_to)):
            yield Invariant.MODELS, f"not the one at {served.learned_to}"
    unknown = fold.named - {0, *(served.learned_to for served in announced)}
    if unknown:
        yield Invariant.SERVED, f"not those of {sorted(unknown)}"


def _checkpoints(fold: Fold) -> Wrong:
    flow, before = fold.flow, 0
    for previous, checkpoint in fold.world.registry.chain(flow.name):
        if previous != before or checkpoint.offset <= previous:
            yield Invariant.CHAIN, f"broken at {checkpoint.offset}"
        before = checkpoint.offset
        model = flow.learned_from(checkpoint.state)
        if flow.comparable(model) != flow.comparable(fold.model_at(checkpoint.offset)):
            yield Invariant.CHECKPOINTS, f"not the one at {checkpoint.offset}"
