"""From an event to a record's fields, and back: by the names by which its class reads them.

What is written is what the class reads: each field stands at the first place at which validation
looks for it (``alias``, ``validation_alias``, the first of several choices, a path into objects and
lists), whatever a serialization alias says. Computed fields are not written.
"""

from __future__ import annotations

from collections.abc import Callable

from pydantic_core import PydanticSerializationError, to_json

from headrace.schemas.avro import avro_type, datetime_fields, field_types, to_avro
from headrace.schemas.codec import Codec
from headrace.schemas.names import Path, avro_names, name_faults, paths_of, placed
from headrace.streams.event import Event
from headrace.streams.validators import told

Encode = Callable[[Event], bytes]

UNWRITABLE = (
    PydanticSerializationError, ValueError, TypeError, LookupError, AttributeError, OverflowError
)  # fmt: skip
"""What an encoder raises of an event that cannot be written: a text that is no UTF-8, say."""


def first_paths(model: type[Event]) -> dict[str, Path]:
    """Return where each field of a class is written that does not stand under its own name."""
    return {name: at[0] for name, at in paths_of(model).items() if at[0] != (name,)}


def json_encoder(model: type[Event]) -> Encode:
    """Return what writes events of a class as JSON; it raises one of :data:`UNWRITABLE`."""
    return model.__pydantic_serializer__.to_json if _is_bare(model) else _by_paths(model)


def _is_bare(model: type[Event]) -> bool:
    """Whether pydantic's own JSON is what the class reads: no aliases, no nested models."""
    config, fields = model.model_config, model.model_fields
    aliased = any(field.serialization_alias is not None for field in fields.values())
    simple = all(avro_type(plain) is not None for plain, _ in field_types(model).values())
    computed = model.model_computed_fields or config.get("extra") == "allow"
    return simple and not (aliased or computed or first_paths(model))


def _by_paths(model: type[Event]) -> Encode:
    to_python = model.__pydantic_serializer__.to_python
    if model.__pydantic_decorators__.model_serializers:  # what it makes is the user's own
        return lambda event: to_json(to_python(event, mode="json", round_trip=True))
    collisions = [f"{name} {why}" for name, why in name_faults(model)]
    paths = paths_of(model)
    at = {
        field.serialization_alias or name: paths[name][0]
        for name, field in model.model_fields.items()
    }

    def encode(event: Event) -> bytes:
        if collisions:
            raise ValueError(collisions[0])
        fields = to_python(event, mode="json", by_alias=True, round_trip=True)
        return to_json(placed(fields, at))

    return encode


def avro_encoder(model: type[Event], codec: Codec) -> Encode:
    """Return what writes events of a class with the codec of its derived schema; likewise."""
    names = avro_names(model)
    if all(name == own for own, name in names.items()):
        return lambda event: codec.encode(to_avro(event))

    def encode(event: Event) -> bytes:
        return codec.encode({names[name]: value for name, value in to_avro(event).items()})

    return encode


def avro_places(model: type[Event]) -> tuple[list[str], dict[str, Path] | None]:
    """Return which fields of an Avro record are times, and where a class reads each field.

    The second is None if each field is read where Avro has it.
    """
    names, paths = avro_names(model), paths_of(model)
    times = [names[name] for name in datetime_fields(model)]
    at = {name: paths[own][0] for own, name in names.items()}
    return times, at if any(path != (name,) for name, path in at.items()) else None


def unwritable(event: Event, error: Exception) -> str:
    """Return which field of an event cannot be written, and why."""
    for name, value in event.__dict__.items():
        try:
            to_json(value)
        except UNWRITABLE as wrong:
            return f"{name} cannot be written: {value!r:.80} ({told(wrong)})."
    return (
        f"this {type(event).__name__} cannot be written: {told(error)}. What its class serializes"
        " must not raise."
    )
