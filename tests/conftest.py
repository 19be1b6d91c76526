"""Fixtures for all tests; see ``services.py`` for the real services."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

from tests.services import kafka, make_topic, postgres_url, redis_url, stack

__all__ = ["kafka", "make_topic", "postgres_url", "redis_url", "stack"]

_SLOW = (*settings().suppress_health_check, HealthCheck.too_slow)
settings.register_profile("unhurried", settings(deadline=None, suppress_health_check=_SLOW))
"""For tests at a low priority (``make test-pure``): how long they take says nothing there."""
