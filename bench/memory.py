"""Whether memory stays bounded: ``python -m bench.memory --seconds 3600``.

The week of flights goes through the whole system again and again, each time a week later, at a
steady rate. Every ten seconds it is noted how much memory the worker of each role and Kafka have
resident, and how much Valkey holds. ``--json FILE`` writes the notes, ``--picture FILE`` draws
them: an SVG of one line for each part.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from time import monotonic, sleep
from typing import NamedTuple

from redis import Redis

from bench.cpu import family, resident_mb
from bench.history import flights, history
from bench.whole import stack_in, workers
from headrace.app.services import find_services
from headrace.app.settings import settings_from
from headrace.app.stack.stack import Stack
from headrace.app.wiring import prepare
from headrace.streams.engine.publisher import Publisher
from headrace.streams.outgoing import Outgoing

NOTE_S = 10.0
TICK_S = 0.05
COPIES = 20
ROLES = ("score", "join", "learn")
PARTS = (*ROLES, "kafka", "valkey")
COLOURS = ("#2166ac", "#1b7837", "#b2182b", "#999999", "#e08214")


class Note(NamedTuple):
    """How much memory each part has, in MB.

    Attributes
    ----------
    seconds
        Since the beginning.
    events
        Published so far.
    """

    seconds: float
    events: int
    score: float
    join: float
    learn: float
    kafka: float
    valkey: float


def main() -> None:
    given = _arguments()
    with tempfile.TemporaryDirectory() as folder:
        notes = measure(Path(folder), given.rate, given.seconds, given.events)
    print(told(notes))
    if given.json:
        given.json.write_text(json.dumps([note._asdict() for note in notes]))
    if given.picture:
        given.picture.write_text(drawn(notes), "utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.memory", description=__doc__)
    parser.add_argument("--rate", type=int, default=1_000, help="events/s, and as many labels")
    parser.add_argument("--seconds", type=float, default=3_600.0, help="stop after so long")
    parser.add_argument("--events", type=int, default=20_000_000, help="or after so many")
    parser.add_argument("--json", type=Path, help="write the notes to this file")
    parser.add_argument("--picture", type=Path, help="draw them into this file (SVG)")
    return parser.parse_args()


def measure(folder: Path, rate: int, seconds: float, events: int) -> list[Note]:
    """Publish at a steady rate, and note how much memory there is in use."""
    plan = flights()
    with stack_in(folder) as (stack, environment):
        settings = settings_from({k: v for k, v in environment.items() if "HEADRACE" in k})
        services = find_services(settings)
        prepared = prepare(plan, settings, services)
        with (
            Publisher(prepared.plan, services.kafka) as publisher,
            workers(environment, folder / "workers.log") as pid,
            Redis.from_url(services.redis_url) as valkey,
        ):
            return list(_noted(publisher, pid, stack, valkey, rate, seconds, events))


def _noted(
    publisher: Publisher,
    pid: int,
    stack: Stack,
    valkey: Redis,
    rate: int,
    seconds: float,
    events: int,
) -> Iterator[Note]:
    kafka = stack._parts["kafka"].process.pid or 0  # noqa: SLF001 - its memory is measured
    records, begun, due_note = endless(), monotonic(), NOTE_S
    while (now := monotonic() - begun) < seconds and publisher.events < events:
        while publisher.events < now * rate:
            publisher.send(next(records))
        if now >= due_note:
            due_note += NOTE_S
            roles = [resident_mb(family([pid], role)) for role in ROLES]
            used: int = valkey.info("memory")["used_memory"]  # type: ignore[index, assignment]
            note = Note(now, publisher.events, *roles, resident_mb([kafka]), used / 1e6)
            if sys.stderr.isatty():
                print(_line(note), end="\r", file=sys.stderr)
            yield note
        sleep(TICK_S)


def endless() -> Iterator[Outgoing]:
    """Go through the flights week for ever, each time a week later, with ids of its own."""
    for week in count():
        yield from history(flights(), COPIES, first_week=week)


# -- what is shown


def _line(note: Note) -> str:
    parts = "  ".join(f"{name} {getattr(note, name):.0f}" for name in PARTS)
    return f"{note.seconds:6.0f} s  {note.events:10,} events  MB: {parts}"


def told(notes: Sequence[Note]) -> str:
    """Return each part's memory after a fifth of the time, at the half, and at the end."""
    places = (len(notes) // 5, len(notes) // 2, -1)
    return "\n".join(_line(notes[place]) for place in places)


def drawn(notes: Sequence[Note]) -> str:
    """Return a picture of one line for each part, as SVG."""
    width, height, left, top = 760, 300, 56, 16
    longest = notes[-1].seconds
    most = 100 * (1 + int(max(max(note[2:]) for note in notes) // 100))
    lines = []
    for step in range(0, most + 1, max(100, most // 500 * 100)):
        y = top + height * (1 - step / most)
        lines.append(f'<path d="M{left} {y:.1f}h{width}" stroke="#ddd"/>')
        lines.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{step}</text>')
    for name, colour in zip(PARTS, COLOURS, strict=True):
        points = " ".join(
            f"{left + width * note.seconds / longest:.1f},"
            f"{top + height * (1 - getattr(note, name) / most):.1f}"
            for note in notes
        )
        lines.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
        )
        y = top + height * (1 - getattr(notes[-1], name) / most)
        lines.append(f'<text x="{left + width + 8}" y="{y + 4:.1f}" fill="{colour}">{name}</text>')
    said = f"{longest / 60:.0f} minutes, {notes[-1].events:,} events"
    lines.append(f'<text x="{left}" y="{top + height + 24}">MB resident over {said}</text>')
    body = "\n".join(lines)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 70}"'
        f' height="{height + top + 36}" font-family="sans-serif" font-size="12">\n'
        f'<rect width="100%" height="100%" fill="white"/>\n{body}\n</svg>\n'
    )


if __name__ == "__main__":
    main()
