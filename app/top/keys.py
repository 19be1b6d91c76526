"""Keys as they are pressed, without Enter."""

from __future__ import annotations

import os
import select
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Pressed = Callable[[float], str]
"""Waits so many seconds for a key; returns it, or nothing."""


@contextmanager
def keys() -> Iterator[Pressed]:
    """Lend what says which key is pressed; without a terminal, none ever is."""
    if not sys.stdin.isatty():
        yield _nobody
        return
    number = sys.stdin.fileno()
    before = termios.tcgetattr(number)
    tty.setcbreak(number)  # Ctrl-C still interrupts
    try:
        yield lambda wait_s: _pressed(number, wait_s)
    finally:
        termios.tcsetattr(number, termios.TCSADRAIN, before)


def _pressed(number: int, wait_s: float) -> str:
    if not select.select([number], [], [], wait_s)[0]:
        return ""
    found = os.read(number, 32)
    if not found:  # the terminal has gone
        time.sleep(wait_s)
    return found.decode(errors="replace")


def _nobody(wait_s: float) -> str:
    time.sleep(wait_s)
    return ""
