"""Model states as signed bytes: nothing is unpickled that the holder of the key has not signed.

An artifact is ``HRMA``, one byte of format version, 32 bytes of HMAC-SHA256 over all the rest, and
a pickle. The signature is the wall. Behind it stands a fence: an unpickler that admits River,
numpy's values and what the operator listed (:mod:`headrace.registry.admission`), so that a stolen
key, or a colleague's mistake, does not at once run code.
"""

from __future__ import annotations

import hashlib
import hmac
import io
import pickle
from collections.abc import Sequence
from typing import Any

from headrace.registry.admission import Admission
from headrace.registry.rebuild import dispatch_table
from headrace.schemas.errors import ArtifactError, SettingsError

MAGIC = b"HRMA"
FORMAT = 1
_SIGNED_AT = len(MAGIC) + 1
_PAYLOAD_AT = _SIGNED_AT + hashlib.sha256().digest_size

KEY_BYTES_MIN = 16
ARTIFACT_BYTES_MAX = 512 * 1024 * 1024
"""A bigger one is neither made nor read."""


class Signer:
    """Makes artifacts of states and reads them, under one key.

    Parameters
    ----------
    key
        Secret bytes, at least 16.
    allow
        What artifacts may hold besides River's classes and numpy's values: ``module`` or
        ``module:Class``.
    limit_bytes
        The biggest artifact.

    Raises
    ------
    SettingsError
        The key is too short, or ``allow`` cannot be read.

    Examples
    --------
    >>> signer = Signer(b"a secret of sixteen bytes or more")
    >>> signer.loads(signer.dumps({"seen": 3}))
    {'seen': 3}
    """

    def __init__(
        self, key: bytes, allow: Sequence[str] = (), *, limit_bytes: int = ARTIFACT_BYTES_MAX
    ) -> None:
        if len(key) < KEY_BYTES_MIN:
            raise SettingsError(
                f"HEADRACE_SIGNING_KEY has {len(key)} bytes, at least {KEY_BYTES_MIN} are needed."
                " Make one with `openssl rand -hex 32`."
            )
        self._key = key
        self._limit_bytes = limit_bytes
        self._admission = Admission(allow)
        self._table = dispatch_table()

    def dumps(self, state: Any) -> bytes:
        """Return a state as a signed artifact.

        Two artifacts of equal states need not be equal bytes: compare states by
        :func:`headrace.registry.digest.canonical_digest`.

        Raises
        ------
        ArtifactError
            The state cannot be saved, or is too big.
        """
        payload = io.BytesIO()
        pickler = pickle.Pickler(payload, protocol=5)
        pickler.dispatch_table = self._table
        try:
            pickler.dump(state)
        except Exception as error:
            raise ArtifactError(
                f"The model's state cannot be saved ({type(error).__name__}: {error})."
                " Keep lambdas, open files and the like out of the model."
            ) from error
        self._check_size(_PAYLOAD_AT + payload.tell())
        head, content = MAGIC + bytes([FORMAT]), payload.getbuffer()
        return b"".join((head, self._signature(head, content), content))

    def loads(self, artifact: bytes) -> Any:
        """Return the state of an artifact; nothing in it is looked at before its signature.

        Raises
        ------
        ArtifactError
            It is none, is altered or signed by another key, too big, or holds what is not admitted.
        """
        self._check_size(len(artifact))
        head, content = self._verified(artifact)
        try:
            return _Unpickler(content, self._admission).load()
        except (ArtifactError, MemoryError, KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # a panic in Rust is no Exception
            raise ArtifactError(
                f"Artifact of format {head[-1]}: its content cannot be read"
                f" ({type(error).__name__}: {error}). Rebuild the model with `headrace rebuild`."
            ) from error

    def _verified(self, artifact: bytes) -> tuple[bytes, memoryview]:
        if artifact[: len(MAGIC)] != MAGIC or len(artifact) < _PAYLOAD_AT:
            raise ArtifactError(
                f"{len(artifact)} bytes are no model artifact of Headrace's: they begin with"
                f" {artifact[:8]!r}. Look for what else writes there."
            )
        view = memoryview(artifact)
        head, signature = artifact[:_SIGNED_AT], artifact[_SIGNED_AT:_PAYLOAD_AT]
        content = view[_PAYLOAD_AT:]
        if not hmac.compare_digest(signature, self._signature(head, content)):
            raise ArtifactError(
                "A model artifact is altered, or signed by another key: it is not loaded. Give all"
                " processes the same HEADRACE_SIGNING_KEY."
            )
        if head[-1] != FORMAT:
            raise ArtifactError(
                f"A model artifact has format {head[-1]}, this code reads {FORMAT}. Run the newer"
                " Headrace that wrote it."
            )
        return head, content

    def _signature(self, head: bytes, content: memoryview) -> bytes:
        mac = hmac.new(self._key, head, hashlib.sha256)
        mac.update(content)
        return mac.digest()

    def _check_size(self, size_bytes: int) -> None:
        if size_bytes > self._limit_bytes:
            raise ArtifactError(
                f"A model artifact has {size_bytes:,} bytes, at most {self._limit_bytes:,} are"
                " admitted. Bound the model's memory."
            )


def signature_of(artifact: bytes) -> str:
    """Return the signature that an artifact carries, in hexadecimal; nothing is verified.

    Examples
    --------
    >>> signature_of(b"no artifact")
    ''
    """
    is_one = artifact[: len(MAGIC)] == MAGIC and len(artifact) >= _PAYLOAD_AT
    return artifact[_SIGNED_AT:_PAYLOAD_AT].hex() if is_one else ""


class _Unpickler(pickle.Unpickler):
    """Resolves names by admission alone."""

    def __init__(self, content: memoryview, admission: Admission) -> None:
        super().__init__(io.BytesIO(content))
        self._admission = admission

    def find_class(self, module: str, name: str) -> Any:
        return self._admission.find(module, name)
