"""Features: what is computed of an event, and of its entity's past."""
