"""What a version was made with: whoever asks why two models differ looks here first."""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path
from typing import Any

CPU_INFO = Path("/proc/cpuinfo")
_NUMERIC = ("avx", "fma", "sse", "neon", "asimd", "sve", "f16c", "bmi")


def lineage(code: str, learned: str | None = None, *, cpu_info: Path = CPU_INFO) -> dict[str, Any]:
    """Return Python, River, numpy, Headrace, platform, CPU and code, as plain data.

    Floats can differ in their last bits between processors with other vector units and between
    builds of numpy, hence the processor's features.

    Parameters
    ----------
    code
        Digest of the code that the declaration refers to.
    learned
        Canonical digest of what its model had learned beforehand; None of a fresh one.
    cpu_info
        Where Linux describes its processors.
    """
    made_with = {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "headrace": _version("headrace"),
        "river": _version("river"),
        "numpy": _version("numpy"),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpu_features": cpu_features(cpu_info),
        "code": code,
    }
    return made_with if learned is None else {**made_with, "begins_with": learned}


def cpu_features(cpu_info: Path = CPU_INFO) -> list[str]:
    """Return the processor's features that numbers may depend on; none where nothing tells."""
    try:
        lines = cpu_info.read_text("utf-8", "replace").splitlines()
    except OSError:
        return []
    for line in lines:
        name, _, listed = line.partition(":")
        if name.strip().lower() in {"flags", "features"}:
            return sorted(each for each in set(listed.split()) if each.startswith(_NUMERIC))
    return []


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"
