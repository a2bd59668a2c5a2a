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
        "orders_remaining": 0,
        "positions_liquidated": 0,
        "positions_remaining": remaining,
        "flatness": flatness,
        "residuals": [],
    }
    stop = {"stop_id": "s1", "scope": "all", "level": "HALT", "epoch": 1, "drill": False, "durable": True}
    assert report({**stop, "state": "verified", "results": [result]}) == 0
    row = capsys.readouterr().out.splitlines()[-1].split()
    assert row == ["alpha", "frozen", "0", "0", left, flatness]


def test_what_is_left_is_named_by_symbol_and_reason(capsys):
    left = {"symbol": "005380", "quantity": 1500, "reason": "trading in the symbol is halted", "until": None}
    result = {"engine_id": "alpha", "phase": "failed", "orders_cancelled": 4, "positions_liquidated": 2}
    result |= {
        "orders_remaining": 3,
        "positions_remaining": 1,
        "flatness": "NOT_FLAT",
        "error": "error_positions_blocked",
    }
    later = {**left, "symbol": "000660", "until": "2026-01-06T00:00:00Z"}
    stop = {"stop_id": "s1", "scope": "all", "level": "FLATTEN", "epoch": 1, "drill": False, "durable": True}
    assert report({**stop, "state": "failed", "results": [{**result, "residuals": [left, later]}]}) == 1
    told = capsys.readouterr().out
    assert "left at alpha: 3 working orders\n" in told
    assert "left at alpha: 005380 1,500, trading in the symbol is halted\n" in told
    assert "left at alpha: 000660 1,500, trading in the symbol is halted (until 2026-01-06T00:00:00Z)\n" in told


@pytest.mark.parametrize(
    ("durable", "state", "code", "last"),
    [
        (True, "partial", 1, "recorded, but not verified: watch it with `watchkeeper status`"),
        (False, "partial", 1, "taken, but not verified: watch it with `watchkeeper status`"),
        (False, "verified", 0, "not recorded yet: it is not on stable storage"),
        (True, "verified", 0, "stop s1: all HALT, epoch 1, verified"),
    ],
)
def test_recorded_is_said_of_stable_storage_alone_and_verified_of_the_work(capsys, durable, state, code, last):
    stop = {"stop_id": "s1", "scope": "all", "level": "HALT", "epoch": 1, "drill": False, "durable": durable}
    assert report({**stop, "state": state, "results": []}) == code
    told = capsys.readouterr().out
    assert told.splitlines()[-1] == last
    assert ("not recorded yet" in told) is not durable
