"""Makes ``jars.lock``: for maintainers, when Kafka's version changes.

``python -m headrace.app.stack.lock`` resolves what Kafka's broker needs, fetches it from Maven
Central over TLS, and writes coordinates and checksums; commit the result. No addresses are in it.
"""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

from jgo.maven import MavenContext

from headrace.app.stack.jars import LOCK, Jar

KAFKA = "org.apache.kafka:kafka_2.13:4.3.1"
WANTED = (KAFKA, "org.slf4j:slf4j-simple:2.0.17")

_HEAD = (
    "# Jars of the embedded Kafka, with their checksums. Made by lock.py; do not edit.\n"
    f"# Resolved from {', '.join(WANTED)}.\n"
)


def resolve() -> list[Jar]:
    """Resolve and fetch what is wanted, with all that it needs at run time."""
    with tempfile.TemporaryDirectory() as folder:
        context = MavenContext(repo_cache=Path(folder))
        wanted = [context.create_dependency(name) for name in WANTED]
        inputs, needed = context.resolver.resolve(wanted)
        jars = []
        for found in (*inputs, *needed):
            digest = hashlib.sha256(Path(found.artifact.resolve()).read_bytes()).hexdigest()
            jars.append(Jar(found.groupId, found.artifactId, found.version, digest))
    return sorted(jars)


def write_lock(jars: list[Jar], path: Path = LOCK) -> None:
    """Write a lock file."""
    lines = [f"{jar} {jar.sha256}" for jar in jars]
    path.write_text(_HEAD + "\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    write_lock(resolve())
