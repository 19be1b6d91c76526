"""How a batch becomes durable, exactly once: take-over, processing, commit, over four ports."""
