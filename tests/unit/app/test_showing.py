"""How records are written as lines."""

import json
from datetime import UTC, datetime

from headrace.app.publishing import line_of
from headrace.app.showing import json_line, plain, plain_line
from headrace.streams.engine.pace import Progress
from headrace.streams.records import Record

RECORD = Record("t", 2, 17, 1_000, b"k", b"v", ())
FIELDS = {
    "id": "a",
    "at": datetime(2013, 2, 4, tzinfo=UTC),
    "late": True,
    "score": 0.125,
    "value": b"\xff" * 50,
    "none": None,
    "features": {"x": 1.5, "y": None},
    "list": [1, "two words"],
}


def test_a_line_of_json_can_be_read_by_programs() -> None:
    found = json.loads(json_line(RECORD, FIELDS))
    assert (found["_partition"], found["_offset"]) == (2, 17)
    assert found["at"] == "2013-02-04T00:00:00Z"
    assert found["features"] == {"x": 1.5, "y": None}
    assert found["value"].startswith("////")


def test_a_plain_line_is_one_line() -> None:
    line = plain_line(RECORD, FIELDS | {"detail": "two\nlines"})
    assert line.startswith("2/17  id=a at=2013-02-04T00:00:00Z late=true score=0.125")
    assert "features={x: 1.5, y: –}" in line
    assert 'list=[1, "two words"]' in line
    assert "\n" not in line
    assert plain(b"abc") == "'abc'"
    assert plain(b"x" * 50).endswith("…")


def test_progress_says_what_it_waits_for() -> None:
    step = Progress(1200, 34, 1_359_936_000_000, 3, 99, "learn")
    assert line_of(step, 2.0) == (
        "1,200 events, 34 labels, 617/s, event time 2013-02-04 00:00:00Z,"
        " 3 slices, learned to 99, waiting for learn"
    )
    assert line_of(Progress(), 0.0) == "0 events, 0 labels, 0/s"
