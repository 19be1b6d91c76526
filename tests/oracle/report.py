"""What was compared, and what differs."""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

DIFFERENCES_KEPT = 50


@dataclass
class Report:
    """The outcome: empty differences are the truth.

    Attributes
    ----------
    compared
        How many things of each kind were compared.
    differing
        How many of them differ.
    differences
        The first sentences about them.
    figures
        Figures of the served predictions, computed by the oracle.
    """

    compared: Counter[str] = field(default_factory=Counter)
    differing: Counter[str] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)

    @property
    def is_truth(self) -> bool:
        return not self.differing

    def same(self, kind: str, what: object, found: Any, wanted: Any) -> bool:
        """Compare two values to the bit."""
        self.compared[kind] += 1
        if found == wanted and (_plainly(found, wanted) or bits(found) == bits(wanted)):
            return True
        self.differs(kind, f"{what}: it is {found!r:.300}, the oracle says {wanted!r:.300}")
        return False

    def differs(self, kind: str, sentence: str) -> None:
        self.differing[kind] += 1
        if len(self.differences) < DIFFERENCES_KEPT:
            self.differences.append(f"{kind}: {sentence}")

    def text(self) -> str:
        """Return the report as a person reads it."""
        lines = [f"{kind:24} {n:>10,} compared" for kind, n in self.compared.items()]
        lines += [f"{name:24} {value:>10.4f}" for name, value in self.figures.items()]
        lines += [f"{kind:24} {n:>10,} DIFFER" for kind, n in self.differing.items()]
        return "\n".join([*lines, *self.differences])


def _plainly(found: Any, wanted: Any) -> bool:
    """Whether equal values are of equal bits at first sight: all but zeros and compound ones."""
    return type(found) is type(wanted) and type(found) in (float, int, str, bytes) and found != 0


def bits(value: Any) -> Any:
    """Return a value so that equal ones are of equal types and of equal bits."""
    if type(value) is float:
        return struct.pack("<d", value)
    if isinstance(value, dict):
        return {name: bits(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [bits(inner) for inner in value]
    return (type(value).__name__, value)
