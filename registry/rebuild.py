"""How numpy's values travel in an artifact: by constructors of ours that check what they are given.

numpy's own (``_reconstruct``, ``dtype.__setstate__``) believe a pickle: one that calls plain bytes
an array of objects makes numpy follow addresses of its choosing. So arrays, scalars and random
generators are written through the functions here, and numpy's are not admitted.
"""

from __future__ import annotations

import copyreg
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

_KINDS = "biufcSUmM"
"""Kinds of dtypes whose bytes are values: numbers, truth values, text, times; no objects."""

BIT_GENERATORS: dict[str, Callable[..., Any]] = {
    "MT19937": np.random.MT19937,
    "PCG64": np.random.PCG64,
    "PCG64DXSM": np.random.PCG64DXSM,
    "Philox": np.random.Philox,
    "SFC64": np.random.SFC64,
}


def plain_dtype(name: str) -> np.dtype[Any]:
    """Return a dtype of plain values, such as ``<f8``."""
    found = np.dtype(_text(name))
    if found.kind not in _KINDS:
        raise ValueError(f"dtype {name!r} is not one of plain values")
    return found


def array(name: str, shape: tuple[int, ...], order: str, data: bytes) -> np.ndarray[Any, Any]:
    """Return an array of plain values.

    Parameters
    ----------
    name
        The dtype's.
    order
        ``C`` or ``F``: how ``data`` runs, and how the array lies in memory.
    """
    dtype, data = plain_dtype(name), _bytes(data)
    if not data or dtype.itemsize == 0:
        return np.empty(shape, dtype) if 0 in shape else np.zeros(shape, dtype)
    return np.frombuffer(data, dtype).reshape(shape, order=_order(order)).copy(order=_order(order))


def objects(shape: tuple[int, ...], items: list[Any]) -> np.ndarray[Any, Any]:
    """Return an array of objects from its items in C order."""
    found = np.empty(len(items), object)
    for at, item in enumerate(items):
        found[at] = item
    return found.reshape(shape)


def scalar(name: str, data: bytes) -> Any:
    """Return a numpy number."""
    return np.frombuffer(_bytes(data), plain_dtype(name), count=1)[0]


def seed_sequence(
    entropy: Any, spawn_key: tuple[int, ...], pool_size: int, spawned: int
) -> np.random.SeedSequence:
    """Return the seed of a generator, as it was after ``spawned`` children."""
    return np.random.SeedSequence(
        _checked(entropy), spawn_key=spawn_key, pool_size=pool_size, n_children_spawned=spawned
    )


def bit_generator(name: str, seed: np.random.SeedSequence | None, state: dict[str, Any]) -> Any:
    """Return a bit generator in its state; without a seed it was seeded in the old way."""
    found = _old_generator() if seed is None else BIT_GENERATORS[name](seed)
    found.state = _checked(state)
    return found


def generator(bits: Any) -> np.random.Generator:
    """Return a random generator."""
    return np.random.Generator(bits)


def random_state(bits: Any, state: dict[str, Any]) -> np.random.RandomState:
    """Return a random generator of the old kind, in its state."""
    found = np.random.RandomState(bits)
    found.set_state(_checked(state))
    return found


def _old_generator() -> Any:
    """Return the one generator that has no seed sequence: RandomState's own."""
    return np.random.RandomState(0)._bit_generator  # noqa: SLF001 - as its own __reduce__ does


def _text(value: Any) -> str:
    if type(value) is not str:
        raise TypeError(f"{type(value).__name__} stands where text belongs")
    return value


def _bytes(value: Any) -> bytes:
    if type(value) is not bytes:
        raise TypeError(f"{type(value).__name__} stands where bytes belong")
    return value


def _checked(value: Any) -> Any:
    """Return a generator's state if it is plain data through and through."""
    if isinstance(value, dict):
        return {_text(name): _checked(held) for name, held in value.items()}
    if isinstance(value, list):
        return [_checked(each) for each in value]
    if type(value) in {int, float, str, type(None), np.ndarray}:
        return value
    raise TypeError(f"{type(value).__name__} stands in a random generator's state")


def _order(order: str) -> Any:
    if order not in {"C", "F"}:
        raise ValueError(f"order {order!r} is neither C nor F")
    return order


# -- the other way: what pickle calls for each of numpy's types


def _reduce_array(value: np.ndarray[Any, Any]) -> Any:
    if value.dtype.kind == "O":
        return objects, (value.shape, value.ravel().tolist())
    if value.dtype.kind not in _KINDS:
        return value.__reduce_ex__(4)  # refused at load, by name
    order: Literal["C", "F"] = (
        "F" if value.flags.f_contiguous and not value.flags.c_contiguous else "C"
    )
    return array, (value.dtype.str, value.shape, order, value.tobytes(order))


def _reduce_scalar(value: np.generic) -> Any:
    return scalar, (value.dtype.str, value.tobytes())


def _reduce_dtype(value: np.dtype[Any]) -> Any:
    return plain_dtype, (value.str,)


def _reduce_seed(value: np.random.SeedSequence) -> Any:
    spawned = value.n_children_spawned
    return seed_sequence, (value.entropy, value.spawn_key, value.pool_size, spawned)


def _reduce_bits(value: Any) -> Any:
    seed = value.seed_seq if isinstance(value.seed_seq, np.random.SeedSequence) else None
    return bit_generator, (type(value).__name__, seed, value.state)


def _reduce_generator(value: np.random.Generator) -> Any:
    return generator, (value.bit_generator,)


def _reduce_random_state(value: np.random.RandomState) -> Any:
    bits = value._bit_generator  # noqa: SLF001 - same
    return random_state, (bits, value.get_state(legacy=False))


def _scalars() -> set[type]:
    """Return the types of numpy's plain numbers, texts and times."""
    found: set[type] = set()
    waiting: list[type] = [np.generic]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        if kind.__module__ == "numpy" and not issubclass(kind, np.void | np.object_):
            found.add(kind)
    return found


def dispatch_table() -> dict[type, Callable[[Any], Any]]:
    """Return what pickle is to call for numpy's types, beside what is registered for others."""
    table: dict[type, Callable[[Any], Any]] = dict(copyreg.dispatch_table)
    table |= dict.fromkeys(_scalars(), _reduce_scalar)
    table |= {type(np.dtype(kind)): _reduce_dtype for kind in (*"?bhilqBHILQefdgFDGSUmM",)}
    table |= dict.fromkeys(
        (kind for kind in BIT_GENERATORS.values() if isinstance(kind, type)), _reduce_bits
    )
    table |= {
        type(_old_generator()): _reduce_bits,
        np.ndarray: _reduce_array,
        np.random.SeedSequence: _reduce_seed,
        np.random.Generator: _reduce_generator,
        np.random.RandomState: _reduce_random_state,
    }
    return table
