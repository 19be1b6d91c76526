"""A pipeline file is imported by its path, or one sentence says why it is not."""

import json
import sys
from pathlib import Path

import pytest

from headrace.schemas.errors import DeclarationError
from headrace.streams.load import load_pipeline, load_pipelines
from headrace.streams.plan import plan_of

FILE = """
from datetime import datetime
from river import linear_model
from headrace.streams.pipeline import *

class Order(Event):
    id: str
    shop: str
    at: datetime
    price: float
    gift: bool

def double(price: float) -> float:
    return 2 * price

def make(name):
    return Pipeline(
        name=name, events=Source(Order, id="id", key="shop", time="at"), labels=InEvent("gift"),
        features=[value("price"), apply(double, "price")], model=linear_model.LogisticRegression(),
    )
"""


def write(folder: Path, text: str, name: str = "pipeline.py") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def refused(path: Path, name: str | None = None) -> str:
    with pytest.raises(DeclarationError) as caught:
        load_pipeline(path, name)
    assert len(caught.value.faults) == 1
    return caught.value.faults[0]


def test_a_file_is_loaded(tmp_path: Path) -> None:
    path = write(tmp_path, FILE + 'orders = make("orders")\nsame = orders\n')
    assert plan_of(load_pipeline(path)).name == "orders"
    assert load_pipeline(str(path), "orders").name == "orders"
    assert len(load_pipelines(path)) == 1


def test_a_digest_does_not_depend_on_the_folder(tmp_path: Path) -> None:
    digests = set()
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        path = write(tmp_path / folder, FILE + 'orders = make("orders")\n')
        digests.add(plan_of(load_pipeline(path)).digest)
    assert len(digests) == 1


def test_a_file_shadows_nothing_and_sees_its_neighbours(tmp_path: Path) -> None:
    write(tmp_path, "NAME = 'orders'", "names_of_mine.py")
    text = "import json, names_of_mine\njson.dumps\norders = make(names_of_mine.NAME)"
    path = write(tmp_path, FILE + text, "json.py")
    before = list(sys.path)
    assert load_pipeline(path).name == "orders"
    assert sys.modules["json"] is json
    assert sys.path == before
    del sys.modules["names_of_mine"]


def test_one_of_several_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, FILE + 'a = make("first")\nb = make("second")\n')
    assert load_pipeline(path, "second").name == "second"
    assert "declares 2 pipelines: first, second. Name one of them." in refused(path)
    assert "no pipeline called 'secnd'. Did you mean \"second\"?" in refused(path, "secnd")


def test_two_of_one_name_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, FILE + 'a = make("first")\nb = make("first")\n')
    assert "declares two pipelines of one name: first, first. Their topics" in refused(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (FILE, "declares no pipeline at its top level"),
        ("x = (", "line 1: '(' was never closed."),
        ("import nothing_like_this", "line 1: ModuleNotFoundError: No module named"),
        ("x = 1\ny = 1 / 0\n", "line 2: ZeroDivisionError: division by zero"),
        ("raise ValueError", "line 1: ValueError: no further word."),
        ("import sys\nsys.exit('enough')", "line 2: SystemExit: enough"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    path = write(tmp_path, text)
    found = refused(path)
    assert found.startswith(str(path))
    assert said in found
    assert "headrace_file_pipeline" not in sys.modules or text == FILE


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("headrace.Monitor(alarms=None)", "It belongs to Pipeline(alarms=...)."),
        ("headrace.Pipeline(wait='1d')", "It belongs to Labels(wait=...)."),
        ("headrace.Source(lateness='1m', skue='1m')", 'Did you mean "skew"?'),
        ("headrace.Pipeline(segments=[])", "It belongs to Monitor(segments=...) or Alarms(segm"),
    ],
)
def test_an_argument_in_the_wrong_place_is_told_where_it_belongs(
    tmp_path: Path, text: str, said: str
) -> None:
    assert said in refused(write(tmp_path, f"import headrace\n{text}\n"))


def test_a_path_that_is_no_file_is_refused(tmp_path: Path) -> None:
    assert "is no Python file" in refused(tmp_path / "none.py")
    assert "is no Python file" in refused(write(tmp_path, "", "notes.txt"))
