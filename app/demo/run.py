"""The demo's run itself: publishes the history in step, and knows at any moment how it stands.

It works in two threads, one that publishes and one that looks on, while the main thread supervises
the workers and shows :meth:`Run.view`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from contextlib import closing
from threading import Event, Thread
from typing import Any
from uuid import uuid4

from headrace.app.board import Board, board_of
from headrace.app.demo.observed import Observed
from headrace.app.demo.source import History
from headrace.app.demo.summary import Summary, quality_of, summary_of
from headrace.app.demo.view import Quality, View
from headrace.app.values import Values, count_of, drift_of, value_of
from headrace.app.wiring import Prepared, open_store
from headrace.schemas.errors import ServiceError
from headrace.streams.duration import duration_text
from headrace.streams.engine.pace import Progress, publish_in_step
from headrace.streams.engine.publisher import Publisher
from headrace.streams.flow import stage_decls

START_S = 90.0
"""How long workers may take to take their tasks over."""

SETTLE_S = 60.0
"""How long the last metrics may take after the last slice was learned."""

_RATE_S = 3.0
_LOOK_S = 0.1


class Run:
    """Publishes a history to a pipeline that is running.

    Parameters
    ----------
    prepared
        The pipeline.
    history
        What is published.
    step_ms
        Length of a slice of event time.
    title
        What the picture is called.
    begun_s
        When setting up began, by the monotonic clock.

    Attributes
    ----------
    finished
        Set when everything that was published has come out in the metrics, or when it failed.
    error
        Why it failed, None if it did not.
    summary
        Of the whole run, once it is finished.
    restarts
        How often a worker was started again; whoever supervises says it.
    """

    def __init__(
        self, prepared: Prepared, history: History, step_ms: int, title: str, begun_s: float
    ) -> None:
        self.finished = Event()
        self.error: BaseException | None = None
        self.summary: Summary | None = None
        self.restarts = 0
        self._prepared = prepared
        self._plan = prepared.plan
        self._history = history
        self._step_ms = step_ms
        self._title = title
        self._observed = Observed(self._plan.topics)
        self._progress = Progress()
        self._waits_for = "starting workers"
        self._started = self._began = self._ended = 0.0
        self._past: deque[tuple[float, dict[str, int]]] = deque()
        self._stopping = Event()
        self._created_s = begun_s
        self._board: Board = {}
        self._baselines = [*self._plan.learned_baselines, *self._plan.rules]
        self._threads = [
            Thread(target=self._guarded, args=(work,), name=name, daemon=True)
            for work, name in ((self._look_on, "demo-reader"), (self._play, "demo-publisher"))
        ]

    def start(self) -> None:
        """Begin."""
        self._started = time.monotonic()
        for thread in self._threads:
            thread.start()

    def ask_to_stop(self) -> None:
        """Publish no more; fit for a signal handler."""
        self._stopping.set()
        self._waits_for = "stopping"

    def stop(self) -> None:
        """Stop, and wait until both threads have ended."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(5.0)

    # -- the threads

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - the main thread raises it
            self.error = self.error or error
            self.finished.set()

    def _look_on(self) -> None:
        self._observed.follow(self._prepared.services.kafka, lambda: not self._stopping.is_set())

    def _play(self) -> None:
        plan, kafka = self._plan, self._prepared.services.kafka
        last = f"demo-{uuid4().hex[:12]}"
        with closing(open_store(self._prepared.services)) as store:

            def board() -> Board:
                self._board = board_of(store, plan.name)
                return self._board

            self._wait_until(lambda: self._all_work(board()), START_S, "have taken up their tasks")
            self._began = time.monotonic()
            with Publisher(plan, kafka) as publisher:
                self._publish(publisher, board)
                if self._stopping.is_set():
                    return
                self._waits_for = "counting the last"
                publisher.barrier(last)
            said = "have counted all that was published"
            self._wait_until(lambda: self._observed.has_passed(last), SETTLE_S, said)
            if self._stopping.is_set():
                return
            self._ended = time.monotonic()
            self._waits_for = "done"
            self.summary = self._summarised()
        self.finished.set()

    def _publish(self, publisher: Publisher, board: Callable[[], Board]) -> None:
        steps = publish_in_step(publisher, self._history.records, self._step_ms, board)
        for progress in steps:
            self._progress = progress
            slow = progress.waiting_for and time.monotonic() - self._began > 1
            self._waits_for = f"waiting for {progress.waiting_for}" if slow else ""
            if self._stopping.is_set():
                return

    def _wait_until(self, so: Callable[[], bool], limit_s: float, said: str) -> None:
        until = time.monotonic() + limit_s
        while not so() and not self._stopping.wait(_LOOK_S):
            if time.monotonic() > until:
                raise ServiceError(f"Not all workers {said} within {limit_s:.0f} s.")

    def _all_work(self, board: Board) -> bool:
        """Return whether every task is held by a worker that runs."""
        decls = stage_decls(self._plan, self._prepared.partitions)
        wanted = sum(decl.tasks for decl in decls)
        running = [report for report in board.values() if report["state"] == "running"]
        held = sum(len(report["tasks"]) for report in running)
        self._waits_for = f"starting workers: {held} of {wanted} tasks"
        return held == wanted

    # -- how it stands

    def view(self) -> View:
        """Return what there is to show now."""
        progress, whole = self._progress, self._observed.whole()
        day = self._observed.last_day()
        latency = self._observed.latency(recent=True)
        totals = self._totals(progress, whole)
        scorers = [r for r in self._board.values() if r["role"] == "score"]
        return View(
            title=self._title,
            share=1.0 if self._ended else self._history.share(progress.event_time_ms),
            event_time_ms=progress.event_time_ms,
            seconds=self._seconds(),
            totals=totals,
            rates=self._rates(totals),
            rolling=self._qualities(day),
            whole=self._qualities(whole),
            coverage=day["auc"].coverage if day else None,
            drift=drift_of(day),
            auc_by_day=self._observed.auc_by_day(),
            version=self._prepared.version,
            learned_to=min([r["learned_to"] or 0 for r in scorers], default=0),
            model_lag_p50=value_of(whole, "model_lag.p50"),
            model_lag_p99=value_of(whole, "model_lag.p99"),
            latency_p50_ms=latency.p50_ms,
            latency_p99_ms=latency.p99_ms,
            waits_for=self._waits_for,
            restarts=self.restarts,
        )

    def _totals(self, progress: Progress, whole: Values) -> dict[str, int]:
        counted = ("waiting", "expired", "dead_letters", "unscored")
        return {
            "events": progress.events,
            "labels": progress.labels,
            **self._observed.seen(),
            **{name: count_of(whole, name) for name in counted},
        }

    def _rates(self, totals: dict[str, int]) -> dict[str, float]:
        """Return how fast totals rise, over the last seconds; nothing once it has ended."""
        now = time.monotonic()
        self._past.append((now, totals))
        while len(self._past) > 2 and now - self._past[0][0] > _RATE_S:
            self._past.popleft()
        then, before = self._past[0]
        if self._ended or now <= then:
            return {}
        names = ("events", "predictions", "labels", "examples")
        return {name: (totals[name] - before[name]) / (now - then) for name in names}

    def _qualities(self, values: Values) -> dict[str, Quality]:
        if not values:
            return {}
        found = {"model": quality_of(values)}
        return found | {name: quality_of(values, name) for name in self._baselines}

    def _seconds(self) -> float:
        """Return for how long it has been publishing."""
        if not self._began:
            return time.monotonic() - self._started
        return (self._ended or time.monotonic()) - self._began

    def _summarised(self) -> Summary:
        progress = self._progress
        run: dict[str, Any] = {
            "events": progress.events,
            "labels": progress.labels,
            "slices": progress.slices,
            "learned_to": progress.learned_to,
            "model_version": self._prepared.version,
            "in_step": duration_text(self._step_ms),
            "seconds": round(self._seconds(), 3),
            "setup_seconds": round(self._began - self._created_s, 3),
            "worker_restarts": self.restarts,
        }
        observed = self._observed
        whole, day = observed.whole(), observed.last_day()
        return summary_of(whole, day, self._baselines, observed.latency(), run)
