"""What the simulator does wrong on demand, and what it still knows after a restart."""

import sqlite3
from datetime import date

import pytest
import trio

from actors.errors import Refused
from actors.simulator.ledger import Ledger
from actors.simulator.server import serve
from wire.kis import quotes, stream, trading
from wire.kis.codes import Advice, Call, OrderType
from wire.kis.trading import OrderAccepted

CODE = "005930"


async def test_cancels_can_be_refused(simulator, customer):
    number = await customer.resting()
    await simulator.admin("/sim/faults", {"refuse_cancels": True})
    assert (await customer.amend(number)).advice is Advice.REJECTED
    await simulator.admin("/sim/faults", {})
    assert (await customer.amend(number)).succeeded


async def test_a_balance_can_come_back_empty(simulator, customer):
    await customer.order(quantity=1)
    await simulator.admin("/sim/faults", {"empty_balance": True})
    reply = await customer.balance()
    assert reply.succeeded
    assert reply.rows(trading.Holding, "output1") == []
    assert reply.body["output2"] == []


@pytest.mark.parametrize("executes", [True, False])
async def test_after_a_gateway_timeout_an_order_may_or_may_not_exist(simulator, customer, executes):
    await simulator.admin("/sim/faults", {"gateway_timeouts": 1, "gateway_executes": executes})
    reply = await customer.order(quantity=1, price=55_000, kind=OrderType.LIMIT)
    assert (reply.status, reply.advice) == (500, Advice.RECONCILE)
    assert len(await customer.open_orders()) == int(executes)
    assert (await customer.order(quantity=1)).succeeded


async def test_reads_can_fail_a_number_of_times(simulator, customer):
    await simulator.admin("/sim/faults", {"account": customer.keys["account"], "failing_reads": 2})
    replies = [await customer.balance() for _ in range(3)]
    assert [reply.succeeded for reply in replies] == [False, False, True]
    assert replies[0].advice is Advice.GATEWAY


async def test_answers_can_be_late(simulator, customer):
    await simulator.admin("/sim/faults", {"delay_ms": 300})
    before = trio.current_time()
    await customer.balance()
    assert trio.current_time() - before >= 0.3


async def test_a_halted_symbol_refuses_orders_and_goes_on_later(simulator, customer):
    number = await customer.resting()
    await simulator.admin("/sim/faults", {"halted": [CODE]})
    assert (await customer.order(quantity=1)).code == "SIM00001"
    price = (await customer.call(Call.PRICE, quotes.QuoteQuery(symbol=CODE))).one(quotes.Price)
    assert price.halted == "Y"
    assert (await customer.amend(number)).succeeded
    await simulator.admin("/sim/faults", {"halted": []})
    assert (await customer.order(quantity=1)).succeeded


async def test_the_hours_can_be_closed_for_one_account(simulator, customer):
    await simulator.admin("/sim/faults", {"account": customer.keys["account"], "closed": True})
    other = await simulator.customer("8765432101")
    assert (await customer.order()).code == "APBK0918"
    assert (await other.order()).succeeded


async def test_notices_can_be_lost(simulator, customer):
    async with customer.connected() as wire:
        await wire.watch_notices()
        await simulator.admin("/sim/faults", {"drop_notices": True})
        await customer.order(quantity=1)
        await trio.sleep(0.2)  # longer than a notice takes
        await simulator.admin("/sim/faults", {})
        await customer.order(quantity=2)
        assert (await wire.notice()).order_quantity == 2


async def test_notices_can_come_before_the_answer(simulator, customer):
    await simulator.admin("/sim/faults", {"early_notices": True})
    order = []

    async with customer.connected() as wire:
        await wire.watch_notices()

        async def listen():
            await wire.notice()
            order.append("notice")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            await customer.order(quantity=1)
            order.append("answer")
    assert order == ["notice", "answer"]


async def test_stream_clients_can_be_hung_up_on(simulator, customer):
    async with customer.connected() as wire:
        await wire.say(stream.TRADES, CODE)
        assert (await simulator.admin("/sim/disconnect", {}))["disconnected"] == 1
        with pytest.raises(Exception, match="CloseReason"):
            await wire.hear()


async def test_a_symbol_can_be_interrupted_and_the_broker_shows_it(simulator, customer):
    await customer.order(quantity=1)
    await simulator.admin("/sim/market", {"symbol": CODE, "condition": "interrupted", "seconds": 600})
    shown = (await customer.call(Call.PRICE, quotes.QuoteQuery(symbol=CODE))).one(quotes.Price)
    book = await customer.call(Call.BOOK, quotes.QuoteQuery(symbol=CODE))
    depth = quotes.depth_from_object(book.body["output1"])
    assert (shown.volatility, depth.market_code, depth.bid_prices[0]) == ("Y", "40", 0)
    assert (await customer.order(Call.SELL, quantity=1)).succeeded
    assert len(await customer.open_orders()) == 1


async def test_a_symbol_can_stand_at_its_lower_limit_without_a_buyer(simulator, customer):
    await simulator.admin("/sim/market", {"symbol": CODE, "condition": "limit_down"})
    shown = (await customer.call(Call.PRICE, quotes.QuoteQuery(symbol=CODE))).one(quotes.Price)
    book = await customer.call(Call.BOOK, quotes.QuoteQuery(symbol=CODE))
    depth = quotes.depth_from_object(book.body["output1"])
    assert (shown.price, shown.change_sign) == (shown.lower_limit, "4")
    assert (depth.market_code, depth.bid_prices[0], depth.ask_prices[0]) == ("20", 0, shown.lower_limit)
    await simulator.admin("/sim/market", {"symbol": CODE, "condition": "normal"})


async def test_orders_without_a_price_and_odd_lots_can_be_refused(simulator, customer):
    await simulator.admin("/sim/faults", {"limit_only": True, "lot": 10})
    assert (await customer.order(quantity=10)).code == "SIM00005"
    assert (await customer.order(quantity=15, price=55_000, kind=OrderType.LIMIT)).code == "SIM00004"
    assert (await customer.order(quantity=20, price=55_000, kind=OrderType.LIMIT)).succeeded
    assert (await customer.call(Call.PRICE, quotes.QuoteQuery(symbol=CODE))).one(quotes.Price).lot == 10


@pytest.mark.parametrize(
    "body",
    [{"symbol": CODE}, {"symbol": 5, "condition": "halted"}, {"symbol": CODE, "condition": "halted", "seconds": 0}],
)
async def test_an_unknown_condition_is_refused(simulator, body):
    assert (await simulator.post("/sim/market", body, authorization="Bearer test-admin")).status == 400
    unknown = {"symbol": "nothing", "condition": "halted"}
    assert (await simulator.post("/sim/market", unknown, authorization="Bearer test-admin")).status == 404


@pytest.mark.parametrize(
    "body", [{"unknown": 1}, {"delay_ms": "1"}, {"delay_ms": -1}, {"refuse_cancels": 1}, {"halted": ["nothing"]}]
)
async def test_an_unknown_fault_is_refused(simulator, body):
    assert (await simulator.post("/sim/faults", body, authorization="Bearer test-admin")).status == 400


async def test_a_restart_keeps_orders_cash_positions_numbers_and_the_time(start_simulator):
    simulator = await start_simulator()
    customer = await simulator.customer()
    await customer.order(quantity=7)
    number = await customer.resting(3)
    before = await customer.balance()
    await simulator.stop()

    again = await start_simulator(at_noon=False, start=date(2026, 7, 1))  # the books know when the market began
    customer.simulator = again
    assert (await customer.balance()).advice is Advice.NEW_TOKEN
    assert (await customer.login()).status == 200
    after = await customer.balance()
    for name in ("hldg_qty", "pchs_amt", "ord_psbl_qty"):
        assert after.body["output1"][0][name] == before.body["output1"][0][name]
    assert after.body["output2"][0]["prvs_rcdl_excc_amt"] == before.body["output2"][0]["prvs_rcdl_excc_amt"]
    (row,) = await customer.open_orders()
    assert (row.order_no, row.open_quantity) == (number, 3)
    following = (await customer.amend(number)).one(OrderAccepted)
    assert following.order_no == f"{int(number) + 1:010d}"
    assert following.time >= "120000"
    assert [entry["accepted"] for entry in await again.log()] == [True, True, True]


async def condition_of(customer, symbol):
    """As the broker's own answers show it."""
    shown = (await customer.call(Call.PRICE, quotes.QuoteQuery(symbol=symbol))).one(quotes.Price)
    if shown.halted == "Y":
        return "halted"
    if shown.volatility == "Y":
        return "interrupted"
    return "limit_down" if shown.price == shown.lower_limit else "normal"


async def test_a_restart_keeps_what_has_befallen_the_symbols(start_simulator):
    simulator = await start_simulator()
    befallen = {"005930": "halted", "000660": "interrupted", "035420": "limit_down"}
    for symbol, condition in befallen.items():
        await simulator.admin("/sim/market", {"symbol": symbol, "condition": condition, "seconds": 3600})
    await simulator.stop()
    again = await start_simulator(at_noon=False)
    customer = await again.customer()
    assert [await condition_of(customer, symbol) for symbol in befallen] == list(befallen.values())
    assert (await customer.order(Call.SELL, quantity=1)).code == "SIM00001"
    await again.admin("/sim/market", {"symbol": CODE, "condition": "normal"})
    assert await condition_of(customer, CODE) == "normal"


async def test_what_could_not_be_kept_was_never_done(monkeypatch, simulator, customer):
    kept, failures = Ledger.commit, [sqlite3.OperationalError("disk I/O error")]

    def commit(ledger, changes):
        if changes.orders and failures:
            raise failures.pop()
        kept(ledger, changes)

    monkeypatch.setattr(Ledger, "commit", commit)
    reply = await customer.order(quantity=5)
    assert reply.advice is Advice.RECONCILE
    balance = await customer.balance()
    assert balance.rows(trading.Holding, "output1") == []
    assert (await customer.order(quantity=5)).one(OrderAccepted).order_no == "0000000001"


async def test_two_simulators_never_share_their_books(start_simulator):
    first = await start_simulator()
    with pytest.raises(Refused, match="another simulator"):
        await serve(first.options)


async def test_days_pass_and_cash_settles(start_simulator):
    simulator = await start_simulator()
    customer = await simulator.customer()
    await customer.order(quantity=10)
    first = (await customer.balance()).one(trading.BalanceTotals, "output2")
    assert first.deposit > first.cash_d2
    for _ in range(2):
        await simulator.admin("/sim/advance", {"seconds": 22_810})
    later = (await customer.balance()).one(trading.BalanceTotals, "output2")
    assert later.deposit == later.cash_d2 == first.cash_d2


async def test_the_paper_profile_differs_where_the_paper_service_does(simulator):
    customer = await simulator.customer(profile="mock")
    async with customer.connected() as wire:
        assert (await wire.say(stream.NOTICES, customer.keys["hts_id"])).code == stream.UNKNOWN_TR_ID
        assert (await wire.watch_notices()).tr_id == stream.MOCK_NOTICES
        bought = await customer.order(quantity=2)
        assert bought.code == "40600000"
        assert bought.one(OrderAccepted).branch == "00950"
        assert (await wire.notice()).order_quantity == 2
        again = await customer.order(quantity=1)
        while again.succeeded:  # the second has passed meanwhile: one of two within a second is too many
            again = await customer.order(quantity=1)
        assert (again.status, again.code) == (500, "EGW00201")
        await trio.sleep(1.05)
        assert (await customer.order(quantity=1, kind=OrderType.MARKET_IOC)).code == "SIM00005"
        await trio.sleep(1.05)
        missing = await customer.call(Call.OPEN_ORDERS, trading.OpenOrdersQuery(**customer.place), tr_id="VTTC8036R")
        assert missing.advice is Advice.NOT_OFFERED
