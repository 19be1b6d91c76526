"""Keeps what a watch knows under many keys, so that what does not change is not written again.

A watch's state (:mod:`headrace.streams.detectors.watch`) has some hundreds of kilobytes, most of it
histories and fits of single streams. Of what a tile changes, nearly all is at a history's end. So

- a *fit* has a key of its own and is written when it is another object: fits are replaced, never
  changed;
- a *stream's* lists are written in blocks, from the first that is new: they grow at their ends or
  are replaced;
- all the rest is written each time.

State keys of side ``inputs``: ``w:inputs``, the rest, and the names of streams and fits in their
order; ``w:inputs:fits:<name>``; ``w:inputs:streams:<name>``, a stream without its lists, and how
many blocks they have; ``w:inputs:rows:<number>:<name>``, a block of its ``rows``, say.
"""

from __future__ import annotations

from typing import Any

from headrace.streams.protocol.stage import View

FITS, STREAMS = "fits", "streams"
BLOCK = 48
"""So many items of a list stand under a key."""

_Lists = dict[tuple[str, str], tuple[list[Any], int]]


class Shelf:
    """The state of one watch in MONITOR's state.

    Parameters
    ----------
    side
        The watch's name.
    """

    def __init__(self, side: str) -> None:
        self._key = f"w:{side}"
        self._kept: dict[str, Any] = {}  # all keys; of fits, what was written
        self._lists: _Lists = {}  # by stream and field: the list, and how much of it was written

    def load(self, view: View) -> dict[str, Any] | None:
        """Return the state that was saved last, None if there is none."""
        self._kept, self._lists = {}, {}
        rest = view.get(self._key)
        if rest is None:
            return None
        self._kept[self._key] = None
        state = dict(rest)
        if FITS in rest:
            state[FITS] = {name: self._fit(view, name) for name in rest[FITS]}
        if STREAMS in rest:
            state[STREAMS] = {name: self._stream(view, name) for name in rest[STREAMS]}
        return state

    def touch(self, view: View) -> None:
        """Tell the view that the state is going to be changed in place."""
        for key in self._kept:
            view.get(key)

    def save(self, view: View, state: dict[str, Any]) -> None:
        """Write what has changed."""
        kept, lists = self._kept, self._lists
        self._kept, self._lists = {self._key: None}, {}
        tables = {name: list(state[name]) for name in (FITS, STREAMS) if name in state}
        view.put(self._key, {**state, **tables})
        for name, fit in state.get(FITS, {}).items():
            key = self._place(FITS, name)
            self._kept[key] = fit
            if kept.get(key) is not fit:
                view.put(key, fit)
        for name, stream in state.get(STREAMS, {}).items():
            self._save_stream(view, name, stream, lists)
        for key in sorted(kept.keys() - self._kept.keys()):
            view.put(key, None)

    def clear(self, view: View) -> None:
        """Delete the state."""
        for key in self._kept:
            view.put(key, None)
        self._kept, self._lists = {}, {}

    def _place(self, what: str, name: str) -> str:
        return f"{self._key}:{what}:{name}"

    def _block(self, field: str, number: int, name: str) -> str:
        return self._place(f"{field}:{number}", name)

    def _fit(self, view: View, name: str) -> Any:
        key = self._place(FITS, name)
        found = self._kept[key] = view.get(key)
        return found

    def _stream(self, view: View, name: str) -> dict[str, Any]:
        key = self._place(STREAMS, name)
        self._kept[key] = None
        fields, sizes = view.get(key)
        lists: dict[str, list[Any]] = {}
        for field, size in sizes.items():
            keys = [self._block(field, number, name) for number in range(size)]
            found = lists[field] = [item for each in keys for item in view.get(each)]
            self._kept.update(dict.fromkeys(keys))
            self._lists[name, field] = (found, len(found))
        return {**fields, **lists}

    def _save_stream(self, view: View, name: str, stream: dict[str, Any], lists: _Lists) -> None:
        fields, sizes = {}, {}
        for field, value in stream.items():
            if type(value) is not list:
                fields[field] = value
                continue
            before, written = lists.get((name, field), (None, 0))
            if before is not value:
                written = 0
            sizes[field] = size = -(-len(value) // BLOCK)
            self._kept.update((self._block(field, number, name), None) for number in range(size))
            self._lists[name, field] = (value, len(value))
            if written < len(value):
                for number in range(written // BLOCK, size):
                    block = value[number * BLOCK : (number + 1) * BLOCK]
                    view.put(self._block(field, number, name), block)
        key = self._place(STREAMS, name)
        self._kept[key] = None
        view.put(key, [fields, sizes])
