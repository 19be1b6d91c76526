"""Digests of declarations as they were published: an option that is new changes none of them."""

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import AliasChoices, AliasPath, ConfigDict, Field
from pydantic.alias_generators import to_camel

from headrace.streams.canonical import _schema
from headrace.streams.event import Event
from headrace.streams.load import load_pipeline
from headrace.streams.plan import plan_of

EXAMPLES = Path(__file__).parents[3] / "examples"

PIPELINES = {
    "electricity": "a6e10702ba9b272f2109c0301dc7d329efd62bb2a22247b4aed60d11e1a55f3a",
    "flights": "9a8629e7f63e02cefc9fcd4c01f474d929eb8b6db5386354031a9efdaff18a30",
    "pumps": "d78310d5face3d2edfb6fce636b11a7455759e2b337703567af11e8adaaf66b2",
    "rides": "117648700d9a301e2e557c539e101cbc0a5a4899dbca5135073471e008de9cc1",
    "tickets": "83d037bbd7144e9772ee984289eb196e0f70170911684201b9b14b3a927b24c2",
}


@pytest.mark.parametrize("name", PIPELINES)
def test_the_examples_keep_their_digests(name: str) -> None:
    plan = plan_of(load_pipeline(EXAMPLES / name / "pipeline.py"))
    assert hashlib.sha256(plan.canonical.encode()).hexdigest() == plan.digest == PIPELINES[name]


class Plain(Event):
    id: str
    n: int
    at: datetime
    paid_at: datetime | None = None
    later: Annotated[datetime, Field(gt=datetime(2000, 1, 1, tzinfo=UTC))] | None = None
    price: Annotated[float, Field(gt=0)] | None = None
    channel: Literal["web", "app"] = "web"
    gift: bool = False
    raw: bytes = b""
    essay: Annotated[str, Field(max_length=5000, description="x")] = ""


class Camel(Event):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)
    trip_id: str
    at: datetime
    fare_usd: float = 0


class Aliased(Event):
    id: str = Field(alias="tripId")
    at: datetime = Field(validation_alias=AliasPath("payload", "at"))
    km: float = Field(validation_alias=AliasChoices("km", "kilometers"))
    x: float = Field(1, serialization_alias="y", strict=False)
    b: bool = Field(False, strict=False)


@pytest.mark.parametrize(
    ("model", "digest"),
    [
        (Plain, "9c4e88ddb1fdbe8f77b6a671495320ad32db4407a09830a13a6d8b324154d14a"),
        (Camel, "c7f14503f63af3d5bafe14c8c4b665e738a4bcd4f076f0e9d1050aedd3eebebc"),
        (Aliased, "efddc32809568811dba37276c4b68a9ce00edf08ef53b3bbcd6430e7608c6120"),
    ],
)
def test_classes_keep_their_canonical_text(model: type[Event], digest: str) -> None:
    text = json.dumps(_schema(model))
    assert hashlib.sha256(text.encode()).hexdigest() == digest, text
