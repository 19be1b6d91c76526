"""Schema ids on a real Kafka: given in turn, never twice."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from headrace.schemas.errors import SchemaError
from headrace.streams.engine.connection import Connection
from headrace.streams.engine.ids import SchemaIds
from headrace.streams.records import Emit
from headrace.streams.topics import TopicSpec
from tests.services import fresh_name, produce

pytestmark = pytest.mark.integration

REGISTRAR = """
import json, sys
from headrace.streams.engine.connection import Connection
from headrace.streams.engine.ids import SchemaIds
from headrace.streams.topics import TopicSpec
brokers, topic, wanted = sys.argv[1:]
ids = SchemaIds(Connection(brokers), TopicSpec(topic, 1, {"cleanup.policy": "compact"}))
sys.stdin.readline()
print(len(ids.register(json.loads(wanted))))
"""


def schema(name: str, *fields: str) -> dict[str, Any]:
    return {
        "type": "record",
        "name": name,
        "fields": [{"name": f, "type": "long", "default": 0} for f in fields],
    }


def ids_on(kafka: Connection) -> tuple[SchemaIds, str]:
    topic = fresh_name("schemas")
    return SchemaIds(kafka, TopicSpec(topic, 1, {"cleanup.policy": "compact"})), topic


def test_processes_that_register_at_once_give_no_id_twice(kafka: Connection) -> None:
    ids, topic = ids_on(kafka)
    wanted = [
        {"all-value": schema("All", "a"), **{f"{who}-{n}": schema(f"S{n}", who) for n in range(5)}}
        for who in ("one", "two")
    ]
    registrars = [
        subprocess.Popen(
            [sys.executable, "-c", REGISTRAR, kafka.brokers, topic, json.dumps(each)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for each in wanted
    ]  # fmt: skip
    found = [registrar.communicate("go\n", timeout=100)[0] for registrar in registrars]
    assert [registrar.returncode for registrar in registrars] == [0, 0]
    assert max(int(text) for text in found) == 11
    known = ids.known()
    numbers = [known.id_of(subject, held) for each in wanted for subject, held in each.items()]
    assert None not in numbers
    assert len(set(numbers)) == len(known) == 11
    written = [message.key() for message in ids._read()]
    assert len(written) == len(set(written)) == 11


def test_what_is_known_is_written_once(kafka: Connection) -> None:
    ids, topic = ids_on(kafka)
    assert len(ids.known()) == 0  # not even a topic
    wanted = {"t-value": schema("T", "a")}
    first = ids.register(wanted).id_of("t-value", wanted["t-value"])
    assert len(ids._read()) == 1
    again, _ = SchemaIds(kafka, TopicSpec(topic, 1)), None
    assert again.register(wanted).id_of("t-value", wanted["t-value"]) == first
    assert len(ids._read()) == 1
    grown = {"t-value": schema("T", "a", "b")}
    assert len(again.register(grown)) == 2
    shrunk = {**schema("T"), "fields": [{"name": "a", "type": "string"}]}
    with pytest.raises(SchemaError, match="t-value"):
        again.register({"t-value": shrunk})
    assert len(again.known()) == 2


def test_who_lost_the_turn_takes_it_again(
    kafka: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody takes the turn between our reading and our writing: nothing of ours is written."""
    ids, topic = ids_on(kafka)
    ids.register({"before-value": schema("B", "a")})
    other = SchemaIds(kafka, TopicSpec(topic, 1, {"cleanup.policy": "compact"}))
    known = ids.known
    read = 0

    def interrupted() -> Any:
        nonlocal read
        read += 1
        found = known()
        if read == 2:  # within our turn
            other.register({"other-value": schema("O", "a")})
        return found

    monkeypatch.setattr(ids, "known", interrupted)
    found = ids.register({"mine-value": schema("M", "a")})
    assert read >= 3
    assert len(found) == len(other.known()) == 3


def test_a_registration_that_is_none_is_named(kafka: Connection) -> None:
    ids, topic = ids_on(kafka)
    ids.register({"t-value": schema("T", "a")})
    produce(kafka, [Emit(topic, 0, b"7", b"garbage")])
    with pytest.raises(SchemaError, match=rf"{topic}, offset 2: b'garbage' is no schema"):
        ids.known()
