import logging

import pytest

from supervisor.fixtures import event_log, leak_check, schedule_seed  # noqa: F401 - fixtures


@pytest.fixture(autouse=True)
def quiet_logs():
    """Crashes are what these tests are about; their log lines are not."""
    logging.getLogger("supervisor").setLevel(logging.CRITICAL + 1)
    yield
    logging.getLogger("supervisor").setLevel(logging.NOTSET)
