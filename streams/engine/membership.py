"""The group membership under which offsets are committed, as librdkafka serialises it.

A transaction's offsets are fenced by generation and member id. A broker takes generation -1 with
an empty member *unfenced* (measured on 4.3.1), so such a commit is refused here. librdkafka shows
both only inside of the bytes that it hands over for ``send_offsets_to_transaction``.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from headrace.streams.protocol.ports import Dead

_MAGIC = b"CGMDv2:"
_GENERATION = struct.Struct("<i")


class Membership(NamedTuple):
    """Whom the group's coordinator takes this process for.

    Attributes
    ----------
    generation
        -1 outside of a group.
    group, member
        Names; the member's is the coordinator's own choice.
    """

    generation: int
    group: str
    member: str


def parse_membership(raw: bytes | None) -> Membership:
    """Read librdkafka's serialised group metadata.

    Raises
    ------
    Dead
        The bytes have another form: this librdkafka is not the one that exactness was proved with.
    """
    at = len(_MAGIC)
    if raw is None or raw[:at] != _MAGIC or raw.count(b"\0", at + _GENERATION.size) < 2:
        raise Dead(f"librdkafka's group metadata has an unknown form: {raw!r}")
    (generation,) = _GENERATION.unpack_from(raw, at)
    group, member, _ = raw[at + _GENERATION.size :].split(b"\0", 2)
    return Membership(generation, group.decode(), member.decode())


def fenced_membership(raw: bytes | None) -> Membership:
    """Read the metadata, and refuse a membership that no broker would fence.

    Raises
    ------
    Dead
        The process is no member of the group.
    """
    membership = parse_membership(raw)
    if membership.generation < 0 or not membership.member:
        raise Dead(f"{membership}: not a member of the group, nothing would fence this commit")
    return membership
