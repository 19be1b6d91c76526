"""The event loop's side of a worker: Faust agents that process batches, one event per batch.

Of Faust this uses what it does well (agents, channels, supervision, lifecycle) through its public
API alone; its consumer, producer, tables and exactly-once are not used (docs/adr/0001).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import faust
from faust.app import base
from mode import CrashingSupervisor

from headrace.streams.engine.holding import Work


class _App(faust.App):
    """A Faust app without a broker."""

    class BootStrategy(base.BootStrategy):
        """Starts agents and channels; no consumer, no producer, no web server."""

        enable_kafka = False
        enable_web = False
        enable_kafka_consumer = False
        enable_kafka_producer = False


class Agents:
    """One agent for each stage, in one event loop.

    Parameters
    ----------
    name
        The app's.
    stages
        Names of the stages.
    process
        Processes one batch; never raises.
    folder
        Where Faust may keep files; it keeps none.
    """

    def __init__(
        self, name: str, stages: Sequence[str], process: Callable[[Work], None], folder: Path
    ) -> None:
        self._process = process
        self._app = _App(
            name,
            broker="kafka://127.0.0.1:1",  # asked for by Faust, never connected to
            store="memory://",
            datadir=str(folder),
            autodiscover=False,
        )
        self._channels = {stage: self._agent(stage) for stage in stages}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()

    def _agent(self, stage: str) -> Any:
        channel: Any = self._app.channel()

        async def work(stream: AsyncIterable[Work]) -> None:
            async for item in stream:
                self._process(item)

        # The default supervisor restarts an agent and loses the batch that it had.
        self._app.agent(channel, name=stage, supervisor_strategy=CrashingSupervisor)(work)
        return channel

    async def run(self, started: Callable[[], None]) -> None:
        """Run until :meth:`stop`, or until an agent crashes, which raises.

        Parameters
        ----------
        started
            Called once the agents are there.
        """
        self._loop = asyncio.get_running_loop()
        await self._app.start()
        self._app.flow_control.resume()  # once; without it a channel's put waits for ever
        started()
        crashed = asyncio.ensure_future(self._app.wait_until_stopped())
        asked = asyncio.ensure_future(self._stop.wait())
        await asyncio.wait({crashed, asked}, return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        await self._app.stop()
        crashed.cancel()
        if self._app.crash_reason is not None:
            raise self._app.crash_reason

    def feed(self, batches: Iterable[Work]) -> None:
        """Hand batches to their agents; from any thread."""
        assert self._loop is not None
        asyncio.run_coroutine_threadsafe(self._put(batches), self._loop)

    def stop(self) -> None:
        """Let :meth:`run` return; from any thread."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._stop.set)

    async def _put(self, batches: Iterable[Work]) -> None:
        for work in batches:
            await self._channels[work.holding.task.spec.id.stage].put(work)
