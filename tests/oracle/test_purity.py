"""The oracle shares no code with what it judges."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
MODULES = sorted(path for path in FOLDER.glob("*.py") if not path.name.startswith("test_"))
ALLOWED = {"fastavro", "river", "numpy", "confluent_kafka", "sqlalchemy"}


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} imports by a relative name"
            names.add(node.module or "")
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_nothing_of_headrace_is_imported(path: Path) -> None:
    for name in imported(path):
        own = name == "tests.oracle" or name.startswith("tests.oracle.")
        root = name.split(".")[0]
        assert own or root in ALLOWED or root in sys.stdlib_module_names, name


BLOCKED = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("headrace", "app", "streams", "registry", "schemas"):
            raise ImportError(f"the oracle must not import {name}")

sys.meta_path.insert(0, Blocked())
import tests.oracle.__main__
from tests.oracle.logs import Logs, topic_names
from tests.oracle.truth import check

topics = topic_names("flights")
report = check(Logs(topics, {name: 2 for name in topics.values()}))
assert report.is_truth, report.text()
assert not [name for name in sys.modules if name.split(".")[0] == "headrace"]
print("pure")
"""


def test_it_runs_where_headrace_cannot_be_imported() -> None:
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED],
        cwd=FOLDER.parents[1], capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout == "pure\n", done.stderr
