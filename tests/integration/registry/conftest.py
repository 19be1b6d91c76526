"""A database of the session's PostgreSQL for a whole module, since making one takes a second."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from headrace.app.stack.stack import Stack
from tests.services import fresh_database


@pytest.fixture(scope="module")
def module_url(stack: Stack) -> Iterator[str]:
    with fresh_database(stack) as url:
        yield url
