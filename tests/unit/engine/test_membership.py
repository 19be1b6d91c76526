import struct

import pytest

from headrace.streams.engine.membership import Membership, fenced_membership, parse_membership
from headrace.streams.protocol.ports import Dead


def raw(generation: int, group: str = "g", member: str = "m", instance: str = "") -> bytes:
    names = b"".join(name.encode() + b"\0" for name in (group, member, instance))
    return b"CGMDv2:" + struct.pack("<i", generation) + names


def test_generation_group_and_member_are_read() -> None:
    assert parse_membership(raw(7, "gruppe-é", "m-1", "slot")) == Membership(7, "gruppe-é", "m-1")
    assert fenced_membership(raw(0)) == Membership(0, "g", "m")


@pytest.mark.parametrize("held", [raw(-1), raw(-1, member=""), raw(3, member="")])
def test_what_a_broker_would_not_fence_is_refused(held: bytes) -> None:
    with pytest.raises(Dead, match="nothing would fence this commit"):
        fenced_membership(held)


@pytest.mark.parametrize("held", [None, b"", b"CGMDv3:", raw(3)[:12], b"CGMDv2:\1\0\0\0g\0"])
def test_another_form_is_refused(held: bytes | None) -> None:
    with pytest.raises(Dead, match="unknown form"):
        parse_membership(held)
