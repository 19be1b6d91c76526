"""A worker process: one Kafka thread that owns every Kafka object, and agents that process.

The Kafka thread, again and again: fetch, and hear of rebalances; drive take-overs; hand waiting
records to the agents as batches; commit what is finished; say how it stands. Nothing in it waits
for a single record, and nothing is locked: agents and this thread share a task only through
``Work.done`` and two integers of the task's cache (see ``protocol.cache``).

Whatever is no record's fault ends the process at once: committed offsets decide at the restart.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from typing import Any

import structlog

from headrace.streams.engine.agents import Agents
from headrace.streams.engine.bounds import Bounds
from headrace.streams.engine.guard import STOPPED
from headrace.streams.engine.holding import Holding, Notices, Work
from headrace.streams.engine.keeper import Keeper
from headrace.streams.engine.messages import grouped
from headrace.streams.engine.parts import Parts, is_ours, store_answers
from headrace.streams.engine.report import Tallies, as_text, report_of
from headrace.streams.engine.roles import RoleSpec
from headrace.streams.engine.standstill import Standstill
from headrace.streams.engine.takeovers import TakeOvers
from headrace.streams.engine.waits import in_words, noting
from headrace.streams.protocol.commit import commit
from headrace.streams.protocol.inputs import Inputs
from headrace.streams.protocol.ports import Lost, TaskId
from headrace.streams.protocol.stage import Context
from headrace.streams.protocol.steps import Hook, drive
from headrace.streams.protocol.takeover import Ports
from headrace.streams.protocol.task import process
from headrace.streams.records import TopicPartition

FETCH_RECORDS = 4_000
BATCH_RECORDS = 500
TICK_S = 0.005
"""At low rates fewer and larger fetches: a third less CPU at 1,000 events/s (measured)."""

_IDLE_S = 0.05
_BUSY_S = 0.002
_LOOK_S = 5.0
_REPORT_S = 1.0
_REPORT_LEAST_S = 0.01
_DRAIN_S = 3.0
_STOP_S = 10.0

_CALLS, _GROUP, _MODEL = "the Kafka thread", "the group", "the model"
_REJOIN = "its members, who have to rejoin before partitions are dealt out"

_log = structlog.get_logger("headrace.engine")


class Worker:
    """One process of a role.

    Parameters
    ----------
    role
        What it runs.
    slot
        Its place among the role's workers.
    parts
        Its ports.
    hook
        Called around each remote call of take-over and commit; tests alone set one.
    """

    def __init__(self, role: RoleSpec, slot: int, parts: Parts, hook: Hook | None = None) -> None:
        self.role = role
        self.name = f"{role.name}-{slot}"
        self.state = "starting"
        self.tallies = Tallies()
        self.holdings: dict[TaskId, Holding] = {}
        self.follower = parts.follower
        self._parts = parts
        self._log = parts.log
        self._inputs = Inputs(parts.log)
        self._guard = parts.guard
        self._waits = parts.guard.waits
        self._hook = noting(self._waits, _CALLS, hook)
        self._standstill = Standstill(parts.log, self._waits)
        keep = Keeper(parts.registry.put_snapshot)
        self._ports = Ports(parts.log, parts.store, parts.registry, keep)
        self._take_overs = TakeOvers(role, self._ports, self._waits, self._hook)
        self._agents = Agents(
            f"{role.group}-{slot}", [s.name for s in role.stages], self._process, parts.folder
        )
        self._bounds = Bounds()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._next_commit_s = self._next_fetch_s = self._next_look_s = 0.0
        self._reported_s = 0.0
        self._report_wanted = False
        self._models_at: int | None = None
        self._extra: dict[str, Any] = {}
        self.report: dict[str, Any] = self._report()

    # -- the process' life

    def run(self, **extra: Any) -> int:
        """Run in the calling thread until :meth:`stop`; return the exit code.

        Parameters
        ----------
        extra
            What the board shall show besides.
        """
        self._extra = extra
        self._guard.start()
        try:
            asyncio.run(self._agents.run(self._start))
        except BaseException as error:  # noqa: BLE001 - the guard logs it and ends the process
            self._guard.end(error)
        return STOPPED

    def stop(self) -> None:
        """Finish what is under way, commit, and leave; from any thread or signal handler."""
        if not self._stopping.is_set():
            self._guard.arm("stopping", _STOP_S)
            self._stopping.set()
            self._wake.set()

    def _report(self) -> dict[str, Any]:
        """Return how the worker stands, as the board and the health endpoint show it."""
        learned_to = None if self.follower is None else self.follower.served.learned_to
        stand = (self.role.version, self.state, learned_to, self.tallies)
        return {**report_of(self.name, *stand, self.holdings, self._log.lag), **self._extra}

    def stands(self) -> dict[str, Any]:
        """Return the last report with what is waited for by now; from any thread."""
        waits, said = self._waits.standing(), self.report["waits_for"]
        return {**self.report, "waits_for": said or in_words(waits), "waits": waits}

    def _start(self) -> None:
        threading.Thread(target=self._main, name="headrace-kafka", daemon=True).start()

    def _main(self) -> None:
        try:
            if self._open():
                while not self._stopping.is_set():
                    self._turn()
                self._leave()
            self._agents.stop()
        except BaseException as error:  # noqa: BLE001 - same
            self._guard.end(error)

    def _open(self) -> bool:
        """Wait for Kafka and the store, and join the group; False if told to stop meanwhile."""
        self._wait_for("Kafka")
        if not self._log.open(self._go_on):
            return False
        self._wait_for("Redis")
        while not store_answers(self._parts.store, self._stopping):
            if not self._go_on():
                return False
        self.state = "running"
        if self.follower is not None:
            self._models_at = self.follower.begin(self._log)
        self._waits.begin(_GROUP, _REJOIN)
        self._log.join(self.role.topics, self._on_assign, self._on_gone)
        return True

    def _wait_for(self, what: str) -> None:
        """Say so at once: no turn of the loop, which would say it, comes before the answer."""
        self.state = f"waiting for {what}"
        self.report = self._report()

    def _go_on(self) -> bool:
        self.report = self._report()  # one that grew old would say that the process stands still
        self._guard.beat(working=False, progress=False)
        return not self._stopping.is_set()

    def _leave(self) -> None:
        """Commit what the agents have, save what was learned, and leave the slot's place warm."""
        self.state = "stopping"
        self._drain()
        cadence = self._parts.cadence
        for holding in self.holdings.values():
            if cadence is not None and cadence.unsaved:  # so that a restart learns nothing again
                work = holding.hand_out(0, None, Notices(snapshot=True))
                self._agents.feed([work] if work is not None else [])
        self._drain()
        self._drop_all()
        self._log.close()
        self._parts.store.drop_worker(self.role.pipeline, self.name)

    def _drain(self) -> None:
        until = time.monotonic() + _DRAIN_S
        while any(h.under_way for h in self.holdings.values()) and time.monotonic() < until:
            self._wake.wait(0.02)
            self._wake.clear()
            self._commit()

    # -- a turn of the Kafka thread

    def _turn(self) -> None:
        self._waits.end(_CALLS)
        fetched = self._fetch()
        self._take_over()
        self._hand_out()
        committed = self._commit_if_due()
        self._look()
        self._report_if_due()
        working = any(holding.can_work for holding in self.holdings.values())
        self._guard.beat(working=working, progress=bool(committed or (fetched and not working)))

    def _fetch(self) -> int:
        busy = self._report_wanted or any(h.under_way for h in self.holdings.values())
        if self.follower is not None and self.follower.loading:
            busy = True
        left = self._next_fetch_s - time.monotonic()
        if busy and left > 0 and self._wake.wait(left):
            self._wake.clear()
            return 0
        wait_s = 0.0 if self._take_overs.current else _BUSY_S if busy else _IDLE_S
        messages = self._log.consume(FETCH_RECORDS, wait_s)
        if not messages:
            return 0
        if len(messages) < BATCH_RECORDS:
            self._next_fetch_s = time.monotonic() + TICK_S
        self._receive(messages)
        return len(messages)

    def _receive(self, messages: Sequence[Any]) -> None:
        tasks = {tp: h for h in self.holdings.values() for tp in h.fetch_positions()}
        for tp, records in grouped(messages, self._log.check_message):
            holding = tasks.get(tp)
            if holding is not None:
                holding.receive(tp[0], records)
            elif self.follower is not None and tp[0] == self.follower.topic:
                self._models_at = records[-1].offset + 1
                self.follower.receive(records)
        for holding in self.holdings.values():
            full = holding.to_pause()
            if full:
                self._inputs.pause(full)

    def _take_over(self) -> None:
        spec = self._take_overs.current
        if spec is None:
            return
        self.state = f"taking over {spec.id}"
        task = self._take_overs.advance()
        if task is not None:
            self.holdings[spec.id] = Holding(task)
            self._assign()
        if self._take_overs.current is None:
            self.state = "running"

    def _assign(self) -> None:
        """Fetch what is held, each input from its own position on, and the announced models."""
        positions: dict[TopicPartition, int] = {}
        for holding in self.holdings.values():
            positions.update(holding.fetch_positions())
        positions.update(self._followed())
        paused = [tp for holding in self.holdings.values() for tp in holding.paused()]
        self._inputs.assign(positions, paused)

    def _hand_out(self) -> None:
        out: list[Work] = []
        for holding in self.holdings.values():
            only = self._bounds.only(holding.task.spec.id, holding.task.stage)
            out += self._next_works(holding, only)
            free = holding.to_resume()
            if free:
                self._inputs.resume(free)
        if out:
            self._agents.feed(out)

    def _next_works(self, holding: Holding, only: str | None) -> list[Work]:
        cadence, found = self._parts.cadence, []
        notices = None if cadence is None else cadence.notices(holding.task)
        while work := holding.hand_out(BATCH_RECORDS, only, notices):
            found.append(work)
            if cadence is not None and notices is not None:
                cadence.handed(notices)
                notices = None
        return found

    # -- commits

    def _commit_if_due(self) -> int:
        return self._commit() if time.monotonic() >= self._next_commit_s else 0

    def _commit(self) -> int:
        done = [(holding.task, holding.finished()) for holding in self.holdings.values()]
        works = [work for _, part in done for work in part]
        finished = [(task, [w.batch for w in part if w.batch]) for task, part in done if part]
        if finished:
            begun = time.monotonic()
            drive(commit(finished, self._ports, checkpoint=True), self._hook)
            seconds = time.monotonic() - begun
            self.tallies.committed(finished, seconds, sum([work.seconds for work in works]))
            if self._parts.cadence is not None:
                self._parts.cadence.committed(works, seconds)
            self._next_commit_s = time.monotonic() + self.role.commit_s
        self._drop_lost()
        return len(finished)

    def _drop_lost(self) -> None:
        """Drop tasks that somebody else owns; the group is polled before they are wanted again."""
        for key, holding in list(self.holdings.items()):
            if holding.task.lost:
                _log.warning("task lost", task=str(key))
                holding.drop()
                del self.holdings[key]
                self._take_overs.want([holding.task.spec])

    # -- rebalances: called out of consume, so in this thread

    def _on_assign(self, assigned: Sequence[TopicPartition]) -> None:
        _log.info("assigned", partitions=[f"{topic}-{number}" for topic, number in assigned])
        self._waits.end(_GROUP)
        self._drop_all()
        self._take_overs.want(self.role.tasks_of(set(assigned)))

    def _on_gone(self) -> None:
        """Drop all: what was not committed is processed again by whoever takes over."""
        _log.info("partitions taken away")
        self._waits.begin(_GROUP, _REJOIN)
        self._drop_all()

    def _drop_all(self) -> None:
        for holding in self.holdings.values():
            holding.drop()
        self.holdings.clear()
        self._take_overs.clear()

    # -- looking after what is idle, and saying how it stands

    def _look(self) -> None:
        """See that nothing stands still, and that idle tasks' state is still there, and ours."""
        self._standstill.look(self.holdings, self._followed())
        now = time.monotonic()
        if now < self._next_look_s:
            return
        self._next_look_s = now + _LOOK_S
        for holding in self.holdings.values():
            task = holding.task
            if task.spec.stored and not holding.busy and not is_ours(task, self._parts.store):
                task.lost = True
        self._drop_lost()

    def _followed(self) -> dict[TopicPartition, int]:
        """Return how far the announced models are read, and note if one is loading."""
        if self.follower is None or self._models_at is None or not self.holdings:
            return {}
        if not self.follower.loading:
            self._waits.end(_MODEL)
        else:
            self._waits.begin(_MODEL, "an announced state to load", holds_up=False)
        return {(self.follower.topic, 0): self._models_at}

    def _report_if_due(self) -> None:
        if self.follower is not None and self.follower.failure is not None:
            raise self.follower.failure
        pause_s = _REPORT_LEAST_S if self._report_wanted else _REPORT_S
        now = time.monotonic()
        if now - self._reported_s >= pause_s:
            self._reported_s, self._report_wanted = now, False
            self.report = self._report()
            self._parts.store.put_worker(self.role.pipeline, self.name, as_text(self.report))

    def report_soon(self) -> None:
        """Say very soon how it stands: another model is served. From any thread."""
        self._report_wanted = True
        self._wake.set()

    # -- the agents' side

    def _process(self, work: Work) -> None:
        """Process one batch, in the event loop's thread; never raises."""
        begun = time.perf_counter()
        task = work.holding.task
        try:
            if not work.holding.gone and not task.lost:
                work.batch = self._processed(work)
        except Lost:
            task.lost = True
        except BaseException as error:  # noqa: BLE001 - the Kafka thread raises it, and ends
            work.error = error
        work.seconds = time.perf_counter() - begun
        work.done = True
        self._wake.set()

    def _processed(self, work: Work) -> Any:
        task = work.holding.task
        if self._parts.cadence is not None:
            self._parts.cadence.tell(task.stage, work.notices)
        served = self.follower.served if self.follower is not None else None
        steps = process(task, work.records, self._parts.store, Context(model=served))
        return drive(steps)
