"""The names that a user's pipeline file may import, and nothing else, are public."""

import subprocess
import sys

import headrace

PUBLIC = [
    "Alarms",
    "ArtifactError",
    "Cost",
    "DeclarationError",
    "Event",
    "HeadraceError",
    "InEvent",
    "Labels",
    "Monitor",
    "Pipeline",
    "Publisher",
    "Refused",
    "SchemaError",
    "ServiceError",
    "SettingsError",
    "Source",
    "Threshold",
    "TopicRetention",
    "apply",
    "category",
    "count",
    "distinct",
    "hour",
    "last",
    "last_value",
    "log1p",
    "majority",
    "maximum",
    "mean",
    "minimum",
    "read",
    "replay",
    "since_last",
    "std",
    "total",
    "value",
    "window",
]


def test_public_names_are_pinned() -> None:
    assert sorted(PUBLIC) == sorted(headrace.__all__) == dir(headrace)


def test_each_public_name_is_there_and_documented() -> None:
    for name in PUBLIC:
        assert getattr(headrace, name).__doc__, name


def test_import_is_light() -> None:
    heavy = "('river', 'faust', 'numpy', 'sqlalchemy')"
    code = f"import sys, headrace; print([m for m in {heavy} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(headrace, "pipelin")
