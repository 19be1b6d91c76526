"""Where Kafka, Redis and the registry are: as settings name them, else as the stack wrote them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from headrace.app.settings import Settings
from headrace.app.stack.owner import is_stale
from headrace.schemas.errors import SettingsError
from headrace.streams.engine.connection import Connection

STACK_FILE = "stack.json"
"""In the data folder: the addresses of the embedded stack while it is up.

``{"kafka": "127.0.0.1:9092", "redis": "redis://…", "registry": "sqlite:///…", "pid": 4711}``
"""


class StackAwayError(SettingsError):
    """No setting names a service, and no embedded stack is up that has it."""


@dataclass(frozen=True, slots=True)
class Services:
    """Addresses of the services that a process uses."""

    kafka: Connection
    redis_url: str
    registry_url: str


def find_services(settings: Settings) -> Services:
    """Return the services' addresses.

    Raises
    ------
    StackAwayError
        Neither settings nor a running stack name one of them.
    """
    kafka = find_kafka(settings)
    redis_url = settings.redis_url or _stack(settings.data).get("redis")
    if redis_url is None:
        raise _absent("Redis", "HEADRACE_REDIS_URL", settings)
    return Services(kafka, redis_url, find_registry(settings))


def find_kafka(settings: Settings) -> Connection:
    """Return where Kafka is: all that a publisher or a reader needs."""
    brokers = settings.kafka_brokers or _stack(settings.data).get("kafka")
    if brokers is None:
        raise _absent("Kafka", "HEADRACE_KAFKA_BROKERS", settings)
    return Connection(brokers, settings.kafka_security, settings.kafka_compression)


def find_registry(settings: Settings) -> str:
    """Return the registry's address."""
    found = settings.registry_url or _stack(settings.data).get("registry")
    return found or default_registry(settings.data)


def _absent(what: str, variable: str, settings: Settings) -> StackAwayError:
    return StackAwayError(
        f"No {what}: no embedded stack is up in {settings.data}. Start one with `headrace up`, or"
        f" name yours in {variable}."
    )


def default_registry(data: Path) -> str:
    """Return the address of the registry in SQLite in a data folder."""
    return f"sqlite:///{data.absolute() / 'registry.db'}"


def _stack(data: Path) -> dict[str, str]:
    if is_stale(data):  # killed, or the machine was started anew: nobody is at those addresses
        return {}
    try:
        found: dict[str, str] = json.loads((data / STACK_FILE).read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise SettingsError(
            f"{data / STACK_FILE} is not readable ({error}). Delete it, and run `headrace up`."
        ) from error
    return found
