"""A consumer group in memory: static membership, generations, sessions, the range assignor.

More hostile than a real coordinator: a rebalance takes effect at once, and a member learns of it
only when it asks; whoever did not ask goes on in good faith, as a zombie does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from headrace.streams.protocol.ports import Dead, Fenced
from headrace.streams.records import TopicPartition


@dataclass(slots=True)
class Member:
    """One process in the group.

    Attributes
    ----------
    id
        The coordinator's id of this incarnation: a restart in the same slot gets another one.
    topics
        What it subscribes to.
    seen_ms
        When its last heartbeat came.
    """

    id: int
    topics: tuple[str, ...]
    seen_ms: int


class Group:
    """Members by slot, in the order by which partitions are dealt out."""

    def __init__(self) -> None:
        self.generation = 0
        self._members: dict[str, Member] = {}
        self._ids = 0

    def join(self, instance: str, topics: Sequence[str], now_ms: int) -> int:
        """Become the member of a slot and return the new member id; whoever held it is fenced."""
        self._ids += 1
        known = instance in self._members
        self._members[instance] = Member(self._ids, tuple(topics), now_ms)
        if not known:  # static membership: a restart in the slot does not rebalance
            self.generation += 1
        return self._ids

    def leave(self, instance: str) -> None:
        """Remove a slot from the group."""
        if self._members.pop(instance, None) is not None:
            self.generation += 1

    def heartbeat(self, instance: str, member: int, now_ms: int) -> None:
        """Say that a member lives; one that is not known any more is not heard."""
        found = self._members.get(instance)
        if found is not None and found.id == member:
            found.seen_ms = now_ms

    def expire(self, now_ms: int, session_ms: int) -> None:
        """Remove members that were not heard of for longer than a session."""
        for instance, member in list(self._members.items()):
            if now_ms - member.seen_ms > session_ms:
                self.leave(instance)

    def reshuffle(self, order: Sequence[str]) -> None:
        """Rebalance, with members dealt to in another order."""
        self._members = {instance: self._members[instance] for instance in order}
        self.generation += 1

    def instances(self) -> list[str]:
        """Return the slots that are members, in dealing order."""
        return list(self._members)

    def check(self, instance: str, generation: int, member: int) -> None:
        """Refuse offsets from anybody but a member of the present generation.

        Raises
        ------
        Dead
            The generation has ended, or the group has forgotten the member.
        """
        self._known(instance, member)
        if generation != self.generation:
            raise Dead(f"{instance}: generation {generation} has ended, it is {self.generation}")

    def assigned(
        self, instance: str, member: int, partitions: Mapping[str, int]
    ) -> tuple[int, frozenset[TopicPartition]]:
        """Return the generation and what the range assignor gives to a member in it."""
        mine = self._known(instance, member)
        given: set[TopicPartition] = set()
        for topic in mine.topics:
            readers = [name for name, other in self._members.items() if topic in other.topics]
            rank, count = readers.index(instance), partitions[topic]
            each, extra = divmod(count, len(readers))
            start = each * rank + min(rank, extra)
            given.update((topic, start + i) for i in range(each + (rank < extra)))
        return self.generation, frozenset(given)

    def _known(self, instance: str, member: int) -> Member:
        found = self._members.get(instance)
        if found is None:
            raise Dead(f"{instance}: the group has forgotten this member")
        if found.id != member:
            raise Fenced(f"{instance}: a newer process is the member of this slot")
        return found
