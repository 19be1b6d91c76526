"""docs/reasons.md names each reason code and each count of something wrong, and no other."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from headrace.streams.decoding import _CODES

ROOT = Path(__file__).parents[3]
ROOMS = ("schemas", "streams")
FALLBACKS = {"wrong_type", "invalid"}
"""What ``decoding._rejected`` calls a fault of pydantic's that ``_CODES`` does not name."""

SOUND = {
    "routed", "learned", "matched", "first_event", "events", "scored", "examples", "labelled",
}  # fmt: skip
"""Counts of what went as it should."""

REASON_AT = {"Rejected": 0, "Undecodable": 0, "name_fault": 2}
"""Which argument of what holds a reason code."""


def calls() -> Iterator[tuple[str, ast.Call]]:
    for room in ROOMS:
        for path in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call):
                    name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                    yield name, node


def texts(node: ast.AST) -> set[str]:
    return {
        each.value
        for each in ast.walk(node)
        if isinstance(each, ast.Constant) and isinstance(each.value, str)
    }


def reasons_in_code() -> set[str]:
    found = set(_CODES.values()) | FALLBACKS
    for name, call in calls():
        at = REASON_AT.get(name)
        if at is not None and len(call.args) > at and not isinstance(call.args[at], ast.Starred):
            found |= texts(call.args[at])
    return found


def counts_in_code() -> set[str]:
    """Counts by a plain name: by ``tally.count``, by JOIN's outcomes, and of failed predictions."""
    found = {"late_for_features", "unscored", "count_failed"}
    for name, call in calls():
        if name == "count" and call.args and isinstance(call.args[0], ast.Constant):
            found |= texts(call.args[0])
    matching = (ROOT / "streams" / "stages" / "matching.py").read_text()
    found |= set(re.findall(r'"((?:late|duplicate|contradicting|unmatched|first)_\w+)"', matching))
    found |= set(re.findall(r'"(matched|expired)"', matching))
    return {name for name in found if re.fullmatch(r"[a-z_]+", name)} - SOUND


def documented(heading: str) -> set[str]:
    text = (ROOT / "docs" / "reasons.md").read_text()
    (section,) = re.findall(rf"^## {heading}$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))


def test_each_reason_is_documented_and_each_documented_reason_exists() -> None:
    assert documented("Dead letters") == reasons_in_code()


def test_each_count_of_something_wrong_is_documented_and_exists() -> None:
    assert documented("Counts of what is sound and of no use") == counts_in_code()
