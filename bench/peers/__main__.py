"""What a user would get elsewhere: ``python -m bench.peers``; docs/reliability.md has the table.

Each peer is given the same events, keeps a running count of each key's, and says every count on
its output topic. It is killed (SIGKILL) at the same moments and started again at once. Then its
output is read at ``read_committed``: for each event one record is right; none is a loss, two are a
doubling; and the counts of a key must be 1, 2, 3, ... up to its events: else its state was wrong.

Faust and Quix Streams are installed into environments of their own, beside ours: they need other
versions of the Kafka client.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from confluent_kafka import Producer

from bench.whole import PARTITIONS, stack_in, stop
from headrace.app.board import board_of
from headrace.app.stack.process import start_time
from headrace.schemas.errors import Refused
from headrace.streams.engine.admin import Topics
from headrace.streams.engine.connection import Connection
from headrace.streams.engine.ranges import RangeReader
from headrace.streams.engine.reader import read
from headrace.streams.load import load_pipeline
from headrace.streams.partitioner import partition_of
from headrace.streams.plan import plan_of
from headrace.streams.protocol.ports import Dead
from headrace.streams.store.redis import RedisStore
from headrace.streams.topics import TopicSpec

HERE = Path(__file__).parent
IN = "peer-in"
KEYS = 500
SEED = 7
QUIET_S = 100.0
"""After so long without a further record a peer has come to its end: sessions and transactions of
a killed process are waited for by a minute."""
END_S = 600.0
PIPELINE = "peer"
SCORER_S = 60.0
"""So long after a kill there may be nobody to kill again."""


class Peer(NamedTuple):
    """One way to do the same work.

    Attributes
    ----------
    packages
        What its environment needs; empty for ours.
    script
        What is started, beside this file.
    out
        Its output topic.
    """

    name: str
    packages: tuple[str, ...]
    script: str
    out: str


PEERS = (
    Peer("faust", ("faust-streaming==0.15.3",), "faust_app.py", "peer-out-faust"),
    Peer("quix", ("quixstreams==3.28.1",), "quix_app.py", "peer-out-quix"),
    Peer("headrace", (), "pipeline.py", "peer.predictions"),
)


class Found(NamedTuple):
    """What a peer's output amounts to."""

    peer: str
    events: int
    kills: int
    records: int
    lost: int
    doubled: int
    wrong_keys: int
    seconds: float


def main() -> None:
    given = _arguments()
    found = []
    for peer in PEERS:
        if not given.only or peer.name in given.only:
            found.append(measured(peer, given))
            print(found[-1], flush=True)
    print(table(found))
    if given.markdown:
        given.markdown.write_text(markdown(found))
    if given.json:
        given.json.write_text(json.dumps([each._asdict() for each in found], indent=2))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=__doc__)
    parser.add_argument("--events", type=int, default=60_000)
    parser.add_argument("--rate", type=int, default=1_000, help="events/s")
    parser.add_argument("--kills", type=int, default=4)
    parser.add_argument("--only", nargs="*", choices=[peer.name for peer in PEERS])
    parser.add_argument("--venvs", type=Path, default=Path(".peers"), help="peers' environments")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--markdown", type=Path, help="write the table to this file")
    return parser.parse_args()


def table(found: list[Found]) -> str:
    """Return the table for people."""
    head = (
        f"{'peer':10}{'events':>9}{'kills':>7}{'records':>9}{'lost':>7}{'doubled':>9}{'wrong':>7}"
    )
    return "\n".join(
        [
            head,
            *(
                f"{f.peer:10}{f.events:9,}{f.kills:7}{f.records:9,}{f.lost:7,}{f.doubled:9,}"
                f"{f.wrong_keys:7,}"
                for f in found
            ),
        ]
    )


def markdown(found: list[Found]) -> str:
    """Return the table for a document."""
    lines = [
        "| system | events | kills | records | lost | doubled | keys whose count is wrong |",
        "|---|--:|--:|--:|--:|--:|--:|",
        *(
            f"| {f.peer} | {f.events:,} | {f.kills} | {f.records:,} | {f.lost:,} | {f.doubled:,} |"
            f" {f.wrong_keys:,} |"
            for f in found
        ),
    ]
    return "\n".join(lines) + "\n"


def measured(peer: Peer, given: argparse.Namespace) -> Found:
    """Give a peer the events, kill it now and then, and judge what it has said."""
    python = _python(peer, given.venvs)
    with tempfile.TemporaryDirectory() as folder, stack_in(Path(folder)) as (stack, environment):
        brokers = str(stack.addresses["kafka"])
        topics = [IN, peer.out] if peer.packages else [IN]  # ours makes its own
        Topics(brokers).ensure([TopicSpec(name, PARTITIONS, {}) for name in topics])
        own = {
            **environment,
            "PEER_BROKERS": brokers,
            "PEER_STATE": folder,
            "PEER_REDIS": str(stack.addresses["redis"]),
        }
        began = time.monotonic()
        with running(peer, python, own, Path(folder) / "log") as kill:
            _publish(brokers, given, peer, kill)
            _wait_for_end(brokers, peer.out)
        return judged(peer, given, brokers, time.monotonic() - began)


def _python(peer: Peer, venvs: Path) -> Path:
    """Return the interpreter that has a peer's packages; made if need be."""
    if not peer.packages:
        return Path(sys.executable)
    python = venvs.resolve() / peer.name / "bin" / "python"
    if not python.exists():
        print(f"setting up {peer.name} ...", flush=True)
        subprocess.run([sys.executable, "-m", "venv", python.parents[1]], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *peer.packages], check=True)
    return python


@contextmanager
def running(
    peer: Peer, python: Path, environment: Mapping[str, str], log: Path
) -> Iterator[Callable[[], None]]:
    """Lend a running peer: what is yielded kills its worker, which is started again at once."""
    words = [str(python), str(HERE / peer.script)]
    if not peer.packages:
        words = [str(python), "-m", "headrace.app.cli", "run", str(HERE / peer.script)]

    with log.open("ab") as out:

        def start() -> subprocess.Popen[bytes]:
            return subprocess.Popen(words, env=dict(environment), stdout=out, stderr=out)

        process = start()

        def kill() -> None:
            nonlocal process
            if peer.packages:
                process.kill()
                process.wait()
                process = start()
            else:  # its supervisor starts it again
                os.kill(_scorer(environment["PEER_REDIS"]), signal.SIGKILL)

        try:
            yield kill
        finally:
            stop(process, 20)


def _scorer(redis_url: str) -> int:
    """Return the process that scores, by its own word on the board: a spare says nothing there."""
    store = RedisStore(redis_url)
    try:
        until = time.monotonic() + SCORER_S
        while time.monotonic() < until:
            said = board_of(store, PIPELINE).get("score-0", {})
            if said.get("tasks") and start_time(said["pid"]) is not None:
                return int(said["pid"])
            time.sleep(0.05)
    finally:
        store.close()
    raise TimeoutError(f"nobody says within {SCORER_S:g} s that it scores")


def _publish(brokers: str, given: argparse.Namespace, peer: Peer, kill: Callable[[], None]) -> None:
    """Publish at a steady rate, once the peer has answered; kill at moments that a seed chooses."""
    chance = Random(SEED)
    step = given.events // (given.kills + 1)
    kills = {step * (n + 1) + chance.randrange(-step // 4, step // 4) for n in range(given.kills)}
    producer = Producer({"bootstrap.servers": brokers, "enable.idempotence": True})
    began = time.monotonic()
    for number in range(given.events):
        if number == KEYS:
            producer.flush(30)
            _wait_for_answers(brokers, peer.out)
            began = time.monotonic() - number / given.rate
        while time.monotonic() < began + number / given.rate:
            producer.poll(0.001)
        if number in kills:
            kill()
        key = f"k{number % KEYS}"
        value = {"id": str(number), "key": key, "at": datetime.now(UTC).isoformat(), "amount": 1.0}
        raw = key.encode()
        producer.produce(IN, json.dumps(value).encode(), raw, partition_of(raw, PARTITIONS))
    producer.flush(30)


def _wait_for_answers(brokers: str, topic: str) -> None:
    reader, deadline = RangeReader({"bootstrap.servers": brokers}), time.monotonic() + 120
    while not _end(reader, topic):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{topic}: no answer within two minutes")
        time.sleep(0.2)
    reader.close()


def _wait_for_end(brokers: str, topic: str) -> None:
    """Wait until nothing more comes."""
    reader = RangeReader({"bootstrap.servers": brokers})
    deadline, since, seen = time.monotonic() + END_S, time.monotonic(), -1
    while time.monotonic() < min(deadline, since + QUIET_S):
        time.sleep(1)
        end = _end(reader, topic)
        if end != seen:
            seen, since = end, time.monotonic()
    reader.close()


def _end(reader: RangeReader, topic: str) -> int:
    """Return how far a topic's partitions have come, together; 0 while there is no such topic."""
    try:
        return sum(reader.bounds((topic, each))[1] for each in range(PARTITIONS))
    except (Refused, Dead):
        return 0


def judged(peer: Peer, given: argparse.Namespace, brokers: str, seconds: float) -> Found:
    """Read the output at read_committed, and count what is wrong with it."""
    said: Counter[str] = Counter()
    counts: dict[str, list[int]] = defaultdict(list)
    for name, key, n in _outputs(peer, brokers):
        said[name] += 1
        counts[key].append(n)
    lost = sum(str(number) not in said for number in range(given.events))
    doubled = said.total() - len(said)
    expected = Counter(f"k{number % KEYS}" for number in range(given.events))
    wrong = sum(sorted(set(counts[key])) != list(range(1, n + 1)) for key, n in expected.items())
    return Found(
        peer.name, given.events, given.kills, said.total(), lost, doubled, wrong, round(seconds, 1)
    )


def _outputs(peer: Peer, brokers: str) -> Iterator[tuple[str, str, int]]:
    """Go through what a peer has said: the event's id, its key, the key's count."""
    if not peer.packages:
        for record in _predictions(brokers):
            yield record["event_id"], record["key"], record["features"]["running"]
        return
    reader = RangeReader({"bootstrap.servers": brokers})
    for each in range(PARTITIONS):
        at, end = reader.bounds((peer.out, each))
        while at < end:
            records = reader.read((peer.out, each), at, end)
            for record in records:
                value: Any = json.loads(record.value or b"{}")
                yield value["id"], value["key"], value["count"]
            at = records[-1].offset + 1 if records else end
    reader.close()


def _predictions(brokers: str) -> Iterator[dict[str, Any]]:
    plan = plan_of(load_pipeline(HERE / "pipeline.py"))
    for _, said in read(Connection(brokers), plan.topics, "predictions").records():
        yield said


if __name__ == "__main__":
    main()
