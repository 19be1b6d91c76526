"""Any table is read exactly, or refused: none loses a row in silence."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.schemas.errors import InputError
from headrace.streams.rows import Reading, Tally, numbered_rows, read_rows
from tests.unit.doors.test_files import START, Ride, write

NOTES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
STRANGE = st.text(st.sampled_from('ab,;\t|"\n\r '), max_size=8)
CELLS = st.lists(NOTES | STRANGE, min_size=1, max_size=20)
DIALECTS = st.fixed_dictionaries(
    {
        "delimiter": st.sampled_from([",", ";", "\t", "|"]),
        "lineterminator": st.sampled_from(["\n", "\r\n"]),
        "quoting": st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    }
)


def written(notes: Sequence[str], dialect: dict[str, Any]) -> str:
    text = io.StringIO(newline="")
    if dialect["lineterminator"] == "\n":  # then Python's writer leaves a lone CR without quotes
        notes = [note.replace("\r", "") for note in notes]
    writer = csv.writer(text, **dialect)
    writer.writerow(["note", "ride", "at", "fare", "more"])
    for number, note in enumerate(notes):
        at = (START + timedelta(minutes=number)).isoformat()
        writer.writerow([note, f"r{number}", at, number + 0.5, note])
    return text.getvalue()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(CELLS, DIALECTS, st.sampled_from(["utf-8", "utf-16", "utf-8-sig"]), st.booleans())
def test_what_a_csv_writer_writes_is_read_exactly(
    tmp_path: Path, notes: list[str], dialect: dict[str, Any], encoding: str, gz: bool
) -> None:
    content = written(notes, dialect).encode(encoding)
    path = write(tmp_path, content, "rides.csv.gz" if gz else "rides.csv")
    plain = "utf-8" if encoding == "utf-8-sig" else encoding
    reading = Reading(encoding=plain, delimiter=dialect["delimiter"])
    tally = Tally()
    rows = [row.value for row in numbered_rows(path, Ride, reading=reading, tally=tally)]
    lone = "" if dialect["lineterminator"] == "\n" else "\r"
    assert [row.note or "" for row in rows] == [note.replace("\r", lone) for note in notes]
    assert [row.ride for row in rows] == [f"r{n}" for n in range(len(notes))]
    assert tally.rows == len(notes)


CHANGES = st.sampled_from(['+"', '-"', "+\r", "-\n", "+\n"])
PLACES = st.lists(st.tuples(CHANGES, st.floats(0, 1)), max_size=2)
"""Two at once: by three, what is left may be a sound file of fewer rows."""


def harmed(text: str, changes: Sequence[tuple[str, float]]) -> str:
    for change, share in changes:
        what, char = change[0], change[1]
        if what == "+":
            at = int(share * len(text))
            text = text[:at] + char + text[at:]
        elif char in text:
            places = [n for n, each in enumerate(text) if each == char]
            at = places[int(share * (len(places) - 1))]
            text = text[:at] + text[at + 1 :]
    return text


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300
)
@given(CELLS, DIALECTS, PLACES)
def test_quotes_and_line_breaks_out_of_place_lose_no_row_in_silence(
    tmp_path: Path, notes: list[str], dialect: dict[str, Any], changes: list[tuple[str, float]]
) -> None:
    header, end, rest = written(notes, dialect).partition("\n")
    path = write(tmp_path, header + end + harmed(rest, changes))
    reading = Reading(delimiter=dialect["delimiter"])
    try:
        rows = list(read_rows(path, Ride, reading=reading))
    except InputError:
        return
    assert len(rows) == len(notes)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(CELLS, st.floats(0, 1), st.integers(0, 255), st.sampled_from(["set", "cut", "add"]))
def test_a_damaged_gzip_is_read_exactly_or_refused(
    tmp_path: Path, notes: list[str], share: float, byte: int, how: str
) -> None:
    dialect = {"delimiter": ",", "lineterminator": "\n"}
    raw = gzip.compress(written(notes, dialect).encode())
    at = int(share * (len(raw) - 1))
    change = {
        "set": raw[:at] + bytes([byte]) + raw[at + 1 :],
        "cut": raw[:at],
        "add": raw + bytes([byte]),
    }
    path = tmp_path / "rides.csv.gz"
    path.write_bytes(change[how])
    try:
        rows = list(read_rows(path, Ride))
    except InputError:
        return
    assert [row.note or "" for row in rows] == [note.replace("\r", "") for note in notes]
