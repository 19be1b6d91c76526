"""``headrace publish`` looks at the order of a file, on real services."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition

from tests.systems.shop import Shop

pytestmark = pytest.mark.integration

ROWS = 600
START = datetime(2024, 3, 1, tzinfo=UTC)


def newest_first(shop: Shop) -> Path:
    path = shop.folder / "backwards.jsonl"
    with path.open("w") as file:
        for number in reversed(range(ROWS)):
            at = f"{START + timedelta(minutes=number):%FT%TZ}"
            order = {"id": f"o-{number}", "shop": "s", "at": at, "price": number % 9}
            file.write(json.dumps(order) + "\n")
    return path


def times_in(shop: Shop) -> list[str]:
    """Return the times of the events that are there, in the order of their partition."""
    times = []
    with shop.kafka.consumer() as consumer:
        for number in range(2):
            place = TopicPartition(shop.topics.events, number, 0)
            _, end = consumer.get_watermark_offsets(place)
            consumer.assign([place])
            at = 0
            while at < end:
                message = consumer.poll(10)
                assert message is not None
                at = (message.offset() or 0) + 1
                value = message.value()
                if value is not None:
                    times.append(json.loads(value)["at"])
    return times


def test_an_order_that_is_no_historys_is_refused_before_anything_is_published(shop: Shop) -> None:
    path = newest_first(shop)
    words = ["publish", str(shop.file), "--events", str(path)]
    shop.process("topics", str(shop.file))
    refused = shop.headrace(*words, code=2).stderr
    assert f"{path} is not in order of time: line 2 is 1m behind one before it" in refused
    assert "Nothing was done. Say --sort" in refused
    assert times_in(shop) == []
    shop.headrace(*words, "--sort")
    times = times_in(shop)
    assert len(times) == ROWS
    assert times == sorted(times)
