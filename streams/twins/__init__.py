"""In-memory twins of Kafka and the state store: for simulated faults, pure tests, and replay.

They model what exactly-once depends on, and nothing else. Where a twin differs from the real
part, the twin is wrong.
"""
