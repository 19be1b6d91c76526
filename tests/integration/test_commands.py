"""The command line on real services: real processes of ``headrace``, some in a terminal."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from headrace.app.board import board_of
from headrace.streams.engine.admin import Topics
from headrace.streams.engine.roles import group_of
from headrace.streams.flow import ROLES
from tests.systems.shop import SLICE, Shop, Terminal, wait_until

pytestmark = pytest.mark.integration


def test_topics_are_created_once_and_differences_are_said(shop: Shop) -> None:
    first = shop.process("topics", str(shop.file)).stdout
    assert "10 topics created, 0 differ" in first
    assert "0 topics created, 0 differ" in shop.headrace("topics", str(shop.file)).stdout
    admin = AdminClient({"bootstrap.servers": shop.kafka.brokers})
    entry = ConfigEntry("retention.ms", "60000", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, shop.topics.events, incremental_configs=[entry])
    for future in admin.incremental_alter_configs([resource]).values():
        future.result(10)
    again = shop.headrace("topics", str(shop.file)).stdout
    assert "retention.ms is 60000, 2592000000 would be set" in again
    assert "0 topics created, 1 differ" in again
    short = f"{shop.topics.events} keeps its records for 1m; 30d are declared."
    assert short in " ".join(again.split())
    assert short in " ".join(shop.headrace("check", str(shop.file)).stdout.split())
    mended = shop.headrace("topics", str(shop.file), "--set-retention").stdout
    assert "0 differ from what would be created (retention set of 1)" in " ".join(mended.split())
    assert "keeps its records" not in shop.headrace("topics", str(shop.file)).stdout


def test_run_publish_tail_status_and_stop(shop: Shop) -> None:
    with shop.running():
        shop.publish(0)
        shop.check_exactly(1)
        lines = shop.process(
            "tail", shop.name, "predictions", "--last", "3", "--no-follow", "--json"
        )
        newest = [json.loads(line) for line in lines.stdout.splitlines()]
        assert len(newest) == 3
        last_slice = {f"o-0-{at}" for at in range(40, SLICE)}  # committed together: no order
        assert {each["event_id"] for each in newest} <= last_slice
        counts = shop.process("tail", shop.name, "counts", "--no-follow").stdout
        assert re.search(r"stage=score .*score: \{-?\d+: \d+", counts)
        stands = json.loads(shop.headrace("status", shop.name, "--json").stdout)
        assert sorted(stands["workers"]) == ["join-0", "learn-0", "score-0"]
        assert stands["model"] == {"learned_to": stands["model"]["learned_to"], "behind": 0}
        assert [stage["stage"] for stage in stands["stages"]] == [
            "score", "route", "join", "monitor", "learn",
        ]  # fmt: skip
        check_storage(shop, stands["storage"])
        assert shop.name in shop.headrace("status").stdout
        said = shop.headrace("reset", shop.name, "--yes", code=3).stderr
        assert "join-0, learn-0, score-0 are alive" in said
        said = shop.headrace("tail", shop.name[:-1], "metrics", "--no-follow", code=2).stderr
        assert f'Did you mean "{shop.name}"?' in said
    assert "no worker runs" in shop.headrace("status", shop.name).stdout


def check_storage(shop: Shop, storage: dict[str, Any]) -> None:
    """See what status says of how much is kept, beside what there is."""
    topics = storage["topics"]
    assert set(topics) == set(shop.topics)
    assert topics[shop.topics.events]["records"] == topics[shop.topics.events]["records_per_day"]
    assert topics[shop.topics.events]["records"] >= SLICE
    assert all(topic["size_bytes"] >= topic["bytes_per_day"] for topic in topics.values())
    assert topics[shop.topics.predictions]["size_bytes"] > SLICE * 50
    assert storage["checkpoints"]["states"] == storage["checkpoints"]["links"]
    assert storage["redis"]["versions"].keys() == {"1"}
    assert storage["redis"]["size_bytes"] > 1_000


def test_states_that_nobody_needs_are_dropped_and_the_pipeline_goes_on(shop: Shop) -> None:
    shop.begin()
    for number in (1, 2, 3):  # each stop writes a checkpoint
        with shop.running():
            shop.publish(number)
    shop.environment |= {"HEADRACE_KEEP_CHECKPOINTS": "1s", "HEADRACE_KEEP_DAILY_CHECKPOINTS": "1s"}
    before = json.loads(shop.headrace("status", shop.name, "--json").stdout)["storage"]
    links = before["checkpoints"]["links"]
    assert before["checkpoints"]["states"] == links >= 4
    would = f"would be dropped: {links - 3} states of checkpoints"  # the newest three stay
    assert would in shop.headrace("prune", shop.name, "--dry-run").stdout
    assert f" dropped: {links - 3} states" in shop.headrace("prune", shop.name).stdout
    assert " dropped: 0 states" in shop.headrace("prune", shop.name).stdout
    after = json.loads(shop.headrace("status", shop.name, "--json").stdout)["storage"]
    assert (after["checkpoints"]["states"], after["checkpoints"]["links"]) == (3, links)
    with shop.running():
        shop.publish(4)
    shop.check_exactly(5)


def test_a_number_of_a_version_that_the_registry_forgot_is_not_given_again(shop: Shop) -> None:
    shop.begin()
    registry = shop.folder / "data" / "registry.db"
    yesterday = registry.read_bytes()
    text = shop.file.read_text()
    for over in ("2h", "3h"):  # two edits, and then the registry of before both
        shop.file.write_text(text.replace('over="1h"', f'over="{over}"'))
        with shop.running():
            pass
    for path in registry.parent.glob("registry.db*"):
        path.unlink()
    registry.write_bytes(yesterday)
    with shop.running():
        shop.publish(1)
    stands = json.loads(shop.headrace("status", shop.name, "--json").stdout)
    assert stands["serving_version"] == 4  # 2 and 3 stand in the store and in the log
    shop.check_exactly(2)


def test_top_shows_what_the_workers_do_and_what_they_export_is_known(shop: Shop) -> None:
    with shop.running():
        shop.publish(0)
        terminal = Terminal(shop, "top", shop.name)

        found: dict[str, Any] = {}

        def is_counted() -> bool:
            found.update(json.loads(shop.headrace("top", str(shop.file), "--json").stdout))
            return bool(found["flows"][3]["total"] == SLICE)

        wait_until(is_counted, 60)
        totals = {flow["name"]: flow["total"] for flow in found["flows"]}
        assert totals == {"events": None, "predictions": SLICE, "labels": SLICE, "examples": SLICE}
        assert found["latency_ms"]["support"] > 20
        assert 0 < found["latency_ms"]["p50"] <= found["latency_ms"]["p99"] < 60_000
        assert {each["name"]: each["state"] for each in found["workers"]} == dict.fromkeys(
            ("join-0", "learn-0", "score-0"), "running"
        )
        metrics = {each["name"]: each for each in found["metrics"]}
        assert metrics["accuracy"]["baselines"]["majority"] is not None
        assert [stage["lag"] is None for stage in found["stages"]] == [False] * 5
        assert (found["alerts"], found["trouble"]) == ([], "")
        wait_until(lambda: "majority" in terminal.shown(), 60)
        terminal.press("q")
        assert terminal.end() == 0
        names = set()
        for report in board_of(shop.store, shop.name).values():
            with urlopen(f"http://127.0.0.1:{report['http_port']}/metrics", timeout=10) as answer:
                names |= set(re.findall(r"^(headrace_\w+)\{", answer.read().decode(), re.MULTILINE))
        page = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
        known = set(re.findall(r"`(headrace_\w+)`", page.partition("## Prometheus")[2]))
        least = {"records_total", "commit_seconds_total", "model_learned_to_offset"}
        least |= {"lag_records", "metric_value", "worker_info"}
        assert {f"headrace_{name}" for name in least} <= names <= known


def test_a_rebuilt_stage_goes_on_without_a_double(shop: Shop) -> None:
    shop.begin()
    for stage in ("score", "route", "join", "monitor", "learn"):
        assert "emits nothing again" in shop.headrace("rebuild", shop.name, stage).stdout
    with shop.running():
        shop.publish(1)
    shop.check_exactly(2)


def test_lost_offsets_are_found_again_in_what_was_written(shop: Shop) -> None:
    shop.begin()
    before = {role: shop.groups.committed(group_of(shop.name, role)) for role in ROLES}
    forget_groups(shop)
    assert f"headrace rebuild {shop.name} " in shop.refusal()
    for stage in ("score", "route", "join", "monitor", "learn"):
        shop.headrace("rebuild", shop.name, stage)
    with shop.running():
        shop.publish(1)
    shop.check_exactly(2)
    after = {role: shop.groups.committed(group_of(shop.name, role)) for role in ROLES}
    assert {role: set(found) for role, found in before.items()} == {
        role: set(found) for role, found in after.items()
    }


def forget_groups(shop: Shop) -> None:
    for role in ROLES:
        group = group_of(shop.name, role)
        shop.groups.let_leave(group, shop.groups.members(group))
    Topics(shop.kafka.brokers).delete_groups([group_of(shop.name, role) for role in ROLES])


def test_offsets_and_state_of_join_both_lost_need_a_loss_to_be_accepted(shop: Shop) -> None:
    shop.begin()
    forget_groups(shop)
    for task in shop.store.tasks(shop.name):
        shop.store.forget(task)
    said = shop.headrace("rebuild", shop.name, "join", code=3).stderr
    assert "committed offset and state are both gone" in said
    for stage in ("score", "route", "monitor", "learn"):
        shop.headrace("rebuild", shop.name, stage)
    shop.headrace("rebuild", shop.name, "join", "--accept-loss")
    with shop.running():
        shop.publish(1)
    shop.check_exactly(2)


def test_what_retention_has_cut_is_accepted_by_name_or_not_at_all(shop: Shop) -> None:
    shop.begin()
    for task in shop.store.tasks(shop.name):
        if task.stage == "score":
            shop.store.forget(task)
    places = [TopicPartition(shop.topics.events, number, 10) for number in range(2)]
    admin = AdminClient({"bootstrap.servers": shop.kafka.brokers})
    for future in admin.delete_records(places).values():
        future.result(10)
    assert f"headrace rebuild {shop.name} score --accept-loss" in shop.refusal()
    said = shop.headrace("rebuild", shop.name, "score", code=3).stderr
    assert f"10 records of {shop.topics.events}-0 before 10" in said
    said = shop.headrace("rebuild", shop.name, "score", "--accept-loss").stdout
    assert f"Lost: 10 records of {shop.topics.events}-0 before 10" in said
    with shop.running():
        shop.publish(1)
    shop.check_exactly(2)


def test_a_topic_that_was_recreated_needs_a_reset(shop: Shop) -> None:
    shop.begin()
    broker = Topics(shop.kafka.brokers)
    broker.delete([shop.topics.events])
    wait_until(lambda: shop.topics.events not in broker.partition_counts(), 20)
    assert f"headrace reset {shop.name}" in shop.refusal()
    asked = subprocess.run(
        shop.command("reset", shop.name), env=shop.environment, input="n\n",
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert asked.returncode == 130
    assert shop.topics.predictions in broker.partition_counts()
    shop.headrace("reset", shop.name, "--yes")
    wait_until(lambda: shop.topics.predictions not in broker.partition_counts(), 20)
    assert not shop.store.tasks(shop.name)
    with shop.running():
        shop.publish(1)
    found = shop.ids("predictions")
    assert len(found) == SLICE
    assert set(found.values()) == {1}


def test_a_stage_that_is_reset_begins_anew(shop: Shop) -> None:
    shop.begin()
    said = shop.headrace("reset", shop.name, "score", "--yes").stdout
    assert f"score begins anew: {shop.topics.events}-0 0" in said
    with shop.running():
        wait_until(lambda: sum(shop.ids("predictions").values()) == 2 * SLICE, 60)
    assert set(shop.ids("predictions").values()) == {2}
    assert set(shop.ids("examples").values()) == {1}  # a second prediction of an event is none


def test_scaling_in_hands_the_tasks_over_at_once(shop: Shop) -> None:
    with shop.running("--score", "2"):
        shop.publish(0)
        group = group_of(shop.name, "score")
        assert shop.groups.members(group) == [f"{group}-0", f"{group}-1"]
    with shop.running():  # ready: all tasks are with one worker
        assert shop.groups.members(group) == [f"{group}-0"]
        shop.publish(1)
    shop.check_exactly(2)


def test_a_run_in_a_terminal_shows_its_workers_and_stops_at_ctrl_c(shop: Shop) -> None:
    terminal = Terminal(shop, "run", str(shop.file))
    wait_until(lambda: "learn-0" in terminal.shown() and shop.ready(), 60)
    wait_until(lambda: re.search(r"score-0 +running +\d+ +0 +2", terminal.shown()), 20)
    (pid,) = {
        each["pid"] for name, each in board_of(shop.store, shop.name).items() if "score" in name
    }
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: re.search(r"score-0 +running +\d+ +1 +2", terminal.shown()), 60)
    assert terminal.end(signal.SIGINT) == 0
    assert "Traceback" not in terminal.shown()
    assert not board_of(shop.store, shop.name)


def test_a_followed_topic_in_a_terminal_ends_quietly_at_ctrl_c(shop: Shop) -> None:
    with shop.running():
        terminal = Terminal(shop, "tail", str(shop.file), "predictions", "--last", "0")
        time.sleep(3)
        shop.publish(0)
        wait_until(lambda: terminal.shown().count("event_id=") == SLICE, 30)
    assert terminal.end(signal.SIGINT) == 130
    assert "Traceback" not in terminal.shown()


def test_a_file_without_kafka_is_one_sentence(shop: Shop) -> None:
    shop.environment.pop("HEADRACE_KAFKA_BROKERS")
    said = shop.headrace("topics", str(shop.file), code=2).stderr
    assert said.startswith("headrace: No Kafka: no embedded stack is up in ")
    assert said.count("\n") == 1
    shop.environment["HEADRACE_KAFKA_BROKERS"] = "127.0.0.1:1"
    said = shop.headrace("topics", str(shop.file), code=1).stderr
    assert "headrace: No Kafka broker answers at 127.0.0.1:1" in said
