"""What a pipeline's topics keep, beside what it declares: said, refused, and changed when asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from headrace.app.services import find_kafka
from headrace.app.settings import Settings
from headrace.schemas.errors import Refused, ServiceError, SettingsError
from headrace.streams.duration import duration_text
from headrace.streams.engine.admin import Topics, TopicState
from headrace.streams.engine.connection import Connection
from headrace.streams.plan import Plan
from headrace.streams.topics import Partitions, topic_specs, topics_of


def is_own(plan: Plan, topic: str) -> bool:
    """Return whether a topic is the pipeline's own: not one that it was given to read."""
    return topic in topics_of(plan.name)


def shortfalls(plan: Plan, states: Iterable[TopicState], brokers: str) -> Iterator[str]:
    """Say of each topic that keeps its records shorter than declared what changes that.

    Parameters
    ----------
    brokers
        As the printed command names them.
    """
    for state in states:
        if state.retention:
            kept = "for ever" if state.kept_ms is None else f"for {duration_text(state.kept_ms)}"
            bytes_too = ", up to a size" if "retention.bytes" in state.retention else ""
            yield (
                f"{state.name} keeps its records {kept}{bytes_too}; {_declared(plan, state.name)}"
                f" are declared. {_remedy(plan, state, brokers)}"
            )


def _declared(plan: Plan, topic: str) -> str:
    return duration_text(plan.retention[plan.topics.index(topic)])


def _remedy(plan: Plan, state: TopicState, brokers: str) -> str:
    if is_own(plan, state.name):
        return "`headrace topics FILE --set-retention` changes it."
    changes = ",".join(f"{key}={value}" for key, value in state.retention.items())
    return (
        f"It is not {plan.name}'s own: `kafka-configs.sh --bootstrap-server {brokers} --alter"
        f" --entity-type topics --entity-name {state.name} --add-config {changes}` changes it, or"
        " declare in TopicRetention(...) what it has."
    )


def refuse_short_logs(plan: Plan, states: Iterable[TopicState]) -> None:
    """Refuse to run where what waits for its label waits longer than its logs are kept.

    Raises
    ------
    Refused
        A topic that JOIN reads is kept shorter than the declared wait: what a lost store held
        could not be rebuilt.
    """
    joined = (plan.topics.predictions, plan.topics.labels_routed)
    for state in states:
        kept_ms = state.kept_ms
        if state.name in joined and kept_ms is not None and kept_ms < plan.wait_ms:
            raise Refused(
                f"{plan.name}: {state.name} keeps its records for {duration_text(kept_ms)}, and"
                f" labels may come {duration_text(plan.wait_ms)} after their events: what waits"
                " could not be rebuilt.",
                "`headrace topics FILE --set-retention` with the pipeline's file makes the topic"
                " keep what is declared.",
            )


def set_retention(plan: Plan, states: Iterable[TopicState], kafka: Connection) -> list[str]:
    """Make the pipeline's own topics keep what is declared; return the names of those changed."""
    broker = Topics(kafka.brokers, kafka.security)
    changed = [state for state in states if state.retention and is_own(plan, state.name)]
    for state in changed:
        broker.alter(state.name, state.retention)
    return [state.name for state in changed]


def compared(plan: Plan, settings: Settings) -> Iterator[str]:
    """Say what differs of the topics that exist, if a broker is there to be asked."""
    try:
        kafka = find_kafka(settings)
    except SettingsError:
        return
    broker = Topics(kafka.brokers, kafka.security)
    sizes = Partitions(settings.partitions, settings.partitions, settings.partitions)
    joined = plan.labels == "topic"
    specs = topic_specs(plan.topics, sizes, joined=joined, retention=plan.retention)
    try:
        states = broker.compare(specs)
    except ServiceError as error:
        yield f"The topics were not compared: {error}"
        return
    yield from shortfalls(plan, states, kafka.brokers)
