"""The documents agree with the code: links, commands, settings, targets, and Python that runs."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from headrace.app.cli.main import application
from headrace.app.settings import Settings
from headrace.streams.load import load_pipeline
from headrace.streams.pipeline import Labels
from headrace.streams.plan import plan_of
from headrace.streams.replay import replay
from headrace.streams.rows import read_rows

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
OF_TESTS = {"FIRST_SEED"}
"""Variables that tests alone read; docs/testing.md names them."""

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def code(text: str) -> Iterator[str]:
    """Yield what stands between backticks, lines of code blocks, and indented lines."""
    for block in re.findall(r"^```.*?\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        yield from block.splitlines()
    rest = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    yield from re.findall(r"`([^`]+)`", rest)
    yield from re.findall(r"^ {4}(\S.*)$", rest, re.MULTILINE)


def named(text: str, program: str) -> set[str]:
    """Return what follows a program's name wherever it is called in code."""
    found = (
        re.match(rf"(?:\$ )?(?:HEADRACE_\S+ )*{program} ([a-z][a-z-]*)", c) for c in code(text)
    )
    return {each.group(1) for each in found if each}


def anchors(path: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}


def file_of(page: str, name: str) -> str:
    """Return the Python block that a page introduces by a file's name."""
    text = (ROOT / "docs" / page).read_text()
    (found,) = re.findall(rf"^`{name}`:\n\n```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return str(found)


def test_all_pages_are_looked_at() -> None:
    names = {str(page.relative_to(ROOT)) for page in PAGES}
    assert {"README.md", "ARCHITECTURE.md", "docs/tutorial.md", "docs/adr/README.md"} <= names


@pages
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"[a-z]+:", target):
            continue
        place, _, anchor = target.partition("#")
        found = (page.parent / place) if place else page
        assert found.exists(), f"{page.name} links to {target}"
        assert not anchor or anchor in anchors(found), f"{page.name} links to {target}"


@pages
def test_commands_exist(page: Path) -> None:
    app = application()
    commands = {each.name for each in app.registered_commands}
    commands |= {each.name for each in app.registered_groups}
    assert {"check", "demo"} <= commands
    assert named(page.read_text(), "headrace") <= commands


@pages
def test_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert named(page.read_text(), "make") <= targets


@pages
def test_variables_are_settings(page: Path) -> None:
    known = {name.upper() for name in Settings.model_fields}
    if page.name == "testing.md":
        known |= OF_TESTS
    assert set(re.findall(r"HEADRACE_([A-Z][A-Z_]*[A-Z])", page.read_text())) <= known


@pages
def test_python_compiles(page: Path) -> None:
    for block in blocks(page.read_text(), "python"):
        compile(block, str(page), "exec")


def test_the_index_names_each_page_and_each_decision() -> None:
    docs = ROOT / "docs"
    index = (docs / "README.md").read_text()
    assert not [
        p.name for p in docs.glob("*.md") if p.name not in {"README.md"} and p.name not in index
    ]
    decisions = (docs / "adr" / "README.md").read_text()
    assert not [p.name for p in docs.glob("adr/0*.md") if f"({p.name})" not in decisions]


def test_the_readme_s_pipeline_runs(tmp_path: Path) -> None:
    file = tmp_path / "readme_pipeline.py"
    file.write_text(blocks((ROOT / "README.md").read_text(), "python")[0])
    pipeline = load_pipeline(file)
    assert plan_of(pipeline).name == "flights"
    week = ROOT / "data" / "flights_nyc13_week.csv.gz"
    events = list(islice(read_rows(week, pipeline.events.event), 300))
    ids = {each.event_id for each in events}  # type: ignore[attr-defined]
    assert isinstance(pipeline.labels, Labels)
    arrivals = read_rows(week, pipeline.labels.label, unless_blank="label")
    labels = [each for each in arrivals if each.event_id in ids]  # type: ignore[attr-defined]
    result = replay(pipeline, events, labels, step="1h")
    assert len(result.predictions) == 300
    assert len(result.examples) == len(labels) > 250
    assert not result.dead_letters


@pytest.mark.slow
def test_the_tutorial_s_files_do_what_it_shows(tmp_path: Path) -> None:
    for name in ("make_parcels.py", "pipeline.py", "tune.py"):
        (tmp_path / name).write_text(file_of("tutorial.md", name))
    shown = (ROOT / "docs" / "tutorial.md").read_text()

    def said(name: str) -> str:
        command = [sys.executable, name]
        return subprocess.run(
            command, cwd=tmp_path, check=True, capture_output=True, text=True, timeout=110
        ).stdout

    assert said("make_parcels.py") == ""
    head = "\n".join((tmp_path / "parcels.csv").read_text().splitlines()[:3])
    assert head in shown
    assert load_pipeline(tmp_path / "pipeline.py").name == "parcels"
    tuned = said("tune.py")
    assert len(tuned.splitlines()) == 3
    assert tuned in shown


def test_the_page_of_commands_has_each_key_of_status() -> None:
    """Keys of what is written as JSON are names that programs rely on."""
    text = (ROOT / "docs" / "commands.md").read_text()
    (table,) = re.findall(r"^`--json` writes one object for a pipeline.*?^Times", text, re.M | re.S)
    modules = (
        ROOT / "app" / "standing.py",
        ROOT / "app" / "storage.py",
        ROOT / "app" / "alerting" / "standing.py",
        ROOT / "streams" / "engine" / "report.py",
    )
    keys = {
        key.value
        for path in modules
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Dict)
        for key in node.keys
        if isinstance(key, ast.Constant) and isinstance(key.value, str)
    }
    assert len(keys) > 30
    assert {key for key in keys if f"`{key}`" not in table} == set()
