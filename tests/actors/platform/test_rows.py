"""What a known engine is called when it is not there."""

import pytest

from actors.fleet.row import EngineRow
from wire.rest import Connection


@pytest.mark.parametrize(("seen_before", "called"), [(False, Connection.NEVER), (True, Connection.OFFLINE)])
def test_an_engine_this_platform_has_not_heard_is_offline_when_an_earlier_one_heard_it_else_never(seen_before, called):
    row = EngineRow(engine_id="E1", name="E1", account_id="A1", seen_before=seen_before)
    assert row.connection(now=100.0) is called
