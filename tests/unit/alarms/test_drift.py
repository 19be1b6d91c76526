"""A change in the counts' log is one alert that names it, whatever the batches and the restarts."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from headrace.streams.pipeline import Alarms
from headrace.streams.plan import plan_of
from headrace.streams.records import Record
from headrace.streams.stages import lookout
from headrace.streams.stages.monitor import MonitorStage
from tests.unit.stages.counting import CODECS, HOUR, PLAN, START, Log
from tests.unit.stages.flow import decoded
from tests.unit.stages.test_laws import check

DAYS = 5
STUCK_FROM = 4 * 24 + 5
AT_ONCE = plan_of(replace(PLAN.pipeline, alarms=Alarms(reference=None)))
EVENTS = 120


def log_of() -> list[Record]:
    """Return what SCORE counts in five days, of a sensor that is stuck on the last one."""
    rng, log = Random(7), Log()
    for hour in range(24 * DAYS):
        values = {"events": EVENTS, "scored": EVENTS}
        for _ in range(EVENTS):
            load = 0 if hour >= STUCK_FROM else round(rng.gauss(1_300, 40))
            heat = round(rng.gauss(200, 10))
            score = round(rng.gauss(0, 30))
            kind = rng.choice(["=new", "=old"])
            names = (f"feature.load:{load}", f"feature.heat:{heat}", f"score:{score}")
            for name in (*names, f"feature.kind:{kind}"):
                values[name] = values.get(name, 0) + 1
        log.count("score", hour, values, mark=hour + 1.2, later_ms=2_000)
    return log.records


def test_a_stuck_sensor_is_one_alert_in_every_way_to_run() -> None:
    records, cut = log_of(), STUCK_FROM + 3
    places = [0, 40, STUCK_FROM - 4, STUCK_FROM + 2, STUCK_FROM + 3]
    runner = check(lambda: MonitorStage(AT_ONCE, CODECS), records, places, cut)
    said = decoded(runner.emits, PLAN.topics.alerts, CODECS.alert)
    since_then = [a for a in said if a["noticed"] > START + STUCK_FROM * HOUR]
    (alert,) = (each for each in since_then if each["state"] == "begun")
    assert (alert["kind"], alert["what"], alert["segment"]) == ("input", "feature.load", "all")
    assert alert["noticed"] <= START + (STUCK_FROM + 3) * HOUR
    assert alert["effect"] > 1
    assert alert["id"] in [a["id"] for a in runner.states()[lookout.WATCH]["inputs"]["alerts"]]
