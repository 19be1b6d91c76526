"""A state that was read whole before its stage came to read it by key: it gets what it lacks.

Once for each task, at a take-over: the state is read a last time as a whole, and what the stage
adds is written under a cut of the same offsets. A crash before the write: it is done again. Behind
it: the added key says that it is done.
"""

from __future__ import annotations

from functools import partial

import msgpack

from headrace.streams.protocol.ports import Cut, Store
from headrace.streams.protocol.stage import Stage, indexed
from headrace.streams.protocol.steps import Steps, ask
from headrace.streams.protocol.task import Spec

UPGRADED = "upgraded"
"""The metadata of such a cut: a store takes a write under the very same cut for one of before."""


def upgraded(
    spec: Spec, stage: Stage, store: Store, token: str, cut: Cut | None
) -> Steps[Cut | None]:
    """Return the cut of a state that its stage can read, written by us if need be."""
    reader = indexed(stage)
    if reader is None or cut is None:
        return cut
    read = partial(store.read, spec.id, token, [reader.layout])
    _, values = yield from ask("store.read", read)
    if values[reader.layout] is not None:
        return cut
    _, packed = yield from ask("store.read_all", partial(store.read_all, spec.id, token))
    states = {key: msgpack.unpackb(state, strict_map_key=False) for key, state in packed.items()}
    puts = {key: msgpack.packb(state) for key, state in reader.upgraded(states).items()}
    new = cut._replace(meta=UPGRADED)
    yield from ask("store.write", partial(store.write, spec.id, token, cut, new, puts))
    return new
