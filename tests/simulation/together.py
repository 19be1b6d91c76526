"""Two pipelines in the same processes: one producer, one group, one transaction for both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random

from headrace.streams.flow import ROLES, StageDecl
from headrace.streams.simulation.flow import Flow, Publication
from headrace.streams.topics import TopicSpec


class Together:
    """Pipelines that share their processes."""

    def __init__(self, flows: Sequence[Flow]) -> None:
        self._flows = flows
        self.name = " and ".join(flow.name for flow in flows)
        self.topics: Sequence[TopicSpec] = [topic for flow in flows for topic in flow.topics]
        self.roles: Mapping[str, Sequence[StageDecl]] = {
            role: [decl for flow in flows for decl in flow.roles[role]] for role in ROLES
        }
        self._of = {d: flow for flow in flows for decls in flow.roles.values() for d in decls}

    @property
    def parts(self) -> Sequence[Flow]:
        return self._flows

    def part(self, decl: StageDecl) -> Flow:
        return self._of[decl]

    def published(self, rng: Random, events: int) -> list[Publication]:
        """Return what is published to all of them, at once."""
        made = [flow.published(rng, events // len(self._flows)) for flow in self._flows]
        placed = [
            (at / len(each), number, publication)
            for number, each in enumerate(made)
            for at, publication in enumerate(each)
        ]
        return [publication for _, _, publication in sorted(placed, key=lambda p: p[:2])]
