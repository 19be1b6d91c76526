"""The same load, killed the same way, on other stream processors that promise exactly-once."""
