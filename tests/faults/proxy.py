"""TCP connections that can be cut: a proxy on loopback between a worker and one service."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from headrace.app.stack.process import LOOPBACK

_CHUNK = 65_536


class Wire:
    """One way to a service.

    Parameters
    ----------
    net
        The net that it belongs to.
    target
        The service's port; may be set later, when it is known.

    Attributes
    ----------
    port
        Where to connect to.
    server
        What listens there.
    """

    def __init__(self, net: Net, target: int = 0) -> None:
        self.target = target
        self._net = net
        self._passes = asyncio.Event()
        self._passes.set()
        self._refuses = False
        self._links: set[asyncio.StreamWriter] = set()
        self.server = net.ask(asyncio.start_server(self._serve, LOOPBACK, 0))
        self.port: int = self.server.sockets[0].getsockname()[1]

    def hold(self) -> None:
        """Let nothing through and tell nobody, as a network that is gone."""
        self._net.ask(self._set(passes=False, refuses=False))

    def refuse(self) -> None:
        """Break all connections off, and each new one, as a firewall that resets."""
        self._net.ask(self._set(passes=False, refuses=True))

    def heal(self) -> None:
        """Let everything through again, first what was held back."""
        self._net.ask(self._set(passes=True, refuses=False))

    async def _set(self, *, passes: bool, refuses: bool) -> None:
        self._refuses = refuses
        (self._passes.set if passes else self._passes.clear)()
        if refuses:
            for link in self._links:
                link.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refuses:
            writer.transport.abort()
            return
        with suppress(OSError), self._linked(writer):
            await self._passes.wait()
            there, back = await asyncio.open_connection(LOOPBACK, self.target)
            with self._linked(back):
                await asyncio.gather(self._pump(reader, back), self._pump(there, writer))

    @contextmanager
    def _linked(self, writer: asyncio.StreamWriter) -> Iterator[None]:
        """Know a connection as long as it is served, and break it off however that ends."""
        self._links.add(writer)
        try:
            yield
        finally:
            self._links.discard(writer)
            writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Hand on what comes, and that it has ended."""
        with suppress(OSError):
            while data := await reader.read(_CHUNK):
                await self._passes.wait()
                writer.write(data)
                await writer.drain()
        writer.close()


class Net:
    """All wires of a run, in one thread."""

    def __init__(self) -> None:
        self._wires: list[Wire] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="net", daemon=True)
        self._thread.start()

    def wire(self, target: int = 0) -> Wire:
        made = Wire(self, target)
        self._wires.append(made)
        return made

    def ask(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Do work in the net's thread, and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def close(self) -> None:
        """Break everything off."""
        self._loop.call_soon_threadsafe(lambda: [wire.server.close() for wire in self._wires])
        self.ask(_cancel_all())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


async def _cancel_all() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.sleep(0)  # what was broken off lets go of its socket in the next round
