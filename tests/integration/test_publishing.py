"""``headrace publish`` that is stopped goes on, on real services: nothing doubled, nothing lost."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition

from headrace.streams.engine.admin import Topics
from headrace.streams.engine.reader import read
from tests.systems.shop import Shop, Terminal, wait_until

pytestmark = pytest.mark.integration

ROWS = 3_000
START = datetime(2024, 3, 1, tzinfo=UTC)


def history(shop: Shop, rows: int = ROWS) -> list[str]:
    """Write events a minute apart, each with its label twenty minutes later; return the options."""
    events, labels = shop.folder / "events.jsonl", shop.folder / "labels.jsonl"
    with events.open("w") as of_events, labels.open("w") as of_labels:
        for number in range(rows):
            at, name = START + timedelta(minutes=number), f"o-{number}"
            order = {
                "id": name,
                "shop": f"s{number % 7}",
                "at": f"{at:%FT%TZ}",
                "price": number % 9,
            }
            known = f"{at + timedelta(minutes=20):%FT%TZ}"
            of_events.write(json.dumps(order) + "\n")
            label = {"id": name, "known_at": known, "returned": number % 3 == 0}
            of_labels.write(json.dumps(label) + "\n")
    return ["publish", str(shop.file), "--events", str(events), "--labels", str(labels)]


def written(shop: Shop, topic: str) -> int:
    """Return how many records a topic holds."""
    with shop.kafka.consumer() as consumer:
        ends = [consumer.get_watermark_offsets(TopicPartition(topic, n))[1] for n in range(2)]
    return sum(ends)


def kill_in_the_middle(shop: Shop, words: list[str], more: int) -> None:
    """Publish, and kill the publisher once so many events more are there."""
    enough = written(shop, shop.topics.events) + more
    with (shop.folder / "publish.log").open("ab") as log:
        process = subprocess.Popen(
            shop.command(*words), env=shop.environment, stdout=log, stderr=log
        )
    try:
        wait_until(
            lambda: process.poll() is not None or written(shop, shop.topics.events) >= enough, 60
        )
        assert process.poll() is None, (shop.folder / "publish.log").read_text()
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(10)


def counts_of(shop: Shop) -> Counter[str]:
    found: Counter[str] = Counter()
    for record in read(shop.kafka, shop.topics, "counts"):
        for cell in record["cells"]:
            found.update({n: v for n, v in cell["values"].items() if n.startswith("repeated")})
    return found


@pytest.mark.timeout(240)
def test_a_publisher_that_is_killed_goes_on_where_it_stopped(shop: Shop) -> None:
    words = history(shop)
    shop.process("topics", str(shop.file))
    slowly = [*words, "--speed", str(20_000)]  # 3,000 minutes in 9 s
    with shop.running():
        for more in (300, 900):
            kill_in_the_middle(shop, slowly, more)
        terminal = Terminal(shop, *slowly)
        wait_until(lambda: "going on behind them" in terminal.shown(), 30)
        wait_until(lambda: re.search(r"\d events, ", terminal.shown()), 30)
        assert terminal.end(signal.SIGINT) == 130
        said = shop.headrace(*words)
        assert re.search(r"[\d,]+ events are published already; going on behind them", said.stderr)
        assert re.search(r"[\d,]+ events and [\d,]+ labels were published before", said.stdout)
        again = shop.headrace(*words)
        assert "Published 0 events and 0 labels" in again.stdout
        assert f"{ROWS:,} events and {ROWS:,} labels were published before" in again.stdout
        wait_until(lambda: len(shop.ids("examples")) == ROWS, 60)
        for what in ("predictions", "examples"):
            assert set(shop.ids(what).values()) == {1}, what
        assert len(shop.ids("predictions")) == ROWS
    assert counts_of(shop)["repeated_event"] > 0  # the mirror was behind what was sent
    written_rows = written(shop, shop.topics.events)
    assert written_rows > ROWS


def test_an_edited_file_is_refused_and_a_topic_made_anew_holds_nothing(shop: Shop) -> None:
    words = history(shop, 50)
    shop.process("topics", str(shop.file))
    assert "Published 50 events" in shop.headrace(*words).stdout
    events = Path(words[3])
    rows = events.read_text().splitlines()
    events.write_text("\n".join([rows[0].replace('"price": 0', '"price": 5'), *rows[1:]]) + "\n")
    said = shop.headrace(*words, code=3).stderr
    assert re.search(r"events.jsonl: rows 1 to 50 are not those .* add --again", said)
    events.write_text("\n".join(rows) + "\n")
    assert "Published 0 events" in shop.headrace(*words).stdout
    Topics(shop.kafka.brokers).delete([shop.topics.events, shop.topics.labels])
    shop.headrace("topics", str(shop.file))
    assert "Published 50 events and 50 labels" in shop.headrace(*words).stdout
