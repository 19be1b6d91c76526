import gzip
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import Field

from headrace.schemas.errors import InputError
from headrace.streams.event import Event
from headrace.streams.rows import numbered_rows, read_rows


class Ride(Event):
    ride: str
    at: datetime
    fare: Annotated[float, Field(gt=0)]
    seats: int = 1
    tip: float | None = None
    note: str | None = None


class Paid(Event):
    ride: str
    paid: bool


AT = datetime(2024, 5, 1, 12, tzinfo=UTC)
LINE = "r1,2024-05-01T12:00:00Z,7.5"
HEADER = "ride,at,fare"


def write(folder: Path, text: str, name: str = "rides.csv") -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def said_of(path: Path) -> str:
    with pytest.raises(InputError) as error:
        list(read_rows(path, Ride))
    return str(error.value)


def test_columns_are_matched_by_name(tmp_path: Path) -> None:
    text = f"note,fare,colour,at,ride,tip,seats\n,7.5,red,{LINE.split(',')[1]},r1,,\n\n"
    path = write(tmp_path, text)
    assert list(read_rows(path, Ride)) == [Ride(ride="r1", at=AT, fare=7.5)]


@pytest.mark.parametrize("name", ["rides.csv", "rides.tsv", "rides.csv.gz", "rides.tsv.gz"])
def test_csv_comes_with_commas_or_tabs_and_compressed_or_not(tmp_path: Path, name: str) -> None:
    text = f'\ufeff{HEADER},note\r\n{LINE},"two\nlines"\r\n'
    if ".tsv" in name:
        text = text.replace(",", "\t")
    content = text.encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    assert list(read_rows(tmp_path / name, Ride)) == [
        Ride(ride="r1", at=AT, fare=7.5, note="two\nlines")
    ]


@pytest.mark.parametrize("name", ["rides.jsonl", "rides.ndjson", "rides.json"])
def test_json_comes_one_object_in_each_line(tmp_path: Path, name: str) -> None:
    line = Ride(ride="r1", at=AT, fare=7.5, tip=1).model_dump_json()
    path = write(tmp_path, f"{line}\n\n{line}", name)
    assert list(read_rows(path, Ride)) == [Ride(ride="r1", at=AT, fare=7.5, tip=1)] * 2


def test_a_label_that_never_came_is_no_row(tmp_path: Path) -> None:
    table = write(tmp_path, "ride,paid\na,1\nb,\nc,false\n")
    lines = write(
        tmp_path,
        '{"ride": "a", "paid": true}\n{"ride": "b"}\n{"ride": "b", "paid": null}',
        "l.jsonl",
    )
    expected = [Paid(ride="a", paid=True), Paid(ride="c", paid=False)]
    assert list(read_rows(table, Paid, unless_blank="paid")) == expected
    assert list(read_rows(lines, Paid, unless_blank="paid")) == expected[:1]


def test_a_row_knows_its_number_and_the_line_on_which_it_begins(tmp_path: Path) -> None:
    """Rows that are passed over count, blank lines do not: so a number names one row for ever."""
    table = write(tmp_path, 'note,ride,paid\n\n"a\n\nb",r1,1\n,r2,\n\n,r3,0\n')
    lines = write(tmp_path, '\n{"ride": "r2"}\n\n{"ride": "r3", "paid": true}\n', "l.jsonl")
    rows = list(numbered_rows(table, Paid, unless_blank="paid"))
    assert [(row.number, row.line, row.value.ride) for row in rows] == [(1, 3, "r1"), (3, 8, "r3")]
    rows = list(numbered_rows(lines, Paid, unless_blank="paid"))
    assert [(row.number, row.line, row.value.ride) for row in rows] == [(2, 4, "r3")]
    assert rows[0].path == lines


def test_each_fault_of_a_row_is_said_with_its_place(tmp_path: Path) -> None:
    path = write(tmp_path, f"{HEADER},seats\n{LINE},2\nr2,yesterday,-1,two\n")
    assert said_of(path).splitlines() == [
        f"{path}, line 3, column at: 'yesterday' is no time. Write RFC 3339, as"
        ' "2024-05-01T12:00:00Z"; a validator with mode="before" reads other forms'
        " (docs/pipeline.md, Times).",
        f"{path}, line 3, column fare: Input should be greater than 0 (it is '-1').",
        f"{path}, line 3, column seats: Input should be a valid integer, unable to parse string as"
        " an integer (it is 'two').",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ": the file is empty. Its first line names the columns."),
        ("ride,at,fares\n", ': no column is called "fare". Did you mean "fares"?'),
        ("ride,at\n", ': no column is called "fare". It has ride, at.'),
        (
            f"{HEADER}\nr1,2024-05-01T12:00:00Z,\n",
            ", line 2, column fare: it is empty, and has no default.",
        ),
        (f"{HEADER}\n{LINE},8\n", ", line 2: it has 4 cells, the header 3."),
        (
            f"{HEADER}\n{LINE}{'x' * 200_000}\n",
            ", line 2, column fare, character 25: a cell of more than 131,072 characters."
            " Write such rows as JSON lines.",
        ),
    ],
)
def test_what_is_wrong_with_a_table_is_said(tmp_path: Path, text: str, said: str) -> None:
    path = write(tmp_path, text)
    assert said_of(path) == f"{path}{said}"


def test_an_empty_text_is_a_text_where_one_is_needed(tmp_path: Path) -> None:
    """So that an id that is empty is refused as such, by whoever needs it."""
    path = write(tmp_path, f"{HEADER}\n{LINE[2:]}\n")
    assert [ride.ride for ride in read_rows(path, Ride)] == [""]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 1: character 2: expecting property name enclosed in double quotes. The file's"),
        ('{"ride": "a"}', "line 1, column at: it is empty, and has no default."),
        ("1", "line 1: Input should be an object"),
        ("[1]", "line 1: it is an array; each line is one object: jq -c '.[]' rides.jsonl"),
    ],
)
def test_what_is_wrong_with_a_line_of_json_is_said(tmp_path: Path, line: str, said: str) -> None:
    assert said in said_of(write(tmp_path, line, "rides.jsonl"))
    with pytest.raises(InputError):
        list(read_rows(write(tmp_path, "{", "l.jsonl"), Paid, unless_blank="paid"))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("none.csv", None, "No such file or directory."),
        ("rides.txt", b"", "its name ends in '.txt'. Rows are read from .csv, .tsv"),
        ("rides.csv", b"ride,at,fare\n\xff,", "line 2: character 1: byte 0xff is no utf-8."),
        ("rides.csv.gz", b"ride", ": this is no gzip (Not a gzipped file (b'ri'))."),
        (
            "rides.csv.gz",
            gzip.compress(b"ride,at,fare\n")[:-12],
            "the .gz ends early: it was cut on its way.",
        ),
        ("rides.csv.gz", gzip.compress(b"ride,at,fare\n")[:10] + b"\xff" * 9, "invalid"),
    ],
)
def test_a_file_that_cannot_be_read_is_said(
    tmp_path: Path, name: str, content: bytes | None, said: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    assert said in said_of(path)
    assert str(path) in said_of(path)
