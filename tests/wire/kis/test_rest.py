"""REST bodies and answers, against the broker's samples."""

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.errors import InvalidField, Malformed
from wire.kis import codes, oauth, quotes, rest, trading
from wire.kis.codes import Advice, AmendKind, Call, OrderType, Profile, SideCode
from wire.kis.fields import from_object, to_object

ORDER = {
    "CANO": "12345678",
    "ACNT_PRDT_CD": "01",
    "PDNO": "005930",
    "ORD_DVSN": "00",
    "ORD_QTY": "10",
    "ORD_UNPR": "71800",
    "EXCG_ID_DVSN_CD": "KRX",
    "SLL_TYPE": "",
    "CNDT_PRIC": "",
}
CANCEL = {
    "CANO": "12345678",
    "ACNT_PRDT_CD": "01",
    "KRX_FWDG_ORD_ORGNO": "00950",
    "ORGN_ODNO": "0000038614",
    "ORD_DVSN": "00",
    "RVSE_CNCL_DVSN_CD": "02",
    "ORD_QTY": "0",
    "ORD_UNPR": "0",
    "QTY_ALL_ORD_YN": "Y",
    "EXCG_ID_DVSN_CD": "KRX",
}
OPEN_ORDER = {
    "ord_gno_brno": "91252",
    "odno": "0000117057",
    "orgn_odno": "",
    "ord_dvsn_name": "지정가",
    "pdno": "005930",
    "prdt_name": "삼성전자",
    "rvse_cncl_dvsn_name": "",
    "ord_qty": "10",
    "ord_unpr": "71800",
    "ord_tmd": "121052",
    "tot_ccld_qty": "4",
    "tot_ccld_amt": "287200",
    "psbl_qty": "6",
    "sll_buy_dvsn_cd": "02",
    "ord_dvsn_cd": "00",
    "mgco_aptm_odno": "",
    "excg_dvsn_cd": "02",
    "excg_id_dvsn_cd": "KRX",
    "excg_id_dvsn_name": "한국거래소",
    "stpm_cndt_pric": "0",
    "stpm_efct_occr_yn": "",
}
HOLDING = {
    "pdno": "005930",
    "prdt_name": "삼성전자",
    "trad_dvsn_name": "현금",
    "bfdy_buy_qty": "0",
    "bfdy_sll_qty": "0",
    "thdt_buyqty": "4",
    "thdt_sll_qty": "0",
    "hldg_qty": "4",
    "ord_psbl_qty": "4",
    "pchs_avg_pric": "248750.0000",
    "pchs_amt": "995000",
    "prpr": "248500",
    "evlu_amt": "994000",
    "evlu_pfls_amt": "-1000",
    "evlu_pfls_rt": "-0.10",
    "evlu_erng_rt": "-0.10050251",
    "loan_dt": "",
    "loan_amt": "0",
    "stln_slng_chgs": "0",
    "expd_dt": "",
    "fltt_rt": "0.40404040",
    "bfdy_cprs_icdc": "1000",
    "item_mgna_rt_name": "20%",
    "grta_rt_name": "",
    "sbst_pric": "196800",
    "stck_loan_unpr": "0.0000",
}


def reply(body, status=200, **headers):
    return rest.read_reply(status, headers, json.dumps(body).encode())


def test_an_order_is_read_and_written_as_the_broker_spells_it():
    order = from_object(trading.OrderRequest, ORDER)
    assert (order.order_type, order.quantity, order.price) == (OrderType.LIMIT, 10, 71800)
    assert json.loads(rest.encode_body(order)) == ORDER


def test_a_cancel_takes_the_whole_rest():
    cancel = from_object(trading.AmendRequest, CANCEL)
    assert cancel.kind is AmendKind.CANCEL
    assert cancel.whole
    assert to_object(cancel) == {**CANCEL, "CNDT_PRIC": ""}


@pytest.mark.parametrize("shape, sample", [(trading.OpenOrder, OPEN_ORDER), (trading.Holding, HOLDING)])
def test_rows_survive_the_round_trip_to_the_letter(shape, sample):
    assert to_object(from_object(shape, sample)) == sample


@pytest.mark.parametrize("name, text", [("ORD_QTY", ""), ("ORD_QTY", "1.5"), ("ORD_QTY", "ten"), ("ORD_DVSN", "99")])
def test_a_broken_field_is_named_and_its_value_is_not(name, text):
    with pytest.raises(InvalidField) as error:
        from_object(trading.OrderRequest, {**ORDER, name: text})
    assert error.value.field == name
    assert text == "" or text not in str(error.value)


def test_a_missing_field_is_named():
    with pytest.raises(InvalidField) as error:
        from_object(trading.OrderRequest, {k: v for k, v in ORDER.items() if k != "PDNO"}, where="body")
    assert error.value.field == "body.PDNO"


def test_an_accepted_order_carries_its_number():
    accepted = reply(
        {
            "rt_cd": "0",
            "msg_cd": "APBK0013",
            "msg1": "주문 전송 완료 되었습니다.   ",
            "output": {"KRX_FWDG_ORD_ORGNO": "91252", "ODNO": "0000117057", "ORD_TMD": "121052"},
        }
    )
    assert accepted.succeeded
    assert accepted.advice is Advice.DONE
    assert accepted.text == "주문 전송 완료 되었습니다."
    assert accepted.one(trading.OrderAccepted).order_no == "0000117057"


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (500, "EGW00201", Advice.WAIT),
        (500, "EGW00123", Advice.NEW_TOKEN),
        (500, "EGW00301", Advice.RECONCILE),
        (500, "EGW00202", Advice.GATEWAY),
        (200, "APBK0918", Advice.REJECTED),
        (200, "40330000", Advice.NOTHING_LEFT),
        (200, "90000000", Advice.NOT_OFFERED),
        (200, "APBK9999", Advice.REJECTED),
        (502, "", Advice.RECONCILE),
    ],
)
def test_the_code_tells_the_client_what_to_do(status, code, expected):
    assert reply(rest.refusal(code, "…"), status).advice is expected


def test_no_rows_is_a_success_with_nothing_in_it():
    empty = reply({"rt_cd": "0", "msg_cd": "70070000", "msg1": "조회할 내역(자료)이 없습니다", "output1": []})
    assert empty.advice is Advice.EMPTY
    assert empty.rows(trading.DailyOrder, "output1") == []


@pytest.mark.parametrize("body", [{}, {"output1": None}, {"output1": {}}, {"output1": [{}]}])
def test_an_absent_list_is_an_error_and_never_an_empty_one(body):
    with pytest.raises(InvalidField):
        reply({"rt_cd": "0", "msg_cd": "x", "msg1": "", **body}).rows(trading.Holding, "output1")


def test_totals_come_in_a_list_of_one():
    totals = {"dnca_tot_amt": "10000000", "nxdy_excc_amt": "10000000", "prvs_rcdl_excc_amt": "9004860"}
    totals |= {"scts_evlu_amt": "994000", "tot_evlu_amt": "9998860", "nass_amt": "9998860"}
    read = reply({"rt_cd": "0", "msg_cd": "", "msg1": "", "output2": [totals]}).one(trading.BalanceTotals, "output2")
    assert (read.deposit, read.cash_d2, read.net_assets) == (10_000_000, 9_004_860, 9_998_860)


def test_pages_continue_by_header_and_cursor():
    page = reply(
        {"rt_cd": "0", "msg_cd": "", "msg1": "", "ctx_area_fk100": "a  ", "ctx_area_nk100": "b  ", "output": []},
        tr_cont="M",
    )
    assert page.more
    assert page.cursor == rest.Cursor(fk="a  ", nk="b  ")
    assert not reply({"rt_cd": "0", "msg_cd": "", "msg1": ""}, tr_cont="D").more


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"\xff", b'{"rt_cd": "0", "msg_cd": 1}', b"[" * 100_000])
def test_what_is_not_an_answer_is_malformed(body):
    with pytest.raises(Malformed):
        rest.read_reply(200, {}, body)


def test_a_token_answer_has_no_result_code():
    body = {"access_token": "t", "access_token_token_expired": "2026-11-21 09:00:00", "token_type": "Bearer"}
    token = reply({**body, "expires_in": 86400})
    assert token.succeeded
    read = from_object(oauth.TokenAnswer, token.body)
    assert read.expires_in == 86400
    assert "access_token" not in repr(token)


def test_a_token_refusal_has_its_own_field_names():
    refused = reply(
        {"error_description": "접근토큰 발급 잠시 후 다시 시도하세요(1분당 1회)", "error_code": "EGW00133"}, 403
    )
    assert not refused.succeeded
    assert refused.advice is Advice.KEEP_TOKEN


@pytest.mark.parametrize(
    "shape",
    [
        oauth.TokenRequest(app_key="KEYKEY", app_secret="SECRET"),
        oauth.ApprovalRequest(app_key="KEYKEY", app_secret="SECRET"),
        oauth.RevokeRequest(app_key="KEYKEY", app_secret="SECRET", token="SECRET"),
        rest.Credentials(app_key="KEYKEY", app_secret="SECRET", token="SECRET"),
    ],
)
def test_no_secret_is_in_a_repr(shape):
    assert "SECRET" not in repr(shape)
    assert "KEYKEY" not in repr(shape)


def test_the_approval_call_names_the_secret_differently():
    assert to_object(oauth.ApprovalRequest(app_key="k", app_secret="s"))["secretkey"] == "s"


@pytest.mark.parametrize(
    ("call", "profile", "tr_id"),
    [
        (Call.SELL, Profile.REAL, "TTTC0011U"),
        (Call.BUY, Profile.MOCK, "VTTC0012U"),
        (Call.DAILY_ORDERS_OLD, Profile.MOCK, "VTSC9215R"),
        (Call.PRICE, Profile.MOCK, "FHKST01010100"),
    ],
)
def test_every_profile_spells_its_ids(call, profile, tr_id):
    assert codes.transaction_id(call, profile) == tr_id
    assert codes.call_of(tr_id, profile) is call


def test_older_ids_are_still_understood():
    assert codes.call_of("TTTC0801U", Profile.REAL) is Call.SELL
    assert codes.call_of("VTTC8036R", Profile.MOCK) is Call.OPEN_ORDERS
    assert codes.call_of("TTTC0801U", Profile.MOCK) is None


def test_the_paper_service_has_no_open_order_query():
    with pytest.raises(codes.NotOffered):
        codes.transaction_id(Call.OPEN_ORDERS, Profile.MOCK)


SIZES = st.lists(st.integers(0, 10**7), min_size=10, max_size=10).map(tuple)


@given(SIZES, SIZES, SIZES, SIZES)
def test_the_order_book_survives_the_round_trip(asks, bids, ask_sizes, bid_sizes):
    depth = quotes.Depth(
        time="093001", ask_prices=asks, bid_prices=bids, ask_sizes=ask_sizes, bid_sizes=bid_sizes, market_code="20"
    )
    assert quotes.depth_from_object(quotes.depth_to_object(depth)) == depth


@given(st.integers(-(10**12), 10**12), st.decimals(allow_nan=False, allow_infinity=False, places=4))
def test_numbers_of_every_size_survive(cash, average):
    holding = from_object(trading.Holding, {**HOLDING, "evlu_pfls_amt": str(cash), "pchs_avg_pric": str(average)})
    assert (holding.profit, holding.average_price) == (cash, average)


@pytest.mark.parametrize("text", ["NaN", "Infinity", "", "1e", "0x10"])
def test_an_average_price_is_a_finite_number(text):
    with pytest.raises(InvalidField):
        from_object(trading.Holding, {**HOLDING, "pchs_avg_pric": text})


@pytest.mark.parametrize(("price", "sign"), [(71500, "3"), (71600, "2"), (71400, "5"), (92900, "1"), (50100, "4")])
def test_the_direction_of_a_price_has_a_sign(price, sign):
    assert quotes.change_sign(price, 71500, lower=50100, upper=92900) == sign


def test_the_change_is_in_percent():
    assert quotes.change_percent(71900, 71500) == Decimal("0.56")


def test_a_filter_for_one_side_is_the_sides_code():
    query = trading.DailyOrdersQuery(
        account="1", product="01", first_day="20261120", last_day="20261120", side=SideCode.SELL
    )
    assert to_object(query)["SLL_BUY_DVSN_CD"] == "01"
