"""The REST calls of the simulated broker, over a real socket."""

import pytest
import trio

from wire.kis import codes, quotes, trading
from wire.kis.codes import Advice, AmendKind, Call, OrderType
from wire.kis.fields import to_object
from wire.kis.trading import OrderAccepted

CODE = "005930"


async def test_a_market_order_is_accepted_filled_and_in_the_balance(customer):
    reply = await customer.order(quantity=7)
    assert reply.succeeded
    assert len(reply.one(OrderAccepted).order_no) == 10
    balance = await customer.balance()
    (held,) = balance.rows(trading.Holding, "output1")
    totals = balance.one(trading.BalanceTotals, "output2")
    assert (held.symbol, held.quantity, held.sellable, held.bought_today) == (CODE, 7, 7, 7)
    assert totals.deposit == 100_000_000
    assert totals.cash_d2 == 100_000_000 - held.cost - totals.expenses_today
    assert totals.net_assets == totals.cash_d2 + totals.stock_value


async def test_an_open_order_is_listed_until_it_is_cancelled(customer):
    number = await customer.resting(10)
    (row,) = await customer.open_orders()
    assert (row.order_no, row.open_quantity, row.side.side.value) == (number, 10, "buy")
    cancelled = (await customer.amend(number)).one(OrderAccepted)
    assert cancelled.order_no > number
    assert await customer.open_orders() == []
    again = await customer.amend(number)
    assert not again.succeeded
    assert again.advice is Advice.NOTHING_LEFT


async def test_a_modification_moves_the_order_to_a_new_number(customer):
    number = await customer.resting(10)
    (row,) = await customer.open_orders()
    reply = await customer.amend(number, AmendKind.MODIFY, 4, row.price + 100, whole=False)
    rows = {row.order_no: row for row in await customer.open_orders()}
    assert rows[number].open_quantity == 6
    assert rows[reply.one(OrderAccepted).order_no].original == number


async def test_the_day_lists_orders_fills_and_cancels(customer):
    await customer.order(quantity=3)
    await customer.amend(await customer.resting())
    query = trading.DailyOrdersQuery(
        **customer.place, first_day="20260101", last_day="20261231", ordering="01", filled="00"
    )
    reply = await customer.call(Call.DAILY_ORDERS, query)
    filled, resting, cancel = reply.rows(trading.DailyOrder, "output1")
    assert (filled.filled_quantity, filled.open_quantity, filled.day) == (3, 0, "20260105")
    assert filled.average_price * 3 == filled.filled_value
    assert (resting.open_quantity, resting.confirmed_quantity, resting.cancelled) == (0, 10, "Y")
    assert (cancel.original, cancel.open_quantity) == (resting.order_no, 0)
    assert reply.one(trading.DailyTotals, "output2").filled_quantity == 3


async def test_prices_book_and_chart_belong_together(customer):
    query = quotes.QuoteQuery(symbol=CODE)
    price = (await customer.call(Call.PRICE, query)).one(quotes.Price)
    assert price.low <= price.price <= price.high
    assert price.lower_limit <= price.low <= price.high <= price.upper_limit
    depth = quotes.depth_from_object((await customer.call(Call.BOOK, query)).body["output1"])
    assert depth.ask_prices[0] - depth.bid_prices[0] == price.tick
    chart = await customer.call(
        Call.DAILY_CHART, quotes.ChartQuery(symbol=CODE, first_day="20250801", last_day="20260105")
    )
    rows = chart.rows(quotes.ChartRow, "output2")
    assert 50 < len(rows) <= 100
    assert (rows[0].day, rows[0].close) == ("20260105", price.price)
    assert rows[1].close == price.reference


async def test_the_buyable_amount_can_be_bought_to_the_last_share(customer):
    query = trading.BuyableQuery(**customer.place, symbol=CODE)
    buyable = (await customer.call(Call.BUYABLE, query)).one(trading.Buyable)
    assert not (await customer.order(quantity=buyable.quantity + 1)).succeeded
    assert (await customer.order(quantity=buyable.quantity)).succeeded


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"quantity": 0}, "SIM00004"),
        ({"kind": OrderType.LIMIT, "price": 71_501}, "SIM00002"),
        ({"kind": OrderType.LIMIT, "price": 100}, "SIM00003"),
        ({"quantity": 1_000_000}, "APBK0919"),
        ({"side": Call.SELL}, "APBK0919"),
        ({"symbol": "999999"}, "APBK0656"),
        ({"kind": OrderType.STOP, "price": 71_500}, "SIM00005"),
        ({"exchange": "NXT"}, "SIM00005"),
    ],
)
async def test_a_refused_order_is_a_business_refusal_and_logged(simulator, customer, change, code):
    reply = await customer.order(**change)
    assert (reply.status, reply.succeeded, reply.code) == (200, False, code)
    assert reply.advice is Advice.REJECTED
    (entry,) = await simulator.log()
    assert (entry["accepted"], entry["code"]) == (False, code)


async def test_outside_the_hours_an_order_is_refused(start_simulator):
    simulator = await start_simulator(closed=3600.0)
    customer = await simulator.customer()
    now = await simulator.admin("/sim/advance", {"seconds": 3.4 * 3600})
    assert now["phase"] == "closed"
    assert (await customer.order()).code == "APBK0918"


async def test_the_log_tells_which_orders_reduce_a_position(simulator, customer):
    await customer.order(quantity=5)
    await customer.order(Call.SELL, quantity=5)
    log = await simulator.log()
    assert [(entry["side"], entry["reduces"], entry["accepted"]) for entry in log] == [
        ("buy", False, True),
        ("sell", True, True),
    ]
    assert log[0]["at"] <= log[1]["at"]


async def test_another_account_is_out_of_reach(simulator, customer):
    other = await simulator.customer("8765432101")
    number = await customer.resting()
    assert (await other.amend(number)).advice is Advice.NOTHING_LEFT
    other.place = customer.place
    assert (await other.balance()).code == "OPSQ2000"
    assert (await other.order()).code == "OPSQ2000"


async def test_keys_tokens_and_ids_are_checked_in_the_brokers_words(simulator, customer):
    query = trading.BalanceQuery(**customer.place)
    assert (await customer.call(Call.BALANCE, query, appkey="nobody")).code == "EGW00103"
    assert (await customer.call(Call.BALANCE, query, appsecret="wrong")).code == "EGW00105"
    assert (await customer.call(Call.BALANCE, query, authorization="Bearer wrong")).code == "EGW00121"
    assert (await customer.call(Call.BALANCE, query, tr_id="VTTC8434R")).code == "EGW00213"
    assert (await customer.call(Call.BALANCE, query, tr_id="TTTC0000X")).code == "OPSQ0002"
    await simulator.admin("/sim/expire-token", {"account": customer.keys["account"]})
    assert (await customer.balance()).advice is Advice.NEW_TOKEN


async def test_a_second_token_within_a_minute_is_refused(customer):
    again = await customer.login()
    assert again.status == 403
    assert again.json()["error_code"] == "EGW00133"


async def test_wrong_keys_get_no_token(simulator, customer):
    for body in ({}, {**customer.secret("appsecret"), "appsecret": "x"}, {"grant_type": 1}):
        assert (await simulator.post(codes.TOKEN_PATH, body)).status == 403


async def test_a_revoked_token_is_none_any_more(simulator, customer):
    pair = {"appkey": customer.keys["app_key"], "appsecret": customer.keys["app_secret"], "token": customer.token}
    assert (await simulator.post(codes.REVOKE_PATH, pair)).status == 200
    assert (await customer.balance()).code == "EGW00121"


async def test_more_than_eighteen_calls_a_second_are_refused(customer):
    replies = []

    async def call():
        replies.append(await customer.call(Call.PRICE, quotes.QuoteQuery(symbol=CODE)))

    async with trio.open_nursery() as nursery:
        for _ in range(40):
            nursery.start_soon(call)
    refused = [reply for reply in replies if not reply.succeeded]
    assert 18 <= len(replies) - len(refused) < 40
    assert {(reply.status, reply.code) for reply in refused} == {(500, "EGW00201")}


async def test_the_hash_of_a_body_can_be_asked(simulator, customer):
    answer = await simulator.post(codes.HASHKEY_PATH, {"CANO": "12345678"})
    assert len(answer.json()["HASH"]) == 64


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff\xfe", b'{"CANO": 1.5}'])
async def test_a_body_that_is_no_order_is_refused_and_the_connection_lives(simulator, customer, body):
    path = codes.TRANSACTIONS[Call.BUY].path
    for _ in range(2):
        answer = await simulator.http.request(
            "POST", simulator.url(path), headers=customer.headers("TTTC0012U"), body=body, timeout=60
        )
        assert answer.json()["msg_cd"] == "OPSQ2002"


async def test_unknown_paths_answer_in_the_brokers_form(simulator):
    answer = await simulator.post("/uapi/unknown", {"x": 1})
    assert (answer.status, answer.json()["msg_cd"]) == (404, "EGW00203")


async def test_the_simulators_own_calls_need_the_token(simulator):
    for path in ("/sim/accounts", "/sim/faults", "/sim/advance"):
        answer = await simulator.post(path, {}, authorization="Bearer wrong")
        assert answer.status == 403


async def test_an_account_is_created_once(simulator):
    first = await simulator.admin("/sim/accounts", {"account": "11112222-01", "cash": 5_000_000})
    again = {name: first[name] for name in ("account", "app_key", "app_secret", "hts_id", "cash")}
    assert await simulator.admin("/sim/accounts", again) == first
    stranger = await simulator.post("/sim/accounts", {"account": "11112222-01"}, authorization="Bearer test-admin")
    assert stranger.status == 409


@pytest.mark.parametrize("entry", [{}, {"account": "1"}, {"account": "1234567801", "cash": -1}, {"account": 5}])
async def test_a_wrong_account_is_refused(simulator, entry):
    answer = await simulator.post("/sim/accounts", entry, authorization="Bearer test-admin")
    assert answer.status == 400


async def test_many_open_orders_come_in_pages(customer):
    numbers = []
    for start in range(0, 55, 17):
        for _ in range(start, min(start + 17, 55)):
            reply = await customer.order(quantity=1, price=55_000, kind=OrderType.LIMIT)
            numbers.append(reply.one(OrderAccepted).order_no)
        await trio.sleep(1.05)
    query = trading.OpenOrdersQuery(**customer.place)
    first = await customer.call(Call.OPEN_ORDERS, query)
    following = trading.OpenOrdersQuery(**customer.place, fk=first.cursor.fk, nk=first.cursor.nk)
    second = await customer.call(Call.OPEN_ORDERS, following, tr_cont="N")
    assert (first.more, second.more) == (True, False)
    rows = first.rows(trading.OpenOrder) + second.rows(trading.OpenOrder)
    assert [row.order_no for row in rows] == numbers


async def test_every_documented_field_is_in_the_answer(customer):
    await customer.order(quantity=1)
    row = (await customer.balance()).body["output1"][0]
    assert {"pdno", "hldg_qty", "ord_psbl_qty", "pchs_avg_pric", "evlu_pfls_rt", "stck_loan_unpr"} <= row.keys()
    assert all(isinstance(value, str) for value in row.values())
    assert to_object(trading.BalanceQuery(**customer.place))["CANO"] == customer.keys["account"][:8]
