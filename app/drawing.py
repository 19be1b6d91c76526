"""What pictures in a terminal are made of: small bars, numbers, moments; and pictures as SVG."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from math import log10
from pathlib import Path

from rich.console import Console, RenderableType
from rich.text import Text

WIDE = 76
"""From so many columns on, parts stand side by side, in frames."""

BAR = 8
"""Columns of a drift's bar."""

SPARKS_MAX = 30

_SPARKS = "▁▂▃▄▅▆▇█"
_DRIFT_LEAST = 0.01
_DRIFT_NOTABLE = 0.1
_DRIFT_LARGE = 0.25


def sparkline(values: Sequence[float]) -> str:
    """Return values as a row of small bars, the least lowest; the newest thirty of them.

    Examples
    --------
    >>> sparkline([0.0, 0.5, 1.0])
    '▁▅█'
    """
    shown = values[-SPARKS_MAX:]
    if not shown:
        return ""
    low = min(shown)
    span = (max(shown) - low) or 1.0
    return "".join(_SPARKS[round((value - low) / span * (len(_SPARKS) - 1))] for value in shown)


def drift_bar(psi: float, chance: float | None = None) -> Text:
    """Return a population stability index as a bar, on a scale of three decades.

    Parameters
    ----------
    chance
        What the index is by chance alone; a line marks it.
    """
    style = "red" if psi >= _DRIFT_LARGE else "yellow" if psi >= _DRIFT_NOTABLE else "green"
    bar = Text("█" * max(1, _cells(psi)), style=style)
    if chance is not None:
        at = max(0, min(BAR, _cells(chance)) - 1)
        bar.append(" " * (at + 1 - len(bar)))
        bar = Text.assemble(bar[:at], ("│", "bold"), bar[at + 1 :])
    return bar


def _cells(psi: float) -> int:
    decades = log10(max(psi, _DRIFT_LEAST) / _DRIFT_LEAST)  # from a hundredth to ten: three
    return min(BAR, round(BAR * decades / 3))


def number_text(value: float | None) -> str:
    """Return a metric's value as it is read: three digits, a dash for none."""
    if value is None:
        return "–"
    return f"{value:.3f}" if value < 9.9995 else f"{value:.2f}"


def count_text(value: float | None) -> str:
    """Return a whole number as it is read, a dash for none."""
    return "–" if value is None else f"{value:,.0f}"


def moment_text(time_ms: int | None, *, short: bool = False) -> str:
    """Return a moment (UTC) as it is read, a dash for none."""
    if time_ms is None:
        return "–"
    form = "%Y-%m-%d %H:%M" if short else "%a %d %b %Y %H:%M UTC"
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime(form)


def save_svg(picture: RenderableType, file: Path, title: str, width: int, height: int) -> None:
    """Keep a picture as SVG, as a terminal of so many columns and lines shows it."""
    with Path("/dev/null").open("w", encoding="utf-8") as nowhere:
        console = Console(
            record=True, width=width, height=height, file=nowhere, force_terminal=True,
            color_system="truecolor",
        )  # fmt: skip
        console.print(picture)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(self_contained(console.export_svg(title=title)), "utf-8")


def self_contained(svg: str) -> str:
    """Return rich's SVG without the fonts that it would fetch: any of one width will do."""
    bare = re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    return bare.replace("font-family: Fira Code", "font-family: Menlo, Consolas, DejaVu Sans Mono")
