"""The doors of Headrace in Python: publish to a pipeline, and read what comes out of it.

Services are found as the command line finds them: by ``HEADRACE_*`` variables, by settings handed
in here, or as ``headrace up`` wrote them down.
"""

from __future__ import annotations

import os
from typing import Any

from headrace.app.services import find_kafka
from headrace.app.settings import settings_from
from headrace.streams.engine.publisher import Publisher as KafkaPublisher
from headrace.streams.engine.reader import Reading
from headrace.streams.engine.reader import read as read_topic
from headrace.streams.pipeline import Pipeline
from headrace.streams.plan import plan_of
from headrace.streams.topics import topics_of


class Publisher(KafkaPublisher):
    """Publishes a pipeline's events and labels; loses none without a word.

    Each record goes to the partition of its key by Kafka's own partitioner (many clients of Python
    use another one by default): an event's key is its entity's, a label's is the id of its event.
    ``event`` and ``label`` return at once, and wait only when too much is under way. Leaving the
    ``with`` block waits until all records are acknowledged by all replicas in sync.

    Parameters
    ----------
    pipeline
        The declaration. Its input topics must exist (``headrace topics FILE``).
    settings
        Settings that go before the environment's, by their names in docs/settings.md, such as
        ``kafka_brokers="kafka:9092"``.

    Attributes
    ----------
    events, labels
        How many were handed over so far.

    Raises
    ------
    DeclarationError
        The declaration cannot work: all its faults.
    SettingsError
        A setting cannot be used, or nothing says where Kafka is.
    ServiceError
        Kafka does not answer, has no such topics, or did not take a record.
    InputError
        By ``event`` and ``label``: one that the pipeline would refuse.

    Examples
    --------
    ::

        with headrace.Publisher(flights) as publisher:
            publisher.event(Departure(...))
            publisher.label(Arrival(...))
    """

    def __init__(self, pipeline: Pipeline, **settings: Any) -> None:
        super().__init__(plan_of(pipeline), find_kafka(settings_from(os.environ, settings)))


def read(
    pipeline: Pipeline | str,
    what: str,
    *,
    follow: bool = False,
    last: int | None = None,
    **settings: Any,
) -> Reading:
    """Return the records of one of a pipeline's topics, decoded, as committed.

    Parameters
    ----------
    pipeline
        The declaration, or its name. By its name alone, ``events`` and ``labels`` are the topics
        ``<name>.events`` and ``<name>.labels``.
    what
        ``predictions``, ``examples``, ``metrics``, ``dead-letters``, or another of its topics.
    follow
        Whether to wait for more at the end, for ever.
    last
        Begin about so many records before each partition's end rather than at its beginning.
    settings
        Settings that go before the environment's, as for :class:`Publisher`.

    Returns
    -------
    Reading
        Each iteration starts anew and yields one dictionary for each record; times are aware
        datetimes in UTC. ``to_polars()`` makes one data frame of all (needs ``headrace[polars]``),
        ``skipped`` lists what did not decode.

    Raises
    ------
    ValueError
        A pipeline has no such topic.
    SettingsError
        Nothing says where Kafka is.
    ServiceError
        While reading: Kafka does not answer, or the topic does not exist.

    Examples
    --------
    ::

        for prediction in headrace.read(flights, "predictions"):
            print(prediction["event_id"], prediction["score"])

        frame = headrace.read("flights", "metrics").to_polars()
    """
    topics = topics_of(pipeline) if isinstance(pipeline, str) else plan_of(pipeline).topics
    kafka = find_kafka(settings_from(os.environ, settings))
    return read_topic(kafka, topics, what, follow=follow, last=last)
