"""A small pipeline on real services, and the command line in its folder."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

from headrace.app.board import board_of
from headrace.app.cli.main import main
from headrace.app.services import find_services
from headrace.app.settings import settings_from
from headrace.app.stack.stack import Stack
from headrace.app.wiring import prepare
from headrace.streams.engine.connection import Connection
from headrace.streams.engine.groups import Groups
from headrace.streams.engine.reader import read
from headrace.streams.flow import ROLES
from headrace.streams.load import load_pipeline
from headrace.streams.plan import plan_of
from headrace.streams.store.redis import RedisStore
from headrace.streams.topics import topics_of
from tests.faults.nursery import Nursery
from tests.faults.slots import Slot
from tests.services import fresh_name

PIPELINE = """
from datetime import datetime
from river import linear_model, preprocessing
from headrace import Event, Labels, Pipeline, Source, count, majority, Monitor, value

class Order(Event):
    id: str
    shop: str
    at: datetime
    price: float

class Returned(Event):
    id: str
    known_at: datetime
    returned: bool

orders = Pipeline(
    name="{name}",
    events=Source(Order, id="id", key="shop", time="at"),
    labels=Labels(Returned, id="id", value="returned", time="known_at", wait="6h"),
    features=[value("price"), count(over="1h")],
    model=preprocessing.StandardScaler() | linear_model.LogisticRegression(),
    monitor=Monitor(baselines=[majority()]),
)
"""
SLICE = 60
"""Events in each file."""


class Said(NamedTuple):
    """What a command wrote."""

    stdout: str
    stderr: str


class Shop:
    """A pipeline of its own on the session's services, and the command line in its folder."""

    def __init__(self, folder: Path, stack: Stack, redis_url: str, nursery: Nursery) -> None:
        self.name = fresh_name("orders")
        self.folder = folder
        self.file = folder / "pipeline.py"
        self.file.write_text(PIPELINE.format(name=self.name))
        self.kafka = Connection(str(stack.addresses["kafka"]))
        self.groups = Groups(self.kafka)
        self.topics = topics_of(self.name)
        self.store = RedisStore(redis_url)
        self._nursery = nursery
        self.environment = {
            **os.environ,
            "HEADRACE_DATA": str(folder / "data"),
            "HEADRACE_KAFKA_BROKERS": self.kafka.brokers,
            "HEADRACE_REDIS_URL": redis_url,
            "HEADRACE_PARTITIONS": "2",
            "COLUMNS": "200",
        }

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "headrace.app.cli", *words]

    def process(self, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a command as a process."""
        done = subprocess.run(
            self.command(*words), env=self.environment, cwd=self.folder,
            capture_output=True, text=True, timeout=90, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        return done

    def headrace(self, *words: str, code: int = 0) -> Said:
        """Run a command in this process, which has loaded what it needs: seconds less."""
        out, err = io.StringIO(), io.StringIO()
        with (
            patch.dict(os.environ, self.environment, clear=True),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            found = main(words)
        assert found == code, out.getvalue() + err.getvalue()
        return Said(out.getvalue(), err.getvalue())

    @contextmanager
    def running(self, *words: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run the pipeline's workers, once all of them have their tasks."""
        log = self.folder / "run.log"
        with log.open("ab") as file:
            process = subprocess.Popen(
                self.command("run", str(self.file), *words),
                env=self.environment, stdout=file, stderr=file,
            )  # fmt: skip
        try:
            wait_until(lambda: process.poll() is not None or self.ready(), 60)
            assert process.poll() is None, log.read_text()[-3000:]
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(20)
        assert process.returncode == 0, log.read_text()[-3000:]

    def begin(self) -> None:
        """Let the first file be learned by workers that no command has started: seconds less."""
        settings = settings_from(self.environment)
        prepare(plan_of(load_pipeline(self.file)), settings, find_services(settings))
        own = {key: value for key, value in self.environment.items() if key.startswith("HEADRACE_")}
        log = self.folder / "begin.log"
        slots = [
            Slot(role, 0, self.file, partial(self._nursery.fork, log), environment=own)
            for role in ROLES
        ]
        try:
            for slot in slots:
                slot.start()
            wait_until(lambda: any(slot.ended() for slot in slots) or self.ready(), 60)
            assert self.ready(), log.read_text()[-3000:]
            self.publish(0)
            for slot in slots:
                slot.ask_to_stop()
            assert [slot.wait() for slot in slots] == [0, 0, 0], log.read_text()[-3000:]
        finally:
            for slot in slots:
                slot.kill()

    def ready(self) -> bool:
        board = board_of(self.store, self.name)
        tasks = sum(len(each["tasks"]) for each in board.values())
        return tasks == 8 and all(each["state"] == "running" for each in board.values())

    def publish(self, number: int) -> None:
        """Publish the events and labels of the ``number``th file, and wait until all is learned."""
        events, labels = self.folder / f"e{number}.jsonl", self.folder / f"l{number}.jsonl"
        with events.open("w") as e, labels.open("w") as each_label:
            for at in range(SLICE):
                which, minute = f"o-{number}-{at}", number * SLICE + at
                hour = f"2024-03-0{1 + minute // 1440}T{minute // 60 % 24:02}:{minute % 60:02}:"
                order = {"id": which, "shop": f"s{at % 5}", "at": f"{hour}00Z", "price": at % 7}
                e.write(json.dumps(order) + "\n")
                truth = {"id": which, "known_at": f"{hour}30Z", "returned": at % 3 == 0}
                each_label.write(json.dumps(truth) + "\n")
        files = ("--events", str(events), "--labels", str(labels))
        self.headrace("publish", str(self.file), *files, "--in-step", "20m")

    def ids(self, what: str) -> Counter[str]:
        return Counter(each["event_id"] for each in read(self.kafka, self.topics, what))

    def check_exactly(self, files: int) -> None:
        for what in ("predictions", "examples"):
            found = self.ids(what)
            assert len(found) == files * SLICE, what
            assert set(found.values()) == {1}, what

    def refusal(self) -> str:
        """Run; return what it says when it refuses."""
        return self.process("run", str(self.file), code=3).stderr


def wait_until(done: Callable[[], object], limit_s: float) -> None:
    until = time.monotonic() + limit_s
    while not done():
        assert time.monotonic() < until, "it took too long"
        time.sleep(0.1)


class Terminal:
    """A command in a terminal of its own."""

    def __init__(self, shop: Shop, *words: str) -> None:
        ours, theirs = pty.openpty()
        environment = {**shop.environment, "TERM": "xterm-256color"}
        # Of tests in the background of a shell Ctrl-C is ignored, and so it would be in a child.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        self.process = subprocess.Popen(
            shop.command(*words), env=environment, stdin=theirs, stdout=theirs, stderr=theirs,
            start_new_session=True,
        )  # fmt: skip
        signal.signal(signal.SIGINT, before)
        os.close(theirs)
        self._ours = ours
        self._shown = ""
        self._closed = False

    def shown(self) -> str:
        """What it has shown so far, without colours."""
        while not self._closed and select.select([self._ours], [], [], 0.05)[0]:
            try:
                self._shown += os.read(self._ours, 65_536).decode(errors="replace")
            except OSError:  # it has ended
                break
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self._shown)

    def press(self, key: str) -> None:
        os.write(self._ours, key.encode())

    def end(self, number: signal.Signals | None = None) -> int:
        """Wait until it ends, by a signal or of itself; return its exit code."""
        if number is not None:
            self.process.send_signal(number)
        until = time.monotonic() + 20
        while self.process.poll() is None and time.monotonic() < until:
            self.shown()
        self.shown()
        self._closed = True
        os.close(self._ours)
        return self.process.wait(1)
