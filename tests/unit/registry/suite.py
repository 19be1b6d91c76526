"""What every registry must do: run for the one in memory, SQLite, and PostgreSQL."""

from __future__ import annotations

import hashlib
import inspect
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from headrace.registry.artifacts import Signer, signature_of
from headrace.registry.kept import Checkpoint, TaskId, Witness
from headrace.registry.memory import MemoryRegistry
from headrace.registry.sql import SqlRegistry
from headrace.schemas.errors import Refused
from headrace.streams.protocol.ports import Registry

AnyRegistry = MemoryRegistry | SqlRegistry


def sha256(state: bytes) -> str:
    return hashlib.sha256(state).hexdigest()


class Ticking:
    """A clock that goes on by a second each time it is asked."""

    def __init__(self) -> None:
        self.moment = datetime(2013, 2, 8, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.moment += timedelta(seconds=1)
        return self.moment


def task(partition: int = 0, *, stage: str = "score", version: int = 1) -> TaskId:
    return TaskId("flights", version, stage, partition)


WITNESS = Witness(
    topic_ids=(("predictions", "x1"), ("labels", "é")),
    partitions=(("predictions", 3), ("labels", 3)),
    starts=(("predictions", 0), ("labels", 2**40)),
)


def at_once(*works: Callable[[], object]) -> list[object]:
    """Do works in threads that start together; return what each returned or raised."""
    gate = threading.Barrier(len(works))
    found: list[object] = [None] * len(works)

    def run(number: int, work: Callable[[], object]) -> None:
        gate.wait()
        try:
            found[number] = work()
        except Exception as error:  # noqa: BLE001 - judged by the test
            found[number] = error

    threads = [threading.Thread(target=run, args=each) for each in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return found


class RegistrySuite:
    """A subclass gives the fixture ``registry``, migrated and empty, with the clock ``Ticking``."""

    @pytest.fixture
    def version(self, registry: AnyRegistry) -> int:
        return registry.register_version("flights", "{}", "d1", {"python": "3.11"})

    # -- the port

    def test_is_the_protocols_port(self, registry: AnyRegistry) -> None:
        port: Registry = registry  # mypy's word for it
        for name, wanted in inspect.getmembers(Registry, inspect.isfunction):
            if not name.startswith("_"):
                found = inspect.signature(getattr(type(port), name))
                assert found == inspect.signature(wanted), name

    def test_a_witness_is_remembered_and_replaced(self, registry: AnyRegistry) -> None:
        assert registry.witness(task()) is None
        registry.put_witness(task(), WITNESS)
        registry.put_witness(task(), WITNESS)
        assert registry.witness(task()) == WITNESS
        later = WITNESS._replace(partitions=(("predictions", 4), ("labels", 4)))
        registry.put_witness(task(), later)
        assert registry.witness(task()) == later
        for other in (task(1), task(stage="join"), task(version=2)):
            assert registry.witness(other) is None

    def test_a_chain_has_one_head(self, registry: AnyRegistry, version: int) -> None:
        assert registry.checkpoint_head("flights", version) == 0
        assert registry.newest_checkpoint("flights", version, 2**60) is None
        assert registry.insert_checkpoint("flights", version, 0, Checkpoint(10, b"ten"))
        assert registry.insert_checkpoint("flights", version, 10, Checkpoint(30, b"thirty"))
        assert registry.checkpoint_head("flights", version) == 30
        newest = [registry.newest_checkpoint("flights", version, n) for n in (9, 10, 29, 30, 99)]
        ten, thirty = Checkpoint(10, b"ten"), Checkpoint(30, b"thirty")
        assert newest == [None, ten, ten, thirty, thirty]

    @pytest.mark.parametrize(
        ("previous", "offset"),
        [(0, 40), (20, 40), (30, 30), (30, 20), (0, 10), (10, 20), (40, 50)],
    )
    def test_nothing_but_the_head_can_be_built_on(
        self, registry: AnyRegistry, version: int, previous: int, offset: int
    ) -> None:
        registry.insert_checkpoint("flights", version, 0, Checkpoint(10, b"ten"))
        registry.insert_checkpoint("flights", version, 10, Checkpoint(30, b"thirty"))
        new = Checkpoint(offset, b"other")
        assert not registry.insert_checkpoint("flights", version, previous, new)
        assert [each.offset for each in registry.checkpoints("flights", version)] == [10, 30]

    @pytest.mark.parametrize(("previous", "offset"), [(0, 0), (0, -1), (5, 9)])
    def test_a_chain_begins_at_nothing_and_goes_forward(
        self, registry: AnyRegistry, version: int, previous: int, offset: int
    ) -> None:
        assert not registry.insert_checkpoint("flights", version, previous, Checkpoint(offset, b""))
        assert registry.checkpoints("flights", version) == []

    def test_an_insert_whose_answer_got_lost_is_true_again(
        self, registry: AnyRegistry, version: int
    ) -> None:
        registry.insert_checkpoint("flights", version, 0, Checkpoint(10, b"ten"))
        for _ in range(2):
            assert registry.insert_checkpoint("flights", version, 10, Checkpoint(20, b"twenty"))
        assert len(registry.checkpoints("flights", version)) == 2
        another = Checkpoint(20, b"another state at this offset")
        assert not registry.insert_checkpoint("flights", version, 10, another)
        assert not registry.insert_checkpoint("flights", version, 0, Checkpoint(20, b"twenty"))
        assert registry.insert_checkpoint("flights", version, 20, Checkpoint(30, b"thirty"))
        # No longer the head: the learner has to look again, and finds itself overtaken.
        assert not registry.insert_checkpoint("flights", version, 10, Checkpoint(20, b"twenty"))

    def test_two_learners_cannot_fork_the_chain(self, registry: AnyRegistry, version: int) -> None:
        def learner(number: int) -> Callable[[], int]:
            def learn() -> int:
                done, head = 0, 0
                for step in range(1, 13):
                    new = Checkpoint(step * 4 + number, b"learner %d" % number)
                    if registry.insert_checkpoint("flights", version, head, new):
                        done, head = done + 1, new.offset
                    else:
                        head = registry.checkpoint_head("flights", version)
                return done

            return learn

        done = at_once(*(learner(number) for number in range(3)))
        chain = registry.checkpoints("flights", version)
        assert all(isinstance(each, int) for each in done), done
        assert sum(int(str(each)) for each in done) == len(chain) > 0
        assert chain[0].previous == 0
        assert all(new.previous == old.offset for old, new in pairwise(chain))

    def test_a_checkpoint_needs_a_version(self, registry: AnyRegistry, version: int) -> None:
        for pipeline, number in (("flights", version + 1), ("unknown", 1)):
            with pytest.raises(Refused, match=f"no version {number} of '{pipeline}'"):
                registry.insert_checkpoint(pipeline, number, 0, Checkpoint(1, b""))
            assert registry.checkpoint_head(pipeline, number) == 0
            assert registry.checkpoints(pipeline, number) == []
            assert registry.newest_checkpoint(pipeline, number, 9) is None
            assert registry.checkpoint_state(pipeline, number, 1) is None
            assert registry.drop_states(pipeline, number, [1]) == 0
            registry.forget_checkpoints(pipeline, number)

    # -- looking on, cleaning up

    def test_a_checkpoint_tells_of_its_state(self, registry: AnyRegistry, version: int) -> None:
        artifact = Signer(b"k" * 32).dumps({"seen": 1})
        registry.insert_checkpoint("flights", version, 0, Checkpoint(7, artifact))
        registry.insert_checkpoint("flights", version, 7, Checkpoint(9, b"unsigned"))
        signed, unsigned = registry.checkpoints("flights", version)
        assert signed[:5] == (7, 0, sha256(artifact), signature_of(artifact), len(artifact))
        assert len(signed.signature) == 64
        assert unsigned[:5] == (9, 7, sha256(b"unsigned"), "", 8)
        assert unsigned.created_at > signed.created_at
        assert signed.created_at.utcoffset() == timedelta(0)
        assert registry.checkpoint_state("flights", version, 7) == artifact
        assert registry.checkpoint_state("flights", version, 8) is None

    def test_a_state_may_be_big(self, registry: AnyRegistry, version: int) -> None:
        state = bytes(range(256)) * 40_000
        registry.insert_checkpoint("flights", version, 0, Checkpoint(7, state))
        newest = registry.newest_checkpoint("flights", version, 7)
        assert newest is not None
        assert newest.state == state
        assert isinstance(newest.state, bytes)

    @pytest.mark.parametrize(
        ("offsets", "dropped"),
        [([10], [10]), ([10, 30, 99], [10, 30]), ([40], []), ([10, 20, 30, 40], [10, 20, 30])],
    )
    def test_states_are_dropped_and_links_stay(
        self, registry: AnyRegistry, version: int, offsets: list[int], dropped: list[int]
    ) -> None:
        for offset in (10, 20, 30, 40):
            new = Checkpoint(offset, b"state of %d" % offset)
            assert registry.insert_checkpoint("flights", version, offset - 10, new)
        before = registry.checkpoints("flights", version)
        assert all(info.kept for info in before)
        assert registry.drop_states("flights", version, offsets) == len(dropped)
        assert registry.drop_states("flights", version, offsets) == 0
        chain = registry.checkpoints("flights", version)
        assert chain == [info._replace(kept=info.offset not in dropped) for info in before]
        for offset in (10, 20, 30, 40):
            state = registry.checkpoint_state("flights", version, offset)
            assert state == (None if offset in dropped else b"state of %d" % offset)
            kept = [info.offset for info in chain if info.kept and info.offset <= offset]
            newest = registry.newest_checkpoint("flights", version, offset)
            assert (newest.offset if newest else None) == (kept[-1] if kept else None)
        # The chain goes on, and what was dropped cannot come back as another state.
        assert registry.checkpoint_head("flights", version) == 40
        assert registry.insert_checkpoint("flights", version, 40, Checkpoint(50, b"s"))
        assert not registry.insert_checkpoint("flights", version, 0, Checkpoint(10, b"s"))

    # -- versions

    def test_versions_rise_and_are_known_by_digest(self, registry: AnyRegistry) -> None:
        def register(pipeline: str, digest: str) -> int:
            return registry.register_version(pipeline, f"of {digest}", digest, {"code": digest})

        assert registry.version_of("flights", "a") is None
        assert registry.serving_version("flights") is None
        assert registry.versions("flights") == []
        assert [register("flights", each) for each in "abab"] == [1, 2, 1, 2]
        assert register("rides", "a") == 1
        assert registry.version_of("flights", "b") == 2
        assert registry.version_of("rides", "b") is None
        assert registry.declaration_of("flights", 2) == "of b"
        assert registry.declaration_of("flights", 3) is None
        assert registry.declaration_of("unknown", 1) is None
        first, second = registry.versions("flights")
        assert (first.version, first.digest, first.image, first.metrics) == (1, "a", "", {})
        assert second.lineage == {"code": "b"}
        assert second.created_at > first.created_at

    def test_a_number_that_was_used_is_not_given_again(self, registry: AnyRegistry) -> None:
        assert registry.register_version("flights", "{}", "a", {}, above=0) == 1
        assert registry.register_version("flights", "{}", "a", {}, above=7) == 1
        assert registry.register_version("flights", "{}", "b", {}, above=7) == 8
        assert registry.register_version("flights", "{}", "c", {}, above=3) == 9
        assert registry.register_version("rides", "{}", "a", {}, above=4) == 5
        assert registry.serving_version("rides") == 5
        assert [info.version for info in registry.versions("flights")] == [1, 8, 9]

    def test_what_a_version_was_first_registered_with_stays(self, registry: AnyRegistry) -> None:
        registry.register_version("flights", "{}", "a", {"python": "3.11"}, "image:1")
        registry.register_version("flights", "{}", "a", {"python": "3.12"}, "image:2")
        (only,) = registry.versions("flights")
        assert (only.image, only.lineage) == ("image:1", {"python": "3.11"})

    def test_many_processes_register_one_version(self, registry: AnyRegistry) -> None:
        def register(digest: str) -> Callable[[], int]:
            return lambda: registry.register_version("flights", "{}", digest, {})

        found = at_once(*(register(digest) for digest in "aabbcc"))
        assert found[0::2] == found[1::2]
        assert {*found} == {1, 2, 3}
        assert [each.version for each in registry.versions("flights")] == [1, 2, 3]
        assert registry.serving_version("flights") == 1
        assert len(registry.serving_history("flights")) == 1

    def test_metrics_are_replaced(self, registry: AnyRegistry, version: int) -> None:
        registry.put_metrics("flights", version, {"auc": 0.5, "by": {"EWR": [1, None]}})
        registry.put_metrics("flights", version, {"auc": 0.9})
        assert registry.versions("flights")[0].metrics == {"auc": 0.9}
        with pytest.raises(Refused, match="no version 7"):
            registry.put_metrics("flights", 7, {})
        with pytest.raises(ValueError, match="JSON"):
            registry.put_metrics("flights", version, {"auc": float("nan")})

    def test_what_was_put_is_not_changed_from_outside(
        self, registry: AnyRegistry, version: int
    ) -> None:
        metrics = {"auc": [0.5]}
        registry.put_metrics("flights", version, metrics)
        metrics["auc"].append(0.6)
        assert registry.versions("flights")[0].metrics == {"auc": [0.5]}

    # -- what is served

    def test_what_is_served_has_a_history(self, registry: AnyRegistry, version: int) -> None:
        registry.register_version("flights", "{}", "d2", {})
        registry.serve("flights", 2, "AUC .91 over a week")
        registry.serve("flights", 2, "asked again")
        registry.serve("flights", 1, "back")
        history = registry.serving_history("flights")
        assert [(each.version, each.reason) for each in history] == [
            (1, "the first version"),
            (2, "AUC .91 over a week"),
            (1, "back"),
        ]
        assert all(new.since > old.since for old, new in pairwise(history))
        assert registry.serving_version("flights") == 1
        for pipeline, number in (("flights", 3), ("unknown", 1)):
            with pytest.raises(Refused, match="no version"):
                registry.serve(pipeline, number, "why not")
        assert registry.serving_history("unknown") == []

    # -- forgetting

    def test_a_stage_or_task_is_forgotten_alone(self, registry: AnyRegistry) -> None:
        tasks = [task(0), task(1), task(0, stage="join"), task(0, version=2)]
        for each in tasks:
            registry.put_witness(each, WITNESS)
        registry.forget_task(tasks[0])
        registry.forget_task(tasks[0])
        assert [registry.witness(each) is None for each in tasks] == [True, False, False, False]
        registry.forget_stage("flights", 1, "score")
        assert [registry.witness(each) is None for each in tasks] == [True, True, False, False]

    def test_a_chain_that_is_forgotten_begins_anew(
        self, registry: AnyRegistry, version: int
    ) -> None:
        registry.insert_checkpoint("flights", version, 0, Checkpoint(10, b"ten"))
        registry.forget_checkpoints("flights", version)
        assert registry.checkpoint_head("flights", version) == 0
        assert registry.insert_checkpoint("flights", version, 0, Checkpoint(5, b"five"))

    def test_a_pipeline_is_forgotten_whole_and_alone(
        self, registry: AnyRegistry, version: int
    ) -> None:
        registry.register_version("rides", "{}", "d1", {})
        rides = TaskId("rides", 1, "score", 0)
        for pipeline, of in (("flights", task()), ("rides", rides)):
            registry.insert_checkpoint(pipeline, 1, 0, Checkpoint(10, b"ten"))
            registry.put_witness(of, WITNESS)
        registry.forget_pipeline("flights")
        registry.forget_pipeline("flights")
        assert registry.versions("flights") == []
        assert registry.serving_version("flights") is None
        assert registry.serving_history("flights") == []
        assert registry.checkpoint_head("flights", 1) == 0
        assert registry.witness(task()) is None
        assert registry.witness(rides) == WITNESS
        assert registry.checkpoint_head("rides", 1) == 10
        assert registry.register_version("flights", "{}", "d9", {}) == 1

    def test_check_and_migrate_may_be_asked_again(self, registry: AnyRegistry) -> None:
        registry.migrate()
        registry.check()
