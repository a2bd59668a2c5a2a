"""The stream of the simulated broker, over a real socket."""

import pytest
import trio
import trio_websocket

from wire.kis import stream, ticker
from wire.kis.codes import AmendKind, Call, OrderType
from wire.kis.notices import Acceptance, Revision
from wire.kis.trading import OrderAccepted

CODE = "005930"


@pytest.mark.parametrize("path", ["/tryitout", "/"])
async def test_trades_and_books_arrive_on_both_paths(simulator, customer, path):
    async with customer.connected(path) as wire:
        assert (await wire.say(stream.TRADES, CODE)).code == stream.SUBSCRIBED
        assert (await wire.say(stream.BOOKS, CODE)).succeeded
        await simulator.admin("/sim/advance", {"seconds": 60})
        seen = {}
        while len(seen) < 2:
            frame = await wire.hear()
            seen[frame.tr_id] = frame
        trades = ticker.trades_of(seen[stream.TRADES])
        (book,) = ticker.books_of(seen[stream.BOOKS])
        assert {trade.symbol for trade in trades} == {CODE}
        assert all(trade.low <= trade.price <= trade.high and trade.day == "20260105" for trade in trades)
        assert book.ask_prices[0] > book.bid_prices[0]


async def test_a_burst_is_one_frame_with_every_trade(simulator, customer):
    async with customer.connected() as wire:
        await wire.say(stream.TRADES, CODE)
        await simulator.admin("/sim/advance", {"seconds": 600})
        frame = await wire.hear()
        assert frame.count >= 25
        trades = ticker.trades_of(frame)
        volumes = [trade.volume for trade in trades]
        assert volumes == sorted(volumes)
        assert all(b - a == trade.quantity for a, b, trade in zip(volumes, volumes[1:], trades[1:], strict=False))


async def test_an_order_is_noticed_as_received_and_then_per_fill(customer):
    async with customer.connected() as wire:
        assert (await wire.watch_notices()).encrypted
        number = (await customer.order(quantity=7)).one(OrderAccepted).order_no
        receipt = await wire.notice()
        assert (receipt.order_no, receipt.is_fill, receipt.quantity) == (number, False, 7)
        assert receipt.acceptance is Acceptance.RECEIVED
        filled = 0
        while filled < 7:
            fill = await wire.notice()
            assert fill.is_fill
            assert (fill.subject, fill.order_quantity, fill.account) == (number, 7, customer.keys["account"])
            filled += fill.quantity
        assert filled == 7


async def test_a_cancel_is_noticed_with_its_own_number_and_the_order_it_cancels(customer):
    async with customer.connected() as wire:
        await wire.watch_notices()
        number = await customer.resting(10)
        await wire.notice()
        cancel = (await customer.amend(number)).one(OrderAccepted).order_no
        notice = await wire.notice()
        assert (notice.order_no, notice.original, notice.subject) == (cancel, number, number)
        assert (notice.revision, notice.acceptance, notice.price) == (Revision.CANCEL, Acceptance.CONFIRMED, 0)


async def test_the_fills_of_a_modification_belong_to_its_own_number(customer):
    async with customer.connected() as wire:
        await wire.watch_notices()
        number = await customer.resting(5)
        await wire.notice()
        (row,) = await customer.open_orders()
        reply = await customer.amend(number, AmendKind.MODIFY, price=row.price + 100)
        receipt = await wire.notice()
        assert (receipt.revision, receipt.subject) == (Revision.MODIFY, number)
        assert receipt.order_no == reply.one(OrderAccepted).order_no


async def test_what_is_left_of_an_immediate_order_is_noticed_as_cancelled(simulator, customer):
    async with customer.connected() as wire:
        await wire.watch_notices()
        quote = await customer.resting(1)
        await wire.notice()
        await customer.order(quantity=3, price=56_000, kind=OrderType.LIMIT_IOC)
        receipt, rest = await wire.notice(), await wire.notice()
        assert receipt.order_no == rest.order_no > quote
        assert (rest.acceptance, rest.quantity) == (Acceptance.CANCELLED, 3)


async def test_nobody_hears_of_another_accounts_orders(simulator, customer):
    other = await simulator.customer("8765432101")
    async with other.connected() as theirs, customer.connected() as mine:
        await theirs.watch_notices()
        await mine.watch_notices()
        await other.order(quantity=1)
        await customer.order(quantity=2)
        assert (await mine.notice()).order_quantity == 2


async def test_a_second_connection_of_an_app_key_is_refused_and_closed(customer):
    async with customer.connected() as first:
        await first.say(stream.TRADES, CODE)
        async with customer.connected() as second:
            refusal = await second.say(stream.TRADES, CODE)
            assert (refusal.code, refusal.succeeded) == (stream.IN_USE, False)
            with pytest.raises(trio_websocket.ConnectionClosed):
                await second.hear()
    assert await _finds_the_key_free(customer)


async def _finds_the_key_free(customer):
    with trio.move_on_after(60):
        while True:
            async with customer.connected() as again:
                if (await again.say(stream.TRADES, CODE)).succeeded:
                    return True
    return False


async def test_forty_one_registrations_and_not_one_more(start_simulator, tmp_path):
    lines = ["code,date,open,high,low,close,volume"]
    lines += [f"{100_000 + i},20260105,10000,10100,9900,10050,1000" for i in range(45)]
    (tmp_path / "many.csv").write_text("\n".join(lines) + "\n")
    simulator = await start_simulator(data=tmp_path / "many.csv")
    customer = await simulator.customer()
    async with customer.connected() as wire:
        answers = [(await wire.say(stream.TRADES, str(100_000 + i))).code for i in range(42)]
        assert answers == [stream.SUBSCRIBED] * 41 + [stream.TOO_MANY]
        assert (await wire.say(stream.TRADES, "100000")).code == stream.ALREADY_SUBSCRIBED
        assert (await wire.say(stream.TRADES, "100000", register=False)).code == stream.UNSUBSCRIBED
        assert (await wire.say(stream.TRADES, "100000", register=False)).code == stream.NOT_SUBSCRIBED
        assert (await wire.say(stream.TRADES, "100041")).code == stream.SUBSCRIBED


@pytest.mark.parametrize(
    ("tr_id", "tr_key", "code"),
    [
        (stream.TRADES, "999999", stream.UNKNOWN_TR_KEY),
        (stream.MOCK_NOTICES, "hts1234567801", stream.UNKNOWN_TR_ID),
    ],
)
async def test_a_registration_that_makes_no_sense_is_refused(customer, tr_id, tr_key, code):
    async with customer.connected() as wire:
        assert (await wire.say(tr_id, tr_key)).code == code


async def test_an_unknown_approval_key_and_text_that_is_no_json_are_refused(customer):
    async with customer.connected() as wire:
        for text in ("hello", b"", b"\xff"):
            await wire.connection.send_message(text)
            assert (await wire.hear()).code == stream.NOT_JSON
        wire.approval = "x"
        assert (await wire.say(stream.TRADES, CODE)).code == stream.UNKNOWN_APPROVAL


async def test_a_wrong_hts_id_ends_the_connection(customer):
    async with customer.connected() as wire:
        await wire.say(stream.NOTICES, "somebody")
        with pytest.raises(trio_websocket.ConnectionClosed):
            await wire.hear()


async def test_no_compression_is_negotiated(simulator):
    offer = [("Sec-WebSocket-Extensions", "permessage-deflate")]
    async with trio_websocket.open_websocket_url(simulator.url("/", "ws"), extra_headers=offer) as connection:
        names = [name.lower() for name, _ in connection.handshake_headers]
        assert b"sec-websocket-extensions" not in names


async def test_clients_that_vanish_do_not_disturb_the_others(simulator, customer):
    for _ in range(5):
        stream_ = await trio.open_tcp_stream("127.0.0.1", simulator.address.port)
        await stream_.send_all(
            b"GET /tryitout HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        await stream_.receive_some(1000)
        await trio.aclose_forcefully(stream_)
    async with customer.connected() as wire:
        assert (await wire.say(stream.TRADES, CODE)).succeeded
        assert (await customer.order(Call.BUY, quantity=1)).succeeded
