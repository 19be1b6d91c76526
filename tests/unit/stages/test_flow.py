"""Which stages a pipeline has: with labels in a topic, in the event, or none."""

from __future__ import annotations

from typing import Any

import pytest

from headrace.streams.flow import ROLES, StageParts, make_stage, outputs_of, stage_decls
from headrace.streams.pipeline import InEvent, Monitor
from headrace.streams.plan import Plan, plan_of
from headrace.streams.topics import Partitions, topic_specs
from tests.unit.stages.flow import codecs_for, dumps, loads, pipeline

PARTITIONS = Partitions(events=3, labels=2, predictions=4)


def plan(labels: Any) -> Plan:
    changes = {} if labels == "topic" else {"labels": labels, "monitor": Monitor()}
    return plan_of(pipeline(**changes))


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        ("topic", {"score": 3, "route": 2, "join": 4, "monitor": 1, "learn": 1}),
        (InEvent("broken"), {"score": 3, "monitor": 1, "learn": 1}),
    ],
)
def test_stages_of_a_pipeline(labels: Any, names: dict[str, int]) -> None:
    found = {decl.name: decl.tasks for decl in stage_decls(plan(labels), PARTITIONS)}
    assert found == names


@pytest.mark.parametrize("labels", ["topic", InEvent("broken")])
def test_each_task_can_be_made_and_reads_partitions_that_are_there(labels: Any) -> None:
    each = plan(labels)
    parts = StageParts(each, codecs_for(each), PARTITIONS, 1, dumps, loads)
    specs = topic_specs(each.topics, PARTITIONS, joined=each.labels == "topic")
    counts = {spec.name: spec.partitions for spec in specs}
    for decl in stage_decls(each, PARTITIONS):
        assert decl.role in ROLES
        assert {counts[topic] for topic in decl.inputs} == {decl.tasks}
        for number in range(decl.tasks):
            assert make_stage(decl.name, number, parts).name == decl.name


@pytest.mark.parametrize("labels", ["topic", InEvent("broken")])
def test_roles_write_to_topics_that_are_there_and_between_them_to_all_but_the_users(
    labels: Any,
) -> None:
    each = plan(labels)
    specs = topic_specs(each.topics, PARTITIONS, joined=each.labels == "topic")
    written = {role: set(outputs_of(each, role)) for role in ROLES}
    users = {each.topics.events, each.topics.labels}
    assert set().union(*written.values()) == {spec.name for spec in specs} - users
    assert set.intersection(*written.values()) == {each.topics.counts, each.topics.dead_letters}


def test_an_unknown_name_is_refused() -> None:
    each = plan("topic")
    parts = StageParts(each, codecs_for(each), PARTITIONS, 1, dumps, loads)
    with pytest.raises(ValueError, match="'weir'"):
        make_stage("weir", 0, parts)
