"""What a take-over refuses by looking at its evidence: a log that is not the one of before."""

from __future__ import annotations

from collections.abc import Iterable

from headrace.schemas.errors import Refused
from headrace.streams.protocol.ports import Cut, Witness
from headrace.streams.protocol.task import Spec


def check_not_ahead(
    spec: Spec, what: str, offsets: Iterable[tuple[str, int]], committed: Cut
) -> None:
    """Refuse what is from behind the committed offsets.

    Of a log that has lost its tail it is no state; and as soon as the log has grown again, by other
    records, nobody could tell that any more.

    Parameters
    ----------
    what
        What is looked at: the task's state, its snapshot, or its model.
    offsets
        Where it stands: the next offset of input topics.
    """
    for topic, offset in offsets:
        if offset > committed.next_of(topic):
            raise Refused(
                f"{spec.id}: its {what} has come to offset {offset} of {topic}, the committed"
                f" offset is {committed.next_of(topic)}: the {what} is ahead of the log.",
                "Offsets were reset by hand, or the log lost acknowledged records: `headrace"
                f" rebuild {spec.id.pipeline} {spec.id.stage}` makes the state anew from the log.",
            )


def check_identity(spec: Spec, witness: Witness | None, found: Witness) -> None:
    """Refuse topics that were recreated, or whose partition counts have changed."""
    if witness is None:
        return
    for (topic, known), (_, present) in zip(witness.topic_ids, found.topic_ids, strict=True):
        if known != present:
            raise Refused(
                f"{spec.id}: topic {topic} was recreated (its id was {known}, it is {present}).",
                f"Its offsets mean something else now: `headrace reset {spec.id.pipeline}` forgets"
                " the old state and begins anew.",
            )
    for (topic, count), (_, present_count) in zip(
        witness.partitions, found.partitions, strict=True
    ):
        if count != present_count:
            raise Refused(
                f"{spec.id}: topic {topic} had {count} partitions, it has {present_count}.",
                "Keys have moved between partitions, so state per key is wrong: "
                f"`headrace reset {spec.id.pipeline}` begins anew.",
            )
