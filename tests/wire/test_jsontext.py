import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.errors import Malformed, TooLarge, WireError
from wire.jsontext import MAX_BYTES, dump, parse

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abcé한", max_size=4), inner, max_size=4),
    max_leaves=12,
)


@given(value=st.dictionaries(st.text("abc", max_size=3), JSON, max_size=5))
def test_what_is_dumped_is_parsed_to_the_same_value(value):
    assert parse(dump(value), max_depth=100) == value
    assert parse(dump(value).encode(), max_depth=100) == value


@given(text=st.binary(max_size=200) | st.text(max_size=200))
def test_arbitrary_text_is_an_object_or_a_wire_error_and_nothing_else(text):
    with suppress(Malformed, TooLarge):
        assert type(parse(text)) is dict


PIECES = [
    "{",
    "}",
    "[",
    "]",
    '"a":',
    '"b":',
    ",",
    "1",
    "-0",
    "1e999",
    "NaN",
    "true",
    "null",
    '"\\u0000"',
    '"\\ud800"',
    " ",
]


@given(pieces=st.lists(st.sampled_from(PIECES), max_size=30))
def test_json_like_text_is_an_object_of_finite_storable_values_or_a_wire_error(pieces):
    text = "".join(pieces)
    try:
        value = parse(text)
    except WireError:
        return
    assert json.loads(text) == value
    assert "\x00" not in str(value)
    json.dumps(value, allow_nan=False).encode()


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "null", "[]", '"a"', "1", "{", "{}{}", "{'a':1}", '{"a":1,}', "\ufeff{}", '{"a":"\n"}',
        '{"a":NaN}', '{"a":Infinity}', '{"a":-Infinity}', '{"a":1e999}', '{"a":-1e999}',
        '{"a":1,"a":1}', '{"a":{"b":1,"\\u0062":2}}',
        '{"a":9223372036854775808}', '{"a":-9223372036854775808}', '{"a":' + "9" * 5000 + "}",
        '{"a":"\\u0000"}', '{"\\u0000":1}', '{"a":["\\ud800"]}', '{"a":"\\uDfff"}', '{"a":"\ud800"}',
        '{"a":' + "[" * 16 + "]" * 16 + "}", '{"a":' * 17 + "1" + "}" * 17, "[" * 100_000, '{"a":' * 50_000,
        b"\xff", b'{"a":"\xed\xa0\x80"}', b"\xff\xfe{\x00}\x00",
    ],
)  # fmt: skip
def test_hostile_text_is_malformed(text):
    with pytest.raises(Malformed):
        parse(text)


@pytest.mark.parametrize(
    "text, value",
    [
        ('{"a":9223372036854775807}', {"a": 2**63 - 1}),
        ('{"a":-0}', {"a": 0}),
        (r'{"a":"\\u0000"}', {"a": "\\u0000"}),
        (r'{"a":"\ud83d\ude00"}', {"a": "😀"}),
        ('{"a":' + "[" * 15 + "]" * 15 + "}", {"a": json.loads("[" * 15 + "]" * 15)}),
        (bytearray(b'{"a":1}'), {"a": 1}),
    ],
)
def test_unusual_but_sound_text_is_accepted(text, value):
    assert parse(text) == value


@pytest.mark.parametrize("text", ['{"a":"' + "x" * MAX_BYTES + '"}', '{"a":"' + "한" * (MAX_BYTES // 3) + '"}'])
def test_size_is_counted_in_bytes(text):
    with pytest.raises(TooLarge):
        parse(text)
    with pytest.raises(TooLarge):
        parse(text.encode())


def test_an_error_keeps_no_copy_of_the_text():
    with pytest.raises(Malformed) as caught:
        parse('{"password":"hunter2" oops')
    error = caught.value
    assert (error.__cause__, error.__context__) == (None, None)
    assert "hunter2" not in f"{error!r} {error} {vars(error)}"


@given(value=st.text())
def test_text_that_no_peer_would_accept_is_replaced_when_dumped(value):
    parsed = parse(dump({"a": value}))["a"]
    assert len(parsed) == len(value)
    assert all(
        new == old or (new == "\ufffd" and (old == "\x00" or "\ud800" <= old <= "\udfff"))
        for new, old in zip(parsed, value, strict=True)
    )
