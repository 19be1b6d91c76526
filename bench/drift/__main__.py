"""The drift bench: ``python -m bench.drift``, or ``make drift-bench``.

False alarms of the watch on null replays against its promise, and how long it takes to see a
change, beside River's detectors tuned to the same rate of false alarms on the same streams.
docs/drift.md says how to read it.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from bench.drift.changes import Scenario, scenarios
from bench.drift.days import Day, World
from bench.drift.days_alone import print_days_alone
from bench.drift.late import print_late_labels
from bench.drift.real import elec2, flights
from bench.drift.report import print_false_alarms, print_report
from bench.drift.rivals import Tuned, rivals, tuned
from bench.drift.synthetic import concept_world, concepts, null_world
from bench.drift.trial import (
    NULL_DAYS,
    REFERENCE,
    Delays,
    Nulls,
    delays,
    merged,
    null_replays,
    nulls,
    share_of_rivals,
)
from bench.drift.watching import INPUTS, OUTCOMES, Factors, tuned_factors
from bench.history import WEEK

SYNTHETIC = ("iid", "autocorrelated", "seasonal", "weekly", "heavy")
CHUNK = 5
ELEC2 = "ELEC2"

# What worker processes work on: forked, so that nothing of it is sent.
WORLDS: dict[str, World] = {}
CHANGES: dict[str, list[Scenario]] = {}
TUNED: dict[str, list[Tuned]] = {}
FACTORS: dict[str, dict[tuple[str, ...], Factors]] = {}


def main() -> None:
    given = arguments()
    began = time.monotonic()
    if given.late_labels:
        do = partial(in_processes, given=given)
        print_late_labels(do, given.replays, given.trials)
        print(f"\n{time.monotonic() - began:.0f} s on {os.cpu_count()} cores")
        return
    if given.days_alone:
        print_days_alone(given.replays, given.trials)
        return
    load(given)
    false_alarms = count_false_alarms(given)
    print_false_alarms(false_alarms)
    print(f"\nnull replays done after {time.monotonic() - began:.0f} s", flush=True)
    if not given.trials:
        return
    tune_all(given)
    print(f"tuned after {time.monotonic() - began:.0f} s", flush=True)
    found = measure_delays(given)
    print_report([t for each in TUNED.values() for t in each], found)
    print(
        f"\n{time.monotonic() - began:.0f} s on {os.cpu_count()} cores, load {os.getloadavg()[0]}"
    )
    if given.json:
        each = {"nulls": {k: v._asdict() for k, v in false_alarms.items()}}
        given.json.write_text(json.dumps({**each, "delays": [d._asdict() for d in found]}))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.drift", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smoke test")
    parser.add_argument("--replays", type=int, default=60, help="null replays of each stream; or 0")
    parser.add_argument("--tuning", type=int, default=16, help="null replays River is tuned on")
    parser.add_argument("--trials", type=int, default=9, help="of each change; or 0")
    parser.add_argument("--thin", type=int, default=4, help="take every so many-th flight")
    parser.add_argument("--flights", type=Path, help="flights_nyc13.csv.gz; else made afresh")
    parser.add_argument(
        "--elec2", type=Path, default=os.environ.get(ELEC2), help=f"elec2.csv.gz; or ${ELEC2}"
    )
    parser.add_argument("--late-labels", action="store_true", help="labels that come weeks late")
    parser.add_argument("--days-alone", action="store_true", help="what days of any tails allow")
    parser.add_argument("--watch-alone", action="store_true", help="without River's detectors")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="at the same time")
    parser.add_argument("--log", type=Path, help="append each result to this file as it comes")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    given = parser.parse_args()
    if given.quick:
        given.replays, given.tuning, given.trials, given.thin = 1, 1, 1, 2
        given.flights = WEEK  # a few days, again and again: nothing to conclude from
    return given


def load(given: argparse.Namespace) -> None:
    """Make all streams, and say which are left out."""
    WORLDS["flights"] = flights(given.flights, given.thin)
    if given.elec2 is None:
        print(f"Elec2 is left out: say where elec2.csv.gz is by --elec2 or ${ELEC2}.")
    else:
        WORLDS["elec2"] = elec2(Path(given.elec2))
    for name, world in WORLDS.items():
        CHANGES[name] = scenarios(world, given.quick)
    for name in ["SEA"] if given.quick else concepts():
        WORLDS[name], later = concept_world(name, 1)
        CHANGES[name] = [_of_concept(sort, later) for sort in _sorts(name)]


def _sorts(name: str) -> tuple[str, ...]:
    """Return what a change of concept shows in: LEDs that change places, in their inputs too."""
    if name in ("flights", "elec2", "LED"):
        return ("distribution", "loss")
    return ("loss",)


def _of_concept(sort: str, later: Sequence[Day]) -> Scenario:
    return Scenario(f"another concept ({sort})", sort, lambda _, since, __: later[since])


def in_processes(
    work: Callable[..., Any], tasks: Sequence[tuple[Any, ...]], given: argparse.Namespace
) -> list[Any]:
    """Do tasks on several cores; results come in the tasks' order."""
    found: list[Any] = []
    with multiprocessing.get_context("fork").Pool(given.processes) as pool:
        for task, result in zip(tasks, pool.imap(partial(_apply, work), tasks), strict=True):
            found.append(result)
            if given.log:
                with given.log.open("a") as file:
                    file.write(json.dumps([work.__name__, *map(str, task), repr(result)]) + "\n")
    return found


def _apply(work: Callable[..., Any], task: tuple[Any, ...]) -> Any:
    return work(*task)


def count_false_alarms(given: argparse.Namespace) -> dict[str, Nulls]:
    if not given.replays:
        return {}
    names = [*WORLDS, *(SYNTHETIC[:1] if given.quick else SYNTHETIC)]
    tasks = [
        (name, range(first, min(first + CHUNK, given.replays)))
        for first in range(0, given.replays, CHUNK)
        for name in names
    ]
    parts: dict[str, list[Nulls]] = {}
    for (name, _), part in zip(tasks, in_processes(_nulls, tasks, given), strict=True):
        parts.setdefault(name, []).append(part)
    return {name: merged(parts[name]) for name in names}


def _nulls(name: str, seeds: range) -> Nulls:
    if name not in SYNTHETIC:
        return nulls([(WORLDS[name], days) for days in null_replays(WORLDS[name], seeds)])
    worlds = [null_world(name, seed) for seed in seeds]
    days = REFERENCE + NULL_DAYS
    return nulls([(world, world.days[:days]) for world in worlds])


def tune_all(given: argparse.Namespace) -> None:
    """Tune River's detectors and the watch on the same null replays to the same rate."""
    alike = [
        (name, INPUTS if sort == "distribution" else OUTCOMES, given.tuning)
        for name in WORLDS
        for sort in _sorts(name)
    ]
    for (name, kinds, _), factors in zip(
        alike, in_processes(_tune_watch, alike, given), strict=True
    ):
        FACTORS.setdefault(name, {})[kinds] = factors
    tasks = [
        (name, place, given.tuning)
        for place, rival in enumerate([] if given.watch_alone else rivals())
        for name in WORLDS
        if ("distribution" if rival.sort == "distribution" else "loss") in _sorts(name)
    ]
    for (name, place, _), (settings, reached) in zip(
        tasks, in_processes(_tune, tasks, given), strict=True
    ):
        TUNED.setdefault(name, []).append(Tuned(name, rivals()[place], settings, reached))


def _tuning(name: str, replays: int) -> list[list[Day]]:
    return null_replays(WORLDS[name], range(10_000, 10_000 + replays))


def _tune_watch(name: str, kinds: tuple[str, ...], replays: int) -> Factors:
    shuffled = _tuning(name, replays)
    return tuned_factors(WORLDS[name], shuffled, REFERENCE, kinds, share_of_rivals())


def _tune(name: str, place: int, replays: int) -> tuple[Any, float]:
    shuffled = _tuning(name, replays)
    found = tuned(rivals()[place], WORLDS[name], shuffled, REFERENCE, share_of_rivals())
    return found.settings, found.reached


def measure_delays(given: argparse.Namespace) -> list[Delays]:
    tasks = [
        (name, place, given.trials)
        for name, changes in CHANGES.items()
        for place in range(len(changes))
    ]
    return in_processes(_delays, tasks, given)


def _delays(name: str, place: int, trials: int) -> Delays:
    return delays(WORLDS[name], CHANGES[name][place], TUNED.get(name, []), FACTORS[name], trials)


if __name__ == "__main__":
    main()
