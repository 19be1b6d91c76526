"""Alerts on real Kafka, to a real webhook: none is lost, whatever is down; what waits is shown."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from headrace.app.alerting.channels import Channel
from headrace.app.alerting.message import message_of
from headrace.app.alerting.sender import Sender, group_prefix, sending
from headrace.app.alerting.skipping import skip
from headrace.app.alerting.standing import alerts_standing
from headrace.schemas.codec import Codec
from headrace.schemas.errors import InputError
from headrace.schemas.records import ALERT
from headrace.streams.engine.connection import Connection
from headrace.streams.engine.groups import Groups
from headrace.streams.engine.ids import SchemaIds
from headrace.streams.records import Emit
from headrace.streams.subjects import subject_of
from tests.integration.logs import until
from tests.services import MakeTopic, fresh_name, produce
from tests.systems.shop import Shop
from tests.unit.alerting.hook import Hook

pytestmark = pytest.mark.integration

FIELDS: dict[str, Any] = {
    "kind": "input", "what": "feature.wind", "segment": "all", "since": 0, "noticed": 0, "until": 0,
    "strength": 2.0, "effect": 0.5, "distribution": [], "members_left_out": 0,
    "run_length": 86_400_000, "advice": "Look.",
    "members": [
        {"kind": "input", "what": "feature.wind", "segment": "all", "state": "begun", "since": 0,
         "strength": 2.0, "effect": 0.5},
    ],
}  # fmt: skip


class Post:
    """An alerts topic, and a webhook that its alerts are sent to."""

    def __init__(self, kafka: Connection, topic: str) -> None:
        self.kafka, self.topic = kafka, topic
        self.name = fresh_name("p")
        self.hook = Hook()
        subject = subject_of(topic)
        number = SchemaIds(kafka).register({subject: ALERT}).id_of(subject, ALERT)
        assert number is not None
        self._codec = Codec(ALERT, number)
        self._revision = 0

    def write(self, *alerts: tuple[str, str]) -> None:
        """Write alerts as MONITOR does: id and state, in a transaction."""
        emits = []
        for alert_id, state in alerts:
            self._revision += 1
            fields = {**FIELDS, "id": alert_id, "state": state, "revision": self._revision}
            emits.append(Emit(self.topic, 0, alert_id.encode(), self._codec.encode(fields)))
        produce(self.kafka, emits, transactional_id=fresh_name("monitor"))

    def sender(self) -> Sender:
        return Sender(self.kafka, self.topic, self.name, self.channel())

    def channel(self) -> Channel:
        return Channel(self.hook.url)

    def sending(self) -> Any:
        return sending(self.kafka, self.topic, self.name, [self.channel()])

    def ids(self) -> list[str]:
        """Return ids and titles' last words of what has arrived."""
        return [each["message"].rpartition("Alert ")[2].partition(";")[0] for each in self.taken()]

    def taken(self) -> list[dict[str, Any]]:
        return list(self.hook.taken)

    def stands(self) -> dict[str, Any]:
        return alerts_standing(self.kafka, self.topic, self.name)

    def wait_for(self, *ids: str) -> None:
        until(lambda: self.ids() == list(ids))


@pytest.fixture
def post(kafka: Connection, make_topic: MakeTopic) -> Iterator[Post]:
    found = Post(kafka, make_topic(1))
    yield found
    found.hook.down()


def test_what_goes_on_at_the_first_start_is_sent_and_then_everything(post: Post) -> None:
    post.write(("a", "begun"), ("b", "begun"), ("a", "over"), ("b", "ongoing"))
    with post.sending():
        post.wait_for("b")
        post.write(("c", "begun"), ("b", "over"))
        post.wait_for("b", "c", "b")
        until(lambda: post.stands()["deliveries"][0]["waiting"] == 0)
    assert [each["type"] for each in post.taken()] == ["info", "warning", "success"]
    assert [each["id"] for each in post.stands()["open"]] == ["c"]
    post.write(("d", "begun"))
    assert post.stands()["deliveries"][0]["waiting"] == 1
    with post.sending():  # a second start goes on where the first one stopped
        post.wait_for("b", "c", "b", "d")


def test_what_cannot_be_delivered_is_kept_shown_and_sent_when_the_hook_is_back(post: Post) -> None:
    with post.sending():
        post.write(("a", "begun"))
        post.wait_for("a")
        post.hook.down()
        post.write(("b", "begun"), ("c", "begun"))
        until(lambda: _waits(post, lambda it: it["failures"] >= 1))
        (delivery,) = post.stands()["deliveries"]
        assert delivery["waiting"] == 2
        assert "onnection" in delivery["reason"]
        assert delivery["channel"] == post.channel().name
    # Nobody sends: what waits is still there, with the reason, and nothing of the URL.
    (delivery,) = post.stands()["deliveries"]
    assert (delivery["waiting"], delivery["failures"] > 0) == (2, True)
    assert "pa55word" not in str(delivery)
    post.hook.up()
    post.hook.status = 503
    with post.sending():
        until(lambda: post.hook.refused >= 2)
        post.hook.status = 200
        post.wait_for("a", "b", "c")
        until(lambda: _waits(post, lambda it: it["waiting"] == 0 and not it["reason"]))


def _waits(post: Post, fits: Callable[[dict[str, Any]], bool]) -> bool:
    (delivery,) = post.stands()["deliveries"]
    return fits(delivery)


def test_what_is_never_taken_can_be_passed_over_while_it_is_tried(post: Post) -> None:
    with post.sending():
        post.write(("a", "begun"))
        post.wait_for("a")
        post.hook.status = 413
        post.write(("b", "begun"), ("c", "begun"))
        until(lambda: _waits(post, lambda it: it["failures"] >= 1))
        assert [each["id"] for each in skipped(post)] == ["b"]
        until(lambda: _waits(post, lambda it: it["waiting"] == 1 and it["failures"] >= 1))
        post.hook.status = 200
        post.wait_for("a", "c")


def test_what_waits_while_nobody_sends_can_be_passed_over(post: Post) -> None:
    with post.sending():
        post.write(("a", "begun"))
        post.wait_for("a")
        until(lambda: _waits(post, lambda it: it["waiting"] == 0))
    with pytest.raises(InputError, match="has delivered everything"):
        skipped(post, everything=True)
    post.write(("b", "begun"), ("c", "begun"))
    with pytest.raises(InputError, match="has not failed to deliver any of the 2 alerts"):
        skipped(post)
    with pytest.raises(InputError, match=r"No channel is called .* Did you mean"):
        skip(post.kafka, post.topic, post.name, post.channel().name + "x", everything=True)
    assert [each["id"] for each in skipped(post, everything=True)] == ["b", "c"]
    assert _waits(post, lambda it: it["waiting"] == 0)
    with post.sending():
        post.write(("d", "begun"))
        post.wait_for("a", "d")


def skipped(post: Post, *, everything: bool = False) -> list[dict[str, Any]]:
    return skip(post.kafka, post.topic, post.name, post.channel().name, everything=everything)


def test_one_of_two_senders_works_and_the_other_takes_its_place(post: Post) -> None:
    first, second = post.sender(), post.sender()
    first.start()
    post.write(("a", "begun"))
    post.wait_for("a")
    second.start()
    time.sleep(0.5)
    post.hook.status = 503
    post.write(("b", "begun"))
    until(lambda: first.courier.failed + second.courier.failed >= 1)
    first.ask_to_stop()
    first.join()
    post.hook.status = 200
    post.wait_for("a", "b")
    post.write(("c", "begun"))
    post.wait_for("a", "b", "c")
    second.ask_to_stop()
    second.join()
    assert first.courier.delivered + second.courier.delivered == 3


def test_a_sender_whose_topic_goes_away_and_comes_back_while_it_waits_goes_on(post: Post) -> None:
    """It has the partition paused then, and a client keeps that over a rebalance."""
    first, second = post.sender(), post.sender()
    first.start()
    post.write(("a", "begun"))
    post.wait_for("a")
    post.hook.status = 503
    post.write(("b", "begun"))
    until(lambda: first.courier.failed >= 3)  # it waits for 4 s now
    second.start()
    time.sleep(2)
    second.ask_to_stop()
    second.join()
    post.hook.status = 200
    try:
        post.wait_for("a", "b")
    finally:
        first.ask_to_stop()
        first.join()


def test_a_channel_that_is_down_holds_up_no_other(post: Post) -> None:
    other = Hook()
    channels = [post.channel(), Channel(other.url)]
    post.hook.status = 500
    try:
        with sending(post.kafka, post.topic, post.name, channels):
            post.write(("a", "begun"), ("b", "begun"))
            until(lambda: len(other.taken) == 2)
            assert post.ids() == []
            assert len(post.stands()["deliveries"]) == 2
    finally:
        other.down()


def test_what_does_not_decode_holds_up_nobody(post: Post) -> None:
    with post.sending():
        post.write(("a", "begun"))
        post.wait_for("a")
        produce(post.kafka, [Emit(post.topic, 0, b"k", b"\0\0\0\0\1junk")])
        produce(post.kafka, [Emit(post.topic, 0, b"k", None)])
        post.write(("b", "begun"))
        post.wait_for("a", "b")


def test_a_crash_before_the_commit_sends_it_once_more(post: Post) -> None:
    """Nothing was committed for what has been sent: it comes again, and nothing is left out."""
    post.write(("a", "begun"), ("b", "begun"))
    sender = post.sender()
    stopping = threading.Event()

    def deliver(alert: dict[str, Any]) -> str | None:
        said = post.channel().send(message_of("p", alert))
        stopping.set()
        raise _Killed(said)

    sender.courier._deliver = deliver
    with pytest.raises(_Killed):
        sender.courier.run(stopping)
    assert len(post.taken()) == 1
    with post.sending():
        until(lambda: post.ids()[1:] == ["a", "b"])


class _Killed(Exception):
    """The process ends here."""


def test_a_pipeline_that_has_no_alerts_topic_has_no_alerts(kafka: Connection) -> None:
    none = fresh_name("none")
    assert alerts_standing(kafka, none, "p") == {"open": [], "deliveries": []}
    with pytest.raises(InputError, match="No channel has sent anything yet"):
        skip(kafka, none, "p", "json-1", everything=False)


def test_groups_are_found_by_their_names_beginning(post: Post) -> None:
    with post.sending():
        post.write(("a", "begun"))
        post.wait_for("a")
    prefix = group_prefix(post.name)
    assert Groups(post.kafka).names(prefix) == [prefix + post.channel().name]


@pytest.mark.slow
def test_run_sends_and_the_commands_say_how_it_stands(shop: Shop) -> None:
    shop.headrace("topics", str(shop.file))
    post = Post(shop.kafka, shop.topics.alerts)
    shop.environment["HEADRACE_ALERT_URLS"] = post.hook.url
    try:
        with shop.running():
            post.write(("a", "begun"))
            post.wait_for("a")
            assert post.taken()[0]["title"] == f"{shop.name}: feature.wind has changed"
            where = f'{{channel="{post.channel().name}",pipeline="{shop.name}"}}'
            with urllib.request.urlopen(_address(shop) + "/metrics", timeout=10) as answer:
                assert f"headrace_alert_deliveries_total{where} 1.0" in answer.read().decode()
            post.hook.status = 500
            post.write(("b", "begun"))
            until(lambda: post.hook.refused > 0)
            until(lambda: bool(_standing(shop)["deliveries"][0]["failures"]))
            post.write(("c", "begun"))
        assert "pa55word" not in (shop.folder / "run.log").read_text()
        stands = json.loads(shop.headrace("status", shop.name, "--json").stdout)
        assert stands["alerts"] == _standing(shop)
        assert [each["id"] for each in stands["alerts"]["open"]] == ["c", "b", "a"]
        for command in (("status", shop.name), ("alerts", "list", str(shop.file))):
            shown = shop.headrace(*command).stdout
            assert "feature.wind has changed" in shown
            assert f"{post.channel().name}: 2 not delivered; tried" in shown
        said = shop.headrace("alerts", "skip", shop.name, post.channel().name).stdout
        assert said == f"{post.channel().name}: passed over: feature.wind has changed (b).\n"
        post.hook.status = 200
        sending = subprocess.Popen(
            shop.command("alerts", "send", shop.name), env=shop.environment, cwd=shop.folder
        )
        post.wait_for("a", "c")
        sending.send_signal(signal.SIGTERM)
        assert sending.wait(20) == 0
        shop.headrace("reset", shop.name, "--yes")
        assert shop.groups.names(group_prefix(shop.name)) == []
    finally:
        post.hook.down()


def _standing(shop: Shop) -> Any:
    return json.loads(shop.headrace("alerts", "list", shop.name, "--json").stdout)


def _address(shop: Shop) -> str:
    """Return where the supervisor answers, as its log says."""
    found = re.search(r"at=(http://[0-9.:]+)/health", (shop.folder / "run.log").read_text())
    assert found is not None
    return found[1]
