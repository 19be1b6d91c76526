"""Kafka's part of the stack, as far as it needs no Kafka."""

from __future__ import annotations

from uuid import UUID

from headrace.app.stack.kafka import cluster_id


def test_a_cluster_id_never_looks_like_a_flag() -> None:
    drawn = iter([UUID(int=0xF8 << 120), UUID(int=1)])
    assert cluster_id(lambda: next(drawn)) == "AAAAAAAAAAAAAAAAAAAAAQ"
