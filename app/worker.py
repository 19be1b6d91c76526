"""One worker process: ``python -m headrace.app.worker FILE --role score --slot 0``.

The supervisor starts it; nobody else needs to. It ends with one of the guard's exit codes.

With ``--spare`` it has imported everything and waits for a line on its standard input that says
which slot has become empty: most of a restart is spent before anybody needs it.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import structlog

from headrace.app.ending import tell_ending
from headrace.app.http import serve
from headrace.app.logs import configure_logs
from headrace.app.prometheus import WorkerCollector
from headrace.app.services import StackAwayError, find_services
from headrace.app.settings import Settings, settings_from
from headrace.app.wiring import Prepared, prepare, worker_of
from headrace.schemas.errors import HeadraceError, ServiceError
from headrace.streams.engine.guard import STOPPED, exit_code
from headrace.streams.engine.report import figures_of
from headrace.streams.engine.worker import Worker
from headrace.streams.load import load_pipeline
from headrace.streams.plan import Plan, plan_of
from headrace.streams.protocol.steps import Hook
from headrace.streams.stages.monitor import MonitorStage

_ASK_AGAIN_S = 1.0

NICENESS = {"score": 0, "join": 5, "learn": 5}
"""When there are more runnable processes than cores, predictions go first."""

_log = structlog.get_logger("headrace.worker")


def main(arguments: Sequence[str] | None = None, hook: Hook | None = None) -> int:
    """Run a worker until it is told to stop; return the exit code.

    Parameters
    ----------
    hook
        Called around each remote call of take-over and commit; tests alone set one.
    """
    given = _parser().parse_args(arguments)
    try:
        settings = settings_from(os.environ)
        configure_logs(settings)
        plan = plan_of(load_pipeline(given.file, given.pipeline))
        if given.spare and not _called_for(given):
            return STOPPED
        return run(plan, settings, given.role, given.slot, given.http_port, hook)
    except HeadraceError as error:
        sys.stderr.write(f"headrace: {error}\n")
        tell_ending(str(error))
        return exit_code(error)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="headrace-worker", description=__doc__)
    parser.add_argument("file", type=Path, help="the pipeline's file")
    parser.add_argument("--pipeline", help="which of the file's pipelines, by its name")
    parser.add_argument("--role", choices=("score", "join", "learn"), default="score")
    parser.add_argument("--slot", type=int, default=0, help="its place among the role's workers")
    parser.add_argument("--http-port", type=int, default=0, help="0: the system chooses")
    parser.add_argument("--spare", action="store_true", help="wait to be told role and slot")
    return parser


def _called_for(given: argparse.Namespace) -> bool:
    """Wait to be told which slot is empty; False if nobody is left who could say."""
    line = sys.stdin.readline()
    if not line:
        return False
    for name, value in json.loads(line).items():
        setattr(given, name, value)
    return True


def run(
    plan: Plan,
    settings: Settings,
    role: str,
    slot: int,
    http_port: int = 0,
    hook: Hook | None = None,
) -> int:
    """Run a worker in this process until SIGTERM or SIGINT; return the exit code.

    Until its services answer it waits for them; a signal then ends it as any process.
    """
    os.nice(NICENESS[role])
    stand = _Stand(role, slot)
    collector = WorkerCollector(plan.name, stand.snapshot)
    server = serve(settings.http_host, http_port, stand.report, collector)
    try:
        worker = stand.worker = worker_of(_prepared(plan, settings, stand), role, slot, hook)

        def stop(number: int, frame: Any) -> None:
            worker.stop()

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        _collect_seldom()
        return worker.run(http_port=server.port)
    finally:
        server.close()


def _collect_seldom() -> None:
    """Leave what the start has made out of garbage collections, and collect less often.

    A batch makes many objects and no cycles. With the defaults a collection now and then goes
    through every module, model and state of the process while predictions wait.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def _prepared(plan: Plan, settings: Settings, stand: _Stand) -> Prepared:
    """Wait until the services answer: to end and be started again would cost a core for seconds.

    An embedded stack that is away is waited for like any service: it was there when we were
    started, and whoever keeps it starts it again.
    """
    while True:
        try:
            return prepare(plan, settings, find_services(settings), create=False)
        except (ServiceError, StackAwayError) as error:
            stand.waits_for = str(error)
            _log.warning("waiting for services", reason=str(error))
            time.sleep(_ASK_AGAIN_S)


class _Stand:
    """How this process stands, before there is a worker in it and then."""

    def __init__(self, role: str, slot: int) -> None:
        self.waits_for = "Kafka and the registry"
        self.worker: Worker | None = None
        self._place = {"role": role, "slot": slot, "pid": os.getpid()}

    def report(self) -> dict[str, Any]:
        """Return it as the health endpoint shows it."""
        if self.worker is not None:
            return self.worker.stands()
        state = "waiting for services"
        return {**self._place, "time": time.time(), "state": state, "waits_for": self.waits_for}

    def snapshot(self) -> dict[str, Any]:
        """Return it with what MONITOR has to say, if it runs here, for Prometheus."""
        if self.worker is None:
            return self.report()
        holdings = list(self.worker.holdings.values())
        stages = [holding.task.stage for holding in holdings]
        alerts = [stage.alerts() for stage in stages if isinstance(stage, MonitorStage)]
        found = {"figures": figures_of(holdings), "alerts": alerts[0] if alerts else None}
        return {**self.report(), **found}


if __name__ == "__main__":
    sys.exit(main())
