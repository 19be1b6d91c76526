"""The demo's picture, by rendering fixed data at several widths."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from headrace.app.demo.screen import save_picture, screen
from headrace.app.demo.view import Picture, Quality, View, plain_line
from headrace.app.drawing import sparkline

VIEW = View(
    title="Headrace demo: a week of flights",
    share=0.45,
    event_time_ms=1_360_243_800_000,
    seconds=31.2,
    totals={
        "events": 302_312, "predictions": 302_311, "labels": 302_210, "examples": 302_209,
        "waiting": 1_102, "expired": 17, "dead_letters": 3, "unscored": 1,
    },
    rates={"events": 180.2, "predictions": 181.0, "labels": 171.0, "examples": 171.3},
    rolling={"model": Quality(0.861, 0.362, 0.84), "left_late": Quality(0.81, 5.3, 0.882)},
    whole={"model": Quality(0.851, 0.372, 0.83), "left_late": Quality(0.8, 11.765, None)},
    coverage=0.93,
    drift={f"feature_{n}": 10 / 3**n for n in range(12)},
    auc_by_day=[0.7, 0.8, 0.85],
    version=1,
    learned_to=302_212,
    model_lag_p50=0,
    model_lag_p99=32,
    latency_p50_ms=31.4,
    latency_p99_ms=80.1,
    restarts=0,
)  # fmt: skip


def lines(view: View, width: int, height: int = 24) -> list[str]:
    console = Console(width=width, height=height, file=io.StringIO(), record=True)
    console.print(Picture(view))
    return console.export_text().splitlines()


@pytest.mark.parametrize("width", [60, 80, 120])
def test_everything_fits_a_usual_terminal_uncut(width: int) -> None:
    found = lines(VIEW, width)
    assert len(found) <= 24
    assert max(cell_len(line) for line in found) <= width
    text = "\n".join(found)
    assert "…" not in text
    for wanted in (
        "Headrace demo: a week of flights", "31 s", "Thu 07 Feb 2013 13:30 UTC", "45% published",
        "302,312", "302,311", "302,210", "302,209", "1,102", "180/s", "171/s", "dead letters",
        "expired", "unscored", "v1 learned to", "offset 302,212", "p50 0 p99 32", "p50 31 p99 80",
        "AUC by day", "0.861", "0.362", "0.840", "0.851", "5.300", "11.77", "left late",
        "feature_0", "10.00", "feature_3",
    ):  # fmt: skip
        assert wanted in text, wanted


def test_only_the_largest_drift_is_shown_the_largest_first() -> None:
    text = "\n".join(lines(VIEW, 60))
    places = [text.index(f"feature_{n} ") for n in range(4)]
    assert places == sorted(places)
    assert "feature_4" not in text
    wide = "\n".join(lines(VIEW, 80))
    assert "feature_7" in wide
    assert "feature_8" not in wide


def test_the_best_of_each_column_stands_out() -> None:
    console = Console(width=100, file=io.StringIO(), force_terminal=True, color_system="standard")
    console.print(Picture(VIEW))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    best = ["0.861", "0.362", "0.882", "0.851", "0.372"]  # the least log loss, the most of others
    for value in best:
        assert f"\x1b[1;32m{value}" in text, value
    for value in ("0.810", "5.300", "0.840", "0.800", "11.77", "0.830"):
        assert f"\x1b[1;32m{value}" not in text, value


@pytest.mark.parametrize("width", [60, 80])
def test_before_the_first_metric_there_are_dashes(width: int) -> None:
    text = "\n".join(lines(View("starting", waits_for="starting workers: 3 of 14 tasks"), width))
    assert "starting workers: 3 of 14 tasks" in text
    assert "begins after the first day" in text
    assert "–" in text


def test_restarts_are_not_hidden() -> None:
    assert "2 restarts" in "\n".join(lines(replace(VIEW, restarts=2), 60))


def test_a_line_says_the_same_where_there_is_no_terminal() -> None:
    said = plain_line(VIEW)
    for wanted in ("45%", "events 302,312", "predictions 302,311", "AUC 0.851", "dead letters 3"):
        assert wanted in said
    assert plain_line(View("x", waits_for="starting workers: 3 of 14 tasks")).startswith("starting")


def test_sparkline_keeps_to_the_newest_thirty() -> None:
    assert sparkline([]) == ""
    assert sparkline([0.5]) == "▁"
    assert len(sparkline([n / 400 for n in range(365)])) == 30


def test_without_a_terminal_lines_are_written_and_none_twice() -> None:
    out = io.StringIO()
    with screen(Console(file=out, width=200)) as lines_of:
        lines_of.show(VIEW)
        lines_of.show(VIEW)
        lines_of.show(VIEW, now=True)
    assert out.getvalue().count("events 302,312") == 2


def test_the_picture_of_a_terminal_is_drawn_live() -> None:
    out = io.StringIO()
    with screen(Console(file=out, width=80, height=24, force_terminal=True)) as live:
        live.show(replace(VIEW, share=0.1), now=True)
        live.show(VIEW, now=True)
    assert "45% published" in out.getvalue()


def test_a_picture_is_kept_as_svg(tmp_path: Path) -> None:
    file = tmp_path / "pictures" / "demo.svg"
    save_picture(VIEW, file, "make demo")
    text = file.read_text()
    assert text.startswith("<svg")
    assert "make&#160;demo" in text
    assert "302,312" in text
    assert "url(http" not in text  # whoever looks at it tells nobody
