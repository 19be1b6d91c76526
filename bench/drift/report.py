"""What the drift bench prints: tables as docs/drift.md has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf, isinf
from statistics import median

from bench.drift.rivals import Tuned, name_of
from bench.drift.trial import AFTER, NULL_DAYS, Delays, Nulls, expected, interval


def print_false_alarms(false_alarms: Mapping[str, Nulls]) -> None:
    """Print how the promise was kept."""
    print(f"\nFalse alarms: promised at most {expected():.1%} of replays of {NULL_DAYS} days.\n")
    print("| null stream | replays | with an alarm | 95 % interval | mean days to one | kept |")
    print("|---|---|---|---|---|---|")
    for name, each in false_alarms.items():
        low, high = interval(each.alarms, each.replays)
        run = f"{each.days / each.alarms:.0f}" if each.alarms else f"> {each.days:.0f}"
        kept = "yes" if low <= expected() else "NO"
        print(f"| {name} | {each.replays} | {each.alarms / each.replays:.1%} "
              f"| {low:.1%} to {high:.1%} | {run} | {kept} |", flush=True)  # fmt: skip


def print_report(tunes: Sequence[Tuned], found: Sequence[Delays]) -> None:
    """Print what River's detectors were tuned to, and delays."""
    _print_settings(tunes)
    _print_delays(found)
    _print_sums(found)


def _print_settings(tunes: Sequence[Tuned]) -> None:
    print("\nRiver's detectors, tuned stream by stream; what could not reach the rate:\n")
    for tune in tunes:
        deaf = [name for name, setting in tune.settings.items() if setting is None]
        if deaf:
            print(f"- {tune.world}: {name_of(tune.rival)} not on {', '.join(sorted(deaf))}")


def _print_delays(found: Sequence[Delays]) -> None:
    print("\nMedian days from the change to the first alarm (never: not in "
          f"{AFTER} days in most trials)\n")  # fmt: skip
    print(
        "| stream | change | watch | dated within | tuned alike | River's best | which "
        "| conformal |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for each in found:
        best = min(each.rivals, key=lambda name: each.rivals[name], default="")
        theirs = each.rivals.get(best, inf)
        conformal = "" if each.conformal is None else _days(each.conformal)
        which = "" if isinf(theirs) else best
        print(f"| {each.world} | {each.scenario} | {_days(each.watch)} | {_days(each.dated)} "
              f"| {_days(each.alike)} | {_days(theirs)} | {which} | {conformal} |")  # fmt: skip


def _days(value: float) -> str:
    return "never" if isinf(value) else f"{value:.2f}"


def _print_sums(found: Sequence[Delays]) -> None:
    """Print how often the watch is sooner than the best of all of River's, change by change."""
    for sort, share, target in (
        ("distribution", 0.7, "at least 30 % shorter"),
        ("loss", 1.0, "not longer"),
    ):
        here = [each for each in found if each.sort == sort]
        names = sorted({name for each in here for name in each.rivals})
        for said, ours in (
            ("as users have it", [each.watch for each in here]),
            ("tuned alike", [each.alike for each in here]),
        ):
            best = [min(each.rivals.values(), default=inf) for each in here]
            seen = _seen(ours, best)
            print(f"\n{sort}, {said}: {target} than River's best of each change in "
                  f"{_met(seen, share)} of {len(seen)}; not longer in {_met(seen, 1.0)}; "
                  f"{len(best) - len(seen)} more nobody saw. In the median of the changes it "
                  f"takes {_ratio(seen):.2f} of the best's time.")  # fmt: skip
            for name in names:
                seen = _seen(ours, [each.rivals.get(name, inf) for each in here])
                print(f"  than {name} alone: {_met(seen, share)} of {len(seen)}")


def _seen(ours: Sequence[float], theirs: Sequence[float]) -> list[tuple[float, float]]:
    """Return the delays of what either has seen."""
    return [pair for pair in zip(ours, theirs, strict=True) if not isinf(min(pair))]


def _ratio(pairs: Sequence[tuple[float, float]]) -> float:
    """Return the median of by how much our delays are longer; what they never see counts as 0."""
    found = [0.0 if isinf(theirs) else ours / theirs for ours, theirs in pairs]
    return median(found) if found else inf


def _met(pairs: Sequence[tuple[float, float]], share: float) -> int:
    """Return how often a change was seen, and in no more than this share of the other's time."""
    return sum(not isinf(ours) and ours <= share * theirs for ours, theirs in pairs)
