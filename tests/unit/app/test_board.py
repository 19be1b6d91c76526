"""Who is alive, by the board alone."""

import json
import threading
import time

import pytest

from headrace.app.board import alive, board_of, lag_of

pytestmark = pytest.mark.timed


class Board:
    def __init__(self) -> None:
        self.said: dict[str, str] = {}

    def workers(self, pipeline: str) -> dict[str, str]:
        return dict(self.said)


def test_an_empty_board_is_answered_at_once() -> None:
    begun = time.monotonic()
    assert alive(Board(), "p") == []
    assert time.monotonic() - begun < 0.5


def test_alive_is_whose_entry_changes_and_dead_whose_does_not() -> None:
    board = Board()
    board.said = {"score-0": '{"time": 1}', "learn-0": '{"time": 1}'}
    ended = threading.Event()

    def beat() -> None:
        at = 2
        while not ended.wait(0.05):
            board.said["score-0"] = json.dumps({"time": at})
            at += 1

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        assert alive(board, "p", watch_s=0.6) == ["score-0"]
    finally:
        ended.set()
        thread.join()


def test_a_worker_that_is_gone_meanwhile_is_not_alive() -> None:
    board = Board()
    board.said = {"score-0": "{}"}
    timer = threading.Timer(0.1, board.said.clear)
    timer.start()
    assert alive(board, "p", watch_s=0.5) == []
    timer.join()


def test_lag_is_the_sum_of_what_is_known() -> None:
    assert lag_of({}) is None
    assert lag_of({"tasks": {"a": {"lag": None}}}) is None
    assert lag_of({"tasks": {"a": {"lag": 2}, "b": {"lag": 3}, "c": {"lag": None}}}) == 5
    board = Board()
    board.said = {"score-1": "{}", "join-0": "{}"}
    assert list(board_of(board, "p")) == ["join-0", "score-1"]
