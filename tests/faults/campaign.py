"""A run of many faults, told line by line, judged at its end."""

from __future__ import annotations

import faulthandler
import time
from collections import defaultdict
from dataclasses import dataclass, field
from random import Random

from rich.console import Console

from headrace.streams.engine.publisher import Publisher
from tests.faults.catalogue import all_kinds
from tests.faults.judge import Verdict, logs_of, verdict_of
from tests.faults.kinds import Kind
from tests.faults.trial import Trial
from tests.oracle.logs import Logs

_PAUSE_S = 0.5
"""Between two faults, so that there is something for the next one to strike."""

_FINISH_S = 300.0
"""So long a backlog may take that a last fault has left."""

_HANG_S = 900.0
"""A fault that takes so long hangs in the harness itself: it ends, with a trace of each thread."""

_FAILURES_MAX = 5
"""A run in which so many faults did not go as they must has shown enough."""


@dataclass
class Done:
    """A fault that was done.

    Attributes
    ----------
    recovery_s
        Until each output and each committed offset that was live had gone on.
    commit_s
        Until each committed offset had gone on: outputs wait for one another besides.
    restore_s
        What those that were started again needed to take over their tasks, by their own word.
    gap_s
        For how long nothing came, where that is what counts.
    took_s
        All of it, with what belongs to the fault.
    restarts
        How often which worker ended.
    """

    kind: str
    where: str
    recovery_s: float
    commit_s: float
    restore_s: float
    gap_s: float | None
    took_s: float
    restarts: dict[str, int]
    note: str


@dataclass
class Campaign:
    """Many faults, one after another.

    Attributes
    ----------
    passed_over
        Faults whose point was not reached in time, by kind.
    failed
        Faults that did not go as they must, in sentences.
    late
        Faults after which not everything went on in time, in sentences.
    """

    trial: Trial
    random: Random
    console: Console
    done: list[Done] = field(default_factory=list)
    passed_over: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    failed: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)
    faults: int = 0
    begun_s: float = field(default_factory=time.time)

    def run(self, faults: int, seconds: float, only: str = "") -> None:
        """Do so many faults, or as many as there is time for.

        Parameters
        ----------
        only
            Parts of the names of what is done, by commas; the empty one is part of all.
        """
        kinds = [
            kind
            for kind in all_kinds(postgres=self.trial.stack.postgres)
            if any(part in kind.name for part in only.split(","))
        ]
        assert kinds, f"no kind of fault is called like {only!r}"
        self.faults, self.begun_s = faults, time.time()
        until = time.monotonic() + seconds
        while len(self.done) + len(self.failed) < faults and time.monotonic() < until:
            (kind,) = self.random.choices(kinds, [kind.odds for kind in kinds])
            faulthandler.dump_traceback_later(_HANG_S, exit=True)
            self.do(kind)
            faulthandler.cancel_dump_traceback_later()
            if len(self.failed) == _FAILURES_MAX:
                return
            self.trial.wait(_PAUSE_S * self.random.random())

    def do(self, kind: Kind) -> Done | None:
        """Do one fault, and wait until everything goes on; None if its point was not reached.

        What does not go as it must is noted, and the run goes on: one that ends there would tell
        less. It ends at once only if the pipeline does not go on any more.
        """
        before, begun_s = self.trial.restarts(), time.monotonic()
        try:
            struck = kind.act(self.trial, self.random)
            if struck is None:
                self.passed_over[kind.name] += 1
                return None
            recovery_s, commit_s = self.trial.recovered_s(struck.since_s)
        except AssertionError as error:
            self._fail(self.failed, kind, str(error))
            self.trial.mend()
            self.trial.recovered_s(time.time())
            return None
        except Exception as error:
            error.add_note(f"in fault {len(self.done) + 1}: {kind.name}")
            raise
        after, slots = self.trial.restarts(), self.trial.system.slots
        restarts = {name: n - before.get(name, 0) for name, n in after.items()}
        ended = {name: n for name, n in restarts.items() if n > 0}
        restored = [self.trial.system.restore_s(slots[name]) for name in ended]
        done = Done(
            kind.name, struck.where, round(recovery_s, 2), round(commit_s, 2),
            round(max(restored, default=0.0), 2),
            None if struck.gap_s is None else round(struck.gap_s, 2),
            round(time.monotonic() - begun_s, 2), ended, struck.note,
        )  # fmt: skip
        self.done.append(done)
        self._tell(done)
        if recovery_s > self.trial.limit_s:
            self._fail(self.late, kind, f"{done.where}: recovered after {recovery_s:.1f} s")
            self.console.print(self.trial.evidence, soft_wrap=True, highlight=False, markup=False)
        return done

    def _fail(self, noted: list[str], kind: Kind, why: str) -> None:
        noted.append(f"fault {len(self.done)}: {kind.name}: {why}")
        self.console.print(f"[red]{noted[-1]}[/]", soft_wrap=True, highlight=False)

    @property
    def holds(self) -> bool:
        """Whether each fault went as it must, in time."""
        return not self.failed and not self.late

    def _tell(self, done: Done) -> None:
        restarts = " ".join(f"{name}×{n}" for name, n in done.restarts.items()) or "none"
        passed_s = time.time() - self.begun_s
        ends_s = self.begun_s + passed_s / len(self.done) * max(self.faults, len(self.done))
        ends = time.strftime("%H:%M", time.localtime(ends_s))
        self.console.print(
            f"[dim]{len(self.done):4} {passed_s:6.0f} s, end {ends}[/]  {done.kind:31}"
            f" {done.where:44} [bold]{done.recovery_s:5.1f} s[/]  [dim]ended: {restarts};"
            f" {done.took_s:.0f} s in all[/]  {done.note}",
            soft_wrap=True,
            highlight=False,
        )

    def end(self) -> Logs:
        """Bring the run to its end: everything published goes through. Return what came of it."""
        trial = self.trial
        trial.load.stop()
        with Publisher(trial.system.plan, trial.system.services.kafka) as publisher:
            trial.system.finish(publisher, _FINISH_S)
        trial.system.wait_running()
        codes = trial.system.stop()
        assert set(codes) == {0}, f"workers stopped with {codes}"
        return logs_of(trial.system)

    def judged(self, logs: Logs) -> Verdict:
        """Judge the run by its logs, what the store holds, and the checkpoints."""
        return verdict_of(self.trial.system, logs, self.trial.load.events)
