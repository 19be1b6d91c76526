"""``headrace run``: make the pipeline ready, supervise its workers, show how they stand."""

from __future__ import annotations

import math
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import structlog

from headrace.app.alerting.channels import channels_of
from headrace.app.alerting.sender import DeliveryCollector, sending
from headrace.app.board import SILENT_S, Board, board_of
from headrace.app.checking import broken_laws, made_otherwise, unfaithful
from headrace.app.http import serve
from headrace.app.logs import configure_logs
from headrace.app.prometheus import SupervisorCollector
from headrace.app.pruning import Pruner
from headrace.app.retention import refuse_short_logs, shortfalls
from headrace.app.scaling import scale_in
from headrace.app.services import Services, StackAwayError, find_services
from headrace.app.settings import Settings
from headrace.app.stack.owner import owner_of
from headrace.app.supervisor import Slot, Supervisor, WorkerCommand, slots_of
from headrace.app.wiring import Prepared, prepare
from headrace.schemas.errors import DeclarationError, HeadraceError, ServiceError
from headrace.streams.load import load_pipeline
from headrace.streams.plan import Plan, plan_of
from headrace.streams.store.redis import RedisStore

_LOOK_S = 1.0
T = TypeVar("T")

_log = structlog.get_logger("headrace.run")


def run_pipeline(
    file: Path, settings: Settings, *, score: int, join: int, pipeline: str | None = None
) -> int:
    """Run a pipeline's workers until asked to stop; return the exit code.

    Raises
    ------
    DeclarationError
        The declaration cannot work, or its model breaks a law.
    HeadraceError
        The pipeline cannot be made ready.
    """
    plan = plan_of(load_pipeline(file, pipeline))
    channels = channels_of(settings)
    configure_logs(settings, {"pipeline": plan.name})
    broken = [*broken_laws(plan, settings), *made_otherwise(plan, file)]
    if broken:
        raise DeclarationError(broken)
    for fault in unfaithful(plan):
        _log.warning(fault)
    slots = slots_of(score, join)
    services, prepared = waiting(settings, partial(_made_ready, plan, settings))
    created = [state.name for state in prepared.topic_states if state.created]
    _log.info("ready", version=prepared.version, topics_created=created)
    for state in prepared.topic_states:
        for difference in state.differs:
            _log.warning(
                "topic differs from what would be created", topic=state.name, it=difference
            )
    for sentence in shortfalls(plan, prepared.topic_states, services.kafka.brokers):
        _log.warning(sentence)
    refuse_short_logs(plan, prepared.topic_states)
    if prepared.edit:
        _log.warning(prepared.edit)
    waiting(settings, partial(scale_in, services.kafka, plan, slots, settings.transaction_ms))
    command = WorkerCommand(file, settings.http_port, pipeline)
    supervisor = Supervisor(slots, command, spare=command.spare)
    with (
        sending(services.kafka, plan.topics.alerts, plan.name, channels) as senders,
        Pruner(plan.name, settings),
    ):
        deliveries = DeliveryCollector(plan.name, senders)
        return _supervise(plan, settings, services, supervisor, deliveries)


def _made_ready(plan: Plan, settings: Settings) -> tuple[Services, Prepared]:
    services = find_services(settings)
    return services, prepare(plan, settings, services)


def waiting(settings: Settings, do: Callable[[], T]) -> T:
    """Do something; wait meanwhile for an embedded stack that is starting, or being mended.

    What does not answer although nobody keeps it is said at once: there is nothing to wait for.
    """
    own = settings.kafka_brokers is not None and settings.redis_url is not None
    while True:
        try:
            return do()
        except (ServiceError, StackAwayError) as error:
            if own or owner_of(settings.data) is None:
                raise
            _log.warning("waiting for the embedded stack", reason=str(error))
            time.sleep(_LOOK_S)


def _supervise(
    plan: Plan,
    settings: Settings,
    services: Services,
    supervisor: Supervisor,
    deliveries: DeliveryCollector,
) -> int:
    watch = Watch(RedisStore(services.redis_url, retries=0), plan.name)
    watch.start()
    supervisor.taken = watch.taken
    with _signals(supervisor):
        collector = SupervisorCollector(plan.name, supervisor.snapshot)
        where, stand = (settings.http_host, settings.http_port), supervisor.snapshot
        server = serve(*where, stand, collector, deliveries)
        _log.info("health", at=f"http://{settings.http_host}:{server.port}/health")
        try:
            if sys.stderr.isatty() and settings.log_format == "console":
                from headrace.app.live import run_live  # noqa: PLC0415 - in a terminal only

                return run_live(supervisor, watch, plan.name)
            return supervisor.run()
        finally:
            watch.stop()
            server.close()


@contextmanager
def _signals(supervisor: Supervisor) -> Iterator[None]:
    before = {
        number: signal.signal(number, supervisor.ask_to_stop)
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Watch:
    """Reads the board in a thread of its own: a Redis that does not answer holds up nobody.

    Attributes
    ----------
    board
        What workers said last.
    trouble
        Why there is nothing newer; empty if all is well.
    """

    def __init__(self, store: RedisStore, pipeline: str) -> None:
        self.board: Board = {}
        self.rates: dict[str, float] = {}
        self.trouble = ""
        self._changed_s: dict[str, float] = {}
        self._store = store
        self._pipeline = pipeline
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="headrace-board", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Stop looking."""
        self._ended.set()
        self._thread.join(_LOOK_S)
        self._store.close()

    def taken(self, slot: Slot) -> bool | None:
        """Return whether a process says that it has a slot; None if the board cannot be read."""
        if self.trouble:
            return None
        return time.monotonic() - self._changed_s.get(str(slot), -math.inf) < SILENT_S

    def _run(self) -> None:
        while not self._ended.wait(_LOOK_S):
            try:
                found = board_of(self._store, self._pipeline)
            except (HeadraceError, ValueError) as error:
                self.trouble = str(error)
            else:
                for name, report in found.items():
                    if report != self.board.get(name):
                        self._changed_s[name] = time.monotonic()
                self.rates = {name: _rate(self.board.get(name), found[name]) for name in found}
                self.board, self.trouble = found, ""


def _rate(before: dict[str, float] | None, now: dict[str, float]) -> float:
    """Return how many records a worker commits in a second, between two of its reports."""
    if before is None or before.get("pid") != now.get("pid"):
        return 0.0
    seconds = now.get("time", 0.0) - before.get("time", 0.0)
    return (now.get("records", 0) - before.get("records", 0)) / seconds if seconds > 0 else 0.0


def age_s(report: dict[str, float]) -> float:
    """Return how old a worker's report is, by our clock."""
    return max(0.0, time.time() - report.get("time", 0.0))
