"""Stock Faust, ``processing_guarantee="exactly_once"``: a running count of each key's events."""

import os
import sys

import faust

app = faust.App(
    "peer-faust",
    broker=f"kafka://{os.environ['PEER_BROKERS']}",
    processing_guarantee="exactly_once",
    store="memory://",  # a table's state comes back from its changelog topic
    topic_partitions=2,
    topic_disable_leader=True,
    consumer_auto_offset_reset="earliest",
    datadir=os.environ["PEER_STATE"],
    web_enabled=False,
)
source = app.topic("peer-in", value_serializer="json")
out = app.topic("peer-out-faust", value_serializer="json")
counts = app.Table("peer-counts", default=int, partitions=2)


@app.agent(source)
async def count(events):
    """Count an event, and say so."""
    async for event in events:
        key = event["key"]
        counts[key] += 1
        await out.send(key=key, value={"id": event["id"], "key": key, "count": counts[key]})


if __name__ == "__main__":
    sys.argv = ["faust", "worker", "--without-web", "-l", "warn"]
    app.main()
