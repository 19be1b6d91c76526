"""A task at its limit: one input is read, and it is said once when that begins and ends."""

from __future__ import annotations

from dataclasses import dataclass

from structlog.testing import capture_logs

from headrace.app.standing import held_line
from headrace.registry.kept import TaskId
from headrace.streams.engine.bounds import Bounds

TASK = TaskId("p", 1, "join", 0)


@dataclass
class Bounded:
    """Of a stage what its bound says."""

    only: str | None = None
    held: int = 7
    limit: int = 5

    def prefer(self) -> str | None:
        return self.only


def test_a_stage_without_a_bound_reads_all() -> None:
    assert Bounds().only(TASK, object()) is None


def test_it_is_said_once_that_an_input_pauses_and_once_that_it_goes_on() -> None:
    bounds, stage = Bounds(), Bounded()
    with capture_logs() as logs:
        for only in (None, "labels", "labels", "predictions", None, None):
            stage.only = only
            assert bounds.only(TASK, stage) == only
    assert [(line["log_level"], line["task"]) for line in logs] == [
        ("warning", "p/v1/join/0"),
        ("info", "p/v1/join/0"),
    ]
    assert (logs[0]["read"], logs[0]["held"], logs[0]["limit"]) == ("labels", 7, 5)


def test_status_says_how_full_the_fullest_is() -> None:
    other = {"tasks": {"p/v1/score/0": {"held": None, "limit": None}}}
    assert held_line([other]) is None
    tasks = {"a": {"held": 9_000, "limit": 10_000}, "b": {"held": 2_000, "limit": 10_000}}
    line = held_line([other, {"tasks": tasks}])
    assert line is not None
    assert str(line) == (
        "waiting for a label, or remembered: 11,000; fullest task 9,000 of 10,000 (90%)"
    )
    assert line.style == "yellow"
    calm = held_line([{"tasks": {"b": tasks["b"]}}])
    assert calm is not None
    assert calm.style == ""
