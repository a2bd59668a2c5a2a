"""The short ways through the codec beside the strict ones: the same value, the same refusal, the same text."""

import re
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.wire.every_message import MESSAGES
from wire.codec import dump, encode, strictly_structured, structure, time_text, unstructure
from wire.envelope import Envelope, read_frame, write_frame
from wire.errors import InvalidField, WireError
from wire.jsontext import parse, strictly_parsed
from wire.lanes import ENGINE_DOWN, ENGINE_UP, TYPE_OF
from wire.messages import Heartbeat, Positions, TradeLog
from wire.parts import Clocks, PositionItem
from wire.quickjson import quickly_parsed
from wire.schema import message
from wire.stops import Level
from wire.values import MAX_DEPTH, MAX_FRAME_BYTES, LogCategory

CLASSES = [*MESSAGES, Envelope]
FRAMED = sorted(ENGINE_UP.values(), key=lambda cls: cls.__name__)
some = settings(
    max_examples=20, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], database=None
)
many = settings(some, max_examples=200)


def kinds_and_values(value):
    """Like ``==``, but 1, 1.0 and True are three values, and 0.0 is not -0.0."""
    match value:
        case dict():
            return [(key, kinds_and_values(item)) for key, item in value.items()]
        case list() | tuple():
            return type(value), [kinds_and_values(item) for item in value]
        case Enum():
            return value
        case _ if attrs.has(type(value)):
            return type(value), [kinds_and_values(getattr(value, f.name)) for f in attrs.fields(type(value))]
    return type(value), repr(value)


def outcome(call, *arguments):
    try:
        return kinds_and_values(call(*arguments))
    except WireError as error:
        return type(error), error.code, error.reason, error.field


def both_ways(text):
    assert outcome(parse, text) == outcome(strictly_parsed, text, MAX_FRAME_BYTES, MAX_DEPTH)


# --- JSON text ------------------------------------------------------------------------------------------------------

SPELLINGS = [
    "0", "-0", "-0.0", "5.0", "5e0", "1E3", "1e400", "-1e400", "1e-400", "01", "1.", ".5", "+1", "-", "0x1", "1_0",
    "9223372036854775807", "-9223372036854775807", "9223372036854775808", "-9223372036854775808",
    "18446744073709551615", "18446744073709551616", "9" * 40, "9" * 400, "1." + "1" * 400, "2.2250738585072011e-308",
    "NaN", "Infinity", "-Infinity", "true", "True", "null", '""', '"\\u0000"', '"\\ud800"', '"\\ud83d\\ude00"',
    '"\\u0041"', '"\\n\\"\\\\\\/"', '"\\x"', '"\x00"', '"\x7f"', '"\ud800"',
    '"\u2028"', '" a"', '"a" ', '":"', '"\\":"',
    "[]", "{}", "[[1]]", "[{}]", '{"a":{"a":{"a":{"a":1}}}}', "[" * 20 + "]" * 20, "[1,]", '{"a":1,}', "1 2", "//",
]  # fmt: skip
KEYS = ['"a"', '"b"', '"payload"', '"\\u0061"', '"a" ', '"a"\n', '"a\\":"', '""', "a", '" "', '":"', '"a\\""']
values = (
    st.sampled_from(SPELLINGS) | st.integers(-(10**20), 10**20).map(str) | st.floats().map(repr) | st.text().map(dump)
)
pairs = st.tuples(st.sampled_from(KEYS), st.sampled_from([":", ": ", ":\t", "::", ""]), values).map("".join)
objects = st.lists(pairs, max_size=4).map(lambda all_: "{" + ",".join(all_) + "}")
nested = st.recursive(
    objects,
    lambda inner: st.lists(st.tuples(st.sampled_from(KEYS), inner).map(":".join), max_size=3).map(
        lambda all_: "{" + ",".join(all_) + "}"
    ),
    max_leaves=5,
)


@many
@given(text=nested, around=st.sampled_from(["{}", " {}", "{} ", "{}\n", "\ufeff{}", "{}x", "[{}]", "{}\x00"]))
def test_any_object_is_read_alike(text, around):
    both_ways(around.replace("{}", text))


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("place", ["a", "payload"])
def test_every_spelling_is_read_alike(spelling, place):
    both_ways(f'{{"{place}":{spelling}}}')
    both_ways(f'{{"payload":{{"x":{spelling}}}}}')
    both_ways(f'{{"payload":{{"x":[{spelling},{{"y":{spelling}}}]}}}}')


@pytest.mark.parametrize(
    "text",
    [
        '{"a":1,"a":1}', '{"a" :1,"a":2}', '{"a":1,"a"\t:2}', '{"a":1,"\\u0061":2}', '{"payload":{},"payload":{"a":1}}',
        '{"payload":{"a":1,"a":2}}', '{"payload":[{"a":1,"a":2}]}', '{"a":"\\":","b":1}', '{"b":{"a":1},"b":1}',
    ],
)  # fmt: skip
def test_no_key_that_occurs_twice_is_overlooked(text):
    assert quickly_parsed(text) is None
    both_ways(text)


BYTE = st.characters(max_codepoint=127) | st.characters()


@st.composite
def spoilt(draw, text):
    """``text`` with a few of its characters lost, doubled, replaced or moved, or a piece of it repeated."""
    for _ in range(draw(st.integers(0, 3))):
        at, end = sorted((draw(st.integers(0, len(text))), draw(st.integers(0, len(text)))))
        match draw(st.integers(0, 5)):
            case 0:
                text = text[:at] + draw(BYTE) + text[at + 1 :]
            case 1:
                text = text[:at] + draw(st.sampled_from(SPELLINGS)) + text[at:]
            case 2:
                text = text[:at] + text[at:end] * 2 + text[end:]
            case 3:
                text = text[:at] + text[end:]
            case 4:  # a whole pair once more
                found = draw(st.sampled_from([*re.finditer(r'"\w+":("[^"]*"|[\w.-]+),', text), None]))
                text = text if found is None else text[: found.start()] + found[0] + text[found.start() :]
            case _:  # a number or word spelt in another way
                found = draw(st.sampled_from([*re.finditer(r"(?<=:)(\"[^\"]*\"|[\w.-]+)", text), None]))
                other = draw(st.sampled_from(SPELLINGS))
                text = text if found is None else text[: found.start()] + other + text[found.end() :]
    return text


@contextmanager
def strictly():
    """A block in which only the strict ways are there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("wire.jsontext.quickly_parsed", lambda _: None)
        patch.setattr("wire.envelope.structure", strictly_structured)
        yield


NAMES = {cls: name for name, cls in ENGINE_UP.items()}
AT = datetime(2026, 11, 21, 9, tzinfo=UTC)


@pytest.mark.parametrize("cls", FRAMED, ids=lambda c: c.__name__)
@some
@given(data=st.data())
def test_a_frame_is_read_alike_whatever_was_done_to_it(cls, strategy, data):
    payload = unstructure(data.draw(strategy(cls)), nulls=data.draw(st.booleans()))
    frame = {"type": NAMES[cls], "engine_id": "e-1", "timestamp": "2026-11-21T09:00:00.000000Z", "seq": 7}
    text = data.draw(spoilt(dump({**frame, "payload": payload})))
    both_ways(text)
    quick = outcome(read_frame, text, ENGINE_UP)
    with strictly():
        assert outcome(read_frame, text, ENGINE_UP) == quick


LINE = TradeLog(id="a-1", category=LogCategory.TRADE, message="매수 10주", timestamp=AT, reason="돌파 @ 71,800원")
BEAT = Heartbeat(
    n=1, sent_ms=5, last_seq=0, last_recv=0, stop_epoch=0, level=Level.NORMAL, synced=True, clocks=Clocks()
)
HELD = PositionItem(symbol="005930", quantity=1, average_price=Decimal("71800.5"))
POSITIONS = Positions(items=[HELD, HELD], open_orders=[], synced=True, as_of=AT)


@pytest.mark.parametrize("content", [LINE, BEAT, POSITIONS], ids=lambda m: type(m).__name__)
def test_ordinary_frames_go_the_short_ways(content, monkeypatch):
    def strict(*_):
        raise AssertionError("the strict way was asked")

    for name in ("wire.jsontext.strictly_parsed", "wire.codec.strictly_structured", "wire.codec.unstructure"):
        monkeypatch.setattr(name, strict)
    payload = encode(content, nulls=True)
    text = f'{{"type":"{NAMES[type(content)]}","engine_id":"e","timestamp":"{time_text(AT)}","payload":{payload}}}'
    assert read_frame(text, ENGINE_UP).message == content


# --- plain values ---------------------------------------------------------------------------------------------------

WRONG = [
    None, True, False, 0, 1, -1, 5.5, 5.0, 2**53, 2**63, -(2**70), float("nan"), float("inf"), "", "x", "5", "1e5", [],
    {}, [None], [1], {"a": None}, {"a": 1}, "2026-11-21T09:00:00Z", "2026-11-21t09:00:00.5+09:00", "2026-11-21 09:00Z",
    "2026-W01-1T00:00:00Z", "9999-12-31T23:59:59-23:59", "2026-11-21", "error_x", "A" * 2001,
    "all", "engine:e", "\n", "a\n",
]  # fmt: skip


@pytest.mark.parametrize("cls", CLASSES, ids=lambda c: c.__name__)
@some
@given(data=st.data())
def test_plain_values_are_taken_or_refused_alike(cls, strategy, data):
    plain = unstructure(data.draw(strategy(cls)), nulls=data.draw(st.booleans()))
    for _ in range(data.draw(st.integers(0, 2))):
        name = data.draw(st.sampled_from([f.name for f in attrs.fields(cls)] or ["x"]))
        wrong = data.draw(st.sampled_from([*WRONG, KeyError]))
        plain = {k: v for k, v in plain.items() if k != name} | ({} if wrong is KeyError else {name: wrong})
    assert outcome(structure, plain, cls) == outcome(strictly_structured, plain, cls)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda c: c.__name__)
def test_what_is_no_object_is_refused_alike(cls):
    for wrong in WRONG:
        assert outcome(structure, wrong, cls) == outcome(strictly_structured, wrong, cls)


def test_a_class_with_rules_of_its_own_goes_the_strict_way():
    @attrs.frozen(kw_only=True)
    class Even:
        number: int = attrs.field(converter=abs)
        other: int = attrs.Factory(lambda self: self.number, takes_self=True)

        @number.validator
        def _is_even(self, _attribute, value):
            if value % 2:
                raise InvalidField("must be even", field="number")

    assert structure({"number": -4}, Even) == Even(number=4, other=4)
    with pytest.raises(InvalidField, match="even"):
        structure({"number": 3}, Even)


# --- text out -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", CLASSES, ids=lambda c: c.__name__)
@some
@given(data=st.data(), nulls=st.booleans())
def test_a_message_is_written_alike(cls, strategy, data, nulls):
    value = data.draw(strategy(cls))
    assert encode(value, nulls=nulls) == dump(unstructure(value, nulls=nulls))


@many
@given(text=st.text(max_size=2000), reason=st.none() | st.text(max_size=20))
def test_any_words_are_written_alike_and_so_that_a_peer_takes_them(text, reason):
    line = TradeLog(id="a", category=LogCategory.SYSTEM, message=text, timestamp=AT, reason=reason)
    for nulls in (False, True):
        written = encode(line, nulls=nulls)
        assert written == dump(unstructure(line, nulls=nulls))
        assert strictly_parsed(written, MAX_FRAME_BYTES, MAX_DEPTH)["id"] == "a"


@many
@given(
    at=st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29), timezones=st.timezones() | st.just(UTC)),
    number=st.integers() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False),
)
def test_times_and_numbers_of_any_kind_are_written_alike(at, number):
    """Types are not checked when the platform itself makes a message: an integer may stand where a float is meant."""

    @message
    class Mixed:
        at: datetime
        number: float
        whole: int

    mixed = Mixed(at=at, number=number, whole=number)
    assert encode(mixed) == dump(unstructure(mixed))
    assert time_text(at) == at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").zfill(27)


SENT = sorted({*ENGINE_UP.values(), *ENGINE_DOWN.values()}, key=lambda cls: cls.__name__)
names = st.none() | st.text("ab-1", min_size=1)


@pytest.mark.parametrize("cls", SENT, ids=lambda c: c.__name__)
@some
@given(data=st.data(), seq=st.none() | st.integers(1), id=names, crit=st.lists(st.text(max_size=3), max_size=2))
def test_a_frame_is_written_piece_by_piece_as_it_would_be_whole(cls, strategy, data, seq, id, crit):
    content, nulls = data.draw(strategy(cls)), cls.__name__ in WITH_NULLS
    head = {"type": TYPE_OF[cls], "engine_id": "e-1", "timestamp": time_text(AT), "seq": seq, "ack": seq, "id": id}
    whole = {k: v for k, v in {**head, "re": id, "crit": crit or None}.items() if v is not None}
    whole["payload"] = unstructure(content, nulls=nulls)
    frame = write_frame(content, engine_id="e-1", timestamp=AT, seq=seq, ack=seq, id=id, re=id, crit=tuple(crit))
    assert frame == dump(whole)


WITH_NULLS = {"Welcome", "Heartbeat", "Goodbye", "Positions", "StopProgress"}
