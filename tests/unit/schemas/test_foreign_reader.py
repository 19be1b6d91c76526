"""A reader that has docs/schemas.md alone reads our records."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from headrace.schemas.codec import Codec
from headrace.schemas.ids import ID_MAX, Registered, canonical_schema
from headrace.schemas.records import prediction_schema

PAGE = Path(__file__).parents[3] / "docs" / "schemas.md"


def test_the_page_s_program_reads_what_is_written() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    reader: dict[str, Any] = {}
    exec(compile(code, PAGE, "exec"), reader)
    schema = prediction_schema("flights", "binary", [("x", "number")])
    (registration,) = Registered().allocate({"flights.predictions-value": schema})
    key, value = registration.encode()
    assert key.decode() == str(registration.schema_id)
    assert set(json.loads(value)) == {"id", "subject", "schema"}
    record = {
        "id": "e-0-7", "event_id": "o", "key": "k", "event_time": 0, "source_partition": 0,
        "source_offset": 7, "watermark": None, "late": False, "prediction": True, "score": 0.5,
        "probabilities": None, "model": "m", "version": 1, "learned_to": 3,
        "features": {"x": 1.5}, "baselines": {}, "segments": {},
    }  # fmt: skip
    written = Codec(schema, registration.schema_id).encode(record)
    found = reader["decode"](written, reader["schemas_of"]([value]))
    assert found["event_time"].isoformat() == "1970-01-01T00:00:00+00:00"
    assert {**found, "event_time": 0} == record


def test_an_id_is_what_the_page_says() -> None:
    schema = prediction_schema("flights", "binary", [])
    (registration,) = Registered().allocate({"s": schema})
    text = f"s\n{canonical_schema(schema)}".encode()
    first = int.from_bytes(hashlib.sha256(text).digest()[:4], "big")
    assert registration.schema_id == first % ID_MAX + 1
