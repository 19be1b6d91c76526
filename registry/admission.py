"""Which names an artifact may hold. Whatever an admitted callable does, an artifact can make it do.

Admitted are

- classes that River defines, each under the module that defines it, so that nothing comes in by a
  name that River merely imports; but nothing of River that reads files, the network or other
  people's pickles (:data:`_DENIED`);
- River's few functions that its models keep, each by name;
- containers, numbers, dates and generators of the standard library, each by name;
- numpy's values by constructors of ours (:mod:`headrace.registry.rebuild`), none of numpy's names:
  ``numpy.array`` and ``numpy.float64`` of an object that claims ``__array_interface__`` read any
  address;
- what the operator lists: ``module`` for the classes that a module defines, ``module:Name`` for one
  class or function.

``getattr`` and ``iter`` in an artifact become narrow functions of ours: a method of a River object,
found on its class, and an iterator over a container.
"""

from __future__ import annotations

import importlib
import inspect
import random
import re
from collections.abc import Callable, Iterator, Sequence
from types import FunctionType, MethodType
from typing import Any

from headrace.registry import rebuild
from headrace.schemas.errors import ArtifactError, SettingsError

_DENIED = frozenset(
    {
        "checks",
        "conftest",
        "datasets",  # downloads and reads files
        "envs",
        "evaluate",
        "stream",  # reads files; its cache unpickles them
    }
)
"""Parts of River that no model's state needs."""

_FUNCTIONS = {
    "river._river_rust.vectordict": ("euclidean_distance_dict", "euclidean_distance_tuple"),
    "river.feature_extraction.vectorize": (
        "find_all_ngrams",
        "find_ngrams",
        "remove_stop_words",
        "strip_accents_unicode",
        "tokenize_using_regex_pattern",
    ),
    "river.forest.online_extra_trees": (
        "ExtraTrees._detection_mode_all",
        "ExtraTrees._detection_mode_drop",
        "ExtraTrees._detection_mode_off",
    ),
    "river.metrics.mutual_info": ("_average_arithmetic", "_average_geometric"),
    "river.naive_bayes.gaussian": ("GaussianNB._make_gaussian",),
    "river.tree.splitter.ebst_splitter": (
        "EBSTNode._update_estimator_multivariate",
        "EBSTNode._update_estimator_univariate",
    ),
    "river.tree.splitter.nominal_splitter_reg": (
        "NominalSplitterReg._update_estimator_multivariate",
        "NominalSplitterReg._update_estimator_univariate",
    ),
    "river.utils.math": ("clamp", "minkowski_distance", "sigmoid", "softmax"),
}

_STANDARD = {
    "array": ("_array_reconstructor", "array"),
    "builtins": (
        "bool", "bytearray", "bytes", "complex", "dict", "float", "frozenset", "int", "list",
        "object", "range", "set", "slice", "str", "tuple",
    ),
    "collections": ("Counter", "OrderedDict", "defaultdict", "deque"),
    "copy": ("deepcopy",),
    "datetime": ("date", "datetime", "time", "timedelta", "timezone"),
    "decimal": ("Decimal",),
    "fractions": ("Fraction",),
    "functools": ("partial",),  # calls what is admitted, nothing else
    "math": ("exp", "log", "log1p", "log2", "sqrt"),
    "random": ("Random",),
    "re": ("_compile",),
    "statistics": ("NormalDist",),
    rebuild.__name__: (
        "array", "bit_generator", "generator", "objects", "plain_dtype", "random_state", "scalar",
        "seed_sequence",
    ),
}  # fmt: skip

_STR_METHODS = frozenset({"casefold", "lower", "strip", "upper"})
_RANDOM_METHODS = frozenset(
    {"betavariate", "choice", "expovariate", "gauss", "normalvariate", "randint", "random"}
    | {"randrange", "sample", "shuffle", "uniform"}
)
_ENTRY = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*(:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*)?")


class Admission:
    """Tells whether a name may stand in an artifact, and what it stands for.

    Parameters
    ----------
    allow
        ``module`` or ``module:Name``, as the operator listed them.

    Raises
    ------
    SettingsError
        An entry is neither.
    """

    def __init__(self, allow: Sequence[str]) -> None:
        for entry in allow:
            if not _ENTRY.fullmatch(entry):
                raise SettingsError(
                    f"HEADRACE_ALLOW names {entry!r}: write a module, or module:Class."
                )
        self._modules = frozenset(entry for entry in allow if ":" not in entry)
        self._names = frozenset(tuple(entry.split(":")) for entry in allow if ":" in entry)
        self._found: dict[tuple[str, str], Any] = {
            ("builtins", "getattr"): self._method,
            ("builtins", "iter"): _iterator,
        }

    def find(self, module: str, name: str) -> Any:
        """Return what a name in an artifact stands for.

        Raises
        ------
        ArtifactError
            It is not admitted, or is not there.
        """
        key = (module, name)
        found = self._found.get(key)
        if found is None:
            found = self._found[key] = self._admitted(module, name)
        return found

    def _admitted(self, module: str, name: str) -> Any:
        known = {**_STANDARD, **_FUNCTIONS}.get(module, ())
        if name in known or (module, name) in self._names:
            return _resolved(module, name)
        if _is_models(module) or module in self._modules:
            found = _resolved(module, name)
            if _defines(found, module, name):
                return found
        raise _refusal(f"{module}.{name}")

    def _method(self, owner: Any, name: str) -> Callable[..., Any]:
        """Return a method as pickle writes one: ``getattr(owner, name)``, on the class alone."""
        if owner is str and name in _STR_METHODS:
            return getattr(str, name)  # type: ignore[no-any-return]
        kind = type(owner)
        if kind is random.Random and name in _RANDOM_METHODS:
            return getattr(owner, name)  # type: ignore[no-any-return]
        if not name.startswith("__"):
            for each in kind.__mro__:
                found = vars(each).get(name)
                if isinstance(found, FunctionType) and self._is_own(each):
                    return MethodType(found, owner)
        raise _refusal(f"{kind.__module__}.{kind.__qualname__}'s attribute {name}")

    def _is_own(self, kind: type) -> bool:
        module = kind.__module__
        listed = module in self._modules or (module, kind.__qualname__) in self._names
        return _is_models(module) or listed


def _is_models(module: str) -> bool:
    room, *parts = module.split(".")
    return room == "river" and not any(
        part in _DENIED or part.startswith(("test", "iter_")) for part in parts
    )


def _resolved(module: str, name: str) -> Any:
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = vars(found)[part]
    except (ImportError, KeyError, TypeError, ValueError) as error:
        raise ArtifactError(
            f"The artifact holds a {module}.{name}, which is not there. Install what made it, or"
            " rebuild the model with `headrace rebuild`."
        ) from error
    return found.__func__ if isinstance(found, staticmethod) else found


def _defines(found: Any, module: str, name: str) -> bool:
    """Whether a class is defined where, and under the name by which, it was asked for."""
    return inspect.isclass(found) and (found.__module__, found.__qualname__) == (module, name)


def _refusal(what: str) -> ArtifactError:
    return ArtifactError(
        f"The artifact holds {what}, which is not admitted. If it belongs to a model of your own,"
        " list its module, or module:Class, in HEADRACE_ALLOW."
    )


def _iterator(items: Any) -> Iterator[Any]:
    """Return an iterator over a container; ``iter`` itself also makes one that calls."""
    return iter(items)
