"""Pytest fixtures over `supervisor.testing`. In a conftest.py: `from supervisor.fixtures import *`.

Needs pytest and pytest-trio, which the runtime itself does not.
"""

from collections.abc import AsyncIterator, Iterator

import pytest

from supervisor.testing import EventLog, no_leaks, schedule

__all__ = ["event_log", "leak_check", "schedule_seed"]


@pytest.fixture
def event_log() -> EventLog:
    return EventLog()


@pytest.fixture(params=range(4), ids=lambda seed: f"seed{seed}")
def schedule_seed(request: pytest.FixtureRequest) -> Iterator[int]:
    """Runs the test once per seed; parametrize `schedule_seed` (indirect) for others."""
    with schedule(request.param):
        yield request.param


@pytest.fixture
async def leak_check() -> AsyncIterator[None]:
    with no_leaks():
        yield
