"""The demo from its beginning to its end, in the main thread: set up, supervise, show, stop.

1. the embedded stack starts in a data folder of the demo's own;
2. the flights pipeline is made ready, and its workers are started under the supervisor;
3. :class:`Run` publishes and looks on, in threads of its own, while this one shows how it stands;
4. the summary is shown and written; workers and services stop, and a temporary folder is removed.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from rich.console import Console

from headrace.app.cli.progress import Step, steps
from headrace.app.demo.interrupts import Interrupts
from headrace.app.demo.log import Log, logging_to
from headrace.app.demo.run import Run
from headrace.app.demo.screen import save_picture, screen
from headrace.app.demo.source import history_of, pipeline_file, week_file, year_file
from headrace.app.demo.summary import Summary, sentences, summary_table
from headrace.app.demo.words import what_next
from headrace.app.services import Services
from headrace.app.settings import Settings, settings_from
from headrace.app.stack.stack import Stack
from headrace.app.supervisor import Supervisor, WorkerCommand, slots_of
from headrace.app.wiring import prepare
from headrace.schemas.errors import HeadraceError, InputError, ServiceError, SettingsError
from headrace.streams.duration import duration_ms
from headrace.streams.engine.connection import Connection
from headrace.streams.load import load_pipeline
from headrace.streams.plan import plan_of


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says.

    Attributes
    ----------
    data
        The folder to work in; None: a temporary one.
    keep
        Whether to stay up after the summary, and to leave the folder where it is.
    json, picture
        Where to write the summary, and the last picture as SVG.
    year
        Whether to run the whole year rather than a week.
    in_step
        Length of a slice of event time, as people write it; None: 30m, of the year 1h.
    until
        Where in event time to stop.
    score
        How many scorers.
    """

    data: Path | None = None
    keep: bool = False
    json: Path | None = None
    picture: Path | None = None
    year: bool = False
    in_step: str | None = None
    until: datetime | None = None
    score: int = 1


def demonstrate(options: Options, console: Console) -> None:
    """Run the demo.

    Raises
    ------
    HeadraceError
        Something that is needed is not there, or went wrong.
    KeyboardInterrupt
        It was interrupted before its end; all has been stopped in order.
    """
    with Interrupts() as interrupts, ExitStack() as entered:
        try:
            _Demo(options, console, interrupts, entered).perform()
        finally:
            interrupts.ignore()


class _Demo:
    def __init__(
        self, options: Options, console: Console, interrupts: Interrupts, entered: ExitStack
    ) -> None:
        self._options = options
        self._console = console
        self._interrupts = interrupts
        self._entered = entered
        self._begun_s = time.monotonic()

    def perform(self) -> None:
        """Set up, show, sum up; ``entered`` stops what was started."""
        options, file = self._options, pipeline_file()
        step_ms = step_of(options)
        folder = self._entered.enter_context(_folder(options))
        with steps() as step:
            step("reading flights", None)
            plan = plan_of(load_pipeline(file))
            history = history_of(
                plan, year_file(step) if options.year else week_file(), options.until
            )
            settings = settings_from(os.environ, {"data": folder})
            log = self._entered.enter_context(logging_to(folder / "logs" / "demo.log", settings))
            services = self._services(folder, settings, step)
            step("creating topics", None)
            prepared = prepare(plan, settings, services)
        run = Run(prepared, history, step_ms, _title(options), self._begun_s)
        supervisor = Supervisor(
            slots_of(options.score, 1),
            WorkerCommand(file, 0),
            said=log.said,
            environment=_environment(settings, services),
        )
        self._supervise(run, supervisor, log, folder)

    def _services(self, folder: Path, settings: Settings, step: Step) -> Services:
        """Start the embedded stack; it is stopped when all is left."""
        stack = Stack(folder, maven_url=settings.maven_url, progress=step)
        self._entered.callback(self._console.print, "Stopped.", style="dim")
        self._entered.enter_context(stack)
        found = {name: str(address) for name, address in stack.addresses.items()}
        return Services(
            Connection(found["kafka"], compression=settings.kafka_compression),
            found["redis"],
            found["registry"],
        )

    def _supervise(self, run: Run, supervisor: Supervisor, log: Log, folder: Path) -> None:
        shown = ExitStack()
        picture = shown.enter_context(screen(self._console))
        said = False

        def stop() -> None:
            run.ask_to_stop()
            supervisor.ask_to_stop()

        def turn() -> None:
            nonlocal said
            run.restarts = sum(post.backoff.restarts for post in supervisor.posts)
            if not run.finished.is_set():
                if picture.wants():
                    picture.show(run.view())
            elif not said:
                said = True
                picture.show(run.view(), now=True)
                shown.close()
                self._say(run, folder)
                if run.error is not None or not self._options.keep:
                    supervisor.ask_to_stop()

        self._interrupts.lead_to(stop)
        run.start()
        with shown:
            code = supervisor.run(turn)
        run.stop()
        self._judge(run, code, log)

    def _say(self, run: Run, folder: Path) -> None:
        """Show the summary, write it, and say what to try next."""
        options, summary = self._options, run.summary
        if summary is None:
            return
        if options.json is not None:
            _write(options.json, summary)
        if options.picture is not None:
            save_picture(run.view(), options.picture, "make demo")
        self._console.print()
        self._console.print(summary_table(summary))
        for sentence in [*sentences(summary), "", *what_next(options.keep, folder)]:
            # A terminal's lines are broken between words; a file's are left to whoever reads it.
            wrap = self._console.is_terminal
            self._console.print(sentence, highlight=False, soft_wrap=not wrap)
        if not options.keep:
            self._console.print("Stopping workers, Kafka and Valkey …", style="dim")

    def _judge(self, run: Run, code: int, log: Log) -> None:
        """Raise what went wrong, if anything did."""
        if run.error is not None and not isinstance(run.error, HeadraceError):
            raise run.error
        if run.error is not None:
            sentence = f"{run.error}\nThe last lines of the workers' log:\n{log.tail()}"
            raise ServiceError(sentence) from run.error
        if code:
            raise ServiceError(
                f"The workers ended with code {code}. The last lines of their log:\n{log.tail()}"
            )
        if run.summary is None:
            raise KeyboardInterrupt


def step_of(options: Options) -> int:
    """Return the length of a slice, in milliseconds of event time.

    Raises
    ------
    InputError
        It is no duration.
    """
    text = options.in_step or ("1h" if options.year else "30m")
    try:
        return duration_ms(text)
    except ValueError as error:
        raise InputError(f"--in-step: {error}.") from error


@contextmanager
def _folder(options: Options) -> Iterator[Path]:
    """Lend a data folder of the demo's own; remove a temporary one."""
    if options.data is not None:
        folder = options.data.absolute()
        if (folder / "kafka").exists():
            raise SettingsError(
                f"{folder} holds an earlier run, and what is published twice is counted twice."
                " Name another folder, or empty this one:"
                f" HEADRACE_DATA={folder} headrace down --wipe"
            )
        yield folder
        return
    folder = Path(tempfile.mkdtemp(prefix="headrace-demo-"))
    try:
        yield folder
    finally:
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)


def _title(options: Options) -> str:
    return f"Headrace demo: {'the flights of 2013' if options.year else 'a week of flights'}"


def _environment(settings: Settings, services: Services) -> dict[str, str]:
    """Return what workers are told: our services, whatever the environment names."""
    return {
        "PYTHONHASHSEED": "0",
        "HEADRACE_DATA": str(settings.data),
        "HEADRACE_KAFKA_BROKERS": services.kafka.brokers,
        "HEADRACE_KAFKA_SECURITY": "{}",
        "HEADRACE_REDIS_URL": services.redis_url,
        "HEADRACE_REGISTRY_URL": services.registry_url,
    }


def _write(file: Path, summary: Summary) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(summary, indent=2) + "\n", "utf-8")
