"""How much a pipeline keeps, where, and how much is written in a day."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.table import Table

from headrace.app.remedies import Site
from headrace.streams.engine.sizes import topic_bytes

_DAY_S = 86_400


def storage_of(site: Site) -> dict[str, Any]:
    """Return how much a pipeline keeps, as plain data.

    Returns
    -------
    dict
        ``topics``: for each topic ``size_bytes`` (one replica; None where the brokers cannot be
        asked), ``records``, and ``records_per_day`` and ``bytes_per_day``: what the last 24 hours
        have brought. ``checkpoints`` and ``snapshots`` of the registry: how many, how big, and how
        much the last 24 hours have written. ``redis``: ``size_bytes``, and by version.
    """
    return {
        "topics": _topics(site),
        "checkpoints": _checkpoints(site),
        "snapshots": _snapshots(site),
        "redis": _redis(site),
    }


def _topics(site: Site) -> dict[str, dict[str, int | None]]:
    counts = site.kafka.partition_counts()
    names: tuple[str, ...] = site.target.topics
    have = {name: counts[name] for name in names if name in counts}
    sizes = topic_bytes(site.kafka, have)
    places = [(name, number) for name, count in have.items() for number in range(count)]
    bounds = site.groups.bounds(places)
    yesterday = site.groups.since(places, round((time.time() - _DAY_S) * 1_000))
    found: dict[str, dict[str, int | None]] = {}
    for name, count in have.items():
        own = [(name, number) for number in range(count)]
        records = sum(bounds[place][1] - bounds[place][0] for place in own)
        written = sum(bounds[place][1] - yesterday.get(place, bounds[place][1]) for place in own)
        size = None if sizes is None else sizes[name]
        found[name] = {
            "size_bytes": size,
            "records": records,
            "records_per_day": written,
            "bytes_per_day": None if size is None else round(written * size / max(1, records)),
        }
    return found


def _checkpoints(site: Site) -> dict[str, int]:
    links = [
        info for version in site.versions for info in site.registry.checkpoints(site.name, version)
    ]
    return {
        "links": len(links),
        "states": sum(info.kept for info in links),
        "size_bytes": sum(info.size_bytes for info in links if info.kept),
        "bytes_per_day": sum(info.size_bytes for info in links if _is_young(info.created_at)),
    }


def _snapshots(site: Site) -> dict[str, int]:
    infos = site.registry.snapshots(site.name)
    return {"snapshots": len(infos), "size_bytes": sum(info.size_bytes for info in infos)}


def _is_young(moment: datetime) -> bool:
    return moment > datetime.now(UTC) - timedelta(seconds=_DAY_S)


def _redis(site: Site) -> dict[str, Any]:
    versions: dict[str, int] = {}
    for task in site.store.tasks(site.name):
        name = str(task.version)
        versions[name] = versions.get(name, 0) + site.store.size_bytes(task)
    return {"size_bytes": sum(versions.values()), "versions": versions}


# -- for people


def storage_table(storage: dict[str, Any]) -> Table:
    """Return how much is kept as a table."""
    table = Table(box=None, pad_edge=False)
    table.add_column("kept")
    for column in ("size", "in 24 h"):
        table.add_column(column, justify="right")
    for name, topic in storage["topics"].items():
        table.add_row(name, _size(topic["size_bytes"]), _size(topic["bytes_per_day"]))
    checkpoints, redis = storage["checkpoints"], storage["redis"]
    table.add_row(
        f"checkpoints: {checkpoints['states']:,} states of {checkpoints['links']:,}",
        _size(checkpoints["size_bytes"]),
        _size(checkpoints["bytes_per_day"]),
    )
    snapshots = storage["snapshots"]
    table.add_row(f"snapshots: {snapshots['snapshots']:,}", _size(snapshots["size_bytes"]), "")
    versions = ", ".join(f"version {each}" for each in redis["versions"])
    table.add_row(f"Redis: {versions or 'nothing'}", _size(redis["size_bytes"]), "")
    return table


def _size(size_bytes: int | None) -> str:
    """Return a size as people read it.

    Examples
    --------
    >>> [_size(n) for n in (None, 0, 999, 25_000, 1_250_000_000)]
    ['unknown', '0 B', '999 B', '25.0 kB', '1.2 GB']
    """
    if size_bytes is None:
        return "unknown"
    size: float = size_bytes
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1_000:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1_000
    return f"{size:,.1f} TB"
