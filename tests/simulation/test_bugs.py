"""The simulator's own test: each bug, planted alone, is found within 300 worlds."""

from __future__ import annotations

import pytest

from tests.simulation.bugs import BUGS, Bug
from tests.simulation.run import run_world

pytestmark = [pytest.mark.simulation, pytest.mark.timeout(300)]


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_planted_bug_is_found(bug: Bug, monkeypatch: pytest.MonkeyPatch) -> None:
    bug.plant(monkeypatch)
    for seed in range(300):
        wrong = run_world(seed, bug.flow, bug.plan).wrong
        if wrong:
            print(f"found in world {seed + 1}: {wrong[0][:100]}")
            return
    pytest.fail(f"not found in 300 worlds: {bug.name}")
