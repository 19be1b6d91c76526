"""What the registry keeps, as plain values."""

from __future__ import annotations

import pytest

from headrace.registry.kept import TaskId, plain_json


def test_a_tasks_name_is_readable() -> None:
    assert str(TaskId("flights", 3, "score", 2)) == "flights/v3/score/2"


def test_plain_json_is_a_copy_of_what_databases_keep() -> None:
    value = {"a": [1, None], "b": (1.5, True)}
    assert plain_json(value) == {"a": [1, None], "b": [1.5, True]}
    assert plain_json(value)["a"] is not value["a"]
    with pytest.raises(TypeError):
        plain_json({"a": {1}})
