"""The package as a user installs it: a wheel with the rooms, beside a user's own app.py."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("app", "schemas", "streams", "registry")


def listed() -> set[str]:
    out = subprocess.run(
        ["git", "ls-files", *ROOMS, "headrace/__init__.py", "headrace/py.typed"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return {
        line if line.startswith("headrace/") else f"headrace/{line}"
        for line in out.stdout.splitlines()
    }


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build sdist, then the wheel from the sdist, as PyPI's users get it."""
    out = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    with tarfile.open(next(out.glob("*.tar.gz"))) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    assert listed() <= names
    return next(out.glob("*.whl"))


def test_the_wheel_holds_what_git_holds(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert listed() == names


def test_the_wheel_runs_beside_a_users_own_app(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    (tmp_path / "app.py").write_text("HERE = True\n")
    code = (
        "import app, headrace, headrace.app, headrace.schemas.errors as e; "
        f"assert app.HERE and headrace.__file__.startswith({str(site)!r}), headrace.__file__; "
        "print(headrace.Event.__name__, headrace.app.__name__)"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={"PYTHONPATH": f"{site}:{tmp_path}", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert out.stdout.split() == ["Event", "headrace.app"], out.stderr
