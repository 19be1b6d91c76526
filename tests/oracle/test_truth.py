"""The oracle finds the truth in the week of flights, and nothing else: it can fail, by name."""

from __future__ import annotations

import copy
import json
import math
import pickle
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import pytest

from headrace.schemas.codec import Codec
from headrace.streams.plan import Plan, plan_of
from headrace.streams.topics import Partitions
from tests.oracle import wire
from tests.oracle.logs import LogRecord, Logs
from tests.oracle.report import Report
from tests.oracle.truth import check
from tests.systems.flights import flights_plan, outgoing, publish_in_step
from tests.systems.memory import MemorySystem

PARTITIONS = Partitions(events=3, labels=2, predictions=4)


def week(
    form: Literal["json", "avro"] = "json", seed: int | None = None, last: int | None = None
) -> Logs:
    """Run the week, or its first records, through the stages in memory."""
    return run(flights_plan(form), seed, last)


def run(plan: Plan, seed: int | None = None, last: int | None = None) -> Logs:
    system = MemorySystem(plan, PARTITIONS, seed)
    records = list(outgoing(plan))
    publish_in_step(system, iter(records[:last]))
    return system.logs()


@pytest.fixture(scope="module")
def in_step() -> Logs:
    return week()


def judged(logs: Logs, *, avro: bool = False) -> Report:
    return check(logs, loads=pickle.loads, avro=avro)


def test_features_by_segment_are_the_truth_and_missed_where_they_are_not_looked_for() -> None:
    pipeline = flights_plan().pipeline
    names = ("temp_f", "carrier", "std_dep_delay_min_1h")
    monitor = replace(pipeline.monitor, features_by_segment=names, reference="6h")
    logs = run(plan_of(replace(pipeline, monitor=monitor)), last=2_000)
    report = check(logs, loads=pickle.loads, by_segment=names)
    assert report.is_truth, report.text()
    assert judged(logs).differing["counts"] > 100
    decode = wire.Schemas(logs.schemas()).decode
    records = [(r.value or b"", logs.topics["metrics"]) for _, r in logs.of("metrics")]
    told = {(s["metric"], s["segment"].partition("=")[0]) for s in (decode(*r) for r in records)}
    wanted = {f"psi.feature.{name}" for name in names} | {"missing.feature.std_dep_delay_min_1h"}
    assert {(name, "origin") for name in wanted} <= told


def test_the_week_in_step_is_the_truth_and_as_good_as_it_is_said_to_be(in_step: Logs) -> None:
    report = judged(in_step)
    assert report.is_truth, report.text()
    assert report.compared["events"] == 5_155
    assert report.compared["examples"] == 5_139
    assert report.compared["features"] == 21 * 5_155
    assert report.compared["models"] > 50
    assert report.compared["counts"] > 10_000
    assert report.compared["metrics"] > 10_000
    assert report.figures["auc"] >= 0.84
    assert report.figures["log_loss"] <= 0.41
    assert report.figures["accuracy"] >= 0.83


@pytest.mark.parametrize("seed", [1, 2])
def test_any_batches_in_any_order_with_lagging_models_are_the_truth(seed: int) -> None:
    report = judged(week(seed=seed, last=3_000))
    assert report.is_truth, report.text()
    assert report.compared["examples"] > 1_000


def test_inputs_in_avro_are_the_truth() -> None:
    report = judged(week("avro", last=3_000), avro=True)
    assert report.is_truth, report.text()
    assert report.compared["events"] > 1_000


# -- it can fail


Tamper = Callable[[dict[str, Any]], None]


def changed(logs: Logs, what: str, tamper: Tamper) -> Logs:
    """Return the logs with one record of a topic decoded, tampered with and encoded again."""
    place, records = busiest(logs, what)
    at = middle(records)
    codec = codec_of(logs, records[at])
    fields = codec.decode(records[at].value)
    assert isinstance(fields, dict)
    tamper(fields)
    value = codec.encode(fields)
    assert value != records[at].value
    return with_records(
        logs, place, [*records[:at], records[at]._replace(value=value), *records[at + 1 :]]
    )


def busiest(logs: Logs, what: str) -> tuple[tuple[str, int], list[LogRecord]]:
    topic = logs.topics[what]
    return max(
        ((place, records) for place, records in logs.records.items() if place[0] == topic),
        key=lambda item: len(item[1]),
    )


def middle(records: list[LogRecord]) -> int:
    """Return the place of a record in the middle that is no barrier."""
    half = len(records) // 2
    return next(at for at in range(half, len(records)) if not records[at].is_control)


def with_records(logs: Logs, place: tuple[str, int], records: list[LogRecord]) -> Logs:
    return replace(logs, records={**logs.records, place: records})


def codec_of(logs: Logs, record: LogRecord) -> Codec:
    number = int.from_bytes((record.value or b"")[1:5], "big")
    for registration in logs.schemas():
        said = json.loads(registration.value or b"")
        if said["id"] == number:
            return Codec(said["schema"], number)
    raise AssertionError(number)


def one_bit(value: float) -> float:
    return math.nextafter(value, math.inf)


def a_feature(fields: dict[str, Any]) -> None:
    fields["features"]["dep_delay_min"] = one_bit(fields["features"]["dep_delay_min"])


def a_windowed_feature(fields: dict[str, Any]) -> None:
    fields["features"]["std_dep_delay_min_3h"] = one_bit(fields["features"]["std_dep_delay_min_3h"])


def a_count_feature(fields: dict[str, Any]) -> None:
    fields["features"]["count_1h"] += 1


def a_score(fields: dict[str, Any]) -> None:
    fields["score"] = one_bit(fields["score"])


def a_probability(fields: dict[str, Any]) -> None:
    fields["probabilities"]["true"] = one_bit(fields["probabilities"]["true"])


def an_answer(fields: dict[str, Any]) -> None:
    fields["prediction"] = not fields["prediction"]


def a_baseline(fields: dict[str, Any]) -> None:
    fields["baselines"]["majority"] = True


def a_rule(fields: dict[str, Any]) -> None:
    fields["baselines"]["left_late"] = not fields["baselines"]["left_late"]


def a_model_offset(fields: dict[str, Any]) -> None:
    fields["learned_to"] -= 40


def a_watermark(fields: dict[str, Any]) -> None:
    fields["watermark"] += 1


def lateness(fields: dict[str, Any]) -> None:
    fields["late"] = True


def a_segment(fields: dict[str, Any]) -> None:
    fields["segments"]["origin"] = "???"


def a_label(fields: dict[str, Any]) -> None:
    fields["label"] = not fields["label"]


def a_label_time(fields: dict[str, Any]) -> None:
    fields["label_time"] += 1


def a_count(fields: dict[str, Any]) -> None:
    values = fields["cells"][0]["values"]
    values[next(iter(values))] += 1


def a_model(fields: dict[str, Any]) -> None:
    state = pickle.loads(fields["state"])
    weights = state["model"]["LogisticRegression"]._weights
    weights["dep_delay_min"] = one_bit(weights["dep_delay_min"])
    fields["state"] = pickle.dumps(state)


def a_scaler(fields: dict[str, Any]) -> None:
    state = copy.deepcopy(pickle.loads(fields["state"]))
    state["model"]["StandardScaler"].counts["distance_mi"] += 1
    fields["state"] = pickle.dumps(state)


@pytest.mark.parametrize(
    ("what", "tamper", "kind"),
    [
        ("predictions", a_feature, "features"),
        ("predictions", a_windowed_feature, "features"),
        ("predictions", a_count_feature, "features"),
        ("predictions", a_score, "score"),
        ("predictions", a_probability, "probabilities"),
        ("predictions", an_answer, "prediction"),
        ("predictions", a_baseline, "baselines"),
        ("predictions", a_rule, "baselines"),
        ("predictions", a_model_offset, "score"),
        ("predictions", a_watermark, "prediction heads"),
        ("predictions", lateness, "prediction heads"),
        ("predictions", a_segment, "prediction heads"),
        ("labels-routed", a_label, "labels"),
        ("labels-routed", a_label_time, "labels"),
        ("labels-routed", a_watermark, "labels"),
        ("examples", a_score, "examples"),
        ("examples", a_label, "examples"),
        ("examples", a_label_time, "examples"),
        ("counts", a_count, "counts"),
    ],
)
def test_a_record_that_was_tampered_with_is_named(
    part: Logs, what: str, tamper: Tamper, kind: str
) -> None:
    report = judged(changed(part, what, tamper))
    assert report.differing[kind] >= 1, report.text()
    assert any(sentence.startswith(f"{kind}: ") for sentence in report.differences)


@pytest.fixture(scope="module")
def part() -> Logs:
    """The first day: enough of everything, and soon judged."""
    logs = week(last=1_000)
    assert judged(logs).is_truth
    return logs


@pytest.mark.parametrize("tamper", [a_model, a_scaler])
def test_one_bit_of_an_announced_model_is_named(part: Logs, tamper: Tamper) -> None:
    report = judged(changed(part, "models", tamper))
    assert set(report.differing) == {"models"}, report.text()


@pytest.mark.parametrize("metric", ["auc", "accuracy", "log_loss", "brier", "events", "coverage"])
def test_a_metric_that_was_tampered_with_is_named(part: Logs, metric: str) -> None:
    place = part.topics["metrics"], 0
    records, decode = part.records[place], wire.Schemas(part.schemas()).decode
    for at in reversed(range(len(records))):
        said = None if records[at].is_control else decode(records[at].value or b"", place[0])
        if said and (said["metric"], said["window"], said["segment"]) == (metric, "all", "all"):
            break
    assert said is not None
    for name, wrong in forgeries(said).items():
        value = codec_of(part, records[at]).encode({**said, **wrong})
        forged = [*records[:at], records[at]._replace(value=value), *records[at + 1 :]]
        report = judged(with_records(part, place, forged))
        assert dict(report.differing) == {"metrics": 1}, (name, report.text())


def forgeries(said: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what is put in the place of a metric's fields: a value, an end of its interval."""
    found = {"value": {"value": said["value"] * 1.1}}
    if said["metric"] in {"log_loss", "brier", "calibration_bias"}:
        found["low"] = {"detail": {**said["detail"], "low": said["detail"]["low"] + 1e-4}}
    return found


def test_a_metric_that_is_said_twice_or_too_soon_is_named(part: Logs) -> None:
    place = part.topics["metrics"], 0
    records, decode = part.records[place], wire.Schemas(part.schemas()).decode
    young = [
        (at, said)
        for at, record in enumerate(records)
        if not record.is_control and not (said := decode(record.value or b"", place[0]))["final"]
    ]
    at, said = young[len(young) // 2]
    counts = [record.offset for record in part.records[part.topics["counts"], 0] if record.value]
    soon = min(offset for offset in counts if offset >= said["revision"]) + 1
    for wrong in ({}, {"value": 0.123, "revision": soon}):
        value = codec_of(part, records[at]).encode({**said, **wrong})
        again = records[at]._replace(value=value)
        report = judged(with_records(part, place, [*records[: at + 1], again, *records[at + 1 :]]))
        assert report.differing["pace"] >= 1, (wrong, report.text())


DROPPED = {
    "predictions": "events",
    "labels-routed": "labels",
    "examples": "examples",
    "counts": "counts",
    "events": "events",
    "labels": "labels",
}


@pytest.mark.parametrize("what", DROPPED)
def test_a_record_that_was_dropped_is_named(part: Logs, what: str) -> None:
    place, records = busiest(part, what)
    at = middle(records)
    report = judged(with_records(part, place, [*records[:at], *records[at + 1 :]]))
    assert report.differing[DROPPED[what]] >= 1, report.text()


@pytest.mark.parametrize("what", DROPPED)
def test_a_record_that_was_doubled_is_named(part: Logs, what: str) -> None:
    place, records = busiest(part, what)
    again = records[middle(records)]._replace(offset=records[-1].offset + 2)
    report = judged(with_records(part, place, [*records, again]))
    assert report.differing[DROPPED[what]] >= 1, report.text()


def test_a_prediction_on_another_partition_is_named(part: Logs) -> None:
    place, records = busiest(part, "predictions")
    other = place[0], (place[1] + 1) % PARTITIONS.predictions
    at = middle(records)
    moved = records[at]._replace(offset=part.records[other][-1].offset + 2)
    logs = with_records(part, place, [*records[:at], *records[at + 1 :]])
    report = judged(with_records(logs, other, [*part.records[other], moved]))
    assert report.differing["prediction places"] == 1


def test_a_dead_letter_without_a_bad_record_is_named(part: Logs) -> None:
    place, records = busiest(part, "events")
    at = middle(records)
    bad = records[at]._replace(value=b"{")
    report = judged(with_records(part, place, [*records[:at], bad, *records[at + 1 :]]))
    assert report.differing["dead letters"] == 1
    assert report.differing["events"] >= 1


# -- its own parts


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (b"", 275646681), (b"21", -973932308), (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536), (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971), (b"abc", 479470107),
    ],
)  # fmt: skip
def test_murmur2_is_kafkas(data: bytes, wanted: int) -> None:
    found = wire.murmur2(data)
    assert (found - 2**32 if found >= 2**31 else found) == wanted


def test_labels_that_never_come_expire_when_labels_lie_as_predictions_do() -> None:
    plan = flights_plan()
    system = MemorySystem(plan, Partitions(events=2, labels=2, predictions=2))
    publish_in_step(system, outgoing(plan), 6 * 3_600_000)
    logs, expired = system.logs(), 0
    decode = wire.Schemas(logs.schemas()).decode
    for _, record in logs.of("counts"):
        for cell in decode(record.value or b"", logs.topics["counts"])["cells"]:
            expired += cell["values"].get("expired", 0) if cell["segment"] == "all" else 0
    assert expired >= 10  # of 16 whose label never comes; the last ones still wait
