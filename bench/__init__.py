"""Measurements: what is fast, what is not, and how that was measured."""
