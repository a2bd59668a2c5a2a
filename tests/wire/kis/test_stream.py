"""The stream's messages, against the broker's own samples."""

import json

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.errors import InvalidField, Malformed, WireError
from wire.exchange.fees import Side
from wire.kis import notices, stream, ticker
from wire.kis.aes import Cipher
from wire.kis.codes import Profile, SideCode

CIPHER = Cipher(b"0123456789abcdef0123456789abcdef", b"fedcba9876543210")
TRADE = (
    "0|H0STCNT0|001|005930^093001^71900^2^400^0.56^71850.12^71600^72000^71500^71900^71800^15^1234567^88693185804^8421^9134"
    "^713^108.40^560211^607274^1^52.02^31.40^090012^2^300^091544^5^-100^090530^2^400^20261120^20^N^18240^20111^402199"
    "^511870^0.02^1390022^88.82^0^^71600"
)
BOOK = (
    "0|H0STASP0|001|005930^093001^0^71900^72000^72100^72200^72300^72400^72500^72600^72700^72800^71800^71700^71600^71500"
    "^71400^71300^71200^71100^71000^70900^18240^19240^20240^21240^22240^23240^24240^25240^26240^27240^20111^21011^21911"
    "^22811^23711^24611^25511^26411^27311^28211^227400^241610^0^0^0^0^0^-71500^5^-100.00^1234567^120^-40^0^0^0"
)
FILL_26 = (
    "1|H0STCNI0|001|/zV1jIjSMPOhKBAeJPzzjum8kCHNArbkxg7jK4XbIXs3aW9DrlfQZTyFQDTihSxsA/ctB9WGh2f1ZDXSYGukCfRndTAREP19CT"
    "DQuYPo4tW9pf+a764EQC47nXy+Scph0tkGKEzFmc9X4jkcWZ/P8YJpEW5tJ3ueqf0OZQKyOvPALpDsoPc/Wb5FAfJ++3vQ"
)
FILL_23 = (
    "1|H0STCNI9|001|/zV1jIjSMPOhKBAeJPzzjum8kCHNArbkxg7jK4XbIXs3aW9DrlfQZTyFQDTihSxsA/ctB9WGh2f1ZDXSYGukCfRndTAREP19CT"
    "DQuYPo4tW9pf+a764EQC47nXy+ScphqssJ15cvaCWM338KwpzG33+iHgZ2dcQgRR8PL3F77aaKcYnwo68aSN1Res7k++Vg"
)


def frame_of(text):
    message = stream.decode_server_message(text)
    assert isinstance(message, stream.Frame)
    return message


def test_a_trade_frame_is_read_and_written_back():
    (trade,) = ticker.trades_of(frame_of(TRADE))
    assert (trade.symbol, trade.time, trade.price, trade.quantity, trade.day) == (
        "005930",
        "093001",
        71900,
        15,
        "20261120",
    )
    assert (trade.ask, trade.bid, trade.volume, trade.high_change) == (71900, 71800, 1234567, -100)
    assert stream.encode_frame(ticker.trade_frame([trade])) == TRADE


def test_a_burst_of_trades_in_one_frame_is_read_whole():
    (trade,) = ticker.trades_of(frame_of(TRADE))
    burst = [attrs.evolve(trade, price=price) for price in (71900, 72000, 71800)]
    text = stream.encode_frame(ticker.trade_frame(burst))
    assert text.startswith("0|H0STCNT0|003|")
    assert ticker.trades_of(frame_of(text)) == burst


def test_a_book_frame_has_ten_levels_a_side():
    (book,) = ticker.books_of(frame_of(BOOK))
    assert book.ask_prices == tuple(range(71900, 72900, 100))
    assert book.bid_prices == tuple(range(71800, 70800, -100))
    assert (book.ask_sizes[0], book.bid_sizes[9], book.total_ask_size) == (18240, 28211, 227400)
    again = ticker.books_of(frame_of(stream.encode_frame(ticker.book_frame(book))))
    assert again == [book]


@pytest.mark.parametrize("text", [FILL_26, FILL_23])
def test_a_fill_notice_is_read_in_both_layouts(text):
    (notice,) = notices.notices_of(frame_of(text), CIPHER)
    assert notice.is_fill
    assert not notice.rejected
    assert (notice.subject, notice.account, notice.symbol) == ("0000017468", "1234567801", "005930")
    assert (notice.quantity, notice.price, notice.order_quantity) == (4, 71800, 10)
    assert notice.side.side is Side.BUY


@pytest.mark.parametrize("profile, text", [(Profile.REAL, FILL_26), (Profile.MOCK, FILL_23)])
def test_a_written_notice_is_byte_for_byte_the_brokers(profile, text):
    (notice,) = notices.notices_of(frame_of(text), CIPHER)
    frame = notices.notice_frame(notice, CIPHER, profile, symbol_name="SAMSUNG", order_price=71800)
    assert stream.encode_frame(frame) == text


def test_a_cancel_is_about_the_order_it_cancels():
    (fill,) = notices.notices_of(frame_of(FILL_26), CIPHER)
    cancel = attrs.evolve(
        fill, order_no="0000017500", original="0000017468", revision=notices.Revision.CANCEL, fill_code="1", price=0
    )
    assert cancel.subject == "0000017468"
    assert not cancel.is_fill


@pytest.mark.parametrize(
    "text",
    [
        TRADE.replace("|001|", "|002|"),
        TRADE.replace("|001|", "|x|"),
        TRADE.replace("^15^", "^^"),
        TRADE.replace("^71900^2^", "^seven^2^"),
        TRADE.rpartition("^")[0],
        "0|H0STCNT0|001",
        FILL_26,
        BOOK,
    ],
)
def test_a_damaged_or_foreign_frame_is_never_half_read(text):
    with pytest.raises(WireError):
        ticker.trades_of(frame_of(text))


def test_a_notice_under_another_key_is_malformed():
    other = Cipher(b"x" * 32, b"y" * 16)
    with pytest.raises(Malformed):
        notices.notices_of(frame_of(FILL_26), other)


def test_registrations_are_the_brokers_json():
    registration = stream.Registration(approval_key="k", tr_id="H0STCNT0", tr_key="005930")
    assert json.loads(stream.encode_registration(registration)) == {
        "header": {"approval_key": "k", "custtype": "P", "tr_type": "1", "content-type": "utf-8"},
        "body": {"input": {"tr_id": "H0STCNT0", "tr_key": "005930"}},
    }


@given(
    st.builds(
        stream.Registration,
        approval_key=st.text(min_size=1),
        tr_id=st.sampled_from(sorted(stream.STREAM_IDS)),
        tr_key=st.text(min_size=1),
        register=st.booleans(),
        customer=st.sampled_from(["P", "B"]),
    )
)
def test_what_a_client_registers_the_server_reads(registration):
    assert stream.decode_registration(stream.encode_registration(registration)) == registration


def test_the_approval_key_is_in_no_repr():
    assert "secret" not in repr(stream.Registration(approval_key="secret", tr_id="H0STCNT0", tr_key="005930"))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"tr_type": "9"}, stream.UNKNOWN_TR_TYPE),
        ({"custtype": "X"}, stream.UNKNOWN_CUSTOMER),
        ({"tr_id": "H0XXXXX0"}, stream.UNKNOWN_TR_ID),
        ({"tr_key": ""}, stream.UNKNOWN_TR_KEY),
    ],
)
def test_a_wrong_registration_is_refused_with_the_brokers_code(change, code):
    message = json.loads(
        stream.encode_registration(stream.Registration(approval_key="k", tr_id="H0STCNT0", tr_key="1"))
    )
    for part in (message["header"], message["body"]["input"]):
        part.update({name: value for name, value in change.items() if name in part})
    with pytest.raises(stream.RegistrationRefused) as refused:
        stream.decode_registration(json.dumps(message))
    assert refused.value.code == code


@given(st.text() | st.recursive(st.none() | st.text(), lambda inner: st.dictionaries(st.text(), inner)).map(json.dumps))
def test_no_text_of_a_client_does_more_than_be_refused(text):
    with pytest.raises(stream.RegistrationRefused):
        stream.decode_registration(text)


@given(st.text())
def test_no_text_of_a_server_does_more_than_be_malformed(text):
    try:
        message = stream.decode_server_message(text)
    except WireError:
        return
    assert isinstance(message, stream.ServerMessage)


def test_the_subscription_answer_brings_the_keys_of_the_notices():
    control = stream.decode_server_message(
        '{"header": {"tr_id": "H0STCNI9", "tr_key": "testid01", "encrypt": "Y"}, "body": {"rt_cd": "0", "msg_cd":'
        ' "OPSP0000", "msg1": "SUBSCRIBE SUCCESS", "output": {"iv": "fedcba9876543210", "key":'
        ' "0123456789abcdef0123456789abcdef"}}}'
    )
    assert isinstance(control, stream.Control)
    assert control.succeeded
    assert control.encrypted
    assert (len(control.key), len(control.iv)) == (32, 16)
    assert control.key not in repr(control)
    assert stream.decode_server_message(stream.encode_control(control)) == control


def test_a_second_connection_of_a_key_is_told_so():
    text = (
        '{"header": {"tr_id": "(null)", "tr_key": "", "encrypt": "N"}, "body": {"rt_cd": "9", "msg_cd": "OPSP8996",'
        ' "msg1": "ALREADY IN USE appkey"}}'
    )
    control = stream.decode_server_message(text)
    assert isinstance(control, stream.Control)
    assert not control.succeeded
    assert control.code == stream.IN_USE
    assert json.loads(stream.encode_control(control)) == json.loads(text)


def test_the_keep_alive_is_answered_with_the_same_text():
    text = stream.encode_ping("20261120093001")
    ping = stream.decode_server_message(text)
    assert ping == stream.Ping(at="20261120093001", text=text)
    assert stream.is_pingpong(text)
    assert not stream.is_pingpong("pong")


@pytest.mark.parametrize("text", ['{"header": {}}', '{"header": {"tr_id": "x"}}', "{", "[]", ""])
def test_an_unknown_server_message_is_an_error(text):
    with pytest.raises((Malformed, InvalidField)):
        stream.decode_server_message(text)


def test_side_codes_are_the_brokers():
    assert (SideCode.of(Side.SELL), SideCode.of(Side.BUY)) == ("01", "02")
    with pytest.raises(ValueError):
        _ = SideCode.ALL.side
