"""The flow of a declared pipeline: what its records say, for whoever compares."""

from pathlib import Path

from headrace.schemas.records import numbered_codecs
from headrace.streams.load import load_pipeline
from headrace.streams.observe import limbs
from headrace.streams.plan import plan_of
from headrace.streams.simulation.declared import DeclaredFlow

RIDES = Path(__file__).parents[3] / "examples" / "rides" / "pipeline.py"


def test_a_big_count_is_the_same_however_its_limbs_were_added_up() -> None:
    plan = plan_of(load_pipeline(RIDES))
    flow, codec = DeclaredFlow(plan), numbered_codecs(plan.schemas).count

    def counted(*values: dict[str, int]) -> dict[str, int]:
        cells = [{"tile": 0, "segment": "all", "values": each} for each in values]
        record = {"stage": "learn", "partition": 0, "watermark": None, "settled": None}
        found = flow.counted(codec.encode({**record, "cells": cells}))
        return {name: n for (_, _, _, name), n in found.items()}

    big = 2**62 + 5
    assert counted(dict(limbs("loss", big)), dict(limbs("loss", big))) == {"loss": 2 * big}
    assert counted(dict(limbs("loss", 2 * big))) == {"loss": 2 * big}
    assert counted({"class:a^b": 1}) == {"class:a^b": 1}
