"""Fixtures for all tests; see ``services.py`` for the real services."""

from __future__ import annotations

from tests.services import kafka, make_topic, postgres_url, redis_url, stack

__all__ = ["kafka", "make_topic", "postgres_url", "redis_url", "stack"]
