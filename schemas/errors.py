"""Every error that Headrace raises on purpose, and the sentence each one owes its reader.

HeadraceError                 the root; its text names the place, the value and the remedy
├── DeclarationError          a pipeline file that cannot work: all its faults at once
├── SettingsError             a setting, flag or environment variable that cannot be used
├── SchemaError               a schema that cannot be derived, registered or evolved
├── InputError                an event or label, or a row of a file, that cannot be published
├── ArtifactError             a model artifact that is unsigned, altered, or not admitted
├── ServiceError              Kafka, Redis, SQL or the embedded stack does not answer
└── Refused                   start-up refuses: going on could lose or double something
"""

from __future__ import annotations

from collections.abc import Sequence


class HeadraceError(Exception):
    """The root of all errors that Headrace raises on purpose."""


class DeclarationError(HeadraceError):
    """A pipeline declaration cannot work.

    Parameters
    ----------
    faults
        One sentence for each fault, each naming its place and a suggestion.
    """

    def __init__(self, faults: Sequence[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(self.faults))


class SettingsError(HeadraceError):
    """A setting cannot be used as given."""


class SchemaError(HeadraceError):
    """A schema cannot be derived, registered or evolved."""


class InputError(HeadraceError):
    """An event or label, or a row of a file, cannot be published."""


class ArtifactError(HeadraceError):
    """A model artifact is not loaded: its signature, its content or its size is not admitted."""


class ServiceError(HeadraceError):
    """A service that Headrace needs does not answer, or answers with an error."""


class Refused(HeadraceError):
    """Start-up refuses, since going on could lose or double something.

    Parameters
    ----------
    reason
        What was found, with the numbers.
    remedy
        What a person can do about it, as a sentence.
    """

    def __init__(self, reason: str, remedy: str) -> None:
        self.reason = reason
        self.remedy = remedy
        super().__init__(f"{reason} {remedy}")
