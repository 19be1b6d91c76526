"""What alerts may say, and that they are those of the counts.

The detectors' arithmetic is not computed once more here: what it comes to over the run's counts is
handed in, as the models' loader is. That it is exactly this, each record once and in its order,
is compared to the byte; and each record is held against the laws of docs/alerts.md, without it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.oracle import facts
from tests.oracle.logs import Logs
from tests.oracle.report import Report
from tests.oracle.scoring import Truth

FLOAT_ERROR = 1e-9
MEMBERS_LISTED = 100
OF_THE_STRONGEST = ("kind", "what", "segment", "since", "strength", "effect")

Said = tuple[bytes | None, bytes | None]
"""Key and value of a record."""


def check_alerts(
    logs: Logs, truth: Truth, report: Report, wanted: Sequence[Said] | None = None
) -> None:
    """Compare the log of alerts with what it should be, and with its own laws.

    Parameters
    ----------
    wanted
        What the run's counts amount to, in order; None compares with the laws alone.
    """
    records = [record for _, record in logs.of("alerts")]
    if wanted is not None:
        found = [(record.key, record.value) for record in records]
        report.same("alerts", "how many there are", len(found), len(wanted))
        for number, (given, should) in enumerate(zip(found, wanted, strict=False)):
            report.same("alerts", f"record {number} of the log", given, should)
    end = max((record.offset for _, record in logs.all("counts")), default=-1) + 1
    before: dict[str, Mapping[str, Any]] = {}
    revision = 0
    for record in records:
        said = truth.schemas.decode(record.value or b"", logs.topics["alerts"])
        place = f"{said['id']} at {said['until']}"
        report.same("alert keys", place, record.key, said["id"].encode())
        for law, holds in _laws(said, before.get(said["id"])).items():
            report.same("alert laws", f"{place}: {law}", holds, True)
        in_order = revision <= said["revision"] <= end
        report.same("alert laws", f"{place}: revisions are in order", in_order, True)
        before[said["id"]], revision = said, said["revision"]


def _laws(said: Mapping[str, Any], before: Mapping[str, Any] | None) -> dict[str, bool]:
    """Return whether each law of a record holds, given the one before it of the same alert."""
    members, first = said["members"], said["members"][0]
    over = [member["state"] == "over" for member in members]
    side = _side(said)
    listed = len(members) == MEMBERS_LISTED or not said["members_left_out"]
    tile_ms = facts.COUNT_TILE_MS
    return {
        "begins once, and ends once": (
            said["state"] == "begun"
            if before is None
            else said["state"] != "begun" and before["state"] != "over"
        ),
        "goes on": said["until"] == said["noticed"] if before is None
        else said["until"] > before["until"] and said["noticed"] == before["noticed"],
        "references stand alone": len({m["kind"] == "reference" for m in members}) == 1,
        "is named by its tile": said["id"].endswith(f"-{side}-{said['noticed']}"),
        "tiles are whole": not any(said[name] % tile_ms for name in ("noticed", "until", "since")),
        "is of its strongest member": all(said[name] == first[name] for name in OF_THE_STRONGEST),
        "is strong when it begins": before is not None or said["strength"] >= 1.0,
        "is over when all members are": listed and (said["state"] == "over") == all(over),
        "members stand in order": over == sorted(over) and _falls(members, over),
        "each member is there once": len({_stream(each) for each in members}) == len(members),
        "its means differ by its effect": _is_difference(said),
    }  # fmt: skip


def _side(said: Mapping[str, Any]) -> str:
    """Return by what is told how an alert's id goes on after the pipeline's name."""
    if said["what"].startswith("label_rate_"):
        side = "cohorts"
    else:
        of_inputs = said["what"] == "score" or said["what"].startswith("feature.")
        side = "inputs" if of_inputs else "outcomes"
    return f"{side}-reference" if said["kind"] == "reference" else side


def _stream(member: Mapping[str, Any]) -> tuple[str, str, str]:
    return member["kind"], member["what"], member["segment"]


def _falls(members: Sequence[Mapping[str, Any]], over: Sequence[bool]) -> bool:
    """Whether strengths fall, among those that go on and among the others."""
    pairs = zip(members, members[1:], over, over[1:], strict=False)
    return all(a["strength"] >= b["strength"] for a, b, gone, next_ in pairs if gone == next_)


def _is_difference(said: Mapping[str, Any]) -> bool:
    """Whether the effect is the difference of the means that are told; others have a PSI."""
    told = said["distribution"]
    if [each["group"] for each in told] != ["mean"]:
        return bool(said["effect"] >= 0.0)
    difference = told[0]["observed"] - told[0]["reference"]
    return bool(abs(difference - said["effect"]) <= FLOAT_ERROR * max(1.0, abs(difference)))
