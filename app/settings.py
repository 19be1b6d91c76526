"""Settings: one frozen object, read once, from a mapping that is passed in.

Every setting is an environment variable: ``HEADRACE_`` and the field's name in capitals.
docs/settings.md describes each; a test fails for one that it does not name.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict
from pydantic_settings.exceptions import SettingsError as Unreadable

from headrace.schemas.errors import SettingsError
from headrace.streams.duration import duration_ms

PREFIX = "HEADRACE_"


def _a_duration(text: str) -> str:
    duration_ms(text)
    return text


Duration = Annotated[str, AfterValidator(_a_duration)]
"""A length of time as people write it: ``90m``, ``30d``."""

Port = Annotated[int, Field(ge=0, le=65_535)]


def _default_data() -> Path:
    return Path.home() / ".local" / "share" / "headrace"


class Settings(BaseSettings):
    """Everything that can be set.

    Attributes
    ----------
    data
        Folder of the embedded stack, of its addresses, and of the signing key.
    kafka_brokers
        ``host:port`` of brokers, by commas; without it the stack of ``headrace up`` is used.
    kafka_security
        Further librdkafka settings as JSON: ``security.protocol``, ``sasl.*``, ``ssl.*``.
    kafka_compression
        How records that we write are compressed: ``none``, ``gzip``, ``snappy``, ``lz4``, ``zstd``.
    redis_url
        ``redis://``, ``rediss://`` or ``unix://`` of a Redis or Valkey that never evicts.
    registry_url
        SQLAlchemy address of the registry: ``sqlite:///…`` or ``postgresql+psycopg://…``.
    signing_key
        Key of the model artifacts' HMAC; without it one is made in the data folder.
    allow
        Modules or classes, as JSON list, that artifacts may hold besides River's and numpy's.
    maven_url
        Mirror from which the embedded Kafka's jars are fetched.
    partitions
        How many partitions new events, labels and predictions topics get.
    start_at_end
        Whether a first start begins at the end of the inputs rather than at their beginning.
    log_level, log_format
        What is logged, and as ``console`` lines or as ``json``.
    http_host, http_port
        Where ``/metrics`` and ``/health`` are served; the supervisor's port, workers take the
        following ones; 0 lets the system choose.
    session_ms, transaction_ms
        After how long Kafka gives up a silent worker, and a silent transaction.
    commit_score_ms, commit_join_ms, commit_learn_ms
        Least pause between two commits of each role.
    stall_s
        After how long without progress, although there is work, a worker is ended.
    state_entries
        How many entities a SCORE task keeps in memory.
    waiting_limit
        How many predictions and labels may wait in a JOIN task; without it 250,000, and ten times
        as many where labels may take longer than a day.
    keep_checkpoints
        For how long the state of each checkpoint is kept: a duration, such as ``1h``.
    keep_daily_checkpoints
        For how long the last state of each day is kept.
    keep_versions
        For how long the state and snapshots of a version are kept that is not served any more.
    alert_urls
        Where alerts are sent: URLs as Apprise understands them, separated by blanks.
    """

    model_config = SettingsConfigDict(frozen=True, extra="forbid", env_prefix=PREFIX)

    data: Path = Field(default_factory=_default_data)
    kafka_brokers: str | None = None
    kafka_security: dict[str, str] = Field(default_factory=dict)
    kafka_compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] = "zstd"
    redis_url: str | None = None
    registry_url: str | None = None
    signing_key: SecretStr | None = None
    allow: tuple[str, ...] = ()
    maven_url: str | None = None
    partitions: Annotated[int, Field(ge=1, le=1_000)] = 4
    start_at_end: bool = False
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["console", "json"] = "console"
    http_host: str = "127.0.0.1"
    http_port: Port = 0
    session_ms: Annotated[int, Field(ge=2_000, le=300_000)] = 10_000
    transaction_ms: Annotated[int, Field(ge=2_000, le=300_000)] = 10_000
    commit_score_ms: Annotated[int, Field(ge=0, le=10_000)] = 15
    commit_join_ms: Annotated[int, Field(ge=0, le=10_000)] = 50
    commit_learn_ms: Annotated[int, Field(ge=0, le=10_000)] = 100
    stall_s: Annotated[float, Field(gt=0)] = 60.0
    state_entries: Annotated[int, Field(ge=1)] = 100_000
    waiting_limit: Annotated[int, Field(ge=1)] | None = None
    keep_checkpoints: Duration = "1h"
    keep_daily_checkpoints: Duration = "90d"
    keep_versions: Duration = "30d"
    alert_urls: SecretStr | None = None

    def commit_ms(self, role: str) -> int:
        """Return the least pause between two commits of a role."""
        found = {
            "score": self.commit_score_ms,
            "join": self.commit_join_ms,
            "learn": self.commit_learn_ms,
        }
        return found[role]


def settings_from(
    environment: Mapping[str, str], changes: Mapping[str, object] | None = None
) -> Settings:
    """Read the settings from variables.

    Parameters
    ----------
    environment
        The variables.
    changes
        Settings by field name that go before the variables: flags, arguments.

    Raises
    ------
    SettingsError
        Names each variable that cannot be used, its value, and what would do.
    """
    _refuse_unknown(environment)
    source = EnvSettingsSource(Settings, env_prefix=PREFIX)
    source.env_vars = {name.lower(): value for name, value in environment.items()}
    try:
        found = source()
    except Unreadable as error:
        raise SettingsError(f"{error}: it is read as JSON ({error.__cause__}).") from error
    try:
        return Settings.model_validate({**found, **(changes or {})})
    except ValidationError as error:
        raise SettingsError("\n".join(_sentences(error))) from error


def _sentences(error: ValidationError) -> list[str]:
    found = []
    for fault in error.errors():
        name = PREFIX + str(fault["loc"][0]).upper()
        secret = name in {f"{PREFIX}SIGNING_KEY", f"{PREFIX}ALERT_URLS"}
        value = "…" if secret else repr(fault["input"])
        found.append(f"{name} is {value}: {fault['msg']} (docs/settings.md).")
    return found


def _refuse_unknown(environment: Mapping[str, str]) -> None:
    known = [name.upper() for name in Settings.model_fields]
    for name in sorted(environment):
        own = name.removeprefix(PREFIX)
        if own != name and own not in known:
            near = get_close_matches(own, known, 1)  # the prefix alone makes all names similar
            hint = f"Did you mean {PREFIX}{near[0]}?" if near else "docs/settings.md lists all."
            raise SettingsError(f"{name} is no setting. {hint}")
