"""librdkafka's errors in the protocol's words: the one seam for a worker.

Fenced          a newer process has this slot: its transactional id or its static membership
UnknownOutcome  no answer came to the end of a transaction
Dead            anything else: the process ends, and its supervisor restarts it
Refused         what a restart cannot mend: no permission, no such topic, records that are gone
"""

from __future__ import annotations

from confluent_kafka import KafkaError, KafkaException

from headrace.schemas.errors import Refused
from headrace.streams.protocol.ports import Dead, Fenced, UnknownOutcome

FENCED = frozenset(
    {
        KafkaError._FENCED,  # noqa: SLF001 - librdkafka's public codes begin so
        KafkaError.FENCED_INSTANCE_ID,
        KafkaError.PRODUCER_FENCED,
        KafkaError.INVALID_PRODUCER_EPOCH,
        KafkaError.TRANSACTION_COORDINATOR_FENCED,
    }
)

FORBIDDEN = frozenset(
    {
        KafkaError._AUTHENTICATION,  # noqa: SLF001 - same
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        KafkaError.DELEGATION_TOKEN_AUTHORIZATION_FAILED,
        KafkaError.UNSUPPORTED_SASL_MECHANISM,
    }
)

ABSENT = frozenset(
    {
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001 - same
        KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001 - same
    }
)

GONE = frozenset(
    {
        KafkaError._AUTO_OFFSET_RESET,  # noqa: SLF001 - same
        KafkaError.OFFSET_OUT_OF_RANGE,
    }
)

UNANSWERED = frozenset(
    {
        KafkaError._TIMED_OUT,  # noqa: SLF001 - same
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError._TRANSPORT,  # noqa: SLF001 - same
    }
)


def translated(
    error: KafkaError | KafkaException, doing: str, *, ending: bool = False
) -> Exception:
    """Return the error that the protocol knows for one of the client's.

    Parameters
    ----------
    doing
        What was being done, for the sentence.
    ending
        Whether a transaction's end had been asked for: then no answer means an unknown outcome.
    """
    cause: KafkaError = error.args[0] if isinstance(error, KafkaException) else error
    code, said = _code_of(cause), f"{doing}: {cause.name()}: {cause.str()}"
    if code in FENCED:
        return Fenced(said)
    if code in FORBIDDEN:
        return Refused(f"Kafka refuses: {said}.", "Correct HEADRACE_KAFKA_SECURITY, or the ACLs.")
    if code in ABSENT:
        return Refused(f"Kafka: {said}.", "`headrace topics` creates what a pipeline needs.")
    if code in GONE:
        return Refused(
            f"Kafka: {said}: retention has cut the log; what was never processed is gone.",
            "Accept the loss: `headrace rebuild NAME STAGE --accept-loss`.",
        )
    if ending and code in UNANSWERED:
        return UnknownOutcome(said)
    return Dead(said)


def _code_of(error: KafkaError) -> int:
    """Return an error's code; of a consumer's fatal error, that of its cause.

    A consumer wraps what was fatal: a static member that a newer process has fenced hears
    ``_FATAL``, and only the text says why.
    """
    code = int(error.code())
    if code != KafkaError._FATAL:  # noqa: SLF001 - librdkafka's public code
        return code
    said = error.str()
    return next((c for c in sorted(FENCED | FORBIDDEN) if KafkaError(c).str() in said), code)
