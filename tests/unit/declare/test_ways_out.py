"""Types that a pipeline cannot take as they are: each message says what to do, and it works."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from pydantic import AliasPath, BaseModel, BeforeValidator, ConfigDict, Field
from river import linear_model, multiclass, tree

from headrace.schemas.errors import DeclarationError
from headrace.streams.canonical import canonical_text
from headrace.streams.decoding import Rejected, decoder_of
from headrace.streams.event import Event
from headrace.streams.pipeline import (
    InEvent,
    Labels,
    Pipeline,
    Source,
    apply,
    category,
    hour,
    last,
    mean,
    value,
)
from headrace.streams.plan import Plan, plan_of
from headrace.streams.replay import replay
from headrace.streams.roundtrip import round_trips
from headrace.streams.synthetic import synthetic_examples
from headrace.streams.ways_out import way_out


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Total(BaseModel):
    amount: float


NOON = "2024-05-01T12:00:00Z"


def event_of(annotation: Any, field: Any = ...) -> type[Event]:
    """Return a class with a field ``x`` of a type."""
    names = {"id": str, "at": datetime, "x": annotation, "good": bool}
    body = {"__annotations__": names, "__module__": __name__, "x": field, "good": True}
    if field is ...:
        del body["x"]
    return type("Order", (Event,), body)


def pipeline(model: type[Event], features: Sequence[Any] = (), form: Any = "json") -> Pipeline:
    return Pipeline(
        name="orders",
        events=Source(model, id="id", key="id", time="at", format=form),
        labels=InEvent("good"),
        features=list(features) or [hour("at")],
        model=linear_model.LogisticRegression(),
    )


def read(model: type[Event], x: Any) -> Any:
    found = decoder_of(model, "json")(json.dumps({"id": "o", "at": NOON, "x": x}).encode())
    assert not isinstance(found, Rejected), found
    return found.__dict__["x"]


def half(text: Any) -> Any:
    """A before-validator: makes a number of what comes in, and leaves numbers alone."""
    return len(text) / 2 if isinstance(text, str | list | dict) else text


def at_midnight(day: Any) -> Any:
    return f"{day}T00:00:00Z" if isinstance(day, str) and len(day) == 10 else day


def seconds(text: Any) -> Any:
    if not isinstance(text, str):
        return text
    return timedelta(hours=int(text[:2]), minutes=int(text[3:5])).total_seconds()


OTHERS: list[tuple[Any, Any, str, tuple[Any, Any, Any]]] = [
    (Decimal, "12.50", "Declare it as float; Field(strict=False) reads numbers in text, too.",
     (float, Field(strict=False), 12.5)),
    (UUID, str(UUID(int=7)), "Declare it as str.", (str, ..., str(UUID(int=7)))),
    (Colour, "red", "Declare it as Literal['red', 'blue'].",
     (Literal["red", "blue"], ..., "red")),
    (Level, 2, "Declare it as Literal[1, 2].", (Literal[1, 2], ..., 2)),
    (date, "2024-05-01",
     'Declare it as str, or as datetime with a validator with mode="before" that adds the hour and'
     " the offset.",
     (Annotated[datetime, BeforeValidator(at_midnight)], ..., datetime(2024, 5, 1, tzinfo=UTC))),
    (time, "12:30", 'Declare it as float, and make seconds of it by a validator with',
     (Annotated[float, BeforeValidator(seconds)], ..., 45_000.0)),
    (timedelta, "PT1H", 'Declare it as float, and make seconds of it by a validator',
     (Annotated[float, BeforeValidator(lambda x: 3600.0 if x == "PT1H" else x)], ..., 3600.0)),
    (list[float], [1.0, 2.0],
     'Declare the item that matters, as Field(validation_alias=AliasPath("name", 0))',
     (float, Field(validation_alias=AliasPath("x", 0)), 1.0)),
    (list[float], [1.0, 2.0], 'or a number made of all of them by a validator with mode="before".',
     (Annotated[float, BeforeValidator(half)], ..., 1.0)),
    (tuple[float, ...], [1.0, 2.0], "Declare the item that matters",
     (float, Field(validation_alias=AliasPath("x", 1)), 2.0)),
    (dict[str, float], {"key": 3.0},
     'Declare the values that matter, as Field(validation_alias=AliasPath("name", "key")).',
     (float, Field(validation_alias=AliasPath("x", "key")), 3.0)),
    (Total, {"amount": 5.0},
     'Declare the fields that matter, as Field(validation_alias=AliasPath("field", "amount")).',
     (float, Field(validation_alias=AliasPath("x", "amount")), 5.0)),
    (int | str, "ab",
     "Declare it as str, float, int, bool, bytes, datetime or a Literal of texts, and make it of"
     ' what comes in by a validator with mode="before".',
     (Annotated[float, BeforeValidator(half)], ..., 1.0)),
]  # fmt: skip
IDS = [str(number) for number in range(len(OTHERS))]


def faults(declared: Pipeline) -> str:
    with pytest.raises(DeclarationError) as error:
        plan_of(declared)
    return str(error.value)


@pytest.mark.parametrize(("annotation", "given", "way", "advice"), OTHERS, ids=IDS)
def test_each_type_passes_in_json_and_has_a_way_out_elsewhere(
    annotation: Any, given: Any, way: str, advice: tuple[Any, Any, Any]
) -> None:
    model = event_of(annotation)
    plan = plan_of(pipeline(model))
    read(model, given)
    assert [trial.fault for trial in round_trips(plan.pipeline).values()] == [None]
    for feature in (value("x"), mean("x", over="1h"), last("x"), category("x")):
        said = faults(pipeline(model, [feature]))
        assert way in said
        assert "Avro" not in said
    in_avro = faults(pipeline(model, form="avro"))
    assert "has no Avro type" in in_avro
    assert way in in_avro


@pytest.mark.parametrize(("annotation", "given", "way", "advice"), OTHERS, ids=IDS)
@pytest.mark.parametrize("form", ["json", "avro"])
def test_the_way_out_works(
    form: str, annotation: Any, given: Any, way: str, advice: tuple[Any, Any, Any]
) -> None:
    declared, field, meant = advice
    model = event_of(declared, field)
    kind = getattr(declared, "__origin__", declared)
    features = [category("x")] if kind is str or "red" in str(declared) else [value("x")]
    plan = plan_of(pipeline(model, [hour("x")] if kind is datetime else features, form))
    assert read(model, given) == meant
    trials = round_trips(plan.pipeline).values()
    assert [(trial.fault, trial.untried) for trial in trials] == [(None, None)]


def size(items: list[float]) -> float:
    return len(items)


def test_a_function_may_read_any_type() -> None:
    declared = pipeline(event_of(list[float]), [apply(size, "x")])
    rows = [{"id": "o", "at": NOON, "x": [1, 2, 3]}]
    assert replay(declared, rows).predictions[0]["features"] == {"size": 3.0}


def test_numbers_of_two_types_are_numbers() -> None:
    model = event_of(int | float)
    assert (read(model, 3), type(read(model, 3))) == (3.0, float)
    for form in ("json", "avro"):
        plan = plan_of(pipeline(model, [value("x"), mean("x", over="1h")], form))
        assert dict(plan.feature_fields)["x"] == "number"
        assert [trial.fault for trial in round_trips(plan.pipeline).values()] == [None]


def test_an_id_may_be_a_uuid() -> None:
    class Paid(Event):
        id: UUID
        at: datetime
        x: float = 0
        good: bool = True

    name = "0b9e9a4e-5f0a-4c8e-9d5b-0d2a4b7f8c11"
    result = replay(pipeline(Paid, [value("x")]), [{"id": name.upper(), "at": NOON}])
    assert (result.predictions[0]["event_id"], result.predictions[0]["key"]) == (name, name)


def test_a_nested_class_is_a_part_of_the_version_and_its_words_are_not() -> None:
    def text(doc: str, kind: Any) -> str:
        nested = type("Nested", (BaseModel,), {
            "__annotations__": {"n": kind}, "__doc__": doc, "__module__": "m"})  # fmt: skip
        return canonical_text(pipeline(event_of(list[nested])))  # type: ignore[valid-type]

    assert text("One.", float) == text("Another.", float)
    assert text("One.", float) != text("One.", str)


def test_what_json_cannot_carry_is_said() -> None:
    class Thing:
        pass

    class Odd(Event):
        model_config = ConfigDict(arbitrary_types_allowed=True)
        id: str
        at: datetime
        good: bool
        x: Thing

    said = faults(pipeline(Odd))
    assert "Odd has a field that JSON cannot carry" in said
    assert way_out(None) in said


# -- classes as integers, flags as 0 and 1


class Solved(Event):
    id: str
    at: datetime
    team: int
    one_of: Literal[3, 5]
    flag: Literal[0, 1]
    loose: Annotated[bool, Field(strict=False)]
    strict: bool = True


def labelled(field: str, model: Any) -> Pipeline:
    return replace(
        pipeline(event_of(float), [value("x")]),
        labels=Labels(Solved, id="id", value=field, time="at", wait="1h"),
        model=model,
    )


LABEL = {"id": "o", "at": NOON, "team": 7, "one_of": 5, "flag": 1, "loose": 0}
TREE = tree.HoeffdingTreeClassifier()
LOGISTIC = linear_model.LogisticRegression()


@pytest.mark.parametrize(
    ("field", "model", "task", "label"),
    [
        ("team", TREE, "multiclass", "7"),
        ("team", multiclass.OneVsRestClassifier(LOGISTIC), "multiclass", "7"),
        ("one_of", TREE, "multiclass", "5"),
        ("flag", LOGISTIC, "binary", True),
        ("loose", LOGISTIC, "binary", False),
        ("flag", linear_model.LinearRegression(), "regression", 1.0),
        ("team", linear_model.LinearRegression(), "regression", 7.0),
    ],
)
def test_labels_may_be_integers(field: str, model: Any, task: str, label: Any) -> None:
    declared = labelled(field, model)
    result = replay(declared, [{"id": "o", "at": NOON, "x": 1.5}], [LABEL])
    assert plan_of(declared).task == task
    assert [example["label"] for example in result.examples] == [label]
    assert type(result.examples[0]["label"]) is type(label)


def names(plan: Plan) -> set[Any]:
    return {label for _, label in synthetic_examples(plan)}


def test_the_classes_of_a_literal_are_known_by_name() -> None:
    assert names(plan_of(labelled("one_of", TREE))) == {"3", "5"}
    assert names(plan_of(labelled("team", TREE))) == {"a", "b", "c"}


def test_integers_for_a_model_of_two_classes_say_the_ways_out() -> None:
    said = faults(labelled("team", LOGISTIC))
    assert "the label Solved.team is int; a classifier learns bool" in said
    assert "Declare it as Literal[0, 1], or as bool with Field(strict=False)" in said


def rejected(model: type[Event], **fields: Any) -> str:
    found = decoder_of(model, "json")(json.dumps({**LABEL, **fields}).encode())
    assert isinstance(found, Rejected)
    return found.detail


class Loose(Event):
    id: str
    name: str = ""
    n: int = 0
    x: float = 0


@pytest.mark.parametrize(
    ("model", "fields", "remedy", "advice", "meant"),
    [
        (Solved, {"strict": 1}, "Field(strict=False) reads 0 and 1", (bool, {"strict": False}),
         True),
        (Solved, {"strict": "yes"}, "Field(strict=False) reads 0 and 1, and their names in text",
         (bool, {"strict": False}), True),
        (Loose, {"x": "12.5"}, "Field(strict=False) reads numbers in text.",
         (float, {"strict": False}), 12.5),
        (Loose, {"n": "12"}, "Field(strict=False) reads numbers in text.",
         (int, {"strict": False}), 12),
        (Loose, {"n": 12.0}, "Field(strict=False) reads whole numbers with a decimal point.",
         (int, {"strict": False}), 12),
        (Loose, {"name": 7}, "or with Field(strict=False, coerce_numbers_to_str=True).",
         (str, {"strict": False, "coerce_numbers_to_str": True}), "7"),
    ],
)  # fmt: skip
def test_a_value_of_another_type_says_what_reads_it(
    model: type[Event], fields: dict[str, Any], remedy: str, advice: Any, meant: Any
) -> None:
    (given,) = fields.values()
    assert remedy in rejected(model, **fields)
    kind, options = advice
    assert read(event_of(kind, Field(**options)), given) == meant
    plan = plan_of(pipeline(event_of(kind, Field(**options))))
    assert [trial.fault for trial in round_trips(plan.pipeline).values()] == [None]


def test_where_nothing_reads_it_nothing_is_advised() -> None:
    for fields in ({"strict": "maybe"}, {"strict": 7}):
        assert "Field(" not in rejected(Solved, **fields)
    wrong: list[dict[str, Any]] = [{"x": "far"}, {"n": 1.5}, {"name": [1]}, {"x": True}]
    for fields in wrong:
        assert "Field(" not in rejected(Loose, **fields)
