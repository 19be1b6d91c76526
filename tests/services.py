"""Real Kafka, Valkey and PostgreSQL for tests: one embedded stack, clean corners of it.

Started when a test first asks for it, stopped with the session; on loopback, in its own folder.
The jars come from the cache that this user's stacks share.
"""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
import redis
from confluent_kafka import Producer

from headrace.app.stack.stack import Stack, fetch_stack_jars, quietly
from headrace.schemas.errors import ServiceError
from headrace.streams.engine.admin import Topics
from headrace.streams.engine.connection import Connection
from headrace.streams.records import Emit
from headrace.streams.topics import TopicSpec

_DATABASES = itertools.cycle(range(1, 16))


@contextmanager
def running_stack() -> Iterator[Stack]:
    """Lend a stack of all parts, in a folder that is deleted afterwards."""
    # Not pytest's folder: that is closed to PostgreSQL's user again by the next session.
    data = Path(tempfile.mkdtemp(prefix="headrace-tests-"))
    try:
        fetch_or_skip(data)
        with Stack(data, postgres=True) as stack:
            yield stack
    finally:
        shutil.rmtree(data, ignore_errors=True)


def fetch_or_skip(data: Path) -> Path:
    """Fetch Kafka's jars; a developer without a network skips what needs them, CI never does."""
    try:
        return fetch_stack_jars(data, os.environ.get("HEADRACE_MAVEN_URL"), quietly)
    except ServiceError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


def fresh_name(prefix: str = "t") -> str:
    """Return a name of a topic, group or pipeline that nobody has used."""
    return f"{prefix}-{uuid4().hex[:10]}"


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """The session's stack of real parts."""
    with running_stack() as stack:
        yield stack


@pytest.fixture
def kafka(stack: Stack) -> Connection:
    """The session's Kafka."""
    return Connection(str(stack.addresses["kafka"]))


MakeTopic = Callable[..., str]


@pytest.fixture
def make_topic(kafka: Connection) -> Iterator[MakeTopic]:
    """Makes topics of fresh names; they are deleted at the end."""
    made: list[str] = []
    topics = Topics(kafka.brokers)

    def make(partitions: int = 1, prefix: str = "t", **config: str) -> str:
        name = fresh_name(prefix)
        settings = {key.replace("_", "."): value for key, value in config.items()}
        topics.ensure([TopicSpec(name, partitions, settings)])
        made.append(name)
        return name

    yield make
    topics.delete(made)


@pytest.fixture
def redis_url(stack: Stack) -> Iterator[str]:
    """An empty database of the session's Valkey."""
    url = f"{str(stack.addresses['redis']).rpartition('/')[0]}/{next(_DATABASES)}"
    with redis.Redis.from_url(url) as client:
        client.flushdb()
        yield url
        client.flushdb()


@contextmanager
def fresh_database(stack: Stack) -> Iterator[str]:
    """Lend a fresh database of a stack's PostgreSQL, as SQLAlchemy addresses it."""
    server, _, database = str(stack.addresses["registry"]).rpartition("/")
    name = fresh_name("db")
    address = f"{server.replace('+psycopg', '')}/{database}"
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
        yield f"{server}/{name}"
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


@pytest.fixture
def postgres_url(stack: Stack) -> Iterator[str]:
    """A fresh database of the session's PostgreSQL, as SQLAlchemy addresses it."""
    with fresh_database(stack) as url:
        yield url


def produce(
    kafka: Connection, emits: Sequence[Emit], *, transactional_id: str | None = None
) -> None:
    """Write records to Kafka and wait for their acknowledgement."""
    settings: dict[str, str | int] = {"bootstrap.servers": kafka.brokers, "retry.backoff.ms": 10}
    if transactional_id is not None:
        settings["transactional.id"] = transactional_id
    producer = Producer(settings)
    if transactional_id is not None:
        producer.init_transactions(20)
        producer.begin_transaction()
    for topic, partition, key, value, headers in emits:
        producer.produce(topic, value, key, partition, headers=list(headers))
    assert producer.flush(20) == 0
    if transactional_id is not None:
        producer.commit_transaction(20)
