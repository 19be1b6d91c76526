"""The picture of a frame, at several sizes."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from headrace.app.drawing import drift_bar, save_svg
from headrace.app.top.frame import Frame
from headrace.app.top.view import Picture
from headrace.schemas.records import ALERT
from tests.unit.top.looks import FRAME, NOON_MS

ALERT_FIELDS = {
    "id": "a", "state": "ongoing", "kind": "input", "what": "feature.temp_f", "segment": "all",
    "since": NOON_MS, "strength": 1.7, "members": [{}], "members_left_out": 0,
}  # fmt: skip


def lines(frame: Frame, width: int, height: int | None = 24) -> list[str]:
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(Picture(frame, height, "q quits"))
    return console.export_text().splitlines()


def text(frame: Frame, width: int = 80, height: int | None = 24) -> str:
    return "\n".join(lines(frame, width, height))


@pytest.mark.parametrize("width", [60, 80, 120])
def test_everything_that_matters_fits_a_usual_terminal(width: int) -> None:
    found = lines(FRAME, width)
    assert len(found) <= 24
    assert max(cell_len(line) for line in found) <= width
    shown = "\n".join(found)
    for wanted in (
        "flights v3", "Thu 07 Feb 2013 12:00 UTC", "q quits", "alerts: none", "302,311", "302,209",
        "180", "171", "p50 43", "1,073", "score", "120", "task 1: 100",
        "not started", "AUC", "0.861", "0.851", "0.820", "0.500", "93% labelled", "log loss",
        "feature_0", "10.00", "│0.02", "learned to 302,212", "served less 3", "p50 9 p99 32",
        "waiting for a label: 1,102, expired: 17", "join.label_not_wanted 41", "silent for 33 s",
        "waiting for Redis",
    ):  # fmt: skip
        assert wanted in shown or (width == 60 and wanted.startswith("join.")), wanted


def test_a_higher_terminal_shows_more_and_never_more_than_it_has() -> None:
    for height in range(24, 50):
        assert len(lines(FRAME, 80, height)) <= height
    assert "recall" not in text(FRAME, 80, 24)
    assert "recall" in text(FRAME, 80, 26)
    assert "feature_11" in text(FRAME, 80, 33)
    assert "34,599" not in text(FRAME, 80, 32)
    assert "34,599" in text(FRAME, 80, 34)


def test_a_feature_that_orders_the_labels_stands_at_the_head() -> None:
    found = lines(replace(FRAME, leaks={"arr_delay_min": 0.9996, "x": 1.0}), 80, 24)
    assert "UTC  leak? arr_delay_min, x " in found[0]
    assert len(found) <= 24


def test_it_is_said_that_newer_windows_are_withheld() -> None:
    shown = replace(FRAME, withheld="one class alone")
    assert "UTC; withheld: one class alone" in text(shown, 80, 24)
    assert "withheld" not in text(FRAME, 80, 24)


def test_a_wide_terminal_shows_what_it_costs_that_models_lag() -> None:
    assert "commit 14 ms; regret 0.002" in text(FRAME, 100)


def test_without_a_terminal_everything_is_shown() -> None:
    shown = text(replace(FRAME, alerts=[ALERT_FIELDS] * 30), 100, None)
    assert shown.count("feature.temp_f") == 30
    for wanted in ("cost", "feature_11", "34,599", "312"):
        assert wanted in shown


def test_alerts_come_first_and_those_left_out_are_counted() -> None:
    found = lines(replace(FRAME, alerts=[ALERT_FIELDS] * 5), 80, 24)
    assert "ongoing" in found[1]
    assert "feature.temp_f" in found[1]
    assert "since 2013-02-07 12:00  ×1.7" in found[1]
    assert "and 4 more" in found[2]
    assert "none" not in found[1]


def test_what_is_shown_of_an_alert_is_in_its_schema() -> None:
    assert ALERT_FIELDS.keys() <= {each["name"] for each in ALERT["fields"]}


def test_an_alert_of_a_segment_and_of_several_things_says_so() -> None:
    alert = {
        **ALERT_FIELDS,
        "segment": "carrier=[UA]",
        "members": [{}] * 100,
        "members_left_out": 3,
    }
    assert "feature.temp_f, carrier=[UA] and 102 more" in text(replace(FRAME, alerts=[alert]), 120)


def test_before_anything_is_known() -> None:
    shown = text(Frame("flights", trouble="looking …"))
    assert "looking …" in shown
    assert "no prediction has met its label" in shown
    assert "it begins when the reference period is over" in shown
    assert "no worker runs" in shown


def test_trouble_is_said_whole() -> None:
    trouble = "Redis at 127.0.0.1:6379: connection refused. " * 4
    found = lines(replace(FRAME, trouble=trouble.strip()), 80, 34)
    assert " ".join(found[1:4]).count("connection refused.") == 4
    assert len(found) <= 34


def test_what_is_no_better_than_a_baseline_stands_out() -> None:
    console = Console(width=100, file=io.StringIO(), force_terminal=True, color_system="standard")
    console.print(Picture(FRAME, 24))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "\x1b[1;32m0.861" in shown  # AUC: the baselines have 0.82 at most
    assert "\x1b[1;33m0.362" in shown  # log loss: a baseline has 0.1
    assert "\x1b[1;33m0.809" in shown


def test_a_bar_has_a_mark_where_chance_ends() -> None:
    assert drift_bar(10.0, 0.02).plain == "│███████"
    assert drift_bar(0.01, 1.0).plain == "█   │"
    assert drift_bar(10.0).plain == "████████"


def test_a_picture_is_kept_as_svg(tmp_path: Path) -> None:
    file = tmp_path / "pictures" / "top.svg"
    save_svg(Picture(FRAME, 40, "q quits"), file, "headrace top flights", 96, 40)
    found = file.read_text()
    assert found.startswith("<svg")
    assert "302,311" in found
    assert "url(http" not in found


def test_how_sure_a_metric_is_stands_where_there_is_room() -> None:
    metrics = [
        replace(FRAME.metrics[2], detail={"tp": 3.0, "low": 0.7912, "high": 0.8265}),
        replace(FRAME.metrics[0], name="calibration_error", history=[0.1] * 40),
    ]
    frame = replace(FRAME, metrics=metrics, dead_letters={})
    assert "0.791–0.827" in text(frame, 96)
    assert "final to 2013-02-07 09:00" in text(frame, 96)
    assert "…" not in text(frame, 96)
    assert "0.791" not in text(frame, 80)
