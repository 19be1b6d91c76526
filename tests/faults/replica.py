"""A second Valkey that follows the first one by a wire, so that it can be held behind it."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from headrace.app.stack.process import LOOPBACK, Process
from headrace.app.stack.valkey import Valkey
from tests.faults.proxy import Wire

_ANSWER_S = 20.0


class Replica(Valkey):
    """A replica of the stack's Valkey.

    Parameters
    ----------
    data
        The stack's data folder.
    wire
        By which it follows.
    taken
        The port of the one that it follows.
    """

    def __init__(self, data: Path, wire: Wire, taken: int) -> None:
        super().__init__(data, None)
        self.process = Process("Valkey-replica", data / "logs" / "replica.log", data / "run")
        self.wire = wire
        self._home = data / "valkey-replica"
        self._taken = taken

    def __enter__(self) -> Replica:
        shutil.rmtree(self._home, ignore_errors=True)
        self.wire.heal()
        self.start(None)
        self.ready()
        with self._client() as client:
            client.replicaof(LOOPBACK, str(self.wire.port))
        return self

    def __exit__(self, *_: object) -> None:
        self.process.stop()

    def _client(self) -> Redis:
        return Redis(host=LOOPBACK, port=self.port or 0)

    def follows(self) -> bool:
        """Whether it has all that there was, and hears of what is new."""
        with self._client() as client:
            return bool(client.info("replication").get("master_link_status") == "up")

    def promote(self) -> None:
        """Follow nobody any more, and listen where the other one did."""
        with self._client() as client:
            client.replicaof("NO", "ONE")
            until = time.monotonic() + _ANSWER_S
            while True:
                try:
                    client.config_set("port", self._taken)
                except RedisError:
                    if time.monotonic() > until:
                        raise
                    time.sleep(0.02)
                else:
                    break
        self.port = self._taken

    def hand_over(self, folder: Path) -> None:
        """End in good order, and leave all that it has to whoever is started on a folder."""
        self.process.stop()
        shutil.rmtree(folder)
        self._home.rename(folder)
