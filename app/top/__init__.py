"""``headrace top``: how a pipeline stands and how well it does, live in a terminal."""
