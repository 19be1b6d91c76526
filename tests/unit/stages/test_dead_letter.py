from hashlib import sha256
from typing import Any, cast

import pytest

from headrace.streams.decoding import Rejected
from headrace.streams.records import Record
from headrace.streams.stages.dead_letter import VALUE_BYTES_KEPT, bury, dead_letter
from tests.unit.stages.flow import CODECS

WRONG = Rejected("not_json", "It is not.")


def record(**changes: Any) -> Record:
    plain = Record("in", 3, 17, 1_000, b"key", b"value", (("trace", b"1"), ("trace", b"2")))
    return plain._replace(**changes)


def buried(original: Record, rejected: Rejected = WRONG) -> dict[str, Any]:
    emit = bury(original, "score", rejected, "dead", CODECS.dead_letter)
    assert (emit.topic, emit.partition, emit.key) == ("dead", 0, b"in-3-17")
    return cast(dict[str, Any], CODECS.dead_letter.decode(emit.value))


def test_it_holds_all_that_is_needed_to_publish_the_record_again() -> None:
    assert buried(record()) == {
        "reason": "not_json",
        "detail": "It is not.",
        "stage": "score",
        "topic": "in",
        "partition": 3,
        "offset": 17,
        "timestamp": 1_000,
        "key": b"key",
        "value": b"value",
        "value_size": 5,
        "digest": None,
        "headers": [{"name": "trace", "value": b"1"}, {"name": "trace", "value": b"2"}],
    }


@pytest.mark.parametrize("value", [None, b""])
def test_no_value_and_an_empty_one_stay_apart(value: bytes | None) -> None:
    letter = buried(record(value=value, key=None))
    assert (letter["value"], letter["value_size"], letter["key"]) == (value, 0, None)


def test_a_long_value_is_cut_and_its_digest_kept() -> None:
    value = b"x" * 5_000_000
    letter = buried(record(value=value))
    assert letter["value"] == value[:VALUE_BYTES_KEPT]
    assert letter["value_size"] == 5_000_000
    assert letter["digest"] == sha256(value).hexdigest()
    assert buried(record(value=value[:VALUE_BYTES_KEPT]))["digest"] is None


def test_keys_and_headers_are_bounded_too() -> None:
    headers = (("a", b"1"), ("big", b"x" * VALUE_BYTES_KEPT), ("b", b"2"))
    letter = buried(record(key=b"k" * 100_000, headers=headers))
    assert len(letter["key"]) == VALUE_BYTES_KEPT
    assert letter["headers"] == [{"name": "a", "value": b"1"}]


def test_a_header_without_a_value_is_kept() -> None:
    letter = buried(record(headers=cast(Any, (("flag", None),))))
    assert letter["headers"] == [{"name": "flag", "value": None}]


def test_half_a_character_and_endless_text_can_be_encoded() -> None:
    letter = buried(record(), Rejected("poison", "\ud800" + "x" * 10_000))
    assert letter["detail"].startswith("\\ud800x")
    assert len(letter["detail"]) < 3_000
    assert dead_letter(record(), "score", WRONG)["detail"] == "It is not."
