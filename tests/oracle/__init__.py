"""The truth of a run, folded from its own logs by plain River: imports nothing of Headrace."""
