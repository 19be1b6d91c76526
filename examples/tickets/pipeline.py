"""Which team will solve this support ticket? Several classes; the truth comes when it is closed."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field
from river import linear_model, multiclass, preprocessing

from headrace import (
    Event,
    Labels,
    Monitor,
    Pipeline,
    Source,
    category,
    count,
    distinct,
    last_value,
    log1p,
    majority,
)

Team = Literal["accounts", "billing", "technical"]


class Ticket(Event):
    """A customer asks for help."""

    ticket: str
    customer: str
    opened_at: datetime
    channel: Literal["chat", "mail", "phone"]
    product: str
    words: Annotated[int, Field(ge=0)]


class Solved(Event):
    """A ticket is closed."""

    ticket: str
    closed_at: datetime
    team: Team


tickets = Pipeline(
    name="tickets",
    events=Source(Ticket, id="ticket", key="customer", time="opened_at"),
    labels=Labels(Solved, id="ticket", value="team", time="closed_at", wait="7d"),
    features=[
        category("channel"),
        category("product", top=32),
        log1p("words"),
        count(over="7d"),
        distinct("product", over="7d"),
    ],
    model=preprocessing.StandardScaler()
    | multiclass.OneVsRestClassifier(linear_model.LogisticRegression()),
    monitor=Monitor(segments=["channel"], baselines=[majority(), last_value()]),
)
