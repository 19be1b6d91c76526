"""Signed artifacts: what comes in is what was signed, and even that is let in by name alone."""

from __future__ import annotations

import collections
import contextlib
import functools
import hashlib
import hmac
import io
import pickle
import random
import sys
from array import array
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from river import base, feature_extraction, linear_model

from headrace.registry import artifacts, rebuild
from headrace.registry.admission import Admission
from headrace.registry.artifacts import Signer, signature_of
from headrace.registry.digest import canonical_digest
from headrace.schemas.errors import ArtifactError, SettingsError
from tests.unit.registry.models import MODELS, STATISTICS, stream, taught

KEY = b"0123456789abcdef"
SIGNER = Signer(KEY)


def signed(payload: bytes, key: bytes = KEY, head: bytes = b"HRMA\x01") -> bytes:
    """Sign any payload, as somebody could who has stolen the key."""
    return head + hmac.new(key, head + payload, hashlib.sha256).digest() + payload


# -- what is let in


@pytest.mark.parametrize("kind", MODELS)
def test_rivers_models_go_on_as_if_never_stopped(kind: str) -> None:
    examples = stream(kind, 120)
    model = taught(kind, MODELS[kind](), examples[:80])
    restored = SIGNER.loads(SIGNER.dumps({"model": model, "baselines": {}, "seen": 80}))["model"]
    assert canonical_digest(restored) == canonical_digest(model)
    one, two = taught(kind, restored, examples[80:]), taught(kind, model, examples[80:])
    assert canonical_digest(one) == canonical_digest(two)


@pytest.mark.parametrize("kind", STATISTICS)
def test_rivers_statistics_are_admitted(kind: str) -> None:
    statistic = STATISTICS[kind]()
    restored = SIGNER.loads(SIGNER.dumps(statistic))
    assert canonical_digest(restored) == canonical_digest(statistic)


def test_text_models_keep_their_functions() -> None:
    words: Any = feature_extraction.TFIDF()
    words.learn_one("what a fine day, what a day")
    restored = SIGNER.loads(SIGNER.dumps(words))
    assert restored.transform_one("a day") == words.transform_one("a day")


def old_style() -> np.random.RandomState:
    found = np.random.RandomState(5)
    found.normal(size=3)
    return found


def spawned() -> np.random.Generator:
    found = np.random.Generator(np.random.Philox(5))
    found.spawn(2)
    found.normal(size=3)
    return found


VALUES: list[Any] = [
    {"counts": {True: 3, "a": 1}, "total": 0.5, "last": None, "lag": (b"\x00", b"\x01")},
    [set(), frozenset({1}), bytearray(b"a"), range(3), 1j, slice(1, 2), iter([1, 2])],
    [collections.deque([1], 3), collections.Counter("ab"), collections.OrderedDict(a=1)],
    collections.defaultdict(functools.partial(collections.defaultdict, int)),
    [datetime(2013, 2, 8, tzinfo=UTC), array("d", [1.5]), random.Random(3), random.Random(3).gauss],
    np.arange(6.0).reshape(2, 3),
    np.asfortranarray(np.arange(6).reshape(2, 3)),
    np.arange(10)[::2],
    [np.zeros(0), np.zeros((0, 3)), np.array(5.0), np.array(["é", "b"]), np.array([b"a"])],
    [np.zeros((2, 0, 3), np.float32), np.array("", "U0"), np.zeros(3, ">i4")],
    np.array([None, "a", [1]], object).reshape(3, 1),
    [np.float32(0.1), np.int64(-1), np.bool_(True), np.str_("é"), np.datetime64(5, "ms")],
    [np.dtype("<f8"), np.dtype("M8[s]"), np.dtype("U5")],
    [old_style(), np.random.default_rng(3), spawned(), np.random.SFC64(3), np.random.MT19937(3)],
    [np.random.PCG64DXSM(np.random.SeedSequence([1, 2])), np.random.SeedSequence(5)],
    [str.lower, str.strip],
]


@pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
def test_values_come_back_the_same(value: Any) -> None:
    restored = SIGNER.loads(SIGNER.dumps(value))
    assert canonical_digest(restored) == canonical_digest(value)


def test_generators_go_on_with_what_they_would_have_drawn() -> None:
    for make in (old_style, spawned):
        one, two = make(), SIGNER.loads(SIGNER.dumps(make()))
        assert list(one.normal(size=9)) == list(two.normal(size=9))
    again = SIGNER.loads(SIGNER.dumps(spawned()))
    assert again.spawn(1)[0].random() == spawned().spawn(1)[0].random()


def test_what_is_one_object_stays_one() -> None:
    bits = np.random.PCG64(3)
    one, two = SIGNER.loads(SIGNER.dumps([np.random.Generator(bits), np.random.Generator(bits)]))
    assert one.bit_generator is two.bit_generator


# -- what is not


@pytest.fixture
def own_module() -> Iterator[ModuleType]:
    """A pipeline file's module with a model of the user's own."""
    module = ModuleType("headrace_file_mine")

    class Own(base.Classifier):
        def __init__(self) -> None:
            self.seen = 0

        def learn_one(self, x: Any, y: Any) -> None:
            self.seen += 1

        def helper(self) -> None:
            """Stand for a method that a state refers to."""

    Own.__module__, Own.__qualname__ = module.__name__, "Own"
    module.Own = Own  # type: ignore[attr-defined]
    module.imported = linear_model.LogisticRegression  # type: ignore[attr-defined]
    sys.modules[module.__name__] = module
    yield module
    del sys.modules[module.__name__]


@pytest.mark.parametrize("allow", ["headrace_file_mine", "headrace_file_mine:Own"])
def test_a_users_own_model_needs_to_be_listed(own_module: ModuleType, allow: str) -> None:
    own = own_module.Own()
    own.learn_one({}, True)
    artifact = SIGNER.dumps([own, own.helper])
    with pytest.raises(ArtifactError, match=r"headrace_file_mine\.Own.*HEADRACE_ALLOW"):
        SIGNER.loads(artifact)
    restored, helper = Signer(KEY, [allow]).loads(artifact)
    assert restored.seen == 1
    assert helper.__self__ is restored


def test_a_listed_module_admits_the_classes_it_defines(own_module: ModuleType) -> None:
    signer = Signer(KEY, ["headrace_file_mine", "posixpath", "math:floor"])
    for name in ("imported", "absent"):
        with pytest.raises(ArtifactError):
            signer.loads(signed(b"cheadrace_file_mine\n%s\n." % name.encode()))
    with pytest.raises(ArtifactError, match=r"posixpath\.join"):
        signer.loads(signed(b"cposixpath\njoin\n."))
    assert signer.loads(signed(b"cmath\nfloor\n."))(1.5) == 1


@pytest.mark.parametrize("entry", ["", "a b", "a:", ":b", "a:b:c", "a.", "../x", "a;b"])
def test_an_entry_that_is_no_name_is_refused(entry: str) -> None:
    with pytest.raises(SettingsError, match="HEADRACE_ALLOW"):
        Signer(KEY, [entry])


def test_a_key_is_long_enough() -> None:
    with pytest.raises(SettingsError, match=r"has 15 bytes.*openssl"):
        Signer(KEY[:15])


def test_what_cannot_be_saved_is_named() -> None:
    with pytest.raises(ArtifactError, match="cannot be saved"):
        SIGNER.dumps({"model": lambda: None})


def test_size_is_bounded() -> None:
    small = Signer(KEY, limit_bytes=1_000)
    with pytest.raises(ArtifactError, match=r"at most 1,000 .*Bound"):
        small.dumps(b"x" * 1_000)
    with pytest.raises(ArtifactError, match=r"at most 1,000 "):
        small.loads(SIGNER.dumps(b"x" * 1_000))


# -- fuzz: nothing executes


class Gadget:
    """Pickles as a call of anything with anything."""

    def __init__(self, call: Callable[..., Any], *args: Any) -> None:
        self.call = (call, args)

    def __reduce__(self) -> Any:
        return self.call


def named(module: str, name: str, *args: str) -> bytes:
    """Return a pickle, written by hand, that calls a dotted name with texts."""
    texts = b"".join(b"\x8c" + bytes([len(each)]) + each.encode() for each in args)
    head = b"\x80\x05"
    for each in (module, name):
        head += b"\x8c" + bytes([len(each)]) + each.encode()
    return head + b"\x93(" + texts + b"tR."


@pytest.fixture
def evidence(tmp_path: Path) -> Iterator[Path]:
    """A file that whatever executes would make."""
    path = tmp_path / "executed"
    yield path
    assert not path.exists()


NAMES = [
    ("os", "system"), ("posix", "system"), ("nt", "system"), ("subprocess", "Popen"),
    ("subprocess", "call"), ("builtins", "eval"), ("builtins", "exec"), ("__builtin__", "eval"),
    ("builtins", "__import__"), ("builtins", "open"), ("builtins", "compile"), ("builtins", "type"),
    ("builtins", "map"), ("builtins", "vars"), ("builtins", "setattr"), ("io", "open"),
    ("operator", "attrgetter"), ("operator", "methodcaller"), ("runpy", "run_path"),
    ("importlib", "import_module"), ("pickle", "loads"), ("_pickle", "loads"), ("shutil", "rmtree"),
    ("code", "interact"), ("timeit", "timeit"), ("pty", "spawn"), ("types", "FunctionType"),
    ("types", "CodeType"), ("numpy", "load"), ("numpy", "fromfile"), ("numpy", "array"),
    ("numpy", "float64"), ("numpy", "ndarray"), ("numpy", "dtype"), ("numpy", "f2py.os.system"),
    ("numpy._core.multiarray", "_reconstruct"), ("numpy._core.multiarray", "scalar"),
    ("numpy.testing", "runstring"), ("numpy.testing._private.utils", "runstring"),
    ("numpy.random._pickle", "__randomstate_ctor"), ("pandas", "read_pickle"),
    ("pandas.io.pickle", "read_pickle"), ("river", "stream.Cache"), ("river.stream", "Cache"),
    ("river.stream.cache", "Cache"), ("river.stream.cache", "os.system"),
    ("river.stream.cache", "pickle.loads"), ("river.datasets.base", "RemoteDataset"),
    ("river.datasets.base", "FileDataset"), ("river.bandit.datasets.news", "News"),
    ("river.datasets", "Phishing"), ("river.checks", "os.system"), ("river.base.base", "copy.copy"),
    ("river.base", "Base"), ("river.utils.pandas", "importlib.util.find_spec"),
    ("river.linear_model", "LogisticRegression"),
    ("river.compose.func", "FuncTransformer.__init__"),
    ("river.evaluate.progressive_validation", "progressive_val_score"),
    ("river.utils.math", "math"),
    ("river.linear_model.log_reg", "LogisticRegression.__init__.__globals__"),
    ("river.linear_model.log_reg", "LogisticRegression.mro"), ("river.nowhere", "X"), ("river", ""),
    ("river.metrics.mutual_info", "expected_mutual_info"), ("riverside", "X"), ("", ""), ("", "x"),
    ("headrace.registry.rebuild", "_old_generator"), ("headrace.registry.rebuild", "np.load"),
    ("headrace.registry.artifacts", "Signer"), ("sys", "exit"), ("copyreg", "_reconstructor"),
    ("functools", "reduce"), ("functools", "partialmethod"), ("collections", "namedtuple"),
    ("random", "SystemRandom"), ("random", "os.system"), ("random", "_os.system"),
    ("collections", "_sys.exit"), ("datetime", "sys.exit"), ("re", "enum.sys.exit"),
    ("copy", "copyreg._reconstructor"), ("statistics", "sys.exit"), ("logging", "config.listen"),
]  # fmt: skip


@pytest.mark.parametrize(("module", "name"), NAMES)
def test_no_other_name_is_admitted(module: str, name: str, evidence: Path) -> None:
    command = f"touch {evidence}"
    with pytest.raises(ArtifactError):
        SIGNER.loads(signed(named(module, name, command)))


def test_gadgets_are_refused_by_name(evidence: Path) -> None:
    code = f"open({str(evidence)!r}, 'w')"
    for gadget in (
        Gadget(exec, code),
        Gadget(eval, code),
        Gadget(functools.partial(eval, code)),
        Gadget(functools.partial, exec, code),
        Gadget(collections.defaultdict, functools.partial(exec, code)),
        Gadget(getattr, linear_model.LogisticRegression(), "__init__"),
        Gadget(getattr, linear_model.LogisticRegression, "mro"),
        Gadget(getattr, [], "append"),
        Gadget(getattr, str, "format"),
        Gadget(getattr, random.Random(1), "seed"),
        Gadget(getattr, linear_model.LogisticRegression(), "no_such_method"),
    ):
        payload = pickle.dumps([gadget])
        with pytest.raises(ArtifactError, match="not admitted"):
            SIGNER.loads(signed(payload))


def test_an_attribute_of_an_object_never_stands_for_a_method() -> None:
    model = linear_model.LogisticRegression()
    model.__dict__["learn_one"] = functools.partial(int, "5")
    found = SIGNER.loads(signed(pickle.dumps(Gadget(getattr, model, "learn_one"))))
    assert found.__func__ is linear_model.LogisticRegression.learn_one


class Claims:
    """Claims to be memory, as an admitted object's attributes could."""

    __array_interface__ = {"data": (1, True), "shape": (8,), "typestr": "<u8", "version": 3}  # noqa: RUF012


@pytest.mark.parametrize(
    "call",
    [
        lambda: rebuild.plain_dtype("O"),
        lambda: rebuild.plain_dtype(np.dtype("f8")),  # type: ignore[arg-type]
        lambda: rebuild.array("O", (1,), "C", b"\x01" * 8),
        lambda: rebuild.array("f8,O", (1,), "C", b"\x01" * 16),
        lambda: rebuild.array("f8", (2,), "C", b"\x01" * 8),
        lambda: rebuild.array("f8", (1,), "K", b"\x01" * 8),
        lambda: rebuild.array("f8", (1,), "C", Claims()),  # type: ignore[arg-type]
        lambda: rebuild.scalar("O", b"\x01" * 8),
        lambda: rebuild.scalar("f8", Claims()),  # type: ignore[arg-type]
        lambda: rebuild.seed_sequence(Claims(), (), 4, 0),
        lambda: rebuild.bit_generator("MT19937", None, {"state": {"key": Claims()}}),
        lambda: rebuild.bit_generator("Other", np.random.SeedSequence(1), {}),
        lambda: rebuild.random_state(np.random.MT19937(1), {1: 2}),  # type: ignore[dict-item]
        lambda: rebuild.generator(Claims()),
        lambda: rebuild.random_state(Claims(), {}),
    ],
)
def test_numpys_values_are_checked(call: Callable[[], Any]) -> None:
    with pytest.raises((ValueError, TypeError, KeyError, AttributeError)):
        call()


def test_structured_arrays_are_refused_at_load_by_name() -> None:
    artifact = SIGNER.dumps(np.zeros(2, [("x", "f8")]))
    with pytest.raises(ArtifactError, match="numpy"):
        SIGNER.loads(artifact)


def test_a_panic_in_rust_is_an_error_like_others(monkeypatch: pytest.MonkeyPatch) -> None:
    class Panic(BaseException):
        """As pyo3 raises."""

    def panic(*_: Any) -> Any:
        raise Panic("index out of bounds")

    monkeypatch.setattr(Admission, "find", panic)
    with pytest.raises(ArtifactError, match="Panic: index out of bounds"):
        SIGNER.loads(SIGNER.dumps(int))


class Loaded(ArtifactError):
    """Something was unpickled."""


@pytest.fixture
def no_unpickling(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_: Any) -> Any:
        raise Loaded("unpickled")

    monkeypatch.setattr(artifacts, "_Unpickler", load)


ARTIFACT = SIGNER.dumps(taught("logistic", MODELS["logistic"](), stream("logistic", 20)))


@pytest.mark.usefixtures("no_unpickling")
def test_nothing_is_unpickled_before_its_signature_is_seen() -> None:
    with pytest.raises(Loaded):
        SIGNER.loads(ARTIFACT)
    for at in range(len(ARTIFACT)):
        altered = bytearray(ARTIFACT)
        altered[at] ^= 1 << (at % 8)
        for bad in (bytes(altered), ARTIFACT[:at]):
            with pytest.raises(ArtifactError) as found:
                SIGNER.loads(bad)
            assert not isinstance(found.value, Loaded)
    with pytest.raises(ArtifactError, match="another key"):
        Signer(b"another key of enough bytes").loads(ARTIFACT)
    with pytest.raises(ArtifactError, match="altered"):
        SIGNER.loads(ARTIFACT + b"x")
    with pytest.raises(ArtifactError, match=r"no model artifact.*b'\\x80\\x05"):
        SIGNER.loads(pickle.dumps({"model": "unsigned"}, 5) * 9)
    with pytest.raises(ArtifactError, match=r"format 2, this code reads 1.*newer"):
        SIGNER.loads(signed(pickle.dumps(1), head=b"HRMA\x02"))


@given(st.binary(max_size=200))
def test_random_bytes_are_refused(noise: bytes) -> None:
    for bad in (noise, b"HRMA\x01" + noise, ARTIFACT[:40] + noise):
        with pytest.raises(ArtifactError):
            SIGNER.loads(bad)


@given(st.binary(max_size=200))
def test_signed_noise_is_a_value_or_an_error_of_ours(noise: bytes) -> None:
    for payload in (noise, b"\x80\x05" + noise):
        with contextlib.suppress(ArtifactError):
            SIGNER.loads(signed(payload))


def test_a_signature_is_shown_without_being_trusted() -> None:
    assert signature_of(ARTIFACT) == ARTIFACT[5:37].hex()
    assert signature_of(ARTIFACT[:36]) == signature_of(b"") == ""
    assert io.BytesIO(ARTIFACT).read(4) == artifacts.MAGIC
