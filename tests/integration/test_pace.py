"""The pace of metrics on real services: what changed last is said, and what is written is small."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import TopicPartition

from headrace.app.stack.stack import Stack
from headrace.streams.engine.reader import read
from headrace.streams.records import BARRIER, BARRIER_SOURCE
from tests.systems.shop import SLICE, Shop, wait_until

pytestmark = pytest.mark.integration

ZSTD = 4
_HEADER = struct.Struct(">qiib i h i q q q h i i")  # of a batch of version 2


def batches(stack: Stack, topic: str) -> list[tuple[int, int]]:
    """Return compression and records of the batches on the broker's disk, markers left out."""
    found = []
    for file in Path(stack.data).rglob(f"{topic}-[0-9]*/*.log"):
        data, at = file.read_bytes(), 0
        while at + _HEADER.size <= len(data):
            fields = _HEADER.unpack_from(data, at)
            size, attributes, records = fields[1], fields[5], fields[12]
            if not size:
                break
            if not attributes & 0x20:
                found.append((attributes & 7, records))
            at += 12 + size
    return found


def headers_in(shop: Shop, topic: str) -> list[dict[str, Any]]:
    """Return the headers, and the key, of a topic's records without a value."""
    with shop.kafka.consumer() as consumer:
        consumer.assign([TopicPartition(topic, 0, 0)])
        return [
            {**dict(message.headers() or ()), "key": message.key()}
            for message in consumer.consume(100_000, 3)
            if message.error() is None and message.value() is None
        ]


def test_when_counts_stop_the_rest_is_said(shop: Shop, stack: Stack) -> None:
    """Flat out, without a barrier: only MONITOR itself can have the last counts said."""
    with shop.running():
        shop.publish(0)
        events, labels = shop.folder / "e0.jsonl", shop.folder / "l0.jsonl"
        more = [json.loads(line) for line in events.read_text().splitlines()]
        events.write_text("".join(json.dumps({**e, "id": f"more-{e['id']}"}) + "\n" for e in more))
        files = ("--events", str(events), "--labels", str(labels))
        shop.headrace(
            "publish", str(shop.file), *files, "--again"
        )  # the labels are those of before

        def newest() -> Any:
            found = read(shop.kafka, shop.topics, "metrics")
            return {m["metric"]: m for m in found if m["window"] == "all" == m["segment"]}

        wait_until(lambda: newest()["events"]["value"] == 2 * SLICE, 60)
        wait_until(lambda: newest().get("duplicate_label", {}).get("value") == SLICE, 60)
        flushes = [h for h in headers_in(shop, shop.topics.counts) if h[BARRIER] == b"flush"]
        assert flushes
        assert {each[BARRIER_SOURCE] for each in flushes} == {b"monitor-0"}
        passed = headers_in(shop, shop.topics.metrics)
        assert passed, "barriers have come through"
        assert {each["key"] for each in passed} == {
            BARRIER.encode() + b":" + each[BARRIER] for each in passed
        }
        for topic in (shop.topics.events, shop.topics.predictions, shop.topics.metrics):
            found = batches(stack, topic)
            assert {kind for kind, records in found if records > 10} == {ZSTD}
