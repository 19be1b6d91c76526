"""A user's own validating code: whatever it raises refuses one record, and names itself.

Pydantic takes a ``ValueError`` or an ``AssertionError`` of a validator for "this is no such event".
Anything else, such as the ``KeyError`` of a table of units, would come out of whoever reads a
record, as if the reader were at fault. The compiled schema is the one place through which all doors
go (JSON, Avro, files, Python), so that is where such code is called with care.
"""

from __future__ import annotations

from typing import Any

from pydantic_core import PydanticCustomError, PydanticOmit, PydanticUseDefault

FAILED = "own_code_failed"
"""Type of the error in pydantic's ``ValidationError``."""

_FUNCTIONS = frozenset({"function-before", "function-after", "function-wrap", "function-plain"})
_OPAQUE = frozenset({"metadata", "default", "expected", "serialization", "cls", "config"})
_MEANT = (ValueError, AssertionError, PydanticOmit, PydanticUseDefault)
"""What pydantic itself understands."""

_SAID = "The {what} {name} raised {error}"
_CHARS_MAX = 200

POST_INIT = "_post_init_guarded"
"""Name of the method of an event's class that calls :func:`post_init`."""


def guard(schema: Any, field: str | None = None) -> None:
    """Have all of a user's functions in a core schema raise what pydantic understands, in place.

    Those are validators of fields and of the whole model in all their modes, default factories and
    discriminators. A model's ``model_post_init`` is called by :data:`POST_INIT`.

    Parameters
    ----------
    field
        The field that the schema is of, if it is one's.
    """
    if isinstance(schema, list):
        for child in schema:
            guard(child, field)
    if not isinstance(schema, dict):
        return
    kind = schema.get("type")
    if kind in _FUNCTIONS:
        called = schema["function"]
        schema["function"] = {**called, "function": _guarded("validator", called["function"])}
    elif "default_factory" in schema:
        factory = schema["default_factory"]
        schema["default_factory"] = _guarded("default factory", factory, field=field)
    elif kind == "tagged-union" and callable(schema["discriminator"]):
        chooser = schema["discriminator"]
        schema["discriminator"] = _guarded("discriminator", chooser, field=field)
    elif kind == "model" and "post_init" in schema:
        schema["post_init"] = POST_INIT
    _guard_children(schema, kind, field)


def _guard_children(schema: dict[str, Any], kind: Any, field: str | None) -> None:
    if kind == "model-fields":
        for name, child in schema["fields"].items():
            guard(child, name)
        return
    for key, child in schema.items():
        if key not in _OPAQUE:
            guard(child, field)


def post_init(event: Any, context: Any) -> None:
    """Call an event's own ``model_post_init``."""
    _guarded("method", type(event).model_post_init)(event, context)


def _guarded(what: str, function: Any, **place: Any) -> Any:
    """Return a function that raises nothing but what pydantic understands."""
    if getattr(function, "__module__", None) == __name__:
        return function  # guarded already: a class within a class

    def guarded(*arguments: Any) -> Any:
        try:
            return function(*arguments)
        except (*meant, MemoryError):
            raise
        except Exception as error:
            context = {"what": what, "name": name, "error": told(error), **place}
            raise PydanticCustomError(FAILED, _SAID, context) from error

    # What a factory or discriminator raises, pydantic passes on as it is: all is translated.
    meant = (PydanticOmit, PydanticUseDefault) if place else _MEANT
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    return guarded


def told(error: Exception) -> str:
    """Return an exception as its class and text, within bounds, on one line.

    Examples
    --------
    >>> told(KeyError("mi"))
    "KeyError: 'mi'"
    """
    text = " ".join(str(error).split())[:_CHARS_MAX]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
