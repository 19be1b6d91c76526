"""From a prediction's bytes to an example's: the label's fields stand behind the prediction's.

JOIN handles every prediction twice, when it comes and when its label does. It needs to know whose
it is and when it happened, and copies all the rest: so it reads the first fields, and appends.
"""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from typing import Any, cast

import fastavro

from headrace.schemas.codec import Codec, Undecodable, without_logical_types
from headrace.schemas.encoding import compiled
from headrace.schemas.records import ARRIVAL_FIELDS

_HEADER_BYTES = 5


class Labelling:
    """Reads whose a prediction is, and makes an example of it.

    Predictions of an older writer are decoded whole, and encoded anew.

    Parameters
    ----------
    prediction, example
        The pipeline's codecs. The example's fields begin with the prediction's.
    """

    def __init__(self, prediction: Codec, example: Codec) -> None:
        fields, longer = prediction.schema["fields"], example.schema["fields"]
        count = len(fields)
        if [f["name"] for f in longer[:count]] != [f["name"] for f in fields]:
            raise ValueError("an example's fields must begin with its prediction's")
        self._prediction = prediction
        self._example = example
        self._own = prediction.header
        self._head = fastavro.parse_schema(_part(fields[:ARRIVAL_FIELDS]))
        self._tail = compiled(_part(longer[count:]))

    def arrival(self, prediction: bytes | None) -> dict[str, Any] | Undecodable:
        """Return the first fields of a prediction, at least; or why it does not decode."""
        if prediction is None or prediction[:_HEADER_BYTES] != self._own:
            return self._prediction.decode(prediction)
        body = BytesIO(prediction)
        body.seek(_HEADER_BYTES)
        try:
            found = fastavro.schemaless_reader(body, self._head, None)
        except Exception:  # noqa: BLE001 - whatever is wrong, decoding it whole says what
            return self._prediction.decode(prediction)
        return cast(dict[str, Any], found)

    def example(self, prediction: bytes, label: Mapping[str, Any]) -> bytes:
        """Return a prediction's example.

        Parameters
        ----------
        prediction
            The value of a record for which :meth:`arrival` returned fields.
        label
            ``label``, ``label_time``, ``label_partition`` and ``label_offset``.
        """
        if prediction[:_HEADER_BYTES] != self._own:
            fields = cast(dict[str, Any], self._prediction.decode(prediction))
            return self._example.encode({**fields, **label})
        return self._example.header + prediction[_HEADER_BYTES:] + self._tail(label)


def _part(fields: list[Any]) -> Any:
    """Return some fields as a record of their own."""
    return without_logical_types({"type": "record", "name": "Part", "fields": fields})
