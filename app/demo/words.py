"""What the demo says to do next."""

from __future__ import annotations

from pathlib import Path


def what_next(keep: bool, folder: Path) -> list[str]:
    """Return what to try: in a second terminal while it stays up, or afterwards."""
    if keep:
        before = f"HEADRACE_DATA={folder} headrace"
        return [
            "It stays up. In a second terminal (first: . .venv/bin/activate):",
            f"  {before} tail flights predictions",
            f"  {before} tail flights metrics",
            f"  {before} status",
            f"Ctrl-C here stops it; {folder} stays, and `{before} up` takes it up again.",
        ]
    return [
        "What to try next (first: . .venv/bin/activate):",
        "  headrace demo --keep                          stays up, for a second terminal",
        "  headrace check examples/flights/pipeline.py   what the pipeline is made of",
        "  headrace up                                   a stack of your own, then:",
        "  headrace run examples/flights/pipeline.py     its workers",
        "Change a feature in examples/flights/pipeline.py, run the demo again, and compare.",
    ]
