"""Two commands at once: each one's end counts, what they say stays apart, Ctrl-C ends both."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.beside import NICENESS

ROOT = Path(__file__).parents[2]
LIMIT_S = 30

pytestmark = pytest.mark.timed


def python(code: str) -> str:
    return shlex.join([sys.executable, "-u", "-c", code])


def started(first: str, other: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.beside", first, other], cwd=ROOT, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def test_what_they_say_stays_apart_and_the_other_is_nice() -> None:
    other = "import os, sys; print('one', file=sys.stderr); print(os.nice(0)); print('two')"
    first = "import sys; print('begun'); sys.stdin.readline(); print('done')"
    with started(python(first), python(other)) as process:
        said, _ = process.communicate(timeout=LIMIT_S)
    niceness = min(19, os.nice(0) + NICENESS)
    assert f"one\n{niceness}\ntwo\n===== end of" in said
    assert "begun\n" in said
    assert said.count("passed after") == 2
    assert process.returncode == 0


@pytest.mark.parametrize("codes", [(5, 0), (0, 2), (1, 1)])
def test_either_s_failure_is_a_failure_and_is_said_at_the_end(codes: tuple[int, int]) -> None:
    first, other = (python(f"raise SystemExit({code})") for code in codes)
    with started(first, other) as process:
        said, _ = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 1
    last = [line.partition(": ")[2].split(" after")[0] for line in said.splitlines()[-2:]]
    assert last == [f"FAILED with {code}" if code else "passed" for code in codes]


CLEANS = """
import pathlib, sys, time
try:
    pathlib.Path(sys.argv[1]).touch()
    time.sleep(100)
except KeyboardInterrupt:
    print("cleaned")
    raise SystemExit(2)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_both_end(tmp_path: Path, number: signal.Signals) -> None:
    # Of tests in the background of a shell Ctrl-C is ignored, and so it would be in a child.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    here = [tmp_path / "first", tmp_path / "other"]
    code = tmp_path / "cleans.py"
    code.write_text(CLEANS)
    first, other = (shlex.join([sys.executable, "-u", str(code), str(path)]) for path in here)
    with started(first, other) as process:
        signal.signal(signal.SIGINT, before)
        while not all(path.exists() for path in here):
            assert process.poll() is None
            time.sleep(0.02)
        if number == signal.SIGINT:
            os.killpg(process.pid, number)  # as a terminal does it
        else:
            process.send_signal(number)
        said, _ = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 1
    assert said.count("cleaned") == (2 if number == signal.SIGINT else 0)
    assert said.count("FAILED with 2 " if number == signal.SIGINT else "FAILED with -15 ") == 2
