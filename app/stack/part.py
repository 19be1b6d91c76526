"""What the parts of the stack have in common: a process, a port of their choice, readiness."""

from __future__ import annotations

from abc import ABC, abstractmethod

from headrace.app.stack.process import (
    LOOPBACK,
    KilledError,
    PortTaken,
    Process,
    free_port,
    port_is_free,
)
from headrace.schemas.errors import ServiceError

_READY_S = 60.0
_PORT_TRIES = 3
_KILLS_MAX = 10
"""So often a part that is killed while it starts is started again by whoever waits for it."""


class Part(ABC):
    """One part of the stack.

    Parameters
    ----------
    process
        Its process.
    demanded
        The port it must have, None for any.

    Attributes
    ----------
    port
        The port that it has, None before it was started.
    """

    def __init__(self, process: Process, demanded: int | None) -> None:
        self.process = process
        self.port: int | None = None
        self._demanded = demanded

    @property
    def name(self) -> str:
        """Its name, for sentences."""
        return self.process.name

    @property
    @abstractmethod
    def address(self) -> str:
        """Where clients find it."""

    def start(self, before: int | None) -> None:
        """Start it, without waiting for it to answer; again if it is killed while it is prepared.

        Parameters
        ----------
        before
            The port of the last time: taken again if it is free, for whoever has noted it.

        Raises
        ------
        ServiceError
            The port that is demanded is taken, or it cannot be started.
        """
        self.process.stop_left_over()
        self._check_demanded()
        last = before if before and port_is_free(before) else None
        self.port = self._demanded or last or free_port()
        for _ in range(_KILLS_MAX):
            try:
                return self._launch(self.port)
            except KilledError:
                self.process.stop()
        return self._launch(self.port)

    def ready(self) -> None:
        """Wait until it answers; start it again if it is killed meanwhile.

        It gets another port if somebody was faster on this one.

        Raises
        ------
        ServiceError
            It ended by itself, or again and again, or does not answer in time; quotes its log.
        """
        taken = killed = 0
        while True:
            try:
                return self.process.wait_until(self._answers, _READY_S)
            except PortTaken:
                taken += 1
                if taken == _PORT_TRIES:
                    raise
                self.process.stop()
                self._check_demanded()
                self.port = self._demanded or free_port()
            except KilledError:
                killed += 1
                if killed > _KILLS_MAX:
                    raise
            self.start(self.port)

    def answers(self) -> bool:
        """Return whether it answers now."""
        return self.process.alive() and self._answers()

    def stop(self) -> None:
        """End it in good order."""
        self.process.stop()

    @abstractmethod
    def _launch(self, port: int) -> None:
        """Start its process on a port."""

    @abstractmethod
    def _answers(self) -> bool:
        """Ask it."""

    def _check_demanded(self) -> None:
        if self._demanded and not port_is_free(self._demanded):
            raise ServiceError(
                f"{self.name}: port {self._demanded} on {LOOPBACK} is taken by another process."
                " Stop that one, demand another port, or demand none: a free one is found."
            )
