"""The canonical digest: equal for states that will do the same, different for all others."""

from __future__ import annotations

import copy
import enum
import functools
import math
import os
import pickle
import random
import re
import struct
import subprocess
import sys
import threading
from array import array
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from river import proba

from headrace.registry.digest import canonical_digest
from headrace.schemas.errors import ArtifactError
from tests.unit.registry.models import MODELS, STATISTICS, stream, taught

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("kind", MODELS)
def test_laws_over_rivers_models(kind: str) -> None:
    examples = stream(kind, 121)
    make = MODELS[kind]
    model = taught(kind, make(), examples[:80])
    digest = canonical_digest(model)
    again = taught(kind, make(), examples[:80])
    restored = pickle.loads(pickle.dumps(model, protocol=5))
    copied = copy.deepcopy(model)
    assert canonical_digest(again) == digest, "the same stream gives the same model"
    assert canonical_digest(restored) == digest, "a pickle changes nothing"
    assert canonical_digest(copied) == digest, "a copy changes nothing"
    assert canonical_digest(model) == digest, "looking changes nothing"
    seen = {canonical_digest(make()), digest}
    later = [canonical_digest(taught(kind, model, [example])) for example in examples[80:120]]
    # Passive-aggressive models learn from mistakes alone.
    assert len({*later} | seen) > 10, "models that have learned more are others"
    for other in (again, restored, copied):
        assert canonical_digest(taught(kind, other, examples[80:120])) == later[-1]


@pytest.mark.parametrize("kind", STATISTICS)
def test_laws_over_rivers_statistics(kind: str) -> None:
    chance, make = random.Random(1), STATISTICS[kind]
    values = [chance.gauss(0, 1) for _ in range(60)]

    def fed(statistic: Any, values: list[float]) -> Any:
        for value in values:
            if kind == "auc":
                statistic.update(value > 0, abs(math.sin(value)))
            else:
                statistic.update(value)
        return statistic

    fresh = canonical_digest(make())
    one, two = fed(make(), values[:40]), fed(make(), values[:40])
    digest = canonical_digest(one)
    assert digest == canonical_digest(two) == canonical_digest(copy.deepcopy(one)) != fresh
    restored = pickle.loads(pickle.dumps(one))
    assert canonical_digest(fed(restored, values[40:])) == canonical_digest(fed(one, values[40:]))
    assert canonical_digest(one) != digest


def test_one_bit_of_one_float_shows() -> None:
    model = taught("logistic", MODELS["logistic"](), stream("logistic", 50))
    digest = canonical_digest(model)
    weights = model["LogisticRegression"]._weights
    (bits,) = struct.unpack("<q", struct.pack("<d", weights["a"]))
    (weights["a"],) = struct.unpack("<d", struct.pack("<q", bits ^ 1))
    assert canonical_digest(model) != digest
    (weights["a"],) = struct.unpack("<d", struct.pack("<q", bits))
    assert canonical_digest(model) == digest


def test_hash_seeds_do_not_matter() -> None:
    code = (
        "from headrace.registry.digest import canonical_digest as d\n"
        "from tests.unit.registry.models import MODELS, stream, taught\n"
        "print(d({'a', 'b', ('c', 1), frozenset({'d', 'e'}), None}))\n"
        "print(d([t(k) for k in ('bernoulli', 'hoeffding')]))\n"
    ).replace("t(k)", "taught(k, MODELS[k](), stream(k, 60))")
    found = set()
    for seed in ("0", "1"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True,
            text=True, check=True,
        )  # fmt: skip
        found.add(done.stdout)
    assert len(found) == 1


Pair = namedtuple("Pair", "left right")


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Plain:
    def __init__(self, **attributes: Any) -> None:
        self.__dict__ |= attributes

    def method(self) -> None:
        """Stand for a method."""

    def other(self) -> None:
        """Stand for another."""


class Slotted:
    __slots__ = ("held", "unset")

    def __init__(self, held: Any) -> None:
        self.held = held


class Stated(Plain):
    def __getstate__(self) -> dict[str, Any]:
        return {"kept": self.__dict__["kept"]}


class Names(set[str]):
    pass


class Meta(type):
    pass


class OfMeta(metaclass=Meta):
    pass


class SamePlain(Plain):
    pass


def plus(x: int) -> int:
    return x + 1


def minus(x: int) -> int:
    return x - 1


def adder(n: int) -> Callable[[int], int]:
    def add(x: int) -> int:
        return x + n

    return add


def state_of(seed: int, draws: int) -> np.random.RandomState:
    found = np.random.RandomState(seed)
    found.normal(size=draws)
    return found


def generator_of(seed: int, children: int = 0) -> np.random.Generator:
    found = np.random.default_rng(seed)
    found.spawn(children)
    return found


Gaussian: Any = proba.Gaussian  # River leaves it without types


def distribution(seed: int | None, draws: int = 0) -> Any:
    found: Any = Gaussian(seed=seed)
    found.update(1.0)
    found.update(2.0)
    for _ in range(draws):
        found.sample()
    return found


_RECORD = np.dtype([("x", "<f8"), ("y", "<i4")])
DIFFERENT: list[Callable[[], Any]] = [
    lambda: None, lambda: ..., lambda: True, lambda: False, lambda: 1, lambda: 0, lambda: -1,
    lambda: 255, lambda: 2**70, lambda: -(2**70), lambda: 1.0, lambda: 0.0, lambda: -0.0,
    lambda: math.nan, lambda: -math.nan, lambda: math.inf, lambda: 1j, lambda: "", lambda: "a",
    lambda: "\ud800", lambda: "1", lambda: b"", lambda: b"a", lambda: bytearray(b"a"),
    lambda: (), lambda: (1,), lambda: (1, 2), lambda: ((1,), 2), list, lambda: [1],
    lambda: [[1], 2], lambda: [1, [2]], dict, lambda: {1: 2}, lambda: {1: 2, 3: 4},
    lambda: {3: 4, 1: 2}, lambda: OrderedDict({1: 2}), lambda: defaultdict(int, {1: 2}),
    lambda: defaultdict(float, {1: 2}), lambda: Counter({1: 2}), lambda: deque([1]),
    lambda: deque([1], 3), set, lambda: {1}, lambda: {1, 2}, lambda: frozenset({1}),
    lambda: frozenset({1.0}), lambda: {(1, 2), (2, 1)}, lambda: Names(["a"]), lambda: Pair(1, 2),
    lambda: Pair(2, 1), lambda: array("d", [1.0]),
    lambda: array("q", [1]), lambda: np.array([1.0]), lambda: np.array([[1.0]]),
    lambda: np.array([1.0], np.float32), lambda: np.array([-0.0]), lambda: np.array([0.0]),
    lambda: np.arange(6.0).reshape(2, 3), lambda: np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    lambda: np.arange(6.0).reshape(3, 2), lambda: np.array([1, "a"], object),
    lambda: np.array([1, "b"], object), lambda: np.zeros(2, _RECORD), lambda: np.zeros(0),
    lambda: np.array(5.0), lambda: np.float64(1), lambda: np.float32(1), lambda: np.int64(1),
    lambda: np.bool_(True), lambda: np.datetime64(1, "s"), lambda: np.dtype("f8"),
    lambda: np.dtype("f4"), lambda: _RECORD, lambda: random.Random(1), lambda: random.Random(2),
    lambda: state_of(1, 0), lambda: state_of(1, 1), lambda: state_of(1, 2), lambda: state_of(2, 0),
    lambda: generator_of(1), lambda: generator_of(2), lambda: generator_of(1, children=1),
    lambda: np.random.PCG64(1), lambda: np.random.SFC64(1), lambda: int, lambda: float,
    lambda: Plain, lambda: SamePlain, lambda: OfMeta, lambda: Plain(a=1), lambda: SamePlain(a=1),
    lambda: Plain(a=2), lambda: Plain(b=1), lambda: Plain(a=1, b=2), lambda: Plain(b=2, a=1),
    lambda: Slotted(1), lambda: Slotted(2), lambda: Stated(kept=1), lambda: Stated(kept=2),
    lambda: plus, lambda: minus, lambda: adder(1), lambda: adder(2), lambda: Plain().method,
    lambda: Plain().other, lambda: Plain(a=1).method, lambda: random.Random(3).gauss,
    lambda: functools.partial(plus, 1), lambda: functools.partial(plus, 2),
    lambda: functools.partial(minus, 1), lambda: len, lambda: abs, lambda: [1].append,
    lambda: [2].append, lambda: str.lower, lambda: str.upper, lambda: dict.fromkeys,
    lambda: Colour.RED, lambda: Colour.BLUE, lambda: re.compile("a"), lambda: re.compile("a", re.I),
    lambda: datetime(2013, 2, 8, tzinfo=UTC), lambda: date(2013, 2, 8), lambda: iter([1]),
    lambda: range(3), lambda: slice(1, 2), lambda: plus.__code__, lambda: minus.__code__,
    lambda: distribution(None), lambda: distribution(1), lambda: distribution(1, 1),
]  # fmt: skip
"""No two of these are the same; each is made twice, and the two are."""


def test_what_differs_has_another_digest_and_what_is_equal_the_same() -> None:
    found = [canonical_digest(make()) for make in DIFFERENT]
    assert found == [canonical_digest(make()) for make in DIFFERENT]
    same = [
        (i, j) for i in range(len(found)) for j in range(i) if found[i] == found[j]
    ]  # their places say which
    assert not same


@pytest.mark.parametrize("index", range(len(DIFFERENT)))
def test_what_can_be_copied_is_the_same(index: int) -> None:
    value = DIFFERENT[index]()
    try:
        copied = [pickle.loads(pickle.dumps(value, 5))]
    except (pickle.PicklingError, AttributeError, TypeError):
        copied = []  # a local function, code: nothing that an artifact holds
    copied.append(copy.deepcopy(value))
    for each in copied:
        assert canonical_digest(each) == canonical_digest(value)


def test_sharing_of_what_can_change_matters() -> None:
    one: list[int] = [1]
    assert canonical_digest([one, one]) != canonical_digest([[1], [1]])
    assert canonical_digest([one, one]) == canonical_digest(pickle.loads(pickle.dumps([one, one])))
    text, pair = "".join(["a", "b"]), tuple([1, 2])
    assert canonical_digest([text, text, pair, pair]) == canonical_digest(
        ["ab", "".join(["a", "b"]), (1, 2), tuple([1, 2])]
    )


def test_cycles_end() -> None:
    def ring(length: int) -> Plain:
        nodes = [Plain(number=number) for number in range(length)]
        for number, node in enumerate(nodes):
            node.__dict__["next"] = nodes[(number + 1) % length]
        return nodes[0]

    assert canonical_digest(ring(3)) == canonical_digest(ring(3)) != canonical_digest(ring(4))
    itself: list[Any] = []
    itself.append(itself)
    assert canonical_digest(itself) != canonical_digest([[]])


def test_objects_in_sets_know_what_is_around_them() -> None:
    def family(names: list[str]) -> Plain:
        parent = Plain(name="parent", children=set())
        for name in names:
            parent.__dict__["children"].add(Plain(name=name, parent=parent))
        return parent

    names = [f"child {number}" for number in range(20)]
    digest = canonical_digest(family(names))
    assert digest == canonical_digest(family(names[::-1]))
    assert digest != canonical_digest(family(names[1:]))
    marked = Names(["a"])
    marked.note = "b"  # type: ignore[attr-defined]
    assert canonical_digest(marked) != canonical_digest(Names(["a"]))


def test_deep_states_do_not_overflow() -> None:
    def deep(depth: int, wrap: Callable[[Any], Any]) -> Any:
        found: Any = None
        for _ in range(depth):
            found = wrap(found)
        return found

    wraps: list[Callable[[Any], Any]] = [
        lambda inner: [inner],
        lambda inner: (inner,),
        lambda inner: {"inner": inner},
        lambda inner: Plain(inner=inner),
        lambda inner: deque([inner]),
    ]
    for wrap in wraps:
        assert canonical_digest(deep(20_000, wrap)) != canonical_digest(deep(19_999, wrap))
    with pytest.raises(ArtifactError, match="sets within sets"):
        canonical_digest(deep(20_000, lambda inner: frozenset([inner])))


def test_an_unseeded_distribution_is_its_moments() -> None:
    assert canonical_digest(distribution(None)) == canonical_digest(distribution(None, draws=3))


@pytest.mark.parametrize("make", [lambda: (x for x in "ab"), threading.Lock, lambda: sys.stdout])
def test_what_has_no_state_is_named(make: Callable[[], Any]) -> None:
    value = make()
    with pytest.raises(ArtifactError, match=f"{type(value).__name__}, which cannot be saved"):
        canonical_digest([{"held": value}])


def test_a_function_is_what_it_does() -> None:
    def compiled(source: str) -> Any:
        namespace: dict[str, Any] = {"__name__": "m"}
        exec(source, namespace)
        return namespace["f"]

    one = compiled("def f(x, n=1): return [x + n, 'a', (lambda y: y in {'b', 'c'})(x)]")
    moved = compiled(
        "\n\n# a comment\ndef f(x, n=1): return [x + n, 'a', (lambda y: y in {'b', 'c'})(x)]"
    )
    assert canonical_digest(one) == canonical_digest(moved)
    for source in (
        "def f(x, n=2): return [x + n, 'a', (lambda y: y in {'b', 'c'})(x)]",
        "def f(x, n=1): return [x - n, 'a', (lambda y: y in {'b', 'c'})(x)]",
        "def f(x, n=1): return [x + n, 'b', (lambda y: y in {'b', 'c'})(x)]",
        "def f(x, n=1): return [x + n, 'a', (lambda y: y in {'b', 'd'})(x)]",
        "def f(x, *, n=1): return [x + n, 'a', (lambda y: y in {'b', 'c'})(x)]",
    ):
        assert canonical_digest(compiled(source)) != canonical_digest(one)


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text() | st.integers(), inner)
        | st.tuples(inner, inner)
        | st.frozensets(scalars)
    ),
    max_leaves=30,
)


@given(values)
def test_a_copy_of_anything_is_the_same(value: Any) -> None:
    digest = canonical_digest(value)
    assert canonical_digest(pickle.loads(pickle.dumps(value, 5))) == digest
    assert canonical_digest(copy.deepcopy(value)) == digest
    assert canonical_digest([value]) != digest


@given(st.lists(st.text() | st.integers(), unique=True), st.randoms(use_true_random=False))
def test_order_of_sets_does_not_matter(elements: list[Any], chance: random.Random) -> None:
    shuffled = elements.copy()
    chance.shuffle(shuffled)
    assert canonical_digest(set(elements)) == canonical_digest(set(shuffled))
    assert (canonical_digest(elements) == canonical_digest(shuffled)) == (elements == shuffled)
