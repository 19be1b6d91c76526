"""At each width of a terminal: numbers are whole, and columns go in a sensible order."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from rich.cells import cell_len
from rich.text import Text

from headrace.app.top.columns import Column, fitting
from headrace.app.top.frame import Frame
from tests.unit.top.looks import FRAME
from tests.unit.top.test_view import ALERT_FIELDS, lines

NAMES = ("auc", "log_loss", "accuracy", "recall", "cost", "calibration_error", "rmse", "f1")
LARGE = 12_345_678.9
WIDTHS = [*range(60, 131, 5), 76]


def large(**changes: Any) -> Frame:
    """Return a frame as a long run has it: large numbers, long names, long histories."""
    history = [0.1 * (n % 7) for n in range(40)]
    sure = {"low": 0.7912, "high": 0.8265}
    metrics = [
        replace(FRAME.metrics[n % 6], name=name, history=history, detail=sure)
        for n, name in enumerate(NAMES)
    ]
    metrics[4] = replace(metrics[4], window=LARGE, whole=LARGE)
    flows = [
        replace(each, total=each.total and each.total * 1_000, rate=each.rate and each.rate * 300)
        for each in FRAME.flows
    ]
    return replace(FRAME, metrics=metrics, flows=flows, **changes)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("frame", [FRAME, large()], ids=["usual", "large"])
def test_no_number_is_cut_off(frame: Frame, width: int) -> None:
    found = lines(frame, width, None)
    assert max(cell_len(line) for line in found) <= width
    for line in found:
        if not line.startswith(("model:", "waiting for")):  # sentences
            assert not re.search(r"\d…", line), line
    shown = "\n".join(found)
    for each in frame.metrics:
        assert f"{each.window:.3f}" in shown or f"{each.window:.2f}" in shown
    for total in (flow.total for flow in frame.flows if width != 76):  # its half frame is too small
        assert total is None or f"{total:,}" in shown


@pytest.mark.parametrize(
    ("width", "there", "gone"),
    [
        (60, ["1d", "run", "left late"], ["final", "last windows", "majority", "95 %"]),
        (80, ["1d", "final", "run", "left late", "majority"], ["last windows", "95 %"]),
        (100, ["1d", "final", "run", "last windows", "left late", "majority"], ["95 %"]),
        (120, ["1d", "95 %", "final", "run", "last windows", "left late", "majority"], []),
    ],
)
def test_columns_go_in_a_sensible_order(width: int, there: list[str], gone: list[str]) -> None:
    found = lines(large(), width, None)
    heads = next(line for line in found if " run " in line or line.rstrip(" │").endswith("run"))
    assert [name for name in there if name not in heads] == []
    assert [name for name in gone if name in heads] == []


@pytest.mark.parametrize("width", WIDTHS)
def test_what_an_alert_is_of_is_cut_off_before_its_numbers(width: int) -> None:
    alert = {**ALERT_FIELDS, "segment": "carrier=[UA]", "strength": 123.4, "members": [{}] * 12}
    found = lines(replace(FRAME, alerts=[alert]), width, None)[1]
    assert found.rstrip().endswith("×123.4")
    assert "since 2013-02-07 12:00" in found


def test_bars_take_the_room_that_is_left() -> None:
    bars = Column("bars", [Text("0123456789")], 2, least=3)
    names, numbers = Column("", [Text("name")]), Column("n", [Text("7.5")], 1)
    for width, wanted in ((40, "0123456789"), (18, "34567 89".replace(" ", "")), (15, "6789")):
        shown = fitting([names, numbers, bars], width)
        assert shown[2].cells[0].plain == wanted[-len(shown[2].cells[0]) :]
        assert sum(cell_len(str(each.cells[0])) for each in shown) + 4 <= width
    assert fitting([names, numbers, bars], 14) == [names, numbers]
    assert fitting([names, numbers, bars], 8) == [names]
    assert fitting([names], 1) == [names], "what stays is all that there is"
