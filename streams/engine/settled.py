"""Whether a group's committed offsets stay the same: a coordinator may answer while it reads."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from headrace.streams.engine.clients import Timing


def have_settled(
    settings: Mapping[str, Any], group: str, places: Sequence[TopicPartition], timing: Timing
) -> bool:
    """Ask twice for the offsets of partitions, pending ones or not; return whether they agree.

    Parameters
    ----------
    settings
        Where Kafka is, and how to get in.
    places
        Whose offsets nobody may commit meanwhile.

    Raises
    ------
    KafkaException
        Kafka does not answer.
    """
    asker = Consumer({**settings, "group.id": group, "isolation.level": "read_uncommitted"})
    try:
        answers = []
        for pause_s in (timing.settled_s, 0):
            found = asker.committed(list(places), timing.stable_s)
            answers.append([(place.offset, str(place.error)) for place in found])
            time.sleep(pause_s)
    finally:
        asker.close()
    return answers[0] == answers[1]
