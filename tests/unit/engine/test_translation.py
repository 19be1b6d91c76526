import pytest
from confluent_kafka import KafkaError, KafkaException

from headrace.schemas.errors import Refused
from headrace.streams.engine.translation import FENCED, translated
from headrace.streams.protocol.ports import Dead, Fenced, UnknownOutcome

CODES = {
    name: value
    for name in dir(KafkaError)
    if name.strip("_").isupper() and isinstance(value := getattr(KafkaError, name), int)
}

NOT_OURS = {
    # Of partitions' leaders and of protocols that we do not speak: a restart helps, if anything.
    "FENCED_LEADER_EPOCH",
    "FENCED_MEMBER_EPOCH",
    "FENCED_STATE_EPOCH",
    "STREAMS_TOPOLOGY_FENCED",
}


def test_the_client_knows_as_many_codes_as_it_should() -> None:
    assert len(CODES) > 150


@pytest.mark.parametrize("name", CODES)
def test_every_code_has_a_translation_that_names_it(name: str) -> None:
    error = KafkaError(CODES[name])
    found = translated(error, "doing this")
    assert isinstance(found, Dead | Refused)
    assert "doing this" in str(found)
    assert error.name() in str(found)
    assert type(translated(KafkaException(error), "x")) is type(found)
    if "FENCED" in name and name not in NOT_OURS:
        assert isinstance(found, Fenced)
    if "AUTHORIZATION_FAILED" in name or "AUTHENTICATION" in name:
        assert isinstance(found, Refused)


def test_an_old_epoch_is_a_newer_process() -> None:
    assert isinstance(translated(KafkaError(KafkaError.INVALID_PRODUCER_EPOCH), "x"), Fenced)


@pytest.mark.parametrize("code", sorted(FENCED))
def test_a_consumers_fatal_error_is_known_by_its_cause(code: int) -> None:
    said = f"Fatal error: {KafkaError(code).str()}: Fatal consumer error"
    assert isinstance(translated(KafkaError(KafkaError._FATAL, said, True), "x"), Fenced)


def test_any_other_fatal_error_is_dead() -> None:
    found = translated(KafkaError(KafkaError._FATAL, "Fatal error: whatever", True), "x")
    assert type(found) is Dead


@pytest.mark.parametrize("name", ["_TIMED_OUT", "REQUEST_TIMED_OUT", "_TRANSPORT"])
def test_no_answer_to_a_transactions_end_is_an_unknown_outcome(name: str) -> None:
    error = KafkaError(CODES[name])
    assert isinstance(translated(error, "commit", ending=True), UnknownOutcome)
    assert type(translated(error, "begin")) is Dead


def test_a_remedy_comes_with_what_a_restart_cannot_mend() -> None:
    for name, remedy in {
        "TOPIC_AUTHORIZATION_FAILED": "HEADRACE_KAFKA_SECURITY",
        "UNKNOWN_TOPIC_OR_PART": "`headrace topics`",
        "_AUTO_OFFSET_RESET": "`headrace rebuild NAME STAGE --accept-loss`",
        "OFFSET_OUT_OF_RANGE": "`headrace rebuild NAME STAGE --accept-loss`",
    }.items():
        found = translated(KafkaError(CODES[name]), "x")
        assert isinstance(found, Refused)
        assert remedy in found.remedy
