"""Signals, raised for real in this process."""

from __future__ import annotations

import signal

import pytest

from headrace.app.demo.interrupts import Interrupts

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_interrupts_then_does_what_it_was_told_then_nothing(
    number: signal.Signals,
) -> None:
    before = signal.getsignal(number)
    came: list[str] = []
    with Interrupts() as interrupts:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
        interrupts.lead_to(lambda: came.append("stop"))
        signal.raise_signal(number)
        interrupts.ignore()
        signal.raise_signal(number)
    assert came == ["stop"]
    assert signal.getsignal(number) == before
