"""What MONITOR said of the whole run, and of windows that are final, computed once more."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from math import inf
from typing import Any

from tests.oracle import facts
from tests.oracle.logs import Logs
from tests.oracle.quality import auc, intervals
from tests.oracle.report import Report
from tests.oracle.scoring import Truth

COUNTS = (
    "events", "scored", "late_for_features", "examples", "labelled", "learned", "routed",
    "first_event", "matched", "expired", "late_event", "duplicate_event", "duplicate_label",
    "contradicting_label", "late_label", "unmatched_label",
)  # fmt: skip
OF_SEGMENTS = (
    "events", "labelled", "coverage", "accuracy", "log_loss",
    "baseline.majority.accuracy", "baseline.left_late.accuracy",
)  # fmt: skip
OF_OUTCOMES = ("accuracy", "log_loss", "brier", "regret")
FLOAT_ERROR = 1e-9
MILLIONTHS = 2e-6  # each value is rounded to one, before it is squared too

Key = tuple[str, str, int, int]  # segment, window, start, end


def check_metrics(
    logs: Logs, truth: Truth, examples: list[tuple[int, dict[str, Any]]], report: Report
) -> None:
    """Compare the last bulletin of the whole run, and the last one of each final window."""
    whole, final, revision = _said(logs, truth)
    ends = [record.offset for _, record in logs.of("counts")]
    if not ends:
        return
    if revision is None or revision <= ends[-1]:
        said = f"the last bulletin counts up to {revision}, the counts go on to {ends[-1]}"
        report.differs("metrics", said)
        return
    values = truth.counts.items()
    totals = _added((name, n) for (_, segment, name), n in values if segment == "all")
    _compare("the whole run", whole, _figures(totals), report)
    _compare_letters(whole, truth, report)
    _compare_auc(whole, examples, report)
    _compare_intervals(whole, examples, report)
    _compare_windows(final, truth, report)


def _added(pairs: Iterable[tuple[str, int]]) -> Counter[str]:
    found: Counter[str] = Counter()
    for name, n in pairs:
        found[name] += n
    return found


def _compare_windows(final: Mapping[Key, Mapping[str, Any]], truth: Truth, report: Report) -> None:
    cells: defaultdict[tuple[str, int], list[tuple[str, int]]] = defaultdict(list)
    for (tile, segment, name), n in truth.counts.items():
        cells[segment, tile].append((name, n))
    for (segment, window, start, end), found in final.items():
        tiles = range(start, end, facts.COUNT_TILE_MS)
        inside = _added(pair for tile in tiles for pair in cells.get((segment, tile), ()))
        _compare(f"{segment}, {window} from {start}", found, _figures(inside), report)


def _said(logs: Logs, truth: Truth) -> tuple[dict[str, Any], dict[Key, dict[str, Any]], int | None]:
    """Return the newest records by metric: of the whole run, and of each final window."""
    whole: dict[str, Any] = {}
    final: dict[Key, dict[str, Any]] = {}
    revision: int | None = None
    newest = {record.key: record for _, record in logs.of("metrics")}  # each is an upsert
    for record in newest.values():
        said = truth.schemas.decode(record.value or b"", logs.topics["metrics"])
        if said["window"] != "all":
            if said["final"]:
                key = said["segment"], said["window"], said["window_start"], said["window_end"]
                final.setdefault(key, {})[said["metric"]] = said
        elif said["segment"] == "all":
            whole[said["metric"]] = said
            revision = max(said["revision"], revision or 0)
    return whole, final, revision


def _figures(values: Mapping[str, int]) -> dict[str, float]:
    """Return what can be said of some counts, by metric."""
    found = {name: float(values[name]) for name in COUNTS if values.get(name)}
    if values.get("events"):
        found["coverage"] = values.get("labelled", 0) / values["events"]
        found["answered.true"] = values.get("answer:true", 0) / values["scored"]
    found.update(_inputs(values))
    if values.get("equal.n"):
        found["regret"] = values["equal.loss"] / (1_000_000 * values["equal.n"])
    for prefix, name in (
        ("outcome", ""), ("fresh", "fresh."), ("baseline.majority", "baseline.majority."),
        ("baseline.left_late", "baseline.left_late."),
    ):  # fmt: skip
        tp, fp, tn, fn = (values.get(f"{prefix}.{each}", 0) for each in ("tp", "fp", "tn", "fn"))
        n = tp + fp + tn + fn
        if not n:
            continue
        found[f"{name}accuracy"] = (tp + tn) / n
        if not prefix.startswith("baseline"):
            found[f"{name}log_loss"] = values[f"{prefix}.log_loss"] / (1_000_000 * n)
            found[f"{name}brier"] = values[f"{prefix}.brier"] / (1_000_000 * n)
    return found


def _inputs(values: Mapping[str, int]) -> dict[str, float]:
    """Return which share of each feature is missing, and of all events was refused."""
    families, nulls, refused = Counter[str](), Counter[str](), 0
    for name, n in values.items():
        family, _, key = name.partition(":")
        families[family] += n
        if key == "null":
            nulls[family] += n
        refused += n if family == "rejected" else 0
    found = {f"missing.{name}": n / families[name] for name, n in nulls.items() if n}
    if refused:
        found["rejected"] = refused / (refused + values.get("events", 0))
    return found


def _compare(
    where: str, found: Mapping[str, Any], wanted: Mapping[str, float], report: Report
) -> None:
    if not where.startswith(("the whole run", "all,")):
        wanted = {
            name: value
            for name, value in wanted.items()
            if name in OF_SEGMENTS or name.startswith("missing.")
        }
        known = [name for name in found if not name.startswith(("psi.", "outside."))]
        report.same("metrics", f"metrics of {where}", sorted(known), sorted(wanted))
    reason = _withheld(found, wanted)
    for name, value in wanted.items():
        said = found.get(name)
        given = None if said is None else said["value"]
        if reason and name.endswith(OF_OUTCOMES):
            told = None if said is None else said["detail"].get("withheld")
            report.same("metrics", f"{name} of {where}", (given, told), (None, reason))
        else:
            report.same("metrics", f"{name} of {where}", given, value)
    if "accuracy" in wanted and where.startswith(("the whole run", "all,")):
        report.same("metrics", f"withheld of {where}", found["withheld"]["value"], reason)


def _withheld(found: Mapping[str, Any], wanted: Mapping[str, float]) -> float:
    """Return why nothing may be said of outcomes; 0 if it may be."""
    if "accuracy" not in wanted or wanted["coverage"] >= 0.9:
        return 0.0
    told = found["accuracy"]["detail"]
    if 0 in (told["tp"] + told["fn"], told["fp"] + told["tn"]):
        return 2.0
    gap = found.get("label_delay_gap")
    if gap is None or gap["value"] is None:
        return 0.0
    return 1.0 if gap["value"] > max(0.1, gap["detail"].get("chance", 1.0)) else 0.0


def _compare_letters(whole: Mapping[str, Any], truth: Truth, report: Report) -> None:
    wanted = Counter(f"dead_letters.{stage}.{code}" for stage, code, _ in truth.rejected.values())
    found = {name: n["value"] for name, n in whole.items() if name.startswith("dead_letters.")}
    report.same("metrics", "dead letters", found, {k: float(n) for k, n in sorted(wanted.items())})


def _ties(examples: Iterable[Mapping[str, Any]]) -> float:
    """Return half the share of pairs whose scores are equal: no binning tells them apart."""
    sides: Counter[tuple[float, bool]] = Counter((e["score"], e["label"]) for e in examples)
    trues = sum(n for (_, label), n in sides.items() if label)
    falses = sides.total() - trues
    pairs = sum(n * sides[score, False] for (score, label), n in sides.items() if label)
    return pairs / (2 * trues * falses)


def _compare_auc(
    whole: Mapping[str, Any], examples: list[tuple[int, dict[str, Any]]], report: Report
) -> None:
    """Compare the binned AUC with the exact one: it says itself how far it may be off."""
    labels = [example["label"] for _, example in examples]
    if len(set(labels)) < 2:
        return
    exact = auc(labels, [example["score"] for _, example in examples])
    said = whole.get("auc")
    report.compared["metrics"] += 1
    if said is None or said["value"] is None:
        report.differs("metrics", f"no auc of the whole run; the oracle says {exact}")
        return
    half = said["detail"]["half_width"]
    coarse = half - _ties([example for _, example in examples]) > 0.01 and len(labels) > 2_000
    if abs(said["value"] - exact) > half + FLOAT_ERROR or coarse:
        report.differs("metrics", f"auc is {said['value']} ± {half}, the oracle says {exact}")


def _compare_intervals(
    whole: Mapping[str, Any], examples: list[tuple[int, dict[str, Any]]], report: Report
) -> None:
    """Compare how sure means are said to be with what the examples themselves show."""
    wanted = intervals([example for _, example in examples])
    for name, ends in wanted.items():
        detail = whole[name]["detail"] if name in whole else {}
        report.compared["metrics"] += 1
        for end, value in zip(("low", "high"), ends, strict=True):
            if abs(detail.get(end, inf) - value) > MILLIONTHS:
                said = f"{end} of {name} is {detail.get(end)}, the oracle says {value}"
                report.differs("metrics", said)
