"""A run of many faults, told line by line, judged at its end."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from random import Random
from typing import Any

from rich.console import Console
from rich.table import Table

from headrace.streams.engine.publisher import Publisher
from tests.faults.catalogue import WORKERS, Kind
from tests.faults.judge import Verdict, logs_of, verdict_of
from tests.faults.outages import outages
from tests.faults.trial import Trial
from tests.oracle.logs import Logs

_PAUSE_S = 1.0
"""Between two faults, so that there is something for the next one to strike."""

_FINISH_S = 300.0
"""So long a backlog may take that a last fault has left."""


@dataclass
class Done:
    """A fault that was done."""

    kind: str
    where: str
    recovery_s: float
    restarts: dict[str, int]
    note: str


@dataclass
class Campaign:
    """Many faults, one after another.

    Attributes
    ----------
    passed_over
        Faults whose point was not reached in time, by kind.
    """

    trial: Trial
    random: Random
    console: Console
    done: list[Done] = field(default_factory=list)
    passed_over: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))

    def run(self, faults: int, seconds: float, only: str = "") -> None:
        """Do so many faults, or as many as there is time for.

        Parameters
        ----------
        only
            Parts of the names of what is done, by commas; the empty one is part of all.
        """
        kinds = [
            kind
            for kind in (*WORKERS, *outages(postgres=self.trial.stack.postgres))
            if any(part in kind.name for part in only.split(","))
        ]
        assert kinds, f"no kind of fault is called like {only!r}"
        until = time.monotonic() + seconds
        while len(self.done) < faults and time.monotonic() < until:
            (kind,) = self.random.choices(kinds, [kind.odds for kind in kinds])
            self.do(kind)
            self.trial.wait(_PAUSE_S * self.random.random())

    def do(self, kind: Kind) -> Done | None:
        """Do one fault, and wait until everything goes on."""
        before = self.trial.restarts()
        try:
            struck = kind.act(self.trial, self.random)
            if struck is None:
                self.passed_over[kind.name] += 1
                return None
            recovery_s = self.trial.recovered_s(struck.since_s)
        except Exception as error:
            error.add_note(f"in fault {len(self.done) + 1}: {kind.name}")
            raise
        after = self.trial.restarts()
        restarts = {name: n - before.get(name, 0) for name, n in after.items()}
        ended = {name: n for name, n in restarts.items() if n > 0}
        done = Done(kind.name, struck.where, recovery_s, ended, struck.note)
        self.done.append(done)
        self._tell(done)
        return done

    def _tell(self, done: Done) -> None:
        restarts = " ".join(f"{name}×{n}" for name, n in done.restarts.items()) or "none"
        self.console.print(
            f"[dim]{len(self.done):4}[/]  {done.kind:30} {done.where:52}"
            f" [bold]{done.recovery_s:5.1f} s[/]  [dim]restarts: {restarts}[/]  {done.note}",
            soft_wrap=True,
            highlight=False,
        )

    def end(self) -> Logs:
        """Bring the run to its end: everything published goes through. Return what came of it."""
        trial = self.trial
        trial.load.stop()
        with Publisher(trial.system.plan, trial.system.services.kafka) as publisher:
            trial.system.finish(publisher, _FINISH_S)
        codes = trial.system.stop()
        assert set(codes) == {0}, f"workers stopped with {codes}"
        return logs_of(trial.system)

    def judged(self, logs: Logs) -> Verdict:
        """Judge the run by its logs, what the store holds, and the checkpoints."""
        return verdict_of(self.trial.system, logs, self.trial.load.events)


def table(done: list[Done]) -> Table:
    """Return the recovery times by kind of fault."""
    found = Table(box=None, pad_edge=False)
    for name in ("fault", "done", "recovery p50, s", "max, s"):
        found.add_column(name, justify="left" if name == "fault" else "right")
    for kind in dict.fromkeys(each.kind for each in done):
        times = [each.recovery_s for each in done if each.kind == kind]
        row = kind, str(len(times)), f"{statistics.median(times):.1f}", f"{max(times):.1f}"
        found.add_row(*row)
    return found


def as_json(campaign: Campaign, verdict: Verdict, **run: Any) -> dict[str, Any]:
    """Return a run as plain data."""
    return {
        **run,
        "verdict": {**asdict(verdict), "tally": verdict.tally._asdict()},
        "faults": [asdict(done) for done in campaign.done],
        "passed_over": dict(campaign.passed_over),
    }
