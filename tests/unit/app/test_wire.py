"""Kafka's protocol over a socket: what is read of any answer."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.streams.engine.wire import Answer, compact, text


@given(st.text(max_size=300))
def test_a_name_is_read_as_it_was_written(name: str) -> None:
    assert Answer(text(name)).text() == name
    assert Answer(compact(name)).compact() == name


def test_a_name_that_no_broker_takes_is_not_sent() -> None:
    with pytest.raises(ValueError, match="a name of 16001 bytes"):
        compact("x" * 16_001)


@given(st.binary(max_size=40))
def test_any_answer_ends(found: bytes) -> None:
    for read in (Answer.text, Answer.compact, Answer.varint):
        answer = Answer(found)
        try:
            while True:
                read(answer)
        except (struct.error, ValueError):
            pass
