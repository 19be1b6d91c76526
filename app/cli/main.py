"""``headrace``: the commands by name, and the one place where a failure becomes an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Annotated, Any

import typer

from headrace.app.cli import (
    alerts,
    check,
    failures,
    prune,
    publish,
    remedies,
    replay,
    run_workers,
    simulate,
    stack,
    status,
    tail,
    top,
    topics,
    version,
)
from headrace.schemas.errors import HeadraceError

UsageError: Any = typer.BadParameter.__base__
"""What the parser raises; typer carries click within it, or beside it, by its version."""

COMMANDS: Sequence[tuple[str, Callable[..., None], str]] = (
    ("check", check.check, check.EXAMPLE),
    ("simulate", simulate.simulate, simulate.EXAMPLE),
    ("replay", replay.replay, replay.EXAMPLE),
    ("up", stack.up, stack.UP_EXAMPLE),
    ("down", stack.down, stack.DOWN_EXAMPLE),
    ("topics", topics.topics, topics.EXAMPLE),
    ("run", run_workers.run, run_workers.EXAMPLE),
    ("publish", publish.publish, publish.EXAMPLE),
    ("tail", tail.tail, tail.EXAMPLE),
    ("status", status.status, status.EXAMPLE),
    ("top", top.top, top.EXAMPLE),
    ("reset", remedies.reset, remedies.RESET_EXAMPLE),
    ("rebuild", remedies.rebuild, remedies.REBUILD_EXAMPLE),
    ("prune", prune.prune, prune.EXAMPLE),
    ("version", version.version, version.EXAMPLE),
)
"""Each command: its name, its function, and an example of its use."""

_DEMO = "headrace.app.demo.command"


def application() -> typer.Typer:
    """Return the command line."""
    app = typer.Typer(
        name="headrace",
        help="Score events with models that learn online, on Kafka, exactly once.",
        epilog="Begin with: headrace check FILE, headrace up, headrace run FILE.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_everywhere)
    for name, function, example in COMMANDS:
        app.command(name, epilog=f"Example: {example}")(function)
    app.add_typer(alerts.group(), name="alerts")
    if find_spec("headrace.app.demo") and find_spec(_DEMO):
        from headrace.app.demo.command import EXAMPLE, demo

        app.command("demo", epilog=f"Example: {EXAMPLE}")(demo)
    return app


def _everywhere(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of a failure nobody foresaw.")
    ] = False,
) -> None:
    # --debug is taken out of the arguments before they are parsed, wherever it stands.
    del debug


def run() -> None:
    """Run the command line, and end the process with its exit code."""
    sys.exit(main(sys.argv[1:]))


def main(arguments: Sequence[str]) -> int:
    """Run one command; return its exit code."""
    debug = "--debug" in arguments
    given = [word for word in arguments if word != "--debug"]
    try:
        code = application()(args=given, prog_name="headrace", standalone_mode=False)
        sys.stdout.flush()
    except UsageError as error:
        return _usage(error)
    except (KeyboardInterrupt, typer.Abort):
        return failures.INTERRUPTED
    except BrokenPipeError:  # whoever read our output has gone, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except HeadraceError as error:
        failures.say(error)
        return failures.code_of(error)
    except Exception as error:  # noqa: BLE001 - whatever it is, it ends in one sentence
        failures.say_unexpected(error, debug=debug)
        return failures.FAILED
    return code if isinstance(code, int) else 0


def _usage(error: Any) -> int:
    """Say what cannot be parsed, with the command whose help says more."""
    said = error.format_message().replace("Invalid value: ", "").rstrip(".")
    if not said:  # no command at all: its help has been shown
        return failures.UNUSABLE
    command = error.ctx.command_path if error.ctx else "headrace"
    end = "" if said.endswith("?") else "."
    failures.say(f"{said}{end} See `{command} --help`.")
    return failures.UNUSABLE
