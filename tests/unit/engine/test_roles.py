"""Which tasks a worker has been given, and a split task refused."""

from typing import Any

import pytest

from headrace.schemas.errors import Refused
from headrace.streams.engine.roles import RoleSpec, StageSpec

MAKE: Any = None
ROLE = RoleSpec(
    "p",
    2,
    "join",
    (
        StageSpec("route", ("labels",), 2, stored=True, make=MAKE),
        StageSpec("join", ("predictions", "labels-routed"), 2, stored=True, make=MAKE),
    ),
    commit_s=0.05,
    cache_limit=7,
)


def test_tasks_of_what_is_assigned() -> None:
    assigned = {("labels", 0), ("predictions", 1), ("labels-routed", 1), ("labels", 1)}
    specs = ROLE.tasks_of(assigned)
    assert [str(spec.id) for spec in specs] == ["p/v2/route/0", "p/v2/route/1", "p/v2/join/1"]
    assert specs[2].inputs == ("predictions", "labels-routed")
    assert {spec.cache_limit for spec in specs} == {7}


def test_a_task_whose_inputs_are_apart_is_refused() -> None:
    with pytest.raises(Refused, match="partition 1 of predictions, labels-routed is split"):
        ROLE.tasks_of({("predictions", 1), ("labels-routed", 0), ("predictions", 0)})


def test_names() -> None:
    assert ROLE.group == "headrace.p.join"
    assert ROLE.topics == ("labels", "predictions", "labels-routed")
    assert ROLE.stage("join").tasks == 2
