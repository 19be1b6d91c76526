"""Channels: the URLs of HEADRACE_ALERT_URLS, through which Apprise sends.

A URL holds passwords and tokens. So it is never shown: a channel has a name, of the URL's scheme
and a digest of it, and is shown by scheme and host.
"""

from __future__ import annotations

import hashlib
import logging
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from headrace.app.alerting.message import Message
from headrace.app.settings import Settings
from headrace.schemas.errors import SettingsError

_DIGEST_CHARS = 8
_SECRET_CHARS_MIN = 6
_VARIABLE = "HEADRACE_ALERT_URLS"


class Channel:
    """One URL.

    Parameters
    ----------
    url
        As Apprise understands it.

    Attributes
    ----------
    name
        The URL's scheme and a digest of it: ``json-3fa9c1d2``.
    shown
        The URL as it may be shown: its scheme and host.

    Raises
    ------
    SettingsError
        Apprise does not know what to do with it.
    """

    def __init__(self, url: str) -> None:
        import apprise  # noqa: PLC0415 - slow to load, and few processes send

        _keep_quiet()
        scheme = url.partition("://")[0].lower()
        digest = hashlib.sha256(url.encode()).hexdigest()[:_DIGEST_CHARS]
        self.name = f"{re.sub(r'[^a-z0-9]', '', scheme)[:20] or 'url'}-{digest}"
        plugin: Any = apprise.Apprise.instantiate(url) if "://" in url else None
        if plugin is None:
            raise SettingsError(
                f"{_VARIABLE}: Apprise does not understand the URL that begins with"
                f" {scheme[:20]!r}. Its documentation has the form of each service's URL:"
                " https://appriseit.com/services/."
            )
        self._plugin = plugin
        self._secrets = _secrets_of(url)
        self.shown = _shown(plugin.url(privacy=True))

    def send(self, message: Message) -> str | None:
        """Send a message; return None if it was taken, else why not, without secrets."""
        with _heard() as reasons:
            try:
                taken = self._plugin.notify(
                    body=message.body, title=message.title, notify_type=message.urgency
                )
            except Exception as error:  # noqa: BLE001 - of a hundred services, whatever it is
                taken = False
                reasons.append(f"{type(error).__name__}: {error}")
        if taken:
            return None
        said = " ".join(reasons) or "Apprise says no more than that it was not delivered."
        return self._redacted(said)

    def _redacted(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "…")
        return text


def channels_of(settings: Settings) -> list[Channel]:
    """Return the channels of the settings, each once; none if none are set.

    Raises
    ------
    SettingsError
        A URL cannot be understood.
    """
    given = settings.alert_urls.get_secret_value() if settings.alert_urls else ""
    return [Channel(url) for url in dict.fromkeys(given.split())]


def needed_channels(settings: Settings) -> list[Channel]:
    """Return the channels of the settings, of which there must be one at least."""
    found = channels_of(settings)
    if not found:
        raise SettingsError(
            f"{_VARIABLE} is not set: it lists, separated by blanks, where alerts are sent, such as"
            " mailto://user:password@example.org or json://host/path (docs/alerts.md)."
        )
    return found


def _shown(url: str) -> str:
    """Return scheme and host of a URL whose password is masked already.

    Examples
    --------
    >>> _shown("json://user:****@hooks.example.org:8080/T0ken?method=POST")
    'json://hooks.example.org:8080'
    """
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _secrets_of(url: str) -> Sequence[str]:
    """Return what of a URL may be a secret, the longest first: all but scheme and host."""
    rest = url.partition("://")[2]
    host = urlsplit(url).hostname or ""
    parts = {url, rest, *re.split(r"[/:@?&=+#,]", rest)}
    secret = [part for part in parts if len(part) >= _SECRET_CHARS_MIN and part.lower() != host]
    return sorted(secret, key=len, reverse=True)


# -- what Apprise says


class _Ear(logging.Handler):
    """Keeps what one thread logs."""

    def __init__(self, said: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._thread = threading.get_ident()
        self._said = said

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        if record.thread == self._thread:
            self._said.append(record.getMessage())


@contextmanager
def _heard() -> Iterator[list[str]]:
    """Lend a list of what Apprise logs meanwhile: the only place where it says why."""
    said: list[str] = []
    ear = _Ear(said)
    logger = logging.getLogger("apprise")
    logger.addHandler(ear)
    try:
        yield said
    finally:
        logger.removeHandler(ear)


def _keep_quiet() -> None:
    """Have nothing of URLs logged, whatever the level: they and what is posted hold secrets."""
    logger = logging.getLogger("apprise")
    logger.setLevel(logging.WARNING)
    logger.propagate = False
    for name in ("urllib3", "requests"):
        logging.getLogger(name).setLevel(logging.WARNING)
