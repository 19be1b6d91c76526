"""States as the run has kept them: read without the key, by whoever made the run himself."""

from __future__ import annotations

import io
import pickle
from typing import Any

HEAD = b"HRMA\x01"
PAYLOAD_AT = len(HEAD) + 32
ROOMS = ("headrace", "app", "streams", "registry", "schemas")


class _Plain(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if module.split(".", maxsplit=1)[0] in ROOMS:
            raise ImportError(f"the oracle must not import {module}.{name}")
        return super().find_class(module, name)


def loads(artifact: bytes) -> Any:
    """Return the state in an artifact: magic, version, HMAC, pickle (docs/registry.md)."""
    if not artifact.startswith(HEAD):
        raise ValueError(f"{artifact[:8]!r} is no artifact")
    return _Plain(io.BytesIO(artifact[PAYLOAD_AT:])).load()


def read_checkpoints(url: str, pipeline: str) -> list[tuple[int, bytes]]:
    """Return offset and artifact of the checkpoints of a pipeline's serving version, in order."""
    from sqlalchemy import create_engine, text  # noqa: PLC0415 - only where a registry is read

    query = text(
        'select c."offset", c.state from checkpoint c join model m on m.id = c.model_id'
        ' where m.model_name = :name and c.version = m.serving_version order by c."offset"'
    )
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            found = connection.execute(query, {"name": pipeline}).all()
    finally:
        engine.dispose()
    return [(int(offset), bytes(state)) for offset, state in found]
