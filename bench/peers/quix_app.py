"""Quix Streams, ``processing_guarantee="exactly-once"``: a running count of each key's events."""

import os

from quixstreams import Application

app = Application(
    broker_address=os.environ["PEER_BROKERS"],
    consumer_group="peer-quix",
    processing_guarantee="exactly-once",
    auto_offset_reset="earliest",
    state_dir=os.environ["PEER_STATE"],
    loglevel="WARNING",
)
source = app.topic("peer-in", value_deserializer="json", key_deserializer="str")
out = app.topic("peer-out-quix", value_serializer="json", key_serializer="str")


def count(event, state):
    """Count an event."""
    n = state.get("count", 0) + 1
    state.set("count", n)
    return {"id": event["id"], "key": event["key"], "count": n}


app.dataframe(source).apply(count, stateful=True).to_topic(out)

if __name__ == "__main__":
    app.run()
