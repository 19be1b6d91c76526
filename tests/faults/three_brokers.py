"""Three brokers, each record on all of them, and the loss of one: ``… tests.faults.three_brokers``.

Every broker is killed in turn while load runs. Each time everything must go on with the two that
are left; then the third one comes back, and the next is killed.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from pathlib import Path
from random import Random

from rich.console import Console

from headrace.app.stack.kafka import Kafka, cluster_id
from headrace.app.stack.process import LOOPBACK, Process
from tests.faults.campaign import Campaign
from tests.faults.kinds import Kind, Struck
from tests.faults.services import LOW_PORTS, FaultStack
from tests.faults.summary import lines, table
from tests.faults.trial import RECOVERY_S, Trial, trial

NODES = ("kafka", "kafka-2", "kafka-3")

_IN_SYNC_S = 10.0
"""So long a broker that came back is given to copy what it has missed."""


class Node(Kafka):
    """One of several brokers.

    Parameters
    ----------
    number
        Its id.
    controllers
        The ports of all, as controllers, by their ids.
    cluster
        The id that all of them share.
    """

    def __init__(
        self, data: Path, jars: Path, number: int, controllers: dict[int, int], cluster: str
    ) -> None:
        home = data / f"broker-{number}"
        super().__init__(home, jars, next(LOW_PORTS))
        self.process = Process(f"Kafka-{number}", home / "logs" / "kafka.log", home / "run")
        self._number, self._controllers, self._cluster = number, controllers, cluster

    def _command(self, *what: str) -> list[str]:
        self._make_one_of_many()
        if "format" in what:
            at = what.index("-t") + 1
            what = (*what[:at], self._cluster, *what[at + 1 :])
        return super()._command(*what)

    def _make_one_of_many(self) -> None:
        voters = ",".join(f"{n}@{LOOPBACK}:{port}" for n, port in self._controllers.items())
        listens = f"CONTROLLER://{LOOPBACK}:{self._controllers[self._number]}"
        values = {
            "node.id": str(self._number),
            "controller.quorum.voters": voters,
            "listeners": f"PLAINTEXT://{LOOPBACK}:{self.port},{listens}",
            "default.replication.factor": "3",
            "min.insync.replicas": "2",
            "offsets.topic.replication.factor": "3",
            "transaction.state.log.replication.factor": "3",
            "transaction.state.log.min.isr": "2",
        }
        kept = [
            line
            for line in self._properties.read_text("utf-8").splitlines()
            if line.partition("=")[0] not in values
        ]
        kept += [f"{name}={value}" for name, value in values.items()]
        self._properties.write_text("\n".join(kept) + "\n", "utf-8")


class ThreeBrokers(FaultStack):
    """The embedded stack with three brokers."""

    def _make_parts(self, jars: Path) -> None:
        super()._make_parts(jars)
        controllers = {number: next(LOW_PORTS) for number in (1, 2, 3)}
        cluster = cluster_id()
        for number, name in enumerate(NODES, 1):
            self._parts[name] = Node(self.data, jars, number, controllers, cluster)

    def ways(self) -> dict[str, dict[str, str]]:
        """No worker reaches a broker by a wire."""
        return {}

    @property
    def addresses(self) -> dict[str, str | int]:
        """Where everything is: the brokers as one address."""
        found = super().addresses
        brokers = ",".join(str(found.pop(name)) for name in NODES if name in found)
        return {**found, "kafka": brokers}


def lost(trial: Trial, random: Random, *, name: str) -> Struck:
    """Kill a broker, see that everything goes on without it, and start it again."""
    since_s = time.time()
    trial.stack.kill(name)
    recovery_s, _ = trial.recovered_s(since_s)
    trial.revive(name)
    trial.wait(_IN_SYNC_S)
    return Struck(f"broker {name}", since_s, f"went on with two after {recovery_s:.1f} s")


def main() -> int:
    """Kill each broker in turn; return 1 if anything is violated."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.three_brokers")
    parser.add_argument("--rounds", type=int, default=2, help="how often each broker is killed")
    parser.add_argument("--limit", type=float, default=RECOVERY_S, help="seconds to recover in")
    given = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 200)
    logging.getLogger("headrace.kafka").setLevel(logging.CRITICAL)  # its outages are our doing
    with trial(limit_s=given.limit, stack_type=ThreeBrokers) as made:
        campaign = Campaign(made, Random(1), console, faults=len(NODES) * given.rounds)
        try:
            for _ in range(given.rounds):
                for name in NODES:
                    act = lambda made, random, name=name: lost(made, random, name=name)  # noqa: E731
                    campaign.do(Kind(f"broker {name} of three lost", 1, act))
            verdict = campaign.judged(campaign.end())
        except Exception:
            console.print(made.system.logs(), soft_wrap=True, markup=False)
            raise
    console.print(table(campaign.done, campaign.passed_over))
    for line in (*lines(campaign, verdict), *campaign.failed, *campaign.late, *verdict.wrong):
        console.print(line, soft_wrap=True, highlight=False)
    return 0 if verdict.holds and campaign.holds else 1


if __name__ == "__main__":
    sys.exit(main())
