"""Events that are made up are valid, whatever their class asks for."""

from datetime import UTC, datetime
from random import Random
from typing import Annotated, Literal

import pytest
from pydantic import Field, field_validator

from headrace.schemas.errors import InputError
from headrace.streams.event import Event
from headrace.streams.simulation.madeup import MadeUp

NOW = datetime(2024, 5, 1, tzinfo=UTC)


class Everything(Event):
    id: Annotated[int, Field(ge=100)]
    name: Annotated[str, Field(min_length=6, max_length=8)]
    kind: Literal["a", "b"]
    seen: datetime | None
    good: bool
    raw: bytes
    free: float
    whole: int
    above: Annotated[float, Field(gt=0)]
    below: Annotated[int, Field(lt=-5)]
    between: Annotated[float, Field(gt=1, lt=1.5)]
    step: Annotated[int, Field(ge=10, le=100, multiple_of=30)]
    maybe: Annotated[float, Field(ge=7, le=8)] | None
    given: str = Field(examples=["x", "y"])


def test_all_kinds_of_fields_are_filled_with_several_values() -> None:
    made_up = MadeUp(Everything, Random(1))
    made = [made_up.make(NOW, {"id": made_up.name("id", n)}) for n in range(100)]
    values = {name: {getattr(each, name) for each in made} for name in Everything.model_fields}
    assert len(values.pop("id")) == 100
    assert all(len(found) > 1 for found in values.values()), values
    assert values["given"] == {"x", "y"}
    assert values["step"] == {30, 60, 90}
    assert None in values["maybe"]


def test_names_are_equal_for_equal_numbers_alone() -> None:
    made_up = MadeUp(Everything, Random(1))
    for field, count in (("id", 50), ("name", 50), ("free", 50), ("kind", 2)):
        assert len({made_up.name(field, n) for n in [*range(50), *range(50)]}) == count


def test_a_class_that_takes_nothing_is_refused_by_name() -> None:
    class Picky(Event):
        id: str

        @field_validator("id")
        @classmethod
        def never(cls, value: str) -> str:
            raise ValueError("not this one")

    with pytest.raises(InputError, match=r"Picky: .*id: Value error, not this one.*examples"):
        MadeUp(Picky, Random(1)).make(NOW, {})
