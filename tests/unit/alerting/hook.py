"""A webhook on this machine, which can be down, and come back at the same place."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Hook:
    """Takes what is posted.

    Attributes
    ----------
    taken
        What came while it was well.
    status
        What it answers with.
    """

    def __init__(self) -> None:
        self.taken: list[dict[str, Any]] = []
        self.refused = 0
        self.status = 200
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if hook.status == 200:
                    hook.taken.append(json.loads(body))
                else:
                    hook.refused += 1
                self.send_response(hook.status)
                self.end_headers()

            def log_message(self, *arguments: Any) -> None:
                """Be quiet."""

        self._handler = Handler
        self.port = 0
        self._server: ThreadingHTTPServer | None = None
        self.up()

    @property
    def url(self) -> str:
        """The URL as Apprise takes it, with a secret in it."""
        return f"json://somebody:pa55word@127.0.0.1:{self.port}/t0ken-of-mine"

    def up(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), self._handler)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def down(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
