"""Many faults on real services: ``python -m tests.faults --faults 500``."""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import sys
import time
from contextlib import suppress
from pathlib import Path
from random import Random

from rich.console import Console

from tests.faults.campaign import Campaign
from tests.faults.catalogue import all_kinds
from tests.faults.judge import Verdict
from tests.faults.summary import as_json, lines, table
from tests.faults.trial import RECOVERY_S, Size, trial


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--faults", type=int, default=50, help="so many, then it is judged")
    parser.add_argument("--seconds", type=float, default=36_000, help="no new one after so long")
    parser.add_argument("--seed", type=int, help="draws the same faults again")
    parser.add_argument("--rate", type=float, default=60, help="events and labels in a second")
    parser.add_argument("--score", type=int, default=2, help="workers of each role")
    parser.add_argument("--join", type=int, default=2)
    parser.add_argument("--learn", type=int, default=2)
    parser.add_argument("--postgres", action="store_true", help="a registry in PostgreSQL")
    parser.add_argument("--limit", type=float, default=RECOVERY_S, help="seconds to recover in")
    parser.add_argument("--only", default="", help="kinds by parts of their names, by commas")
    parser.add_argument("--kinds", action="store_true", help="print the kinds with their odds")
    parser.add_argument("--json", type=Path, help="write the run to this file, for machines")
    parser.add_argument("--keep", type=Path, help="if it breaks off, copy all data to this folder")
    return parser


def _told(console: Console, campaign: Campaign, verdict: Verdict) -> None:
    console.print(table(campaign.done, campaign.passed_over))
    for line in lines(campaign, verdict):
        console.print(line, soft_wrap=True, highlight=False)
    for sentence in (*campaign.failed, *campaign.late, *verdict.wrong):
        console.print(f"[red]{sentence}[/]", soft_wrap=True)


def _sockets(folder: str, names: list[str]) -> list[str]:
    """Return what in a folder is no file: it cannot be copied."""
    return [name for name in names if (Path(folder) / name).is_socket()]


def main() -> int:
    """Do the faults, print each and what came of all; return 1 if anything is violated."""
    given = _parser().parse_args()
    if given.kinds:
        for kind in all_kinds(postgres=given.postgres):
            print(f"{kind.odds:4} {kind.name}")
        return 0
    seed = given.seed if given.seed is not None else time.time_ns() % 10**9
    logging.getLogger("headrace.kafka").setLevel(logging.CRITICAL)  # its outages are our doing
    console = Console(width=None if sys.stdout.isatty() else 200)
    console.print(f"seed {seed}")
    size = Size(given.score, given.join, given.learn, given.rate)
    begun = time.monotonic()
    with trial(size, postgres=given.postgres, limit_s=given.limit) as made:
        campaign = Campaign(made, Random(seed), console)
        try:
            campaign.run(given.faults, given.seconds, given.only)
            ran_s = time.monotonic() - begun
            verdict = campaign.judged(campaign.end())
        except Exception:
            if given.keep:
                data = made.stack.data
                with suppress(shutil.Error):  # what is still running removes a file now and then
                    shutil.copytree(data, given.keep, dirs_exist_ok=True, ignore=_sockets)
            console.print(made.system.logs(), soft_wrap=True, markup=False)
            console.print(table(campaign.done, campaign.passed_over))
            raise
    _told(console, campaign, verdict)
    seconds = round(time.monotonic() - begun)
    console.print(
        f"{len(campaign.done)} faults in {ran_s:.0f} s, judged in {seconds - ran_s:.0f} s,"
        f" seed {seed}",
        highlight=False,
    )
    if given.json:
        said = as_json(campaign, verdict, seed=seed, seconds=seconds, postgres=given.postgres)
        given.json.write_text(json.dumps(said, indent=1))
    return 0 if verdict.holds and campaign.holds else 1


if __name__ == "__main__":
    sys.exit(main())
