"""The command line without services: help, sentences, exit codes, ``check``."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from headrace.app.cli import failures
from headrace.app.cli.main import COMMANDS, application, main
from headrace.schemas.errors import (
    ArtifactError,
    DeclarationError,
    HeadraceError,
    InputError,
    Refused,
    SchemaError,
    ServiceError,
    SettingsError,
)

ROOT = Path(__file__).parents[3]
EXAMPLES = sorted(path.relative_to(ROOT) for path in ROOT.glob("examples/*/pipeline.py"))
NAMES = [name for name, _, _ in COMMANDS]


@pytest.fixture(autouse=True)
def no_services(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("HEADRACE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HEADRACE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.chdir(ROOT)


class Raising:
    """A command that ends in an error."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __call__(self, **arguments: object) -> None:
        raise self.error


def test_the_commands_are_these() -> None:
    assert NAMES == [
        "check", "simulate", "replay", "up", "down", "topics", "run", "publish", "tail", "status",
        "top", "reset", "rebuild", "prune", "version",
    ]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_each_command_has_a_help_with_an_example_of_itself(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([name, "--help"]) == 0
    shown = capsys.readouterr().out
    assert re.search(rf"Usage: headrace {name}\b", shown)
    assert f"Example: headrace {name}" in shown
    function = {each: function for each, function, _ in COMMANDS}[name]
    assert function.__doc__
    assert function.__doc__.splitlines()[0].rstrip(".")[:40] in shown


def options(shown: str) -> list[str]:
    return sorted(set(re.findall(r"(?<![\w-])--[a-z-]+", shown)) - {"--help"})


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        (
            "check",
            ["--delimiter", "--encoding", "--events", "--labels", "--multiline", "--no-quotes"],
        ),
        ("simulate", ["--events", "--json", "--pipeline", "--seed", "--worlds"]),
        ("up", ["--kafka-port", "--postgres", "--postgres-port", "--redis-port"]),
        ("down", ["--wipe"]),
        ("topics", ["--pipeline", "--set-retention"]),
        ("run", ["--http-port", "--join", "--pipeline", "--score"]),
        (
            "publish",
            [
                "--again",
                "--as-is",
                "--delimiter",
                "--encoding",
                "--events",
                "--flat-out",
                "--in-step",
                "--labels",
                "--more",
                "--multiline",
                "--no-quotes",
                "--pipeline",
                "--sort",
                "--speed",
            ],
        ),
        (
            "replay",
            [
                "--as-is",
                "--delimiter",
                "--encoding",
                "--events",
                "--json",
                "--labels",
                "--multiline",
                "--no-quotes",
                "--partitions",
                "--pipeline",
                "--sort",
                "--step",
            ],
        ),
        ("tail", ["--follow", "--json", "--last", "--no-follow"]),
        ("status", ["--json"]),
        ("top", ["--json", "--once", "--picture", "--window"]),
        ("reset", ["--yes"]),
        ("rebuild", ["--accept-loss"]),
        ("prune", ["--dry-run"]),
        ("version", ["--all"]),
    ],
)
def test_the_flags_are_these(
    name: str, flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    main([name, "--help"])
    assert options(capsys.readouterr().out) == flags


@pytest.mark.parametrize("name", NAMES)
def test_the_page_of_commands_has_each_with_its_flags(name: str) -> None:
    page = (ROOT / "docs" / "commands.md").read_text()
    assert re.search(rf"^\$ headrace {name}\b", page, re.MULTILINE)


def test_help_is_quick_since_nothing_heavy_is_loaded() -> None:
    heavy = "('river', 'faust', 'numpy', 'sqlalchemy', 'confluent_kafka', 'fastapi', 'pydantic')"
    code = (
        "import sys\nfrom headrace.app.cli.main import main\nmain(['--help'])\n"
        f"print([m for m in {heavy} if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    assert "Commands" in done.stdout


@pytest.mark.parametrize("file", EXAMPLES, ids=str)
def test_check_describes_each_example(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(file)]) == 0
    shown = capsys.readouterr().out
    for title in ("Topics", "Schemas", "Features", "Model", "Monitoring"):
        assert title in shown
    assert f"{file.parent.name}." in shown


BROKEN = """
from datetime import datetime
from river import linear_model
from headrace import Event, InEvent, Pipeline, Source, count, mean, value

class Order(Event):
    id: str
    at: datetime
    price: float
    returned: bool

one = Pipeline(
    name="one",
    events=Source(Order, id="id", key="idd", time="at"),
    features=[mean("prize", over="3h"), value("returned"), count(over="1x")],
    model=linear_model.LogisticRegression(),
    labels=InEvent("returned"),
)
two = Pipeline(
    name="t w o",
    events=Source(Order, id="id", key="id", time="at"),
    features=[value("price")],
    model=linear_model.LogisticRegression(),
    labels=InEvent("returned"),
)
"""


def test_check_says_all_faults_of_all_pipelines_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "broken.py"
    file.write_text(BROKEN)
    assert main(["check", str(file)]) == failures.UNUSABLE
    found = capsys.readouterr()
    faults = [line for line in found.err.splitlines() if line.startswith("headrace: ")]
    assert found.out == ""
    assert len(faults) == 5
    assert 'Did you mean "price"?' in found.err
    assert re.search(r"broken\.py, line \d+", found.err)
    for fragment in ("one: ", "idd", "prize", "returned", "1x", "t w o"):
        assert fragment in found.err


UNKEPT = """
import threading
from datetime import datetime
from river import base
from headrace import Event, InEvent, Pipeline, Source, value

class Own(base.Classifier):
    def learn_one(self, x, y): ...
    def predict_proba_one(self, x): return {True: 0.5, False: 0.5}

class Order(Event):
    id: str
    at: datetime
    price: float
    returned: bool

own = Pipeline(
    name="own",
    events=Source(Order, id="id", key="id", time="at"),
    features=[value("price")],
    model=Own(),
    labels=InEvent("returned"),
)
"""


def test_check_says_that_a_model_of_ones_own_must_be_admitted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "own.py"
    file.write_text(UNKEPT)
    assert main(["check", str(file)]) == failures.UNUSABLE
    said = capsys.readouterr().err
    assert "own: the model cannot be kept" in said
    assert "HEADRACE_ALLOW" in said


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (DeclarationError(["a is wrong.", "b is wrong."]), 2, "headrace: a is wrong.\nheadrace: b"),
        (SettingsError("no such setting."), 2, "headrace: no such setting.\n"),
        (InputError("no such row."), 2, "headrace: no such row.\n"),
        (SchemaError("does not grow."), 2, "headrace: does not grow.\n"),
        (Refused("It is ahead.", "Rebuild it."), 3, "headrace: It is ahead. Rebuild it.\n"),
        (ServiceError("no answer."), 1, "headrace: no answer.\n"),
        (ArtifactError("not signed."), 1, "headrace: not signed.\n"),
        (HeadraceError("else."), 1, "headrace: else.\n"),
    ],
)
def test_each_error_is_its_sentence_and_a_code(
    error: HeadraceError,
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("headrace.app.cli.main.application", lambda: Raising(error))
    assert main(["check"]) == code
    assert capsys.readouterr().err.startswith(said)


def test_what_nobody_foresaw_is_a_sentence_with_the_place_of_its_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = KeyError("x")
    monkeypatch.setattr("headrace.app.cli.main.application", lambda: Raising(error))
    assert main(["check"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("headrace: KeyError: 'x'.")
    assert said.count("\n") == 1
    file = Path(re.findall(r"\S+\.traceback\.txt", said)[0])
    assert "Traceback" in file.read_text()
    file.unlink()


def test_debug_shows_the_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("headrace.app.cli.main.application", lambda: Raising(KeyError("x")))
    assert main(["check", "--debug"]) == 1
    assert capsys.readouterr().err.startswith("Traceback")


def test_ctrl_c_is_quiet(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("headrace.app.cli.main.application", lambda: Raising(KeyboardInterrupt()))
    assert main(["tail"]) == 130
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["chekc"], "headrace: No such command 'chekc'. Did you mean 'check'? See `headrace"),
        (["tail", "x"], "headrace: Missing argument 'WHAT'. See `headrace tail --help`.\n"),
        (["run", "--scor", "2"], "headrace: No such option"),
        (["run", "f.py", "--score", "0"], "headrace: Invalid value for '--score'"),
        (["check", "nowhere.py"], "headrace: nowhere.py is no Python file."),
        (["publish", "f.py", "--events", "e", "--speed", "2", "--flat-out"], "headrace: --speed,"),
        (["topics", "examples/flights/pipeline.py"], "headrace: No Kafka: no embedded stack is up"),
        (["status"], "headrace: No Kafka: no embedded stack is up"),
        (["rebuild", "flights", "score"], "headrace: No Kafka: no embedded stack is up"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == failures.UNUSABLE
    shown = capsys.readouterr().err
    assert shown.startswith(said)
    assert shown.count("\n") == 1


def test_version_says_what_this_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version", "--all"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("headrace 0.")
    for part in ("python ", "librdkafka ", "river ", "faust-streaming "):
        assert f"\n{part}" in shown


def test_the_demo_is_a_command_as_soon_as_it_is_there() -> None:
    there = (ROOT / "app" / "demo" / "command.py").exists()
    names = [command.name for command in application().registered_commands]
    assert ("demo" in names) == there


def test_a_run_fixes_the_order_of_hashes(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    file = tmp_path / "p.py"
    file.write_text(f"import os; open({str(seen)!r}, 'w').write(os.environ['PYTHONHASHSEED'])\n")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONHASHSEED"}
    done = subprocess.run(
        [sys.executable, "-m", "headrace.app.cli", "run", str(file)],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "declares no pipeline" in done.stderr
    assert seen.read_text() == "0"
