"""A short form of the long run: one fault of each of some kinds on one system under load."""

from __future__ import annotations

from functools import partial
from random import Random

import pytest
from rich.console import Console

from tests.faults import moves, outages
from tests.faults.campaign import Campaign
from tests.faults.judge import tally_of
from tests.faults.kinds import Kind, Struck
from tests.faults.trial import Size, Trial, trial

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(400)]

SEED = 4711


def ridden_out(made: Trial, random: Random) -> Struck:
    """Restart Valkey: no worker ends of it."""
    before = made.restarts()
    struck = outages.killed(made, random, name="redis", lasting=(1,))
    made.recovered_s(struck.since_s)
    assert made.restarts() == before
    return struck


def lost(made: Trial, random: Random) -> Struck:
    """Kill broker and Valkey; the latter is back, and empty, once a worker says that it waits."""
    for name in ("kafka", "redis"):
        made.stack.kill(name)
    made.stack.empty_valkey()
    made.wait(2)
    made.revive("kafka")
    slots = made.system.slots.values()
    waited_s = made.wait_for(
        lambda: any("Redis" in made.health(slot) for slot in slots), 90, "a health names Redis"
    )
    return Struck("Kafka, Valkey", made.revive("redis"), f"said so after {waited_s:.1f} s")


FAULTS = (
    Kind("Valkey restarted", 1, ridden_out),
    Kind("broker killed, Valkey's data gone", 1, lost),
    Kind("two processes in one slot", 1, moves.doubled),
    Kind("rolling restart", 1, partial(moves.rolled, roles=("score",))),
)


def test_services_die_and_workers_are_renewed() -> None:
    with trial(Size(score=1, join=1, learn=1, rate=60), limit_s=90) as made:
        campaign = Campaign(made, Random(SEED), Console(width=200))
        for kind in FAULTS:
            assert campaign.do(kind) is not None
        logs = campaign.end()
        verdict = campaign.judged(logs)
    assert verdict.holds, verdict
    assert campaign.holds, campaign.failed + campaign.late
    tally = verdict.tally
    assert tally.predictions == tally.events > 0
    assert tally.examples > 0
    said = next(
        kept for (topic, _), kept in logs.records.items() if "predictions" in topic and kept
    )
    first = next(record for record in said if not record.is_control)
    said.append(first)
    assert tally_of(logs, made.load.events).doubled == 1
    said[:] = [record for record in said if record != first]
    assert tally_of(logs, made.load.events + 2) == tally._replace(
        predictions=tally.events - 1, lost=1, unpublished=2
    )
