"""Lineage: what a version was made with."""

from __future__ import annotations

import json
import platform
from importlib import metadata
from pathlib import Path

from headrace.registry.lineage import _version, cpu_features, lineage


def test_lineage_names_every_part() -> None:
    found = lineage("c0de")
    assert found["python"] == platform.python_version()
    assert (found["river"], found["numpy"]) == (
        metadata.version("river"),
        metadata.version("numpy"),
    )
    assert found["code"] == "c0de"
    assert found["headrace"] != ""
    assert json.loads(json.dumps(found)) == found
    assert all(value or name == "cpu_features" for name, value in found.items())


def test_cpu_features_are_those_that_numbers_depend_on(tmp_path: Path) -> None:
    intel, arm = tmp_path / "intel", tmp_path / "arm"
    intel.write_text("processor\t: 0\nflags\t\t: fpu avx2 sse4_2 ht fma avx2\n\nflags : other\n")
    arm.write_text("processor : 0\nFeatures : fp asimd sve evtstrm\n")
    assert cpu_features(intel) == ["avx2", "fma", "sse4_2"]
    assert cpu_features(arm) == ["asimd", "sve"]
    (tmp_path / "none").write_text("model name: a machine\n")
    assert cpu_features(tmp_path / "none") == cpu_features(tmp_path / "absent") == []


def test_a_package_that_is_not_installed_is_unknown() -> None:
    assert _version("no-such-package-of-headrace") == "unknown"
