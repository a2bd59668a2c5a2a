"""How far a stop is, in the command's words."""

import pytest

from actors.cli.progress import report


@pytest.mark.parametrize(
    ("remaining", "flatness", "left"),
    [(0, "FLAT", "0"), (2, "NOT_FLAT", "2"), (2, "UNKNOWN", "2"), (0, "UNKNOWN", "?"), (None, "UNKNOWN", "?")],
)
def test_nothing_is_left_only_where_a_read_of_the_broker_says_so(capsys, remaining, flatness, left):
    result = {
        "engine_id": "alpha",
        "phase": "frozen",
        "orders_cancelled": 0,
        "positions_liquidated": 0,
        "positions_remaining": remaining,
        "flatness": flatness,
    }
    stop = {"stop_id": "s1", "scope": "all", "level": "HALT", "epoch": 1, "drill": False, "durable": True}
    assert report({**stop, "state": "verified", "results": [result]}) == 0
    row = capsys.readouterr().out.splitlines()[-1].split()
    assert row == ["alpha", "frozen", "0", "0", left, flatness]
