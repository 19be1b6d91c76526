"""``headrace demo`` as a person runs it: a process of its own, the real stack, real flights."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.slow]

EVENTS, LABELS = 1_806, 1_612
"""Of the first two days, as csv alone counts them (``test_source`` holds the first day's)."""


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start the demo with its temporary folder in ours, and an environment that misleads it."""
    return subprocess.Popen(
        [sys.executable, "-m", "headrace.app.cli", "demo", *arguments],
        env={**os.environ, "TMPDIR": str(folder), "HEADRACE_KAFKA_BROKERS": "127.0.0.1:1"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def left_of(folder: Path) -> list[str]:
    """Return processes that work in a folder, by their command lines and environments."""
    found, mark = [], str(folder).encode()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            said = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        except OSError:
            continue
        if mark in said and int(process.name) != os.getpid():
            found.append((process / "cmdline").read_text(errors="replace"))
    return found


def assert_nothing_stays(folder: Path, but: Sequence[str] = ()) -> None:
    assert [path.name for path in folder.iterdir() if path.name not in but] == []
    assert left_of(folder) == []


def test_two_days_in_step(tmp_path: Path) -> None:
    file, picture = tmp_path / "summary.json", tmp_path / "demo.svg"
    process = start(
        tmp_path, "--until", "2013-02-06", "--json", str(file), "--picture", str(picture)
    )
    output, _ = process.communicate(timeout=110)
    assert process.returncode == 0, output
    summary = json.loads(file.read_text())
    assert (summary["events"], summary["labels"]) == (EVENTS, LABELS)
    assert summary["predictions"] == EVENTS
    assert summary["examples"] == LABELS
    assert summary["waiting"] + summary["expired"] == EVENTS - LABELS
    assert (summary["dead_letters"], summary["unscored"]) == (0, 0)
    assert (summary["slices"], summary["worker_restarts"]) == (94, 0)
    # By the third day the model is still young; the whole week is held against the oracle.
    assert summary["auc"] > 0.74
    assert summary["log_loss"] < 0.55
    assert summary["baselines"]["majority"]["auc"] == 0.5
    assert summary["baselines"]["left_late"]["accuracy"] > 0.85
    # A slice has at most so many labels: what became true within it is not in its model.
    assert 0 < summary["model_lag_p99"] < 60
    assert 1 < summary["latency_ms_p50"] < summary["latency_ms_p99"]
    assert len(summary["drift"]) > 15
    assert picture.read_text().startswith("<svg")
    assert "What to try next" in output
    assert "Traceback" not in output
    assert_nothing_stays(tmp_path, but=[file.name, picture.name])


def test_interrupted_in_its_midst_nothing_stays(tmp_path: Path) -> None:
    process = start(tmp_path)
    assert process.stdout is not None
    for line in process.stdout:  # until events flow
        if "events" in line and "predictions" in line:
            break
    process.send_signal(signal.SIGINT)  # as Ctrl-C does; other signals: test_interrupts
    begun = time.monotonic()
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 130, output
    assert time.monotonic() - begun < 20
    assert output.rstrip().endswith("Stopped.")
    assert_nothing_stays(tmp_path)


def test_a_folder_of_an_earlier_run_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "kafka").mkdir()
    process = start(tmp_path, "--data", str(tmp_path))
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "holds an earlier run" in output
    assert "Traceback" not in output
