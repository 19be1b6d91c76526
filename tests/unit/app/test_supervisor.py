"""The supervisor over real processes: small programs in the place of workers."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from headrace.app import supervisor as module
from headrace.app.supervisor import Slot, Spare, Supervisor, WorkerCommand, slots_of

pytestmark = pytest.mark.timed

ONE, TWO = Slot("score", 0), Slot("learn", 0)

STAYS = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("up", flush=True)
while True: time.sleep(0.01)
"""
DEAF = STAYS.replace("lambda *_: sys.exit(0)", "signal.SIG_IGN")


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def until(done: Callable[[], object], supervisor: Supervisor, limit_s: float = 20) -> None:
    """Ask the supervisor to stop once something is so; fail the test if it never is."""
    deadline = time.monotonic() + limit_s

    def turn() -> None:
        if done() or time.monotonic() > deadline:
            supervisor.ask_to_stop()

    supervisor.run(turn)
    assert time.monotonic() < deadline


def test_workers_start_and_stop_with_care() -> None:
    said: list[tuple[Slot, str]] = []
    supervisor = Supervisor(
        [ONE, TWO], lambda slot: python(STAYS), said=lambda slot, line: said.append((slot, line))
    )
    until(lambda: len(said) == 2, supervisor)
    assert sorted(said) == [(TWO, "up"), (ONE, "up")]
    assert [post.code for post in supervisor.posts] == [0, 0]
    assert supervisor.snapshot()["state"] == "stopping"


def test_a_killed_worker_is_restarted_at_once_in_its_slot() -> None:
    ups: list[float] = []
    supervisor = Supervisor(
        [ONE], lambda slot: python(STAYS), said=lambda slot, line: ups.append(time.monotonic())
    )
    killed: list[float] = []

    def done() -> bool:
        process = supervisor.posts[0].process
        if len(ups) == 1 and process is not None and not killed:
            killed.append(time.monotonic())
            process.kill()
        return len(ups) == 2

    until(done, supervisor)
    assert ups[1] - killed[0] < 3
    assert supervisor.posts[0].backoff.restarts == 1


def test_a_refused_worker_stops_all_with_its_code() -> None:
    said: list[str] = []
    codes = {ONE: "print('headrace: no.'); raise SystemExit(3)", TWO: STAYS}
    supervisor = Supervisor(
        [TWO, ONE], lambda slot: python(codes[slot]), said=lambda slot, line: said.append(line)
    )
    assert supervisor.run() == 3
    assert "headrace: no." in said
    assert {str(post.slot): post.code for post in supervisor.posts}["score-0"] == 3
    assert all(post.process is None for post in supervisor.posts)


TELLS = "from headrace.app.ending import tell_ending; tell_ending('{}'); raise SystemExit({})"


def test_why_a_worker_refused_stands_in_our_own_output(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever reads what the supervisor says need not know where the worker's own log is."""
    code = TELLS.format("The state is ahead of the log. Do this.", 3)
    supervisor = Supervisor([ONE], lambda slot: python(code), said=lambda slot, line: None)
    assert supervisor.run() == 3
    assert supervisor.snapshot()["workers"]["score-0"]["reason"].startswith("The state is ahead")
    out = capsys.readouterr().out
    assert "worker refused to start" in out
    assert "The state is ahead of the log. Do this." in out


def test_why_a_worker_ended_is_said_each_time_anew() -> None:
    codes = [TELLS.format("one", 1), "raise SystemExit(1)", STAYS]
    reasons: list[str] = []
    supervisor = Supervisor(
        [ONE], lambda slot: python(codes[0] if len(codes) == 1 else codes.pop(0))
    )

    def done() -> bool:
        (post,) = supervisor.posts
        if post.backoff.restarts > len(reasons):
            reasons.append(post.reason)
        return len(reasons) == 2

    until(done, supervisor)
    assert reasons == ["one", ""]
    assert supervisor._endings == {}


def test_a_spare_says_why_it_ended_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_QUIET_S", 0.0)
    spare = Spare(python("input(); " + TELLS.format("the spare refuses", 3)), str)
    supervisor = Supervisor([ONE], lambda slot: python(STAYS), spare=spare)
    killed: list[int] = []

    def done() -> bool:
        process = supervisor.posts[0].process
        if process is not None and supervisor._ready is not None and not killed:
            killed.append(process.pid)
            process.kill()
        return supervisor._verdict is not None

    until(done, supervisor)
    assert supervisor.posts[0].reason == "the spare refuses"


def test_a_fenced_worker_is_not_restarted_and_the_others_go_on() -> None:
    starts: list[Slot] = []

    def command(slot: Slot) -> list[str]:
        starts.append(slot)
        return python("raise SystemExit(4)" if slot == ONE else STAYS)

    supervisor = Supervisor([ONE, TWO], command, said=lambda slot, line: None)
    fenced_s: list[float] = []

    def done() -> bool:
        if supervisor.posts[0].state == "fenced":
            fenced_s.append(time.monotonic())
        return bool(fenced_s) and time.monotonic() - fenced_s[0] > 1.5

    until(done, supervisor)
    assert starts == [ONE, TWO]


def test_all_fenced_is_the_end() -> None:
    supervisor = Supervisor([ONE, TWO], lambda slot: python("raise SystemExit(4)"))
    assert supervisor.run() == 4


@pytest.mark.parametrize("taken", [False, True])
def test_a_fenced_worker_whose_slot_is_empty_is_started_again(
    monkeypatch: pytest.MonkeyPatch, taken: bool
) -> None:
    monkeypatch.setattr(module, "FENCED_S", 0.3)
    starts: list[Slot] = []
    answers: list[bool | None] = [None, None, taken]

    def command(slot: Slot) -> list[str]:
        starts.append(slot)
        return python("raise SystemExit(4)" if len(starts) == 1 else STAYS)

    supervisor = Supervisor([ONE], command, said=lambda slot, line: None)
    supervisor.taken = lambda slot: answers.pop(0)
    if taken:
        assert supervisor.run() == 4
        assert starts == [ONE]
    else:
        until(lambda: len(starts) == 2, supervisor)
    assert not answers


def test_one_that_does_not_stop_is_killed() -> None:
    before, module.STOP_S = module.STOP_S, 1.0
    try:
        ups: list[str] = []
        supervisor = Supervisor(
            [ONE], lambda slot: python(DEAF), said=lambda slot, line: ups.append(line)
        )
        until(lambda: ups, supervisor)
    finally:
        module.STOP_S = before
    assert supervisor.posts[0].code == -signal.SIGKILL


def test_asked_twice_it_does_not_wait() -> None:
    ups: list[str] = []
    supervisor = Supervisor(
        [ONE], lambda slot: python(DEAF), said=lambda slot, line: ups.append(line)
    )
    begun = time.monotonic()
    until(lambda: ups, supervisor)  # asks again in each turn of the stop
    assert time.monotonic() - begun < module.STOP_S
    assert supervisor.posts[0].code == -signal.SIGKILL


SUPERVISES = """
import sys, time
from headrace.app.supervisor import Slot, Supervisor
stays = '''{stays}'''
Supervisor([Slot("score", 0)], lambda slot: [sys.executable, "-c", stays + "# mark-{mark}"]).run()
"""


def test_workers_end_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    stays = STAYS.replace('"up"', "os.getpid()").replace("import", "import os,")
    stays = stays.replace("flush=True", f"file=open({str(file)!r}, 'w', 1)")
    code = SUPERVISES.format(stays=stays, mark=os.getpid())
    supervisor = subprocess.Popen(python(code))
    deadline = time.monotonic() + 20
    while not (file.exists() and file.read_text().strip()) and time.monotonic() < deadline:
        time.sleep(0.02)
    worker = int(file.read_text())
    supervisor.kill()
    supervisor.wait()
    while Path(f"/proc/{worker}/cmdline").exists() and time.monotonic() < deadline:
        if not Path(f"/proc/{worker}/cmdline").read_bytes():
            break  # it ended; nobody has collected it yet
        time.sleep(0.02)
    assert time.monotonic() < deadline


def test_lines_of_both_streams_are_taken() -> None:
    said: list[str] = []
    code = "import sys; print('out'); print('err', file=sys.stderr); raise SystemExit(3)"
    supervisor = Supervisor([ONE], lambda slot: python(code), said=lambda slot, x: said.append(x))
    supervisor.run()
    for thread in threading.enumerate():
        if thread.daemon and "_listen" in thread.name:
            thread.join(5)
    assert sorted(said) == ["err", "out"]


SPARE = """
import sys
line = sys.stdin.readline()
if line:
    print("spare for " + line.strip(), flush=True)
""" + STAYS.replace('print("up", flush=True)', "")


def test_a_spare_takes_the_place_of_a_worker_that_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_QUIET_S", 0.0)
    said: list[str] = []
    spare = Spare(python(SPARE), lambda slot: f"slot {slot}")
    supervisor = Supervisor(
        [ONE], lambda slot: python(STAYS), said=lambda slot, line: said.append(line), spare=spare
    )

    def done() -> bool:
        process = supervisor.posts[0].process
        if said == ["up"] and process is not None and supervisor._ready is not None:
            process.kill()
        return "spare for slot score-0" in said

    until(done, supervisor)
    assert said == ["up", "spare for slot score-0"]
    assert supervisor._ready is None or supervisor._ready.poll() is not None


def test_a_spare_that_has_died_is_no_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_QUIET_S", 0.0)
    said: list[str] = []
    spare = Spare(python("raise SystemExit(1)"), str)
    supervisor = Supervisor(
        [ONE], lambda slot: python(STAYS), said=lambda slot, line: said.append(line), spare=spare
    )

    def done() -> bool:
        process, ready = supervisor.posts[0].process, supervisor._ready
        if said == ["up"] and process is not None and ready is not None:
            ready.wait()
            process.kill()
            supervisor._look_after(supervisor.posts[0])
        return said == ["up", "up"]

    until(done, supervisor)


def test_slots_and_command_lines(tmp_path: Path) -> None:
    assert [str(slot) for slot in slots_of(1, 2)] == ["score-0", "join-0", "join-1", "learn-0"]
    command = WorkerCommand(tmp_path / "p.py", 8_000)
    first, second = command(ONE), command(TWO)
    assert first[-1] == "8001"
    assert second[-1] == "8002"
    assert command(ONE)[-1] == "8001"
    assert first[first.index("--role") + 1] == "score"
    assert WorkerCommand(tmp_path / "p.py", 0)(ONE)[-1] == "0"
    assert command.spare.command[-1] == "--spare"
    assert json.loads(command.spare.line(TWO)) == {"role": "learn", "slot": 0, "http_port": 8002}
