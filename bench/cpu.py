"""CPU time of processes and all that they have started, from /proc."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from threading import Event, Thread
from time import time

_TICK_S = 1.0 / os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> tuple[int, float]:
    """Return a process' parent, and its CPU seconds with those of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[1]), sum(map(int, fields[11:15])) * _TICK_S


def cpu_s(roots: Iterable[int], having: str = "") -> float:
    """Return the CPU seconds of some processes and their descendants.

    Parameters
    ----------
    having
        Of these, only processes whose command line has this argument.
    """
    return sum(family(roots, having).values())


def family(roots: Iterable[int], having: str = "") -> dict[int, float]:
    """Return the CPU seconds of each of some processes and their descendants, by process id.

    Parameters
    ----------
    having
        Of these, only processes whose command line has this argument.
    """
    children: defaultdict[int, list[int]] = defaultdict(list)
    used: dict[int, float] = {}
    for path in Path("/proc").iterdir():
        if not path.name.isdigit():
            continue
        try:
            parent, seconds = _stat(int(path.name))
        except (OSError, ValueError):  # it has ended meanwhile
            continue
        children[parent].append(int(path.name))
        used[int(path.name)] = seconds
    found: dict[int, float] = {}
    todo = list(roots)
    while todo:
        pid = todo.pop()
        if pid in used and (not having or having in _arguments(pid)):
            found[pid] = used[pid]
        todo += children[pid]
    return found


def resident_mb(pids: Iterable[int]) -> float:
    """Return the resident memory of processes, in MB."""
    pages = 0
    for pid in pids:
        try:
            pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        except (OSError, IndexError):  # it has ended meanwhile
            continue
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _arguments(pid: int) -> tuple[str, ...]:
    """Read a command line, each time: between fork and exec it is still the parent's."""
    try:
        return tuple(Path(f"/proc/{pid}/cmdline").read_text().split("\0"))
    except OSError:
        return ()


class Meter:
    """Notes the CPU time of named groups of processes, a few times a second.

    Parameters
    ----------
    groups
        Root processes of each group, and an argument by which to tell their descendants apart;
        an empty one takes all of them.
    """

    def __init__(self, groups: Mapping[str, tuple[list[int], str]]) -> None:
        self._groups = groups
        self._notes: list[tuple[float, dict[str, float]]] = []
        self._ended = Event()
        self._thread = Thread(target=self._run, daemon=True)

    def __enter__(self) -> Meter:
        self._note()
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()
        self._note()

    def used_s(self, group: str, begin: float, end: float) -> float:
        """Return the CPU seconds of a group between two times of the wall clock."""
        return self._at(group, end) - self._at(group, begin)

    def _at(self, group: str, when: float) -> float:
        """Return the CPU seconds used by a time, interpolated between notes."""
        before = max((n for n in self._notes if n[0] <= when), default=self._notes[0])
        after = min((n for n in self._notes if n[0] >= when), default=self._notes[-1])
        span = after[0] - before[0]
        share = (when - before[0]) / span if span > 0 else 0.0
        return before[1][group] + share * (after[1][group] - before[1][group])

    def _run(self) -> None:
        while not self._ended.wait(0.2):
            self._note()

    def _note(self) -> None:
        used = {name: cpu_s(*group) for name, group in self._groups.items()}
        self._notes.append((time(), used))
