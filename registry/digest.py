"""One digest for one model state: what it depends on is the state's meaning, never its history.

Pickles of equal River models differ (memo order, interned strings, order inside sets), so states
are compared by SHA-256 over a canonical walk. It sees:

- types by qualified name; functions by qualified name, code, defaults and closure;
- numbers by their bits (-0.0 and 0.0 differ, and so do 1, 1.0 and True), text, bytes, None;
- the order of lists, deques, dicts and attributes; sets by their sorted elements' digests;
- numpy arrays by dtype, shape, memory order and bytes; random generators by their states;
- all other objects as pickle sees them: ``__reduce_ex__``, ``__getstate__``, ``__slots__``.

One thing it does not see: the unseeded generator of River's distributions (:func:`_attributes`).

**Sharing matters** for whatever can change: two attributes that are one list differ from two equal
lists, because learning will make them differ. A second visit is written as the number of the first,
which also ends cycles. Values that cannot change (numbers, text, tuples, frozen sets, bound
methods) are written out each time: whether two equal ones are one object is an accident of the
interpreter, and pickle does not keep it. Of an object first met *inside* a set, sharing with what
lies outside the set is not seen, since a set has no first element.

The walk is a loop with a stack of its own, so a deep tree does not overflow; only sets within sets
recurse.
"""

from __future__ import annotations

import copyreg
import hashlib
import random
import struct
from array import array
from collections.abc import Callable, Iterable
from functools import lru_cache
from types import (
    BuiltinFunctionType,
    CodeType,
    FunctionType,
    MethodType,
    ModuleType,
)
from typing import Any
from weakref import WeakSet

import numpy as np

from headrace.schemas.errors import ArtifactError

_Parts = tuple[bytes, Iterable[Any]]
"""What is written of a value at once, and the values whose turn comes next."""


def canonical_digest(obj: Any) -> str:
    """Return the SHA-256 of a state's canonical walk, in hexadecimal.

    Raises
    ------
    ArtifactError
        Something in it has no state that could be saved (a generator, a lock, an open file).

    Examples
    --------
    >>> canonical_digest({"a": 1.0}) == canonical_digest({"a": 1.0})
    True
    >>> canonical_digest(0.0) == canonical_digest(-0.0)
    False
    """
    try:
        return _Walk(None).digest(obj).hex()
    except RecursionError as error:
        raise ArtifactError(
            "A state holds sets within sets, too deep to be compared. Keep them in lists."
        ) from error


class _Walk:
    """One walk; an element of a set has a walk of its own, which knows what lies around it."""

    def __init__(self, outer: _Walk | None) -> None:
        self._outer = outer
        self._numbers: dict[int, int] = {}
        self._first = 0 if outer is None else outer.count
        # What a walk makes itself (a reduced state) must outlive it, or its id is given away.
        self._kept: list[Any] = []

    @property
    def count(self) -> int:
        return self._first + len(self._numbers)

    def digest(self, root: Any) -> bytes:
        hashed = hashlib.sha256()
        write = hashed.update
        stack = [root]
        while stack:
            value = stack.pop()
            leaf = _LEAVES.get(type(value))
            if leaf is not None:
                write(leaf(value))
                continue
            head, children = self._parts(value)
            write(head)
            stack.extend(reversed(list(children)))
        return hashed.digest()

    def _parts(self, value: Any) -> _Parts:
        kind = type(value)
        if kind is tuple:
            return _head(b"t", len(value)), value
        if isinstance(value, frozenset):
            return self._set(value)
        by_value = _by_value(value)
        if by_value is not None:
            return by_value
        number = self._number_of(value)
        if number is not None:
            return _head(b"r", number), ()
        self._numbers[id(value)] = self.count
        self._kept.append(value)
        if isinstance(value, set):
            return self._set(value)
        return _parts_of(value, kind)

    def _number_of(self, value: Any) -> int | None:
        walk: _Walk | None = self
        while walk is not None:
            number = walk._numbers.get(id(value))  # noqa: SLF001 - a walk around this one
            if number is not None:
                return number
            walk = walk._outer  # noqa: SLF001 - same
        return None

    def _set(self, value: Iterable[Any]) -> _Parts:
        """Write a set by its elements' digests in order; attributes of subclasses follow."""
        digests = sorted(_Walk(self).digest(element) for element in value)
        kind = type(value)
        head = _head(b"s", len(digests)) + _class(kind) + b"".join(digests)
        return head, () if kind in {set, frozenset} else (getattr(value, "__dict__", None),)


# -- values that are written at once


def _head(tag: bytes, number: int) -> bytes:
    return tag + struct.pack("<q", number)


def _sized(tag: bytes, content: bytes) -> bytes:
    return _head(tag, len(content)) + content


def _text(value: str) -> bytes:
    return _sized(b"u", value.encode("utf-8", "surrogatepass"))


def _integer(value: int) -> bytes:
    return _sized(b"i", value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True))


@lru_cache(maxsize=4_096)
def _class(value: type) -> bytes:
    return _sized(b"c", f"{value.__module__}:{value.__qualname__}".encode())


_LEAVES: dict[type, Callable[[Any], bytes]] = {
    type(None): lambda _: b"N",
    bool: lambda value: b"T" if value else b"F",
    int: _integer,
    float: lambda value: b"d" + struct.pack("<d", value),
    complex: lambda value: b"j" + struct.pack("<dd", value.real, value.imag),
    str: _text,
    bytes: lambda value: _sized(b"b", value),
    type: _class,
    type(...): lambda _: b"E",
}


def _by_value(value: Any) -> _Parts | None:
    """Return the parts of what cannot change and is no plain leaf, None for all else."""
    if isinstance(value, type):  # of a metaclass of its own
        return _class(value), ()
    if isinstance(value, MethodType):
        return b"m", (value.__self__, value.__func__.__name__)
    if isinstance(value, BuiltinFunctionType):
        owner = None if isinstance(value.__self__, ModuleType) else value.__self__
        return b"f", (value.__module__, value.__qualname__, owner)
    if isinstance(value, np.dtype):
        return _sized(b"y", repr(value).encode()), ()
    if isinstance(value, np.generic) and not value.dtype.hasobject:
        return _sized(b"n", repr(value.dtype).encode()) + _sized(b"b", value.tobytes()), ()
    return (_sized(b"k", _code(value)), ()) if isinstance(value, CodeType) else None


@lru_cache(maxsize=4_096)
def _code(code: CodeType) -> bytes:
    """Return the digest of what a function does; where its source lies is no part of it."""
    does = (code.co_code, code.co_consts, code.co_names, code.co_varnames, code.co_freevars)
    return _Walk(None).digest((*does, code.co_argcount, code.co_kwonlyargcount, code.co_flags))


# -- values that may change, known again at their second visit


def _parts_of(value: Any, kind: type) -> _Parts:
    for known, parts in _KNOWN.items():
        if kind is known:
            return parts(value)
    if isinstance(value, np.random.BitGenerator):
        return _bit_generator(value)
    return _reduced(value, kind)


def _dict(value: dict[Any, Any]) -> _Parts:
    return _head(b"D", len(value)), (each for item in value.items() for each in item)


def _function(value: FunctionType) -> _Parts:
    cells = [cell.cell_contents for cell in value.__closure__ or ()]
    name = (value.__module__, value.__qualname__)
    if value.__module__ == "copyreg":  # pickle's own, in every reduced object
        return b"g", name
    return b"g", (*name, value.__code__, value.__defaults__, value.__kwdefaults__, *cells)


def _array(value: np.ndarray[Any, Any]) -> _Parts:
    # Sums depend on the order in memory: numpy adds up along it.
    fortran = value.flags.f_contiguous and not value.flags.c_contiguous
    head = b"A" + (b"F" if fortran else b"C") + _sized(b"y", repr(value.dtype).encode())
    head += b"".join(_head(b"x", length) for length in (value.ndim, *value.shape))
    if value.dtype.hasobject:
        return head, value.ravel().tolist()
    return head + _sized(b"b", value.tobytes()), ()


def _random(value: random.Random) -> _Parts:
    version, words, gauss = value.getstate()
    return b"R" + struct.pack(f"<{len(words)}Q", *words), (version, gauss)


def _bit_generator(value: Any) -> _Parts:
    seed = value.seed_seq
    # Of the seed nothing matters but what later children of it would be made from.
    seeded = isinstance(seed, np.random.SeedSequence)
    spawns = (seed.entropy, seed.spawn_key, seed.n_children_spawned) if seeded else None
    return b"B" + _class(value.__class__), (value.state, spawns)


_KNOWN: dict[type, Callable[[Any], _Parts]] = {
    dict: _dict,
    list: lambda value: (_head(b"L", len(value)), value),
    FunctionType: _function,
    np.ndarray: _array,
    random.Random: _random,
    np.random.Generator: lambda value: (b"G", (value.bit_generator,)),
    np.random.RandomState: lambda value: (b"M", (value.get_state(legacy=False),)),
    bytearray: lambda value: (_sized(b"a", bytes(value)), ()),
    array: lambda value: (_text(value.typecode) + _sized(b"a", value.tobytes()), ()),
}


def _reduced(value: Any, kind: type) -> _Parts:
    """Return an object's parts as pickle sees them."""
    if kind in _PLAIN:
        return _plain(value, kind)
    reduce = copyreg.dispatch_table.get(kind)
    try:
        found = value.__reduce_ex__(4) if reduce is None else reduce(value)
        if isinstance(found, str):
            return b"l", (getattr(value, "__module__", None), found)
        make, args, state, items, pairs = (*found, None, None, None)[:5]
        listed = [*(items or ())]
        listed += [each for pair in pairs or () for each in pair]
    except Exception as error:
        raise ArtifactError(
            f"A state holds a {kind.__module__}.{kind.__qualname__}, which cannot be saved or"
            f" compared ({type(error).__name__}: {error}). Keep such things out of the model."
        ) from error
    if _is_plain(kind):  # and pickle has found nothing in C that it would not save
        _PLAIN.add(kind)
        return _plain(value, kind)
    return _head(b"o", len(listed)) + _class(kind), (make, args, state, *listed)


_PLAIN: WeakSet[type] = WeakSet()
"""Types met whose objects are their attributes and nothing else."""


def _plain(value: Any, kind: type) -> _Parts:
    attributes = _attributes(value, kind)
    return _head(b"O", len(attributes)) + _class(kind), _dict(attributes)[1]


def _attributes(value: Any, kind: type) -> dict[str, Any]:
    """Return what an object consists of.

    River's distributions each hold a random generator for ``sample()``, which neither learning nor
    predicting asks; Naive Bayes and every Hoeffding tree make theirs without a seed. Where a model
    does sample without a seed, its other state differs at once, and so does the digest.
    """
    attributes: dict[str, Any] = vars(value)
    if kind.__module__.startswith("river.proba.") and attributes.get("seed", 0) is None:
        return {name: held for name, held in attributes.items() if name != "_rng"}
    return attributes


def _is_plain(kind: type) -> bool:
    """Whether an object is its attributes, by the defaults of pickle alone: the quick way."""
    own = ("__reduce_ex__", "__reduce__", "__getstate__")
    return (
        all(getattr(kind, name, None) is getattr(object, name, None) for name in own)
        and not any(hasattr(kind, name) for name in ("__getnewargs__", "__getnewargs_ex__"))
        and kind not in copyreg.dispatch_table
        and kind.__dictoffset__ != 0
        and not any(vars(each).get("__slots__") for each in kind.__mro__[:-1])
        and not issubclass(kind, list | dict | int | str | float | bytes | tuple | complex)
    )
