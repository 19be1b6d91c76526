"""The habits of the house, held by a test: short functions, short files, no left-overs."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FUNCTION_LINES_MAX = 50
FILE_LINES_MAX = 400

LONG_FILES: dict[str, str] = {}
"""Files that may be longer, each with its reason."""

LONG_FUNCTIONS: dict[str, str] = {
    "app/demo/command.py:demo": "its parameters are the command's options with their help texts",
    "app/doors.py:read": "its docstring is what a user reads; the code is three lines",
    "streams/replay.py:replay": "its docstring is what a user reads, with an example that runs",
}
"""Functions that may be longer (``file.py:name``), each with its reason."""

LEFT_OVER = re.compile(
    r"\b(TODO|FIXME|XXX|HACK)\b|NotImplementedError\(\)|(^|[^\w.])/(work|farm|root|tmp/hr)/"
    r"|https?://[^\s\"']*/(simple|maven2)/"
)


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    paths = [ROOT / line for line in listed.stdout.splitlines()]
    return [path for path in paths if path.is_file()]


def sources() -> list[Path]:
    return [path for path in tracked() if path.suffix == ".py"]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_files_are_short() -> None:
    long = {
        name_of(path): lines
        for path in sources()
        if (lines := len(path.read_text().splitlines())) > FILE_LINES_MAX
    }
    assert set(long) == set(LONG_FILES), long


def test_functions_are_short() -> None:
    long: dict[str, int] = {}
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > FUNCTION_LINES_MAX:
                    long[f"{name_of(path)}:{node.name}"] = lines
    assert set(long) == set(LONG_FUNCTIONS), long


TEXTS = {".py", ".md", ".toml", ".yml", ".yaml", ".txt", ".sh", ".avsc", ".json", ".cfg", ""}


@pytest.mark.parametrize("path", [p for p in tracked() if p.suffix in TEXTS], ids=name_of)
def test_no_left_overs(path: Path) -> None:
    if path == Path(__file__) or path.name == "LICENSE":
        return
    found = [
        f"{number}: {line.strip()[:100]}"
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if LEFT_OVER.search(line)
    ]
    assert not found


def test_packages_are_links_to_the_rooms() -> None:
    for room in ("app", "schemas", "streams", "registry"):
        assert (ROOT / "headrace" / room).is_symlink()
        assert (ROOT / "headrace" / room).readlink() == Path("..") / room
