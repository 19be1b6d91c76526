"""The log, by one suite: in memory, and on a real Kafka."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from headrace.schemas.errors import Refused
from headrace.streams.protocol.ports import Committed, Dead, Fenced, Unstable
from headrace.streams.records import Emit, TopicPartition
from tests.integration.logs import (
    HASTY,
    OVERDUE_S,
    Cluster,
    KafkaCluster,
    MemoryCluster,
    Worker,
    all_of,
    settle,
    stable,
    transact,
    until,
    values,
)

pytestmark = pytest.mark.integration


@pytest.fixture(params=["memory", "kafka"])
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    made: Cluster
    if request.param == "memory":
        made = MemoryCluster()
    else:
        made = KafkaCluster(request.getfixturevalue("kafka"))
    yield made
    made.close()


def ended(worker: Worker, tp: TopicPartition, end: int) -> None:
    """See the log end there: Kafka writes a transaction's marker after it has said yes."""
    until(lambda: worker.log.bounds(tp) == (0, end))


def test_bounds_count_the_markers_of_transactions(cluster: Cluster, group: str) -> None:
    topic = cluster.make()
    worker = cluster.started(group, "0", topic)
    assert worker.log.bounds((topic, 0)) == (0, 0)
    cluster.append((topic, 0), [b"a", b"b"])
    assert worker.log.bounds((topic, 0)) == (0, 2)
    transact(worker, values("c", "d", topic=topic))
    ended(worker, (topic, 0), 5)


def test_the_end_is_the_last_stable_offset(cluster: Cluster, group: str) -> None:
    topic = cluster.make()
    worker, other = cluster.started(group, "0", topic), cluster.started(group, "1", topic)
    cluster.append((topic, 0), [b"a"])
    transact(other, values("b", topic=topic), end=False)
    cluster.append((topic, 0), [b"c"])
    assert worker.log.bounds((topic, 0)) == (0, 1)
    other.log.end()
    ended(worker, (topic, 0), 4)
    assert [r.value for r in all_of(worker.log, (topic, 0), 0, 4)] == [b"a", b"b", b"c"]


def test_offsets_and_metadata_are_committed_with_the_records(cluster: Cluster, group: str) -> None:
    source, out = cluster.make(2), cluster.make()
    worker = cluster.joined(group, "0", source)
    assert worker.given == frozenset({(source, 0), (source, 1)})
    tps = [(source, 0), (source, 1)]
    assert stable(worker.log, tps) == {(source, 0): None, (source, 1): None}
    transact(worker, values("a", topic=out), {(source, 0): Committed(7, "state é")})
    assert stable(worker.log, tps) == {(source, 0): Committed(7, "state é"), (source, 1): None}
    transact(worker, [], {(source, 0): Committed(9), (source, 1): Committed(0, "m" * 4000)})
    assert stable(worker.log, tps) == {
        (source, 0): Committed(9, ""),
        (source, 1): Committed(0, "m" * 4000),
    }
    ended(worker, (out, 0), 2)
    assert [r.value for r in all_of(worker.log, (out, 0), 0, 2)] == [b"a"]


def two_members(cluster: Cluster, group: str, *topics: str) -> tuple[Worker, Worker]:
    one, two = cluster.joined(group, "0", *topics), cluster.started(group, "1", *topics)
    two.join()
    settle([one, two])
    return one, two


def given(worker: Worker) -> frozenset[TopicPartition]:
    assert worker.given is not None
    return worker.given


def test_offsets_in_an_open_transaction_are_unstable(cluster: Cluster, group: str) -> None:
    source, out = cluster.make(2), cluster.make()
    one, two = two_members(cluster, group, source)
    assert given(one) | given(two) == {(source, 0), (source, 1)}
    (mine,), (theirs,) = given(one), given(two)
    transact(one, [], {mine: Committed(4, "old")})
    assert stable(two.log, [mine]) == {mine: Committed(4, "old")}
    transact(one, values("a", topic=out), {mine: Committed(5, "new")}, end=False)
    with pytest.raises(Unstable):
        two.log.committed([mine, theirs])
    assert cluster.plainly_committed(group, mine) == Committed(4, "old")
    assert stable(two.log, [theirs]) == {theirs: None}
    one.log.end()
    assert stable(two.log, [mine, theirs]) == {mine: Committed(5, "new"), theirs: None}
    assert cluster.plainly_committed(group, mine) == Committed(5, "new")


def test_a_zombie_whose_offsets_were_accepted_can_still_commit(
    cluster: Cluster, group: str
) -> None:
    """Generation and member are looked at when offsets are sent, not when a transaction ends."""
    source, out = cluster.make(2), cluster.make()
    zombie = cluster.joined(group, "0", source)
    transact(zombie, values("late", topic=out), {(source, 1): Committed(5)}, end=False)
    other = cluster.started(group, "1", source)
    other.join()
    settle([zombie, other])
    assert (source, 1) in given(other)
    with pytest.raises(Unstable):
        other.log.committed([(source, 1)])
    zombie.log.end()
    assert stable(other.log, [(source, 1)]) == {(source, 1): Committed(5)}
    ended(other, (out, 0), 2)
    assert [r.value for r in all_of(other.log, (out, 0), 0, 2)] == [b"late"]


def test_no_offsets_under_a_membership_that_has_ended(cluster: Cluster, group: str) -> None:
    """A zombie's: its generation has passed, and it does not know."""
    source = cluster.make(2)
    zombie = cluster.joined(group, "0", source)
    zombie.unaware()
    other = cluster.started(group, "1", source)
    other.join()
    settle([zombie, other])
    with pytest.raises(Dead, match=r"generation|ILLEGAL_GENERATION|UNKNOWN_MEMBER_ID") as error:
        transact(zombie, [], {(source, 0): Committed(5)})
    assert not isinstance(error.value, Fenced)
    assert stable(other.log, [(source, 0)]) == {(source, 0): None}


def test_a_transaction_that_was_open_for_too_long_is_dead_and_no_newer_process_is_blamed(
    cluster: Cluster, group: str
) -> None:
    source, out = cluster.make(), cluster.make()
    worker = cluster.started(group, "0", source, timing=HASTY)
    worker.join()
    settle([worker])
    other = cluster.started(group, "1", source)
    transact(worker, values("late", topic=out), {(source, 0): Committed(1)}, end=False)
    with pytest.raises(Unstable):
        other.log.committed([(source, 0)])
    cluster.pass_time(OVERDUE_S)
    assert stable(other.log, [(source, 0)]) == {(source, 0): None}
    with pytest.raises(Dead) as error:
        worker.log.end()
    assert not isinstance(error.value, Fenced)
    ended(other, (out, 0), 2)
    assert all_of(other.log, (out, 0), 0, 2) == []


def polled(cluster: Cluster, worker: Worker, wanted: frozenset[TopicPartition]) -> None:
    """Let a worker take part until it has these partitions, for up to half a minute."""
    for _ in range(120):
        worker.poll()
        if worker.given == wanted:
            return
        cluster.pass_time(0.25)
    raise AssertionError(f"has {worker.given}, not {wanted}")


def test_who_is_silent_for_a_session_loses_its_partitions(cluster: Cluster, group: str) -> None:
    source = cluster.make(2)
    silent, other = two_members(cluster, group, source)
    generation = other.generation()
    silent.close()
    other.poll()
    assert other.generation() == generation
    polled(cluster, other, frozenset({(source, 0), (source, 1)}))
    assert other.generation() > generation


def test_a_slot_that_leaves_gives_its_partitions_at_once(cluster: Cluster, group: str) -> None:
    source = cluster.make(2)
    leaving, staying = two_members(cluster, group, source)
    leaving.close()
    cluster.leave(group, "0")
    settle([staying])
    polled(cluster, staying, frozenset({(source, 0), (source, 1)}))


def test_a_restart_in_the_slot_does_not_rebalance(cluster: Cluster, group: str) -> None:
    source = cluster.make(2)
    first, other = two_members(cluster, group, source)
    generation, had = first.generation(), first.given
    first.close()
    again = cluster.started(group, "0", source)
    again.join()
    settle([again, other])
    assert (again.generation(), again.given) == (generation, had)


def test_the_same_numbers_of_several_topics_go_to_the_same_member(
    cluster: Cluster, group: str
) -> None:
    one, two, single = cluster.make(4), cluster.make(4), cluster.make(1)
    workers = [cluster.joined(group, "0", one, two, single)]
    for slot in ("1", "2"):
        workers.append(cluster.started(group, slot, one, two, single))
        workers[-1].join()
        settle(workers)
    numbers = [
        [{n for topic, n in given(worker) if topic == each} for each in (one, two, single)]
        for worker in workers
    ]
    assert numbers == [[{0, 1}, {0, 1}, {0}], [{2}, {2}, set()], [{3}, {3}, set()]]


def test_committed_offsets_are_gone_once_they_have_expired(cluster: Cluster, group: str) -> None:
    source = cluster.make()
    worker = cluster.joined(group, "0", source)
    transact(worker, [], {(source, 0): Committed(5, "m")})
    assert stable(worker.log, [(source, 0)]) == {(source, 0): Committed(5, "m")}
    worker.close()
    cluster.leave(group, "0")
    cluster.expire_offsets(group, [(source, 0)])
    other = cluster.started(group, "1", source)
    assert stable(other.log, [(source, 0)]) == {(source, 0): None}


def test_a_second_process_of_a_slot_fences_the_first(cluster: Cluster, group: str) -> None:
    source, out = cluster.make(), cluster.make()
    first = cluster.joined(group, "0", source)
    transact(first, values("kept", topic=out), {(source, 0): Committed(3, "kept")})
    transact(first, values("lost", topic=out), {(source, 0): Committed(4, "lost")}, end=False)
    second = cluster.started(group, "0", source)
    with pytest.raises(Fenced):
        first.log.end()
    assert stable(second.log, [(source, 0)]) == {(source, 0): Committed(3, "kept")}
    second.join()
    settle([second])
    transact(second, values("new", topic=out), {(source, 0): Committed(4, "new")})
    assert stable(second.log, [(source, 0)]) == {(source, 0): Committed(4, "new")}
    ended(second, (out, 0), 6)
    assert [r.value for r in all_of(second.log, (out, 0), 0, 6)] == [b"kept", b"new"]
    with pytest.raises(Fenced):
        transact(first, values("zombie", topic=out))


def poll_on(worker: Worker) -> None:
    for _ in range(200):
        worker.poll()


def test_a_fenced_member_hears_of_it(cluster: Cluster, group: str) -> None:
    source = cluster.make()
    first, second = cluster.joined(group, "0", source), cluster.started(group, "0", source)
    second.join()
    settle([second])
    with pytest.raises(Fenced):
        poll_on(first)


def test_who_is_no_member_commits_no_offsets(cluster: Cluster, group: str) -> None:
    source = cluster.make()
    worker = cluster.started(group, "0", source)
    with pytest.raises(Dead):
        transact(worker, [], {(source, 0): Committed(1)})
    other = cluster.joined(group, "1", source)
    assert stable(other.log, [(source, 0)]) == {(source, 0): None}


def test_ranges_are_read_over_markers_and_aborted_records(cluster: Cluster, group: str) -> None:
    topic = cluster.make()
    tp = (topic, 0)
    worker = cluster.started(group, "0", topic)
    transact(worker, values("a", "b", topic=topic, headers=(("h", b"1"), ("h", b""))))  # 0 1 (2)
    transact(worker, values("lost", topic=topic), end=False)  # 3
    if isinstance(cluster, KafkaCluster):
        worker.log._producer.flush(10)  # type: ignore[attr-defined]
    worker = cluster.started(group, "0", topic)  # aborts: (4)
    cluster.append(tp, [b"c"])  # 5
    transact(worker, values("d", topic=topic))  # 6 (7)
    ended(worker, tp, 8)
    found = all_of(worker.log, tp, 0, 8)
    assert [(r.offset, r.value) for r in found] == [(0, b"a"), (1, b"b"), (5, b"c"), (6, b"d")]
    assert found[0][:3] == (topic, 0, 0)
    assert found[0].key == b"k"
    assert found[0].headers == (("h", b"1"), ("h", b""))
    assert (found[2].key, found[2].headers) == (b"key", (("name", b"header"),))
    for start in range(9):
        for stop in range(start, 9):
            assert all_of(worker.log, tp, start, stop) == [
                r for r in found if start <= r.offset < stop
            ], (start, stop)


def test_long_ranges_come_in_pieces(cluster: Cluster, group: str) -> None:
    topic = cluster.make()
    worker = cluster.started(group, "0", topic)
    for at in range(3):
        transact(worker, values(*(f"{at}-{n}" for n in range(4_000)), topic=topic))
    ended(worker, (topic, 0), 12_003)
    found = all_of(worker.log, (topic, 0), 0, 12_003)
    assert [r.value for r in found] == [b"%d-%d" % (at, n) for at in range(3) for n in range(4_000)]
    assert 0 < len(worker.log.read((topic, 0), 0, 12_003)) < 12_000


def test_null_keys_and_values_stay_null(cluster: Cluster, group: str) -> None:
    topic = cluster.make()
    worker = cluster.started(group, "0", topic)
    transact(worker, [Emit(topic, 0, None, None), Emit(topic, 0, b"", b"")])
    ended(worker, (topic, 0), 3)
    found = all_of(worker.log, (topic, 0), 0, 2)
    assert [(r.key, r.value) for r in found] == [(None, None), (b"", b"")]


def test_a_recreated_topic_is_another_one(cluster: Cluster, group: str) -> None:
    """Another id, no records, no committed offsets, other partitions if so made."""
    one, two = cluster.make(3), cluster.make(1)
    worker = cluster.joined(group, "0", one, two)
    log = worker.log
    assert (log.partition_count(one), log.partition_count(two)) == (3, 1)
    before = log.topic_id(one)
    assert before != log.topic_id(two)
    assert log.topic_id(one) == before
    transact(worker, values("a", topic=one), {(one, 0): Committed(1), (two, 0): Committed(1)})
    ended(worker, (one, 0), 2)
    worker.close()
    cluster.delete(one)
    cluster.make(2, one)
    log = cluster.started(group, "1", one).log
    assert log.topic_id(one) != before
    assert log.partition_count(one) == 2
    assert log.bounds((one, 0)) == (0, 0)
    assert stable(log, [(one, 0), (two, 0)]) == {(one, 0): None, (two, 0): Committed(1)}


def test_what_retention_has_cut_is_refused(cluster: Cluster, group: str) -> None:
    topic = cluster.make()
    worker = cluster.started(group, "0", topic)
    cluster.append((topic, 0), [b"%d" % at for at in range(6)])
    cluster.cut_head((topic, 0), 4)
    assert worker.log.bounds((topic, 0)) == (4, 6)
    assert [r.value for r in all_of(worker.log, (topic, 0), 4, 6)] == [b"4", b"5"]
    with pytest.raises(Refused, match="out of range"):
        worker.log.read((topic, 0), 3, 6)
