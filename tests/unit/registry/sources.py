"""What every registry must do with sources: run beside the suite of all it does."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from headrace.registry.kept import DONE, LEFT, Source
from tests.unit.registry.suite import AnyRegistry, at_once

FILLED = Source(
    "flights.events", "t1", "a1", "/data/jan é.csv", False, 0, 12, "d12", 10, "d10",
    (1, 2**47), 12, 1_700_000_000_000,
)  # fmt: skip


def source(**changes: Any) -> Source:
    return FILLED._replace(**changes)


class SourceSuite:
    """A subclass gives the fixture ``registry``, migrated and empty, with the clock ``Ticking``."""

    def test_a_source_is_remembered_by_its_topic_and_the_topics_id(
        self, registry: AnyRegistry
    ) -> None:
        assert registry.sources("flights.events", "t1") == []
        registry.put_sources([source()])
        (info,) = registry.sources("flights.events", "t1")
        assert info.source == source()
        assert info.started_at == info.updated_at
        assert info.finished_at is None
        assert registry.sources("flights.events", "t2") == []
        assert registry.sources("flights.labels", "t1") == []

    def test_a_source_goes_forward_alone(self, registry: AnyRegistry) -> None:
        """Of two publishers of one file the slower one does not take back what the other said."""
        further = source(rows=90, digest="d90", acknowledged=90, time_ms=9)
        for each in (source(), further, source(), further, source(acknowledged=0)):
            registry.put_sources([each])
        (info,) = registry.sources("flights.events", "t1")
        assert info.source == further
        assert info.updated_at > info.started_at

    def test_it_is_finished_until_its_file_grows(self, registry: AnyRegistry) -> None:
        registry.put_sources([source()])
        registry.put_sources([source(state=DONE)])
        (done,) = registry.sources("flights.events", "t1")
        assert done.finished_at == done.updated_at > done.started_at
        registry.put_sources([source(acknowledged=13, state=LEFT)])
        (grown,) = registry.sources("flights.events", "t1")
        assert (grown.source.state, grown.finished_at) == (LEFT, None)
        assert grown.started_at == done.started_at

    def test_the_newest_comes_first(self, registry: AnyRegistry) -> None:
        for name in ("b", "a", "c"):
            registry.put_sources([source(source=name)])
        registry.put_sources([source(source="b", acknowledged=99)])
        infos = registry.sources("flights.events", "t1")
        assert [info.source.source for info in infos] == ["c", "a", "b"]
        assert infos[0].started_at - infos[2].started_at == timedelta(seconds=2)

    def test_a_source_without_rows_is_one(self, registry: AnyRegistry) -> None:
        empty = source(rows=0, acknowledged=0, time_ms=None, sample=(), first_row=2**40)
        registry.put_sources([empty])
        assert [info.source for info in registry.sources("flights.events", "t1")] == [empty]

    def test_two_at_once_agree(self, registry: AnyRegistry) -> None:
        def put() -> None:
            for acknowledged in range(12, 200, 20):
                registry.put_sources([source(acknowledged=acknowledged)])

        registry.put_sources([source()])
        assert at_once(put, put, put) == [None] * 3
        (info,) = registry.sources("flights.events", "t1")
        assert info.source.acknowledged == 192

    def test_a_pipeline_that_is_forgotten_leaves_what_its_topic_holds(
        self, registry: AnyRegistry
    ) -> None:
        registry.put_sources([source()])
        registry.forget_pipeline("flights")
        assert len(registry.sources("flights.events", "t1")) == 1
