"""``headrace alerts``: which go on, sending them, and whether they would arrive."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from headrace.app.cli.arguments import AsJson, Name

HELP = "Alerts: which go on, sending them, and whether they would arrive."
EXAMPLE = "headrace alerts test"

LIST_EXAMPLE = "headrace alerts list flights"
SEND_EXAMPLE = "headrace alerts send flights"
SKIP_EXAMPLE = "headrace alerts skip flights json-3fa9c1d2"
TEST_EXAMPLE = "headrace alerts test"


def group() -> typer.Typer:
    """Return the group of commands."""
    found = typer.Typer(
        help=HELP,
        epilog=f"Example: {EXAMPLE}",
        no_args_is_help=True,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    found.command("list", epilog=f"Example: {LIST_EXAMPLE}")(list_alerts)
    found.command("send", epilog=f"Example: {SEND_EXAMPLE}")(send)
    found.command("skip", epilog=f"Example: {SKIP_EXAMPLE}")(skip)
    found.command("test", epilog=f"Example: {TEST_EXAMPLE}")(test)
    return found


def list_alerts(pipeline: Name, as_json: AsJson = False) -> None:
    """Say which alerts go on, and which could not be delivered yet."""
    import json

    from rich.console import Console

    from headrace.app.alerting.standing import alerts_standing, rendered_alerts
    from headrace.app.services import find_kafka
    from headrace.app.settings import settings_from
    from headrace.app.targets import known_topics, name_of

    kafka = find_kafka(settings_from(os.environ))
    topics = known_topics(pipeline, kafka)
    found = alerts_standing(kafka, topics.alerts, name_of(pipeline))
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        Console().print(rendered_alerts(found))


def send(pipeline: Name) -> None:
    """Send a pipeline's alerts to HEADRACE_ALERT_URLS, until Ctrl-C or SIGTERM."""
    import signal
    import threading

    from headrace.app.alerting.channels import needed_channels
    from headrace.app.alerting.sender import sending
    from headrace.app.logs import configure_logs
    from headrace.app.services import find_kafka
    from headrace.app.settings import settings_from
    from headrace.app.targets import known_topics, name_of

    settings = settings_from(os.environ)
    channels = needed_channels(settings)
    kafka = find_kafka(settings)
    topics, name = known_topics(pipeline, kafka), name_of(pipeline)
    configure_logs(settings, {"pipeline": name})
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    with sending(kafka, topics.alerts, name, channels):
        stopping.wait()


def skip(
    pipeline: Name,
    channel: Annotated[
        str,
        typer.Argument(
            help="The channel's name, as `headrace alerts list` says it.", show_default=False
        ),
    ],
    everything: Annotated[
        bool, typer.Option("--all", help="Pass over all that wait, not only the one in the way.")
    ] = False,
) -> None:
    """Have a channel pass over the alert that it does not take; later ones are sent."""
    from headrace.app.alerting.message import summary
    from headrace.app.alerting.skipping import skip as skip_alerts
    from headrace.app.services import find_kafka
    from headrace.app.settings import settings_from
    from headrace.app.targets import known_topics, name_of

    kafka = find_kafka(settings_from(os.environ))
    topics, name = known_topics(pipeline, kafka), name_of(pipeline)
    for alert in skip_alerts(kafka, topics.alerts, name, channel, everything=everything):
        typer.echo(f"{channel}: passed over: {summary(alert)} ({alert['id']}).")


def test() -> None:
    """Send a test message to each of HEADRACE_ALERT_URLS, and say whether it arrived."""
    from datetime import UTC, datetime

    from headrace.app.alerting.channels import needed_channels
    from headrace.app.alerting.message import trial_message
    from headrace.app.settings import settings_from

    message = trial_message(datetime.now(UTC))
    failed = False
    for channel in needed_channels(settings_from(os.environ)):
        reason = channel.send(message)
        failed = failed or reason is not None
        said = "arrived" if reason is None else f"did not arrive. {reason}"
        typer.echo(f"{channel.name} ({channel.shown}): {said}")
    raise typer.Exit(1 if failed else 0)
