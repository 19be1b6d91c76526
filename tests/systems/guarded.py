"""A Kafka that asks who one is (SASL, in the clear and over TLS) and what one may do (ACLs)."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialAlteration,
    UserScramCredentialUpsertion,
)

from headrace.app.stack import kafka as embedded
from headrace.app.stack.process import LOOPBACK, free_port
from headrace.streams.engine.connection import Connection
from headrace.streams.engine.ready import is_ready

PLAIN = ("plain", "a=b, c;d")
SCRAM_256 = ("wor=k,er", "pässwörd, with=signs")
SCRAM_512 = ("scram", "another")
STRANGER = ("stranger", "known, and permitted nothing")
USERS = {"PLAIN": PLAIN, "SCRAM-SHA-256": SCRAM_256, "SCRAM-SHA-512": SCRAM_512}
"""Who may work, by mechanism."""

_PACKAGE = "org.apache.kafka.common.security"
_ADDED = """
listeners=INTERNAL://{host}:{internal},SASL_SSL://{host}:{tls},SASL_PLAINTEXT://{host}:{clear},\
CONTROLLER://{host}:{controller}
advertised.listeners=INTERNAL://{host}:{internal},SASL_SSL://{host}:{tls},\
SASL_PLAINTEXT://{host}:{clear}
controller.quorum.voters=1@{host}:{controller}
inter.broker.listener.name=INTERNAL
listener.security.protocol.map=CONTROLLER:PLAINTEXT,INTERNAL:PLAINTEXT,SASL_SSL:SASL_SSL,\
SASL_PLAINTEXT:SASL_PLAINTEXT
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
# What is not enabled must be refused in words.
listener.name.sasl_plaintext.sasl.enabled.mechanisms=SCRAM-SHA-256,SCRAM-SHA-512
ssl.keystore.type=PEM
ssl.keystore.location={keystore}
"""


class GuardedKafka(embedded.Kafka):
    """A broker of three doors: for us in the clear, by SASL over TLS, and by SASL alone.

    Parameters
    ----------
    data
        Its folder.
    jars
        Folder of the jars.
    """

    def __init__(self, data: Path, jars: Path) -> None:
        super().__init__(data, jars, None)
        self._data = data
        self._doors: dict[str, int] = {}

    @property
    def inner(self) -> Connection:
        """The door of administrators."""
        return Connection(f"{LOOPBACK}:{self.port}")

    def outer(self, protocol: str, mechanism: str, user: tuple[str, str]) -> Connection:
        """Return a door that asks who one is."""
        security = {
            "security.protocol": protocol,
            "sasl.mechanisms": mechanism,
            "sasl.username": user[0],
            "sasl.password": user[1],
        }
        if protocol == "SASL_SSL":
            security["ssl.ca.location"] = str(self._data / "certificate.pem")
        return Connection(f"{LOOPBACK}:{self._doors[protocol]}", security)

    def let_in(self) -> None:
        """Make those users that are not in the settings."""
        admin = AdminClient({"bootstrap.servers": self.inner.brokers})
        users: list[UserScramCredentialAlteration] = [
            UserScramCredentialUpsertion(
                name, ScramCredentialInfo(mechanism, 4_096), password.encode()
            )
            for mechanism, (name, password) in (
                (ScramMechanism.SCRAM_SHA_256, SCRAM_256),
                (ScramMechanism.SCRAM_SHA_512, SCRAM_512),
            )
        ]
        for done in admin.alter_user_scram_credentials(users).values():
            done.result(10)

    def permit(self, user: str, permissions: Sequence[tuple[str, str, str, bool]]) -> None:
        """Grant a user operations on resources.

        Parameters
        ----------
        permissions
            Resource, its name, operation, and whether the name is only the beginning.
        """
        admin = AdminClient({"bootstrap.servers": self.inner.brokers})
        bindings = [
            AclBinding(
                ResourceType[resource],
                name,
                ResourcePatternType.PREFIXED if prefixed else ResourcePatternType.LITERAL,
                f"User:{user}",
                "*",
                AclOperation[operation],
                AclPermissionType.ALLOW,
            )
            for resource, name, operation, prefixed in permissions
        ]
        for done in admin.create_acls(bindings).values():
            done.result(10)

    def _answers(self) -> bool:
        return is_ready(self.inner)

    def _write_properties(self, port: int) -> None:
        self._doors = {"SASL_SSL": free_port(), "SASL_PLAINTEXT": free_port()}
        super()._write_properties(port)
        added = _ADDED.format(
            host=LOOPBACK,
            internal=port,
            tls=self._doors["SASL_SSL"],
            clear=self._doors["SASL_PLAINTEXT"],
            controller=free_port(),
            keystore=_certified(self._data),
        )
        with self._properties.open("a", encoding="utf-8") as file:
            file.write(added + "\n".join(_logins()) + "\n")


def _logins() -> list[str]:
    users = " ".join(f"user_{name}={json.dumps(password)}" for name, password in (PLAIN, STRANGER))
    plain = f"{_PACKAGE}.plain.PlainLoginModule required {users};"
    scram = f"{_PACKAGE}.scram.ScramLoginModule required;"
    logins = {"plain": plain, "scram-sha-256": scram, "scram-sha-512": scram}
    return [
        f"listener.name.{door}.{mechanism}.sasl.jaas.config={login}"
        for door in ("sasl_ssl", "sasl_plaintext")
        for mechanism, login in logins.items()
    ]


def _certified(folder: Path) -> Path:
    """Make a key and a certificate that it signs itself; return both in one file."""
    key, certificate, both = (folder / f"{name}.pem" for name in ("key", "certificate", "keystore"))
    if not both.exists():
        subprocess.run(
            [
                "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                "-subj", "/CN=kafka", "-addext", f"subjectAltName=IP:{LOOPBACK}",
                "-keyout", str(key), "-out", str(certificate),
            ],
            check=True, capture_output=True,
        )  # fmt: skip
        both.write_text(key.read_text("ascii") + certificate.read_text("ascii"), "ascii")
    return both
