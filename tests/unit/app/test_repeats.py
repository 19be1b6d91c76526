"""Lines that repeat themselves: one, with a count, and a summary when they have ended."""

from __future__ import annotations

import io
import logging
import sys

import pytest
import structlog

from headrace.app.logs import configure_logs
from headrace.app.repeats import AGAIN_S, QUIET_S, Repeats
from headrace.app.settings import settings_from

REFUSED = (
    "FAIL [rdkafka#consumer-{}] [thrd:127.0.0.1:{}/{}]: 127.0.0.1:{}/{}: Connect to"
    " ipv4#127.0.0.1:{} failed: Connection refused (after {}ms in state CONNECT)"
)


class Log:
    """A logger, what it wrote, and its clock."""

    def __init__(self) -> None:
        self.now = 100.0
        self.lines: list[str] = []
        self.repeats = Repeats(self.write, lambda: self.now)
        self.name = "headrace.kafka"

    def write(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())

    def says(self, text: str, level: int = logging.ERROR) -> None:
        record = logging.LogRecord(self.name, level, "", 0, text, (), None)
        if self.repeats.filter(record):
            self.write(record)

    def refused(self, times: int) -> None:
        for at in range(times):
            who = ("bootstrap", "1")[at % 2]
            self.says(REFUSED.format(at % 7, 9092, who, 9092, who, 9092, at))
            self.now += 0.01


@pytest.fixture
def log() -> Log:
    return Log()


def test_a_broker_that_is_away_is_one_line_and_a_summary(log: Log) -> None:
    log.refused(1_347)
    assert len(log.lines) == 1
    log.now += QUIET_S
    log.repeats.look()
    (first, summary) = log.lines
    assert "Connection refused" in first
    assert summary.endswith("(over; 1346 more like it within 13.5 s)")
    log.refused(1)  # a second crash is news again
    assert len(log.lines) == 3


def test_what_goes_on_for_long_is_said_each_minute_with_its_count(log: Log) -> None:
    log.refused(10)
    log.now += AGAIN_S
    log.refused(2)
    assert log.lines[1].endswith("(and 9 more like it)")
    log.repeats.look()
    assert len(log.lines) == 2  # not over yet


def test_what_differs_in_more_than_numbers_is_written(log: Log) -> None:
    log.says("a topic is not there")
    log.says("a broker is not there")
    log.name = "other"
    log.says("a topic is not there")
    assert len(log.lines) == 3


def test_what_is_no_warning_and_what_ends_a_process_is_always_written(log: Log) -> None:
    for level in (logging.INFO, logging.CRITICAL):
        log.says("again", level)
        log.says("again", level)
    assert len(log.lines) == 4


def test_all_our_logging_goes_through_it(monkeypatch: pytest.MonkeyPatch) -> None:
    handlers, level = logging.getLogger().handlers[:], logging.getLogger().level
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    try:
        configure_logs(settings_from({"HEADRACE_LOG_FORMAT": "json"}))
        for number in range(5):
            structlog.get_logger("headrace.kafka").warning("kafka", reason=f"refused {number}")
            logging.getLogger("redis").warning("no answer after %s s", number)
        (handler,) = logging.getLogger().handlers
        (repeats,) = handler.filters
        assert isinstance(repeats, Repeats)
        monkeypatch.setattr(repeats, "_clock", lambda: 1e12)
        repeats.look()
        lines = written.getvalue().splitlines()
    finally:
        logging.getLogger().handlers[:] = handlers
        logging.getLogger().setLevel(level)
        structlog.reset_defaults()
    assert len(lines) == 4
    assert sum("4 more like it" in line for line in lines) == 2
