"""Logs: structlog over the standard library's logging, on standard error.

Everything goes one way, so that what Faust, librdkafka and SQLAlchemy log, and an agent's
traceback with it, appears in the same form as our own.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from typing import Any

import structlog

from headrace.app.repeats import Repeats
from headrace.app.settings import Settings

_QUIET = dict.fromkeys(
    ("faust", "mode", "headrace.streams.engine.agents", "aiokafka", "alembic", "uvicorn"), "warning"
)
"""Loggers that say too much at ``info``; Faust names one by the module of its app."""


def configure_logs(settings: Settings, bound: Mapping[str, Any] | None = None) -> None:
    """Set up all logging of this process; asked again, the last one counts.

    Parameters
    ----------
    settings
        ``log_level`` and ``log_format``.
    bound
        What stands in every line, such as role and slot.
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        _Bound(bound or {}),
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = _ToStandardError()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_rendering(settings.log_format),
            ],
        )
    )
    handler.addFilter(Repeats(handler.emit))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    debug = settings.log_level == "debug"
    for name, level in _QUIET.items():
        logging.getLogger(name).setLevel("DEBUG" if debug else level.upper())
    logging.captureWarnings(True)


class _ToStandardError(logging.StreamHandler[Any]):
    """Writes to what is standard error now: a live view takes its place for a while."""

    @property
    def stream(self) -> Any:
        """Return where to write."""
        return sys.stderr

    @stream.setter
    def stream(self, stream: Any) -> None:
        """Keep to what is standard error."""


class _Bound:
    """Adds what stands in every line; what a line says itself goes before."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = dict(values)

    def __call__(self, logger: Any, method: str, event: dict[str, Any]) -> dict[str, Any]:
        return {**self._values, **event}


def _rendering(form: str) -> list[Any]:
    if form == "json":
        # Tracebacks as text: structured ones carry local variables, hence events and secrets.
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    # A traceback in plain text: rich's boxes are cut off in files, and wide in terminals.
    plain = structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
    )
    return [plain]
