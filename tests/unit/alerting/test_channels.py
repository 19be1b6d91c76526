"""Channels: Apprise on a real webhook; secrets are never shown."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from rich.console import Console, RenderableType

from headrace.app.alerting.channels import Channel, channels_of, needed_channels
from headrace.app.alerting.message import message_of, summary, trial_message
from headrace.app.alerting.sender import DeliveryCollector, Sender
from headrace.app.alerting.standing import rendered_alerts
from headrace.app.cli.main import main
from headrace.app.settings import settings_from
from headrace.schemas.errors import SettingsError
from headrace.streams.engine.connection import Connection
from tests.unit.alerting.hook import Hook

ALERT: dict[str, Any] = {
    "id": "flights-inputs-1359633600000",
    "state": "begun",
    "kind": "input",
    "what": "feature.wind_speed_mph",
    "segment": "all",
    "since": datetime(2013, 1, 31, 10, tzinfo=UTC),
    "noticed": datetime(2013, 1, 31, 12, tzinfo=UTC),
    "until": datetime(2013, 1, 31, 12, tzinfo=UTC),
    "strength": 3.25,
    "effect": 0.8125,
    "distribution": [
        {"group": "low", "reference": 0.5, "observed": 0.5},
        {"group": "high", "reference": 0.5, "observed": 0.0},
        {"group": "null", "reference": 0.0, "observed": 0.5},
    ],
    "members": [
        {"what": "feature.wind_speed_mph", "segment": "all", "state": "begun"},
        {"what": "score", "segment": "origin=JFK", "state": "over"},
    ],
    "members_left_out": 0,
    "run_length": 90 * 86_400_000,
    "advice": "Look at the sensor.",
    "revision": 12,
}


def written(what: RenderableType) -> str:
    out = io.StringIO()
    Console(file=out, width=200).print(what)
    return out.getvalue()


@pytest.fixture
def hook() -> Iterator[Hook]:
    found = Hook()
    yield found
    found.down()


def test_a_message_says_it_all_in_words() -> None:
    message = message_of("flights", ALERT)
    assert message.title == "flights: feature.wind_speed_mph and 1 more have changed"
    assert message.urgency == "warning"
    for said in (
        "Since about 2013-01-31 10:00 UTC, noticed at 2013-01-31 12:00 UTC",
        "Strength 3.25, where 1 raises an alarm; effect 0.812 (PSI).",
        "high: 50.0% before, 0.0% now",
        "With it: score (origin=JFK) (over).",
        "Look at the sensor.",
        "one false alarm in 90d of event time",
        "flights-inputs-1359633600000",
    ):
        assert said in message.body


def test_a_mean_has_no_groups_and_many_members_are_counted() -> None:
    mean = [{"group": "mean", "reference": 0.35, "observed": 0.52}]
    one = {**ALERT, "kind": "outcome", "what": "log_loss", "segment": "carrier=UA"}
    one = {**one, "distribution": mean, "members": ALERT["members"][:1], "state": "over"}
    message = message_of("flights", one)
    assert message.title == "flights: log_loss (carrier=UA) is no longer changed"
    assert message.urgency == "success"
    assert "Mean: 0.35 before, 0.52 now." in message.body
    assert "difference of means" in message.body
    assert "With it" not in message.body
    many = {**ALERT, "members": ALERT["members"] * 10, "members_left_out": 5, "state": "ongoing"}
    assert summary(many).endswith("and 24 more are still changed")
    body = message_of("flights", {**many, "distribution": []}).body
    assert "14 more." in body
    assert "Shares" not in body


def test_a_channel_sends_and_says_why_not(hook: Hook) -> None:
    channel = Channel(hook.url)
    assert channel.send(message_of("flights", ALERT)) is None
    (posted,) = hook.taken
    assert posted["title"] == "flights: feature.wind_speed_mph and 1 more have changed"
    assert "Look at the sensor." in posted["message"]
    assert posted["type"] == "warning"
    hook.status = 503
    assert "503" in (channel.send(trial_message(datetime.now(UTC))) or "")
    hook.down()
    assert "onnection" in (channel.send(trial_message(datetime.now(UTC))) or "")


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """What a process logs that logs everything."""
    out, root = io.StringIO(), logging.getLogger()
    handler, level = logging.StreamHandler(out), root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield out
    root.setLevel(level)
    root.removeHandler(handler)


def test_secrets_are_not_shown(
    hook: Hook, logged: io.StringIO, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SettingsError):
        Channel("slck://somebody:pa55word@t0ken-of-mine")
    channel = Channel(hook.url)
    assert channel.shown == f"json://127.0.0.1:{hook.port}"
    assert channel.name.startswith("json-")
    assert channel.name == Channel(hook.url).name != Channel(hook.url + "x").name
    channel.send(trial_message(datetime.now(UTC)))
    hook.down()
    reason = channel.send(trial_message(datetime.now(UTC)))
    seen = f"{channel.shown} {channel.name} {reason} {logged.getvalue()} {capfd.readouterr()}"
    for secret in ("pa55word", "t0ken-of-mine", "somebody"):
        assert secret not in seen


def test_what_a_service_raises_is_a_reason_without_its_url(hook: Hook) -> None:
    channel = Channel(hook.url)

    def fail(**_: Any) -> bool:
        raise ValueError(f"cannot open {hook.url}")

    channel._plugin.notify = fail
    assert channel.send(trial_message(datetime.now(UTC))) == "ValueError: cannot open …"
    channel._plugin.notify = lambda **_: False
    assert "says no more" in (channel.send(trial_message(datetime.now(UTC))) or "")


def test_settings_hold_urls_by_blanks_and_never_show_them(hook: Hook) -> None:
    other = f"json://127.0.0.1:{hook.port}/other"
    found = settings_from({"HEADRACE_ALERT_URLS": f"{hook.url}  {other}\n{hook.url}"})
    assert [channel.shown for channel in channels_of(found)] == [
        f"json://127.0.0.1:{hook.port}"
    ] * 2
    assert "pa55word" not in repr(found)
    assert channels_of(settings_from({})) == []
    with pytest.raises(SettingsError, match="HEADRACE_ALERT_URLS is not set"):
        needed_channels(settings_from({}))
    for wrong in ("slck://pa55word/x", "pa55word"):
        with pytest.raises(SettingsError, match="Apprise does not understand") as caught:
            channels_of(settings_from({"HEADRACE_ALERT_URLS": wrong}))
        assert "pa55word/x" not in str(caught.value)


def test_alerts_test_says_of_each_url_whether_it_arrived(
    hook: Hook, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HEADRACE_ALERT_URLS", hook.url)
    assert main(["alerts", "test"]) == 0
    assert capsys.readouterr().out.endswith(f"(json://127.0.0.1:{hook.port}): arrived\n")
    assert hook.taken[0]["title"] == "Headrace: a test"
    monkeypatch.setenv("HEADRACE_ALERT_URLS", f"{hook.url} json://127.0.0.1:1/nobody")
    assert main(["alerts", "test"]) == 1
    first, second = capsys.readouterr().out.splitlines()
    assert first.endswith("arrived")
    assert "(json://127.0.0.1:1): did not arrive. " in second
    monkeypatch.delenv("HEADRACE_ALERT_URLS")
    assert main(["alerts", "test"]) == 2
    assert "HEADRACE_ALERT_URLS is not set" in capsys.readouterr().err


def test_the_commands_of_alerts_have_help_and_examples(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("list", "send", "skip", "test"):
        assert main(["alerts", name, "--help"]) == 0
        assert f"Example: headrace alerts {name}" in capsys.readouterr().out


def test_deliveries_are_metrics(hook: Hook) -> None:
    sender = Sender(Connection("127.0.0.1:1"), "t", "flights", Channel(hook.url))
    sender.courier.delivered, sender.courier.failed = 3, 2
    registry = CollectorRegistry()
    registry.register(DeliveryCollector("flights", [sender]))
    shown = generate_latest(registry).decode()
    where = f'{{channel="{sender.channel.name}",pipeline="flights"}}'
    assert f"headrace_alert_deliveries_total{where} 3.0" in shown
    assert f"headrace_alert_deliveries_failed_total{where} 2.0" in shown
    assert f"headrace_alert_delivery_held_up{where} 0.0" in shown


def test_what_goes_on_and_what_waits_is_shown() -> None:
    alert = {name: ALERT[name] for name in ("id", "state", "kind", "what", "segment", "strength")}
    times = {name: ALERT[name].isoformat() for name in ("since", "noticed", "until")}
    alert = {**alert, **times, "members": ["a", "b"], "members_left_out": 0}
    late = {"channel": "json-1", "waiting": 2, "failures": 3, "since": "2026", "reason": "503"}
    well = {**late, "waiting": 0, "failures": 0}
    begun = {**late, "failures": 0}
    shown = written(rendered_alerts({"open": [alert], "deliveries": [late, well, begun]}))
    assert "1 alerts go on" in shown
    assert "feature.wind_speed_mph and 1 more have changed" in shown
    assert "json-1: 2 not delivered; tried 3 times since 2026: 503" in shown
    assert "json-1: all delivered" in shown
    assert "no alert goes on" in written(rendered_alerts({"open": [], "deliveries": []}))
