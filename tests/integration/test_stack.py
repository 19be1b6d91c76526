"""The embedded stack, its parts and their lives."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis
from confluent_kafka import Consumer, TopicPartition

from headrace.app.services import find_services
from headrace.app.settings import settings_from
from headrace.app.stack.detached import down, up
from headrace.app.stack.owner import owner_of
from headrace.app.stack.process import free_port, start_time
from headrace.app.stack.stack import Ports, Stack, wait_for
from headrace.schemas.errors import ServiceError, SettingsError
from headrace.streams.engine.admin import Topics
from headrace.streams.engine.connection import Connection
from headrace.streams.engine.ready import is_ready
from headrace.streams.records import Emit
from headrace.streams.topics import TopicSpec
from tests.faults.stack_kills import assert_back, kill, kill_while_mended, killing, pid_of
from tests.services import fetch_or_skip, produce

pytestmark = pytest.mark.integration


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    fetch_or_skip(tmp_path)
    yield tmp_path
    down(tmp_path)


def pids(data: Path) -> dict[str, int]:
    notes = {path.stem: json.loads(path.read_text()) for path in (data / "run").glob("*.json")}
    return {name: int(note["pid"]) for name, note in notes.items() if "pid" in note}


def gone(found: dict[str, int]) -> bool:
    return all(start_time(pid) is None for pid in found.values())


def values_of(brokers: str, topic: str) -> list[bytes | None]:
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "any"})
    try:
        _, end = consumer.get_watermark_offsets(TopicPartition(topic, 0), 10)
        consumer.assign([TopicPartition(topic, 0, 0)])
        return [message.value() for message in consumer.consume(end, 20)]
    finally:
        consumer.close()


def test_the_sessions_stack_answers_on_loopback_alone(stack: Stack, postgres_url: str) -> None:
    assert stack.answers()
    assert json.loads((stack.data / "stack.json").read_text()) == stack.addresses
    assert (stack.data / "stack.json").stat().st_mode & 0o077 == 0  # a password is in it
    with psycopg.connect(postgres_url.replace("+psycopg", "")) as connection:
        assert connection.execute("SHOW server_version").fetchone()
    assert_loopback_alone(set(pids(stack.data).values()))
    with redis.Redis.from_url(str(stack.addresses["redis"])) as client:
        assert client.config_get("appendonly")["appendonly"] == "yes"


def assert_loopback_alone(owners: set[int]) -> None:
    """Look up the listening sockets of some processes in /proc."""
    sockets = set()
    for pid in owners:
        for handle in Path(f"/proc/{pid}/fd").iterdir():
            name = os.readlink(handle)
            if name.startswith("socket:["):
                sockets.add(name[8:-1])
    listening = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in sockets:
                listening.append(fields[1].rpartition(":")[0])
    assert len(listening) >= 4  # Kafka has two
    loopback = {"0100007F", "0000000000000000FFFF00000100007F"}
    assert set(listening) <= loopback


def test_postgres_asks_for_a_password(stack: Stack) -> None:
    address = str(stack.addresses["registry"]).replace("+psycopg", "")
    head, _, tail = address.partition("@")
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(f"{head.rpartition(':')[0]}:wrong@{tail}")


def test_what_is_kept_survives_down_and_up(data: Path) -> None:
    first = up(data)
    assert first.started
    brokers = str(first.addresses["kafka"])
    Topics(brokers).ensure([TopicSpec("kept", 1, {})])
    produce(Connection(brokers), [Emit("kept", 0, b"k", b"v%d" % at) for at in range(3)])
    with redis.Redis.from_url(str(first.addresses["redis"])) as client:
        client.set("kept", "here")
    assert down(data)
    assert not (data / "stack.json").exists()
    assert owner_of(data) is None
    assert not down(data)  # there is none any more

    second = up(data)
    assert {**second.addresses, "pid": 0} == {**first.addresses, "pid": 0}  # the same ports
    assert values_of(brokers, "kept") == [b"v0", b"v1", b"v2"]
    with redis.Redis.from_url(str(second.addresses["redis"])) as client:
        assert client.get("kept") == b"here"
    down(data, wiping=True)
    assert [path.name for path in data.iterdir()] == ["stack.lock"]


def test_a_second_up_finds_the_first_and_parts_that_died_are_started_again(data: Path) -> None:
    first = up(data)
    before = pids(data)
    assert up(data) == (first.addresses, False)
    for name in ("kafka", "valkey"):
        os.kill(before[name], signal.SIGKILL)
    assert wait_for(lambda: pids(data) != before, 30)
    again = up(data)
    assert not again.started
    assert is_ready(Connection(str(again.addresses["kafka"])))
    with pytest.raises(ServiceError, match="up without PostgreSQL"):
        up(data, postgres=True)
    with pytest.raises(ServiceError, match=f"already runs on {data}"):
        Stack(data).start()


def test_a_killed_keeper_takes_its_parts_along_and_its_addresses_are_not_believed(
    data: Path,
) -> None:
    first = up(data)
    settings = settings_from({"HEADRACE_DATA": str(data)})
    assert find_services(settings).kafka.brokers == first.addresses["kafka"]
    parts = pids(data)
    os.kill(int(first.addresses["pid"]), signal.SIGKILL)
    assert wait_for(lambda: owner_of(data) is None, 10)
    assert (data / "stack.json").exists()
    with pytest.raises(SettingsError, match="no embedded stack is up"):
        find_services(settings)
    assert wait_for(lambda: gone(parts), 30)
    again = up(data)
    assert again.started
    assert find_services(settings).redis_url == again.addresses["redis"]


@pytest.mark.parametrize(("part", "delay_s"), [("kafka", 0.0), ("kafka", 1.0), ("valkey", 0.02)])
def test_a_part_that_is_killed_while_it_is_mended_is_mended_again(
    data: Path, part: str, delay_s: float
) -> None:
    """The keeper stays, and so does the other part; all kills: ``tests.faults.stack_kills``."""
    keeper = int(up(data).addresses["pid"])
    other = pids(data)["valkey" if part == "kafka" else "kafka"]
    kill_while_mended(data, part, delay_s)
    assert_back(data, keeper)
    assert start_time(other) is not None
    kill(data, "kafka")
    kill(data, "valkey")
    assert_back(data, keeper)


@pytest.mark.parametrize(("part", "delay_s"), [("kafka", 0.5), ("valkey", 0.0)])
def test_a_part_that_is_killed_while_up_waits_for_it_is_started_again(
    data: Path, part: str, delay_s: float
) -> None:
    with killing(data, part, delay_s):
        keeper = int(up(data).addresses["pid"])
    assert_back(data, keeper)


def test_a_part_that_cannot_be_mended_stops_no_other(data: Path) -> None:
    """It is tried again until it can: here until its folder can be written again."""
    keeper = int(up(data).addresses["pid"])
    kafka, properties = pids(data)["kafka"], data / "kafka" / "server.properties"
    properties.unlink()
    properties.mkdir()
    kill(data, "valkey")
    kill(data, "kafka")
    log = data / "logs" / "stack.log"
    assert wait_for(lambda: "tried again in" in log.read_text(), 30)
    assert wait_for(lambda: pid_of(data, "valkey") is not None, 30)
    assert owner_of(data) == keeper
    properties.rmdir()
    assert_back(data, keeper)
    assert pids(data)["kafka"] != kafka


OWNER = """
import sys, time
from pathlib import Path
from headrace.app.stack.stack import Stack
with Stack(Path(sys.argv[1]), postgres=True):
    print("up", flush=True)
    time.sleep(100)
"""


def test_parts_end_with_the_process_that_started_them(data: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(data)], stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "up\n"
        parts = pids(data)
        assert set(parts) == {"kafka", "valkey", "postgresql"}
        assert all(os.getsid(pid) == pid for pid in parts.values())  # Ctrl-C does not reach them
        owner.kill()
    assert wait_for(lambda: gone(parts), 30)


def test_a_left_over_of_a_killed_owner_is_ended_and_no_other_process(data: Path) -> None:
    """The note names a process by pid and start: one that got the pid later is left alone."""
    with subprocess.Popen(["sleep", "100"]) as left_over, subprocess.Popen(["sleep", "100"]) as new:
        (data / "run").mkdir()
        note = {"pid": left_over.pid, "start": start_time(left_over.pid)}
        (data / "run" / "valkey.json").write_text(json.dumps(note))
        note = {"pid": new.pid, "start": 1}
        (data / "run" / "kafka.json").write_text(json.dumps(note))
        with Stack(data):
            assert left_over.wait(5) == -signal.SIGTERM
            assert new.poll() is None
        new.kill()


def test_a_port_that_is_taken_is_passed_over_unless_it_is_demanded(data: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        (data / "run").mkdir()
        (data / "run" / "ports.json").write_text(json.dumps({"redis": port}))
        with Stack(data) as stack:
            assert not str(stack.addresses["redis"]).endswith(f":{port}/0")
        with pytest.raises(ServiceError, match=rf"Valkey: port {port} on 127\.0\.0\.1 is taken"):
            up(data, ports=Ports(redis=port))
        assert owner_of(data) is None
    demanded = free_port()
    with Stack(data, ports=Ports(redis=demanded)) as stack:
        assert str(stack.addresses["redis"]).endswith(f":{demanded}/0")


def test_a_part_that_does_not_start_is_quoted(data: Path) -> None:
    (data / "valkey" / "appendonlydir").mkdir(parents=True)
    (data / "valkey" / "appendonlydir" / "appendonly.aof.manifest").write_text("nonsense\n")
    begun = time.monotonic()
    with pytest.raises(ServiceError, match=r"(?s)Valkey ended with code 1 .*Invalid AOF manifest"):
        up(data)
    assert time.monotonic() - begun < 60
    assert owner_of(data) is None
    assert gone(pids(data))
