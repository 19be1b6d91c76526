"""What stands in a file is read exactly, or refused with the place where it goes wrong."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from headrace.schemas.errors import InputError
from headrace.streams.event import Event
from headrace.streams.files.text import LINE_CHARS_MAX
from headrace.streams.rows import Reading, Tally, numbered_rows, read_rows

START = datetime(2024, 5, 1, 12, tzinfo=UTC)
HEADER = "ride,at,fare,note"
PLAIN = Reading()


class Ride(Event):
    ride: str
    at: datetime
    fare: float
    note: str | None = None


class Paid(Event):
    ride: str
    at: datetime
    paid: bool


def line(number: int, note: str = "") -> str:
    return f"r{number},2024-05-01T12:{number % 60:02}:00Z,{number}.5,{note}"


def table(*notes: str, header: str = HEADER) -> str:
    return "\n".join([header, *(line(n, note) for n, note in enumerate(notes)), ""])


def write(folder: Path, content: str | bytes, name: str = "rides.csv") -> Path:
    path = folder / name
    raw = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    return path


def refusal(path: Path, reading: Reading = PLAIN) -> str:
    with pytest.raises(InputError) as error:
        list(read_rows(path, Ride, reading=reading))
    said = str(error.value)
    assert said.startswith(str(path))
    return said.removeprefix(str(path))


TWICE = (
    'A quote that is text is written twice, in a quoted cell: "5"" pipe". If quotes mean nothing'
)
TWICE += " in this file, say --no-quotes."


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            table("", '"5 inch', "", "", '"7 inch', ""),
            ", line 3, column note, character 29: a quote opens here and closes 3 lines on with"
            f" text behind it ('7 inch'). {TWICE}",
        ),
        (
            table("", '"5 inch', "", ""),
            f", line 3, column note, character 29: a quote opens here and never closes. {TWICE}",
        ),
        (
            table('"' + "x" * 99, *[""] * 9_000),
            ", line 2, column note, character 29: a quote opens here and does not close within"
            f" 131,072 characters. {TWICE}",
        ),
        (
            table("", '"5" inch'),
            ", line 3, column note, character 29: a quote opens here and closes with text behind it"
            f" (' inch'). {TWICE}",
        ),
        (
            table('"two\nlines"', 'a 5" pipe'),
            ", line 4, column note, character 32: a quote within a cell that is not quoted."
            f" {TWICE}",
        ),
        (
            table("", '"5 inch', "", '5"', ""),
            ", line 3, column note: a quote opens here and closes on line 5, and what stands"
            " between reads as rows: a stray quote has swallowed them. Write a quote that is text"
            ' twice ("5"" pipe"), or say --no-quotes if quotes mean nothing here, or --multiline if'
            " this is text.",
        ),
        (
            table("", '"5 inch', "").replace(line(2), line(2).replace("r2", 'r2"')),
            ", line 3: it has 7 cells, the header 4. By a quote it goes on to line 4: is that one"
            " stray?",
        ),
        (
            table("", "a\rb"),
            ", line 3, column note, character 30: a carriage return alone ends no line. Write lines"
            " that end in a line feed.",
        ),
        (
            table("", "").replace("\n", "\r"),
            ", line 1, column 4, character 18: a carriage return alone ends no line. Write lines"
            " that end in a line feed.",
        ),
        (
            table("", "a\0b"),
            ", line 3: character 30 is a NUL byte. Text has none: the file is damaged, or no text."
            " Write it again.",
        ),
        (table("", "a,b"), ", line 3: it has 5 cells, the header 4."),
        (table("") + "r2,2024", ", line 3: it has 2 cells, the header 4."),
        (table("") + "\ufeff" + line(2), ", line 3: it begins with a byte order mark: files were"),
        (table("") + table(""), ", line 3: this is the header again: files were joined. Take it"),
        (
            table(header="ride,km,at,fare,note,km"),
            ', line 1: columns 2 and 6 are both called "km". Take one away, or give it another'
            " name.",
        ),
        (
            "\n" + table(header=",ride,at,fare,note, "),
            ", line 2: column 1 of 6 has no name. Name it, or write the file without its index"
            " (pandas: index=False).",
        ),
        (
            table(header=HEADER.replace(",", ";")),
            ", line 1: its cells seem to stand between ';', not ',': --delimiter ';'.",
        ),
        (
            table(header=HEADER.replace(",", "\t")),
            ", line 1: its cells seem to stand between 'tab', not ',': --delimiter 'tab'.",
        ),
        (
            table(header='"ride"|"at"|"fare"'),
            ", line 1, column 1, character 1: a quote opens here and closes before '|'. If that is"
            " what stands between cells, say --delimiter '|'.",
        ),
        (
            table("x" * LINE_CHARS_MAX),
            f", line 2: it is longer than {LINE_CHARS_MAX:,} characters. Is this text?",
        ),
    ],
)
def test_a_table_is_refused_where_it_goes_wrong(tmp_path: Path, text: str, said: str) -> None:
    assert refusal(write(tmp_path, text)).startswith(said)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_stray_quotes_that_swallow_rows_are_seen_with_every_delimiter(
    tmp_path: Path, separator: str
) -> None:
    text = table("", '"5 inch', "", '5"', "").replace(",", separator)
    reading = Reading(delimiter=separator)
    assert "line 3, column note: a quote opens here" in refusal(write(tmp_path, text), reading)


@pytest.mark.parametrize("name", ["rides.csv", "rides.csv.gz"])
def test_1000_rows_with_three_stray_quotes_are_refused_or_all_read(
    tmp_path: Path, name: str
) -> None:
    notes = ['"5 inch' if n in (100, 259, 700) else "" for n in range(1_000)]
    path = write(tmp_path, table(*notes, header=HEADER.replace("note", "size")), name)
    assert ", line 102, column size, character " in refusal(path)
    assert len(list(read_rows(path, Ride, reading=Reading(quotes=False)))) == 1_000


def test_text_of_several_lines_is_text(tmp_path: Path) -> None:
    notes = [
        "Dear all,\n\nbye, B.",
        'the "5 inch" pipe\r\nis long',
        "a,b\nc,d,e,f\ng",
        "\n",
        "hello\na,b,c,d",
    ]
    quoted = [f'"{note.replace(chr(34), chr(34) * 2)}"' for note in notes]
    assert [ride.note for ride in read_rows(write(tmp_path, table(*quoted)), Ride)] == notes
    first = "note,ride,at,fare\n" + f"{quoted[0]},r1,2024-05-01T12:00:00Z,1\n"
    assert [ride.note for ride in read_rows(write(tmp_path, first), Ride)] == notes[:1]


def test_text_that_reads_as_rows_needs_to_be_told(tmp_path: Path) -> None:
    path = write(tmp_path, table("", f'"said:\n{line(7, "so")}\n{line(8)}"'.replace('8.5,"', '8"')))
    rows = f'"x\n{line(7, "so")}\n{line(8, "")}"'
    path = write(tmp_path, table("", rows))
    assert "--multiline" in refusal(path)
    (_, ride) = read_rows(path, Ride, reading=Reading(multiline=True))
    assert ride.note == rows[1:-1]


def test_a_label_that_a_stray_quote_would_give_to_another_event_is_refused(tmp_path: Path) -> None:
    text = 'ride,at,size,paid\nr1,2024-05-01T12:00:00Z,"5 inch,\nr2,2024-05-01T12:01:00Z,5",true\n'
    path = write(tmp_path, text)
    with pytest.raises(InputError, match="line 2, column size: a quote opens here"):
        list(read_rows(path, Paid, unless_blank="paid"))


def test_excels_first_line_says_the_delimiter(tmp_path: Path) -> None:
    for first in ("sep=;", '"sep=;"', "SEP=;"):
        path = write(tmp_path, f"\ufeff{first}\r\n{table('a').replace(',', ';')}")
        (row,) = numbered_rows(path, Ride, tally=(tally := Tally()))
        assert (row.line, row.value.note) == (3, "a")
        assert (tally.lines, tally.rows) == (3, 1)
    path = write(tmp_path, f"sep=;\n{table('a').replace(',', '|')}")
    assert len(list(read_rows(path, Ride, reading=Reading(delimiter="|")))) == 1


@pytest.mark.parametrize("delimiter", ["", ";;", '"', "\n", "\r"])
def test_a_delimiter_is_one_character(delimiter: str) -> None:
    with pytest.raises(InputError, match="is not one character: write"):
        Reading(delimiter=delimiter)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            table("", "Zürich").encode("cp1252"),
            ", line 3: character 30: byte 0xfc is no utf-8. As cp1252 it reads 'Zürich': --encoding"
            " cp1252.",
        ),
        (
            table("", "5 \x80").encode("latin-1") + b"\x81,",
            ", line 3: character 31: byte 0x80 is no utf-8. As cp1252 it reads '€'",
        ),
        (
            table("", "5 \x81x").encode("latin-1"),
            ", line 3: character 31: byte 0x81 is no utf-8. As latin-1 it reads ",
        ),
        (table("ü").encode("utf-16"), ", line 1: this is no text in utf-8. It begins as UTF-16 "),
        (table("ü").encode("utf-32"), ", line 1: this is no text in utf-8. It begins as UTF-32 "),
        (
            table("ü").encode("utf-16-le"),
            ", line 1: character 2 is a NUL byte. It seems to be UTF-16: --encoding utf-16-le.",
        ),
        (
            table("ü").encode("utf-16-be"),
            ", line 1: character 1 is a NUL byte. It seems to be UTF-16: --encoding utf-16-be.",
        ),
        (b"PK\x03\x04rest", ", line 1: this is no text in utf-8. It is a zip archive, as .xlsx is"),
        (gzip.compress(b"x"), ", line 1: this is no text in utf-8. It is compressed by gzip: let"),
    ],
)
@pytest.mark.parametrize("name", ["rides.csv", "rides.jsonl"])
def test_an_encoding_is_guessed_and_the_remedy_said(
    tmp_path: Path, content: bytes, said: str, name: str
) -> None:
    if name.endswith("jsonl") and b"ride" in content:
        return  # the header is no JSON, and comes first
    assert refusal(write(tmp_path, content, name)).startswith(said)


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "utf-16", "utf-16-le", "utf-8"])
@pytest.mark.parametrize("name", ["rides.csv", "rides.csv.gz", "rides.jsonl"])
def test_an_encoding_that_is_told_is_read(tmp_path: Path, encoding: str, name: str) -> None:
    mark = "\ufeff" if encoding in ("utf-16-le", "utf-8") else ""
    ride = Ride(ride="r1", at=START, fare=1, note="Zürich")
    text = table("Zürich") if "csv" in name else ride.model_dump_json()
    path = write(tmp_path, f"{mark}{text}".encode(encoding), name)
    (row,) = read_rows(path, Ride, reading=Reading(encoding=encoding))
    assert row.note == "Zürich"


@pytest.mark.parametrize(
    ("content", "encoding", "said"),
    [
        (table("").encode("utf-16")[:-1], "utf-16", ", behind line 1: what follows is no utf-16"),
        (
            table("").encode(),
            "utf-16",
            ": this is no utf-16 (UTF-16 stream does not start with BOM",
        ),
        (b"\xffbc", "ascii", ", line 1: character 1: byte 0xff is no ascii."),
    ],
)
def test_what_is_not_of_the_encoding_that_was_told_is_said(
    tmp_path: Path, content: bytes, encoding: str, said: str
) -> None:
    assert refusal(write(tmp_path, content), Reading(encoding=encoding)).startswith(said)


@pytest.mark.parametrize("encoding", ["klingon", "base64", "utf\0"])
def test_an_encoding_that_nobody_knows_is_said(tmp_path: Path, encoding: str) -> None:
    path = write(tmp_path, table(""))
    with pytest.raises(InputError, match="is no encoding of text that Python knows"):
        list(read_rows(path, Ride, reading=Reading(encoding=encoding)))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda raw: raw[:-9], ", behind line 1,?.*: the .gz ends early: it was cut on its way"),
        (lambda raw: raw[:-1], "the .gz ends early: it was cut on its way. Fetch or write it"),
        (lambda raw: raw + b"garbage", "what follows is no sound gzip .Not a gzipped file"),
        (lambda raw: raw[:-8] + b"\0\0\0\0" + raw[-4:], "what follows is no sound gzip .CRC check"),
        (lambda raw: raw[:40] + b"\xff" * 40 + raw[80:], "no sound gzip|no utf-8|cells"),
    ],
)
def test_a_gzip_that_is_cut_damaged_or_followed_by_more_is_refused(
    tmp_path: Path, change: Any, said: str
) -> None:
    path = tmp_path / "rides.csv.gz"
    rows = table(*[f"{n * 7919 % 1009}" for n in range(900)])
    path.write_bytes(change(gzip.compress(rows.encode())))
    with pytest.raises(InputError, match=said.removeprefix(", behind line 1,?.*: ")):
        list(read_rows(path, Ride))


RIDE = '{"ride": "r1", "at": "2024-05-01T12:00:00Z", "fare": 1}'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f'{RIDE}\n{RIDE[:-1]}, "fare": 2}}', "line 2: column fare: the key stands twice in one"),
        (f'{RIDE}\n{RIDE[:-1]}, "x": {{"a": 1, "b": 2, "a": 3}}}}', "line 2: column a: the key st"),
        (f'{RIDE[:-1]}, "x": NaN}}', "line 1: NaN is no JSON. Write null for what is not known."),
        (f'{RIDE[:-1]}, "x": -Infinity}}', "line 1: -Infinity is no JSON."),
        (f"{RIDE} {RIDE}\n", "line 1: character 57: a second value begins. Write each object on a"),
        (f"{RIDE}\n{RIDE[:30]}", "line 2: character 22: unterminated string starting at. The file"),
        (f"{RIDE[:30]}\n{RIDE}", "line 1: character 22: unterminated string starting at. Each li"),
        (f"[\n{RIDE},\n{RIDE}\n]\n", "An array over several lines is not read: jq -c '.[]' rides"),
        (f"[{RIDE},{RIDE}]\n", "line 1: it is an array; each line is one object: jq -c '.[]' ri"),
        ('{\n  "ride": 1\n}\n', "line 1: character 2: expecting property name enclosed in double"),
        (f"{RIDE}\n\ufeff{RIDE}\n", "line 2: it begins with a byte order mark: files were joined"),
        ("[" * 100_000 + "\n", "line 1: it is nested too deeply. A row is flat."),
        ('"r1"\n', "line 1: Input should be an object (it is "),
    ],
)
def test_lines_of_json_are_refused_where_they_go_wrong(
    tmp_path: Path, text: str, said: str
) -> None:
    assert said in refusal(write(tmp_path, text, "rides.json"))


def test_what_was_read_is_counted_beside_what_was_there(tmp_path: Path) -> None:
    text = "ride,at,paid\na,2024-05-01T12:00Z,1\n\nb,2024-05-01T12:00Z,\nc,2024-05-01T12:00Z,0\n"
    tally = Tally()
    rows = list(numbered_rows(write(tmp_path, text), Paid, unless_blank="paid", tally=tally))
    assert (len(rows), tally) == (2, Tally(lines=5, blank=1, rows=3, passed=1))
    assert str(tally) == "3 rows on 5 lines, 1 of them without a label, 1 blank lines"
    text = '\n{"ride": "a"}\n{"ride": "b", "at": "2024-05-01T12:00:00Z", "paid": true}\n'
    tally = Tally()
    path = write(tmp_path, text, "labels.jsonl")
    assert len(list(numbered_rows(path, Paid, unless_blank="paid", tally=tally))) == 1
    assert tally == Tally(lines=3, blank=1, rows=2, passed=1)
    assert str(Tally(lines=2_001, rows=2_000)) == "2,000 rows on 2,001 lines"
