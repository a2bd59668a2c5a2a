"""Whole frames and the published schema: what we write is what it promises, and what it allows we can read."""

import json
from datetime import UTC, datetime
from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from wire.bundle import bundle, frame_name
from wire.envelope import read_frame, write_frame
from wire.errors import Malformed
from wire.lanes import ENGINE_DOWN, ENGINE_UP, LANES, Lane

few = settings(max_examples=6, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], database=None)
SIDES = [("EngineUp", kind, cls) for kind, cls in ENGINE_UP.items()]
SIDES += [("EngineDown", kind, cls) for kind, cls in ENGINE_DOWN.items()]
AT = datetime(2026, 11, 20, 5, 30, tzinfo=UTC)


@cache
def checker(name):
    return Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": bundle()["$defs"]})


def frame_of(message, cls):
    seq = None if LANES[cls] is Lane.CONTROL else 7
    name = getattr(message, "id", None) if cls.__name__ in ("TradeLog", "Fill") else "m-1"
    return write_frame(message, engine_id="E1", timestamp=AT, seq=seq, ack=3, id=name)


@pytest.mark.parametrize("direction, kind, cls", SIDES)
@few
@given(data=st.data())
def test_every_frame_we_write_is_exactly_one_of_its_direction(direction, kind, cls, strategy, data):
    frame = json.loads(frame_of(data.draw(strategy(cls)), cls))
    checker(direction).validate(frame)
    checker(frame_name("engine", kind)).validate(frame)


CHANGES = [
    ("seq", [0, -1, "7", 7.5, True, None, 2**53, 2**53 + 1]),
    ("ack", [-1, 0, "3", None, 2**53 + 1]),
    ("id", ["", "a b", "x" * 65, "ok", 5, None]),
    ("re", ["", "ok", []]),
    ("crit", [[], ["x"], "x", [5], None]),
    ("engine_id", ["", "E 1", "E2", None, 5]),
    ("timestamp", ["2026-11-20T05:30:00", "2026-11-20T05:30:00+09:00", "now", 0, None]),
    ("type", ["", "no_such_type", None]),
    ("payload", [None, [], "x"]),
    ("extra", [1, {"deep": [1]}]),
]


@pytest.mark.parametrize("direction, kind, cls", SIDES)
@few
@given(data=st.data())
def test_what_the_schema_allows_is_read_and_what_cannot_be_read_it_forbids(direction, kind, cls, strategy, data):
    frame = json.loads(frame_of(data.draw(strategy(cls)), cls))
    name, values = data.draw(st.sampled_from(CHANGES))
    frame[name] = data.draw(st.sampled_from(values))
    allowed = checker(frame_name("engine", kind)).is_valid(frame)
    try:
        read = read_frame(json.dumps(frame), ENGINE_UP if direction == "EngineUp" else ENGINE_DOWN)
        readable = read.error is None
    except Malformed:
        readable = False
    if name == "crit" and frame["crit"] not in ([], "x", [5], None):
        return  # whether a name in crit is understood is no matter of shape
    if name == "id" and cls.__name__ in ("TradeLog",) and frame["id"] not in (None, frame["payload"]["id"]):
        return  # has to equal payload.id, which no schema can say
    if name == "seq":
        assert readable or not allowed  # that control has no number, and everything else has one, is the session's
        return
    assert allowed is readable
