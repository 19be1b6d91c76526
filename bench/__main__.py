"""The bench: ``python -m bench``, or ``make bench``; ``--json FILE`` for machines.

One run, one machine: the in-process limit, the stages in process, and the whole loop on real Kafka
beside them, so that the ratio is of like with like. docs/bench.md says how to read it.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from bench.counting import FEW, MANY, columns_us, counting_costs
from bench.history import flights, history
from bench.limit import limit_us, parts_us
from bench.monitor import EVENTS_PER_SECOND, share_of
from bench.stages import BATCH, measured_stages
from bench.whole import latency, throughput

TARGET_RATIO = 0.4
TARGET_P99_MS = 150.0
TARGET_TEN_FEATURES_US = 1.0
TARGET_MONITOR = 3
ROLES = {"score": "SCORE", "join": "ROUTE, JOIN, MONITOR", "learn": "LEARN"}


def main() -> None:
    given = arguments()
    found: dict[str, Any] = {"cores": os.cpu_count(), "load_before": os.getloadavg()[0]}
    found.update(in_process())
    if not given.in_process:
        found.update(on_kafka(given, found["limit"]["us"]))
        # The host's own speed varies: so the limit is measured before and behind.
        found["limit_behind"] = {"us": one_limit()}
    print(table(found))
    if given.json:
        given.json.write_text(json.dumps(found, indent=2))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--copies", type=int, default=20, help="of each flight in the backlog")
    parser.add_argument("--weeks", type=int, default=1, help="how often the week is repeated")
    parser.add_argument("--rate", type=int, default=1_000, help="events/s when latency is measured")
    parser.add_argument("--seconds", type=float, default=15.0, help="of latency")
    parser.add_argument("--in-process", action="store_true", help="leave out what needs Kafka")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    return parser.parse_args()


def one_limit() -> float:
    """Return the in-process limit in microseconds per event."""
    plan = flights()
    events, labels = sample()
    return limit_us(plan, events, labels)


def sample() -> tuple[list[bytes], list[bool]]:
    """Return the week's events, and labels for as many: every fourth one late, as in the week."""
    events = [record.value for record in history(flights(), 1) if not record.is_label]
    return events, [number % 4 == 0 for number in range(len(events))]


def in_process() -> dict[str, Any]:
    plan = flights()
    events, labels = sample()
    found: dict[str, Any] = {
        "limit": {"us": limit_us(plan, events, labels), "parts": parts_us(plan, events, labels)}
    }
    stages, _ = measured_stages(plan)
    found["stages"] = {
        name: {part: s * 1e6 / count for part, s in timed.seconds.items()}
        for name, (timed, count) in stages.items()
    }
    costs = counting_costs(plan.pipeline)
    found["counting"] = {name: cost._asdict() for name, cost in costs.items()}
    found["ten_features"] = columns_us(plan)
    found["monitor"] = share_of(plan)._asdict()
    return found


def on_kafka(given: argparse.Namespace, limit: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        whole = throughput(Path(folder), given.copies, given.weeks)
    with tempfile.TemporaryDirectory() as folder:
        took = latency(Path(folder), given.rate, given.seconds)
    return {
        "whole": {
            **whole._asdict(),
            "ratio_cpu": limit / whole.own_us,
            "ratio_speed": whole.events_per_s * limit / 1e6,
        },
        "latency": took._asdict(),
    }


# -- the table


def table(found: dict[str, Any]) -> str:
    """Return everything as one table, in microseconds per event where nothing else is said."""
    limit = found["limit"]
    lines = ["in process, one plain loop", _row("the limit", limit["us"], _rate(limit["us"]))]
    lines += [_row(f"  {name} alone", us) for name, us in limit["parts"].items()]
    lines.append(f"the stages in process, batches of {BATCH}; each record by itself")
    for name, parts in found["stages"].items():
        said = ", ".join(f"{part} {us:.1f}" for part, us in parts.items())
        lines.append(_row(f"  {name}", sum(parts.values()), said))
    lines.append(_row("  all of them", sum(sum(p.values()) for p in found["stages"].values())))
    lines += _counting_lines(found)
    if "whole" in found:
        lines += _kafka_lines(found)
    return "\n".join(lines)


def _counting_lines(found: dict[str, Any]) -> list[str]:
    costs, columns = found["counting"], found["ten_features"]
    share, rate = sum(found["monitor"]["percent"].values()), found["monitor"]["counts"]
    return [
        f"counting: the stages with and without, batches of {FEW} (score) and {MANY}",
        *(
            _row(f"  {name}", cost["counting"], f"more than {cost['without']:.1f}")
            for name, cost in costs.items()
        ),
        _row("    of it, ten features", columns, f"target {TARGET_TEN_FEATURES_US}"),
        f"  MONITOR alone, fed with the {rate:.0f} counts/s of {EVENTS_PER_SECOND:,} events/s:"
        f" {share:.1f} % of a core (target {TARGET_MONITOR})",
    ]


def _kafka_lines(found: dict[str, Any]) -> list[str]:
    whole, took = found["whole"], found["latency"]
    return [
        f"the whole loop on real Kafka, {whole['events']:,} events with their labels",
        _row("  all of our processes", whole["own_us"], "CPU"),
        *(_row(f"    {role}", whole[f"{role}_us"], said) for role, said in ROLES.items()),
        _row("  Kafka", whole["kafka_us"], "CPU, apart"),
        _row("  Valkey", whole["valkey_us"], "CPU, apart"),
        f"  {whole['events_per_s']:,.0f} events/s scored, joined and learned;"
        f" {whole['scored_per_s']:,.0f} scored",
        f"  {whole['ratio_cpu']:.2f} of the limit by CPU, {whole['ratio_speed']:.2f} by the clock"
        f" (target {TARGET_RATIO})",
        _row("  the limit, measured again", found["limit_behind"]["us"]),
        f"produce to visible at read_committed, {took['events']:,} events at {took['rate']:,}/s",
        f"  p50 {took['p50']:.0f} ms, p90 {took['p90']:.0f} ms, p99 {took['p99']:.0f} ms"
        f" (target {TARGET_P99_MS:.0f}), {took['missing']} missing,"
        f" {took['own_us']:.0f} us of CPU per event",
    ]


def _row(name: str, us: float, said: str = "") -> str:
    return f"{name:34}{us:8.1f} us   {said}".rstrip()


def _rate(us: float) -> str:
    return f"{1e6 / us:,.0f} events/s"


if __name__ == "__main__":
    main()
