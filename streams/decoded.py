"""Records of a log in memory, decoded when they are looked at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, overload

from headrace.schemas.codec import Codec, Undecodable
from headrace.streams.dated import dated_fields
from headrace.streams.records import Record

if TYPE_CHECKING:
    import polars


class DecodedRecords(Sequence[dict[str, Any]]):
    """Records as dictionaries, in the order of their log; times are aware datetimes.

    Each is decoded anew whenever it is looked at, so that a year of them fits in memory.

    Parameters
    ----------
    records
        What the log holds.
    codec
        Of their values.

    Attributes
    ----------
    records
        The same with their coordinates, as bytes.
    """

    def __init__(self, records: Sequence[Record], codec: Codec) -> None:
        self.records = records
        self._codec = codec
        self._dated = dated_fields(codec.schema)

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self._decoded(record) for record in self.records)

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...

    @overload
    def __getitem__(self, index: slice) -> DecodedRecords: ...

    def __getitem__(self, index: int | slice) -> dict[str, Any] | DecodedRecords:
        if isinstance(index, slice):
            return DecodedRecords(self.records[index], self._codec)
        return self._decoded(self.records[index])

    def __repr__(self) -> str:
        return f"<{len(self)} records of {self._codec.schema['name']}>"

    def to_polars(self) -> polars.DataFrame:
        """Return all of them as a data frame; needs ``pip install polars``."""
        import polars as pl  # noqa: PLC0415 - optional, and slow to load

        from headrace.streams.engine.frames import column_types  # noqa: PLC0415 - needs polars

        types = column_types(self._codec.schema)
        if not self.records:
            return pl.DataFrame(schema={name: kind or pl.Null for name, kind in types.items()})
        known = {name: kind for name, kind in types.items() if kind is not None}
        return pl.from_dicts(list(self), schema_overrides=known, infer_schema_length=None)

    def _decoded(self, record: Record) -> dict[str, Any]:
        found = self._codec.decode(record.value)
        assert not isinstance(found, Undecodable), found  # written by this process
        for name, convert in self._dated:
            found[name] = convert(found[name])
        return found
