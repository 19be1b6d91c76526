"""Health and metrics of one process over HTTP, served by a thread of its own.

==============  ==================================================================================
``/health``     200 if the process does its work, 503 with what it waits for
``/ready``      200 once it has begun its work, 503 before and while it stops
``/metrics``    the figures for Prometheus
==============  ==================================================================================

Both health answers carry the whole snapshot as JSON: the same that the board shows.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import uvicorn
from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from headrace.schemas.errors import SettingsError

Snapshot = Callable[[], Mapping[str, Any]]

STALE_S = 10.0
"""How old a snapshot with a ``time`` may be: one that grows older stands still."""

_START_S = 10.0
_STOP_S = 5.0


class Server:
    """A running server.

    Attributes
    ----------
    port
        Where it listens.
    """

    def __init__(self, server: uvicorn.Server, listening: socket.socket) -> None:
        self.port: int = listening.getsockname()[1]
        self._server = server
        self._listening = listening
        self._thread = threading.Thread(
            target=server.run, kwargs={"sockets": [listening]}, name="headrace-http", daemon=True
        )

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()
        until = time.monotonic() + _START_S
        while not self._server.started and self._thread.is_alive() and time.monotonic() < until:
            time.sleep(0.005)

    def close(self) -> None:
        """Stop answering; what is under way ends within seconds."""
        self._server.should_exit = True
        self._thread.join(_STOP_S)
        self._listening.close()


def serve(host: str, port: int, snapshot: Snapshot, *metrics: Collector) -> Server:
    """Serve health and metrics in a thread.

    Parameters
    ----------
    host, port
        Where to listen; port 0 lets the system choose.
    snapshot
        Returns how the process stands. Of it are read: ``state`` (``running`` is ready),
        ``waits_for`` (empty if it does its work) and ``time`` (when it was made; may be absent).
    metrics
        What ``/metrics`` shows.

    Raises
    ------
    SettingsError
        The address cannot be listened on.
    """
    try:
        listening = _listen(host, port)
    except OSError as error:
        raise SettingsError(
            f"HTTP cannot listen on {host}:{port}: {error.strerror or error}. Choose another port"
            " with HEADRACE_HTTP_PORT; 0 takes any that is free."
        ) from error
    config = uvicorn.Config(
        application(snapshot, *metrics),
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        timeout_keep_alive=5,
        timeout_graceful_shutdown=1,
        limit_concurrency=64,
        server_header=False,
    )
    server = Server(uvicorn.Server(config), listening)
    server.start()
    return server


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(64)
    except OSError:
        listening.close()
        raise
    return listening


def application(snapshot: Snapshot, *metrics: Collector) -> FastAPI:
    """Return the routes over a process' snapshot."""
    registry = CollectorRegistry()
    for each in metrics:
        registry.register(each)
    app = FastAPI(title="Headrace", docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/health")
    def health() -> Response:
        return _answer(snapshot, lambda found: not waits_for(found))

    @app.get("/ready")
    def ready() -> Response:
        return _answer(snapshot, lambda found: found.get("state") == "running")

    @app.get("/metrics")
    def figures() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return app


def waits_for(snapshot: Mapping[str, Any]) -> str:
    """Return what a process waits for, or that it stands still; empty if it does its work."""
    written = snapshot.get("time")
    if written is not None and time.time() - float(written) > STALE_S:
        return f"nothing: it stands still for {time.time() - float(written):.0f} s"
    return str(snapshot.get("waits_for") or "")


def _answer(snapshot: Snapshot, good: Callable[[Mapping[str, Any]], bool]) -> Response:
    found = snapshot()
    body = {"ok": good(found), **found, "waits_for": waits_for(found)}
    return JSONResponse(body, status_code=200 if body["ok"] else 503)
