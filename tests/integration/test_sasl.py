"""What we ask over a connection of our own, of a Kafka with SASL, TLS and ACLs.

The permissions are those of the table in docs/operations.md, and no others.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from headrace.schemas.errors import Refused, ServiceError
from headrace.streams.engine.connection import Connection
from headrace.streams.engine.forgotten import Slot, end_forgotten
from headrace.streams.engine.groups import Groups
from headrace.streams.engine.reader import read
from headrace.streams.engine.sizes import topic_bytes
from headrace.streams.protocol.ports import Committed, Unstable
from tests.integration.logs import (
    TIMING,
    KafkaCluster,
    KafkaWorker,
    settle,
    stable,
    transact,
    values,
)
from tests.integration.test_forgotten import META, TIMEOUT_MS, Hung, credulous, seen
from tests.integration.test_groups import Members
from tests.services import fetch_or_skip, fresh_name
from tests.systems.guarded import PLAIN, STRANGER, USERS, GuardedKafka
from tests.systems.shop import SLICE, Shop, wait_until

__all__ = ["credulous"]

pytestmark = pytest.mark.integration

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"
NAME = "flights"
DOORS = [
    ("SASL_SSL", "PLAIN"),
    ("SASL_SSL", "SCRAM-SHA-256"),
    ("SASL_SSL", "SCRAM-SHA-512"),
    ("SASL_PLAINTEXT", "SCRAM-SHA-256"),
    ("SASL_PLAINTEXT", "SCRAM-SHA-512"),
]


def documented(pipeline: str = NAME) -> list[tuple[str, str, str, bool]]:
    """Return the permissions of the manual's table: resource, name, operation, as a beginning."""
    resources = {"Topic": "TOPIC", "Group": "GROUP", "Cluster": "BROKER"}
    resources["TransactionalId"] = "TRANSACTIONAL_ID"
    operations = {"DescribeConfigs": "DESCRIBE_CONFIGS", "AlterConfigs": "ALTER_CONFIGS"}
    found = []
    section = OPERATIONS.read_text("utf-8").partition("## Permissions")[2].partition("\n## ")[0]
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) < 4 or cells[1] not in resources:
            continue
        name = cells[2].strip("`").replace("NAME", pipeline)
        for operation in cells[3].split(", "):
            as_enum = operations.get(operation, operation.upper())
            found.append((resources[cells[1]], name.rstrip("*"), as_enum, name.endswith("*")))
    return found


@pytest.fixture(scope="module")
def guarded() -> Iterator[GuardedKafka]:
    data = Path(tempfile.mkdtemp(prefix="headrace-guarded-"))
    made = GuardedKafka(data, fetch_or_skip(data))
    try:
        made.start(None)
        made.ready()
        made.let_in()
        for name, _ in USERS.values():
            made.permit(name, documented())
        yield made
    finally:
        made.process.stop()
        shutil.rmtree(data, ignore_errors=True)


@pytest.fixture
def kafka(guarded: GuardedKafka) -> Connection:
    """The door of administrators, for the helpers of other tests."""
    return guarded.inner


@pytest.fixture(params=DOORS, ids=" ".join)
def outer(guarded: GuardedKafka, request: pytest.FixtureRequest) -> Connection:
    protocol, mechanism = request.param
    return guarded.outer(protocol, mechanism, USERS[mechanism])


@pytest.fixture
def plain(guarded: GuardedKafka) -> Connection:
    return guarded.outer("SASL_SSL", "PLAIN", PLAIN)


@pytest.fixture
def group() -> str:
    return fresh_name(f"headrace.{NAME}.group")


@pytest.mark.usefixtures("credulous")
def test_what_was_forgotten_is_ended(
    kafka: Connection, outer: Connection, cluster: KafkaCluster, group: str
) -> None:
    source, out = (cluster.make(name=fresh_name(f"{NAME}.t")) for _ in range(2))
    reader = cluster.joined(group, "1", source)
    hung = Hung(kafka, group, source, out)
    hung.make(committed=True, offset=7, value=b"late")
    with pytest.raises(Unstable):
        reader.log.committed([(source, 0)])
    with capture_logs() as logs:
        end_forgotten(outer, hung.slot)
    assert [line["event"] for line in logs] == ["last transaction is ended"]
    assert seen(reader, out, source) == ([b"late"], {(source, 0): Committed(7, META)})


def test_members_leave(outer: Connection, guarded: GuardedKafka, cluster: KafkaCluster) -> None:
    topic = cluster.make(2, fresh_name(f"{NAME}.t"))
    joined = Members(guarded.inner, topic)
    joined.group = fresh_name(f"headrace.{NAME}.group")
    joined.join("a", "b")
    joined.settle(40, a=1, b=1)
    joined.consumers.pop("b").close()
    groups = Groups(outer)
    assert groups.let_leave(joined.group, ["b", "never-there"])
    assert groups.members(joined.group) == ["a"]
    joined.settle(40, a=2)  # its session would have lasted for 60 s
    joined.consumers.pop("a").close()


def test_sizes_are_read(outer: Connection, kafka: Connection, cluster: KafkaCluster) -> None:
    topic = cluster.make(name=fresh_name(f"{NAME}.t"))
    cluster.append((topic, 0), [b"x" * 1_000])
    sizes = topic_bytes(outer, {topic: 1})
    assert sizes == topic_bytes(kafka, {topic: 1})
    assert sizes is not None
    assert 1_000 < sizes[topic] < 2_000


def test_a_worker_works_with_what_the_manual_lists(
    outer: Connection, cluster: KafkaCluster, group: str
) -> None:
    source, out = (cluster.make(name=fresh_name(f"{NAME}.t")) for _ in range(2))
    cluster.append((source, 0), [b"one"])
    for turn in (1, 2):
        worker = KafkaWorker(outer, group, "0", [source], TIMING)
        worker.log._outputs = (out,)
        with capture_logs() as logs:
            worker.start()
        ended = [{"last transaction is ended"}, set()][turn == 1]
        assert {line["event"] for line in logs} == ended
        worker.join()
        settle([worker])
        transact(worker, values("a", topic=out), {(source, 0): Committed(turn, META)})
        assert stable(worker.log, [(source, 0)]) == {(source, 0): Committed(turn, META)}
        worker.close()


def test_who_is_permitted_nothing_goes_on_and_says_so(guarded: GuardedKafka, group: str) -> None:
    stranger = guarded.outer("SASL_SSL", "PLAIN", STRANGER)
    slot = Slot(f"{group}-0", group, TIMEOUT_MS, lambda: {"out": 1})
    with capture_logs() as logs:
        end_forgotten(stranger, slot)
        assert topic_bytes(stranger, {"out": 1}) is None
    lines = {line["event"]: line for line in logs if line["log_level"] == "warning"}
    reason = lines["forgotten transactions are not looked for"]["reason"]
    assert "error code 53" in reason
    assert "Transactional Id authorization failed" in reason
    assert "docs/operations.md, Permissions" in reason
    assert "Describe on the cluster" in lines["sizes of topics are not known"]["reason"]
    with pytest.raises(ServiceError, match=r"[Gg]roup authorization failed"):
        Groups(stranger).let_leave(group, ["a"])


def test_a_topic_that_is_not_permitted_is_the_reason_given(
    guarded: GuardedKafka, cluster: KafkaCluster, group: str
) -> None:
    """All other partitions of the request are then not attempted, which is no reason."""
    allowed = cluster.make(name=fresh_name(f"{NAME}.t"))
    forbidden = cluster.make(name=fresh_name("other"))
    connection = guarded.outer("SASL_SSL", "PLAIN", PLAIN)
    worker = KafkaWorker(guarded.inner, group, "0", [allowed], TIMING)
    worker.start()
    transact(worker, values("a", topic=allowed))
    worker.close()
    slot = Slot(f"{group}-0", group, TIMEOUT_MS, lambda: {allowed: 1, forbidden: 1})
    with capture_logs() as logs:
        end_forgotten(connection, slot)
    (line,) = logs
    assert "Topic authorization failed" in line["reason"]


@pytest.mark.parametrize("mechanism", list(USERS))
def test_a_wrong_password_is_one_sentence(
    guarded: GuardedKafka, mechanism: str, group: str
) -> None:
    name, password = USERS[mechanism]
    connection = guarded.outer("SASL_SSL", mechanism, (name, "not-this"))
    slot = Slot(f"{group}-0", group, TIMEOUT_MS, dict)
    with pytest.raises(ServiceError) as caught:
        end_forgotten(connection, slot)
    said = str(caught.value)
    assert f"SASL {mechanism} as {name!r}" in said
    assert "Authentication failed" in said
    assert "HEADRACE_KAFKA_SECURITY" in said
    assert "not-this" not in said
    assert password not in said


def test_a_worker_with_a_wrong_password_is_refused(guarded: GuardedKafka, group: str) -> None:
    worker = KafkaWorker(
        guarded.outer("SASL_SSL", "PLAIN", (PLAIN[0], "not-this")), group, "0", ["any"], TIMING
    )
    with pytest.raises(Refused, match="HEADRACE_KAFKA_SECURITY"):
        worker.log.open(lambda: True)


def test_a_mechanism_that_is_not_enabled_is_one_sentence(guarded: GuardedKafka, group: str) -> None:
    clear = guarded.outer("SASL_PLAINTEXT", "PLAIN", PLAIN)
    with pytest.raises(ServiceError, match="the broker takes only SCRAM-SHA-"):
        end_forgotten(clear, Slot(f"{group}-0", group, TIMEOUT_MS, dict))


def test_a_certificate_that_nobody_vouches_for_is_one_sentence(
    plain: Connection, group: str
) -> None:
    security = {key: each for key, each in plain.security.items() if key != "ssl.ca.location"}
    with pytest.raises(ServiceError, match="certificate verify failed"):
        end_forgotten(
            Connection(plain.brokers, security), Slot(f"{group}-0", group, TIMEOUT_MS, dict)
        )


def test_a_certificate_may_stand_in_the_settings(plain: Connection, cluster: KafkaCluster) -> None:
    topic = cluster.make(name=fresh_name(f"{NAME}.t"))
    security = dict(plain.security)
    security["ssl.ca.pem"] = Path(security.pop("ssl.ca.location")).read_text("ascii")
    assert topic_bytes(Connection(plain.brokers, security), {topic: 1}) is not None


def test_a_pipeline_runs_with_what_the_manual_lists(
    guarded: GuardedKafka, shop: Shop, tmp_path: Path
) -> None:
    guarded.permit(PLAIN[0], documented(shop.name))
    outer = guarded.outer("SASL_SSL", "PLAIN", PLAIN)
    shop.kafka = guarded.inner
    shop.environment["HEADRACE_KAFKA_BROKERS"] = outer.brokers
    shop.environment["HEADRACE_KAFKA_SECURITY"] = json.dumps(dict(outer.security))
    shop.headrace("topics", str(shop.file))
    with shop.running("--score", "2"):
        shop.publish(0)
        wait_until(lambda: sum(shop.ids("examples").values()) == SLICE, 60)
    with shop.running("--score", "1"):
        shop.publish(1)
        wait_until(lambda: sum(shop.ids("examples").values()) == 2 * SLICE, 60)
    shop.check_exactly(2)
    assert len(list(read(outer, shop.topics, "predictions"))) == 2 * SLICE
    log = (tmp_path / "run.log").read_text()
    assert "scaled in: members taken out of the group" in log
    assert log.count("last transaction is ended") >= 3
    assert "not looked for" not in log
    topics = json.loads(shop.headrace("status", shop.name, "--json").stdout)["storage"]["topics"]
    assert topics[shop.topics.predictions]["size_bytes"] > 1_000
    assert "not known" not in shop.headrace("status", shop.name).stderr
    shop.headrace("reset", shop.name, "--yes")
