"""Trades (H0STCNT0, 46 fields) and ten-level books (H0STASP0, 59 fields) of the broker's stream.

Prices are won, sizes shares, times HHMMSS and days YYYYMMDD in Korean time.
"""

from decimal import Decimal
from typing import Annotated

import attrs

from wire.errors import Malformed
from wire.kis.fields import Wire, from_record, to_record, wire_names
from wire.kis.stream import BOOKS, TRADES, Frame

LEVELS = 10
_ZERO = Decimal("0.00")


@attrs.frozen(kw_only=True)
class Trade:
    """One trade; the order of the fields is the order on the wire."""

    symbol: Annotated[str, Wire("MKSC_SHRN_ISCD")]
    time: Annotated[str, Wire("STCK_CNTG_HOUR")]
    price: Annotated[int, Wire("STCK_PRPR")]
    change_sign: Annotated[str, Wire("PRDY_VRSS_SIGN")] = "3"
    change: Annotated[int, Wire("PRDY_VRSS")] = 0
    change_percent: Annotated[Decimal, Wire("PRDY_CTRT")] = _ZERO
    average_price: Annotated[Decimal, Wire("WGHN_AVRG_STCK_PRC")] = _ZERO
    open: Annotated[int, Wire("STCK_OPRC")] = 0
    high: Annotated[int, Wire("STCK_HGPR")] = 0
    low: Annotated[int, Wire("STCK_LWPR")] = 0
    ask: Annotated[int, Wire("ASKP1")] = 0
    bid: Annotated[int, Wire("BIDP1")] = 0
    quantity: Annotated[int, Wire("CNTG_VOL")]
    volume: Annotated[int, Wire("ACML_VOL")] = 0
    value: Annotated[int, Wire("ACML_TR_PBMN")] = 0
    sell_count: Annotated[int, Wire("SELN_CNTG_CSNU")] = 0
    buy_count: Annotated[int, Wire("SHNU_CNTG_CSNU")] = 0
    net_count: Annotated[int, Wire("NTBY_CNTG_CSNU")] = 0
    strength: Annotated[Decimal, Wire("CTTR")] = _ZERO
    sell_volume: Annotated[int, Wire("SELN_CNTG_SMTN")] = 0
    buy_volume: Annotated[int, Wire("SHNU_CNTG_SMTN")] = 0
    aggressor: Annotated[str, Wire("CCLD_DVSN")] = "1"  # 1 buy, 3 pre-open, 5 sell
    buy_rate: Annotated[Decimal, Wire("SHNU_RATE")] = _ZERO
    volume_rate: Annotated[Decimal, Wire("PRDY_VOL_VRSS_ACML_VOL_RATE")] = _ZERO
    open_time: Annotated[str, Wire("OPRC_HOUR")] = "090000"
    open_sign: Annotated[str, Wire("OPRC_VRSS_PRPR_SIGN")] = "3"
    open_change: Annotated[int, Wire("OPRC_VRSS_PRPR")] = 0
    high_time: Annotated[str, Wire("HGPR_HOUR")] = "090000"
    high_sign: Annotated[str, Wire("HGPR_VRSS_PRPR_SIGN")] = "3"
    high_change: Annotated[int, Wire("HGPR_VRSS_PRPR")] = 0
    low_time: Annotated[str, Wire("LWPR_HOUR")] = "090000"
    low_sign: Annotated[str, Wire("LWPR_VRSS_PRPR_SIGN")] = "3"
    low_change: Annotated[int, Wire("LWPR_VRSS_PRPR")] = 0
    day: Annotated[str, Wire("BSOP_DATE")]
    market_code: Annotated[str, Wire("NEW_MKOP_CLS_CODE")] = "20"
    halted: Annotated[str, Wire("TRHT_YN")] = "N"
    ask_size: Annotated[int, Wire("ASKP_RSQN1")] = 0
    bid_size: Annotated[int, Wire("BIDP_RSQN1")] = 0
    total_ask_size: Annotated[int, Wire("TOTAL_ASKP_RSQN")] = 0
    total_bid_size: Annotated[int, Wire("TOTAL_BIDP_RSQN")] = 0
    turnover: Annotated[Decimal, Wire("VOL_TNRT")] = _ZERO
    volume_yesterday: Annotated[int, Wire("PRDY_SMNS_HOUR_ACML_VOL")] = 0
    volume_yesterday_rate: Annotated[Decimal, Wire("PRDY_SMNS_HOUR_ACML_VOL_RATE")] = _ZERO
    hour_code: Annotated[str, Wire("HOUR_CLS_CODE")] = "0"
    ending_code: Annotated[str, Wire("MRKT_TRTM_CLS_CODE")] = ""
    volatility_price: Annotated[str, Wire("VI_STND_PRC")] = ""


@attrs.frozen(kw_only=True)
class _BookHead:
    symbol: Annotated[str, Wire("MKSC_SHRN_ISCD")]
    time: Annotated[str, Wire("BSOP_HOUR")]
    hour_code: Annotated[str, Wire("HOUR_CLS_CODE")]


@attrs.frozen(kw_only=True)
class _BookTail:
    total_ask_size: Annotated[int, Wire("TOTAL_ASKP_RSQN")]
    total_bid_size: Annotated[int, Wire("TOTAL_BIDP_RSQN")]
    late_ask_size: Annotated[int, Wire("OVTM_TOTAL_ASKP_RSQN")] = 0
    late_bid_size: Annotated[int, Wire("OVTM_TOTAL_BIDP_RSQN")] = 0
    expected_price: Annotated[int, Wire("ANTC_CNPR")] = 0
    expected_quantity: Annotated[int, Wire("ANTC_CNQN")] = 0
    expected_volume: Annotated[int, Wire("ANTC_VOL")] = 0
    expected_change: Annotated[int, Wire("ANTC_CNTG_VRSS")] = 0
    expected_sign: Annotated[str, Wire("ANTC_CNTG_VRSS_SIGN")] = "3"
    expected_percent: Annotated[Decimal, Wire("ANTC_CNTG_PRDY_CTRT")] = _ZERO
    volume: Annotated[int, Wire("ACML_VOL")] = 0
    ask_size_change: Annotated[int, Wire("TOTAL_ASKP_RSQN_ICDC")] = 0
    bid_size_change: Annotated[int, Wire("TOTAL_BIDP_RSQN_ICDC")] = 0
    late_ask_change: Annotated[int, Wire("OVTM_TOTAL_ASKP_ICDC")] = 0
    late_bid_change: Annotated[int, Wire("OVTM_TOTAL_BIDP_ICDC")] = 0
    deal_code: Annotated[str, Wire("STCK_DEAL_CLS_CODE")] = "0"


@attrs.frozen(kw_only=True)
class Book:
    """The ten best levels of both sides, best first. ``hour_code``: 0 regular, C expected/VI, D single price."""

    symbol: str
    time: str
    hour_code: str = "0"
    ask_prices: tuple[int, ...]
    bid_prices: tuple[int, ...]
    ask_sizes: tuple[int, ...]
    bid_sizes: tuple[int, ...]
    total_ask_size: int
    total_bid_size: int
    expected_price: int = 0
    expected_quantity: int = 0
    volume: int = 0


TRADE_FIELDS = len(wire_names(Trade))
_HEAD, _TAIL = len(wire_names(_BookHead)), len(wire_names(_BookTail))
BOOK_FIELDS = _HEAD + 4 * LEVELS + _TAIL


@attrs.frozen(kw_only=True)
class _Size:
    value: Annotated[int, Wire("level")]


def trade_frame(trades: list[Trade]) -> Frame:
    """Up to 999 trades of one stream in a frame."""
    payload = "^".join("^".join(to_record(trade)) for trade in trades)
    return Frame(encrypted=False, tr_id=TRADES, count=len(trades), payload=payload)


def trades_of(frame: Frame) -> list[Trade]:
    """Every trade of a frame. Malformed for another stream or number of fields, InvalidField for a broken field."""
    _expect(frame, TRADES)
    return [from_record(Trade, record, where=TRADES) for record in frame.records(TRADE_FIELDS)]


def book_frame(book: Book) -> Frame:
    """One book in a frame."""
    head = _BookHead(symbol=book.symbol, time=book.time, hour_code=book.hour_code)
    tail = _BookTail(
        total_ask_size=book.total_ask_size,
        total_bid_size=book.total_bid_size,
        expected_price=book.expected_price,
        expected_quantity=book.expected_quantity,
        volume=book.volume,
    )
    levels = [str(value) for column in _columns(book) for value in column]
    return Frame(encrypted=False, tr_id=BOOKS, count=1, payload="^".join([*to_record(head), *levels, *to_record(tail)]))


def _columns(book: Book) -> tuple[tuple[int, ...], ...]:
    return (book.ask_prices, book.bid_prices, book.ask_sizes, book.bid_sizes)


def books_of(frame: Frame) -> list[Book]:
    """Every book of a frame; errors as in ``trades_of``."""
    _expect(frame, BOOKS)
    return [_read_book(record) for record in frame.records(BOOK_FIELDS)]


def _read_book(record: list[str]) -> Book:
    head = from_record(_BookHead, record[:_HEAD], where=BOOKS)
    tail = from_record(_BookTail, record[-_TAIL:], where=BOOKS)
    levels = [from_record(_Size, [text], where=BOOKS).value for text in record[_HEAD:-_TAIL]]
    asks, bids, ask_sizes, bid_sizes = (tuple(levels[i : i + LEVELS]) for i in range(0, 4 * LEVELS, LEVELS))
    return Book(
        symbol=head.symbol,
        time=head.time,
        hour_code=head.hour_code,
        ask_prices=asks,
        bid_prices=bids,
        ask_sizes=ask_sizes,
        bid_sizes=bid_sizes,
        total_ask_size=tail.total_ask_size,
        total_bid_size=tail.total_bid_size,
        expected_price=tail.expected_price,
        expected_quantity=tail.expected_quantity,
        volume=tail.volume,
    )


def _expect(frame: Frame, tr_id: str) -> None:
    if frame.encrypted or frame.tr_id != tr_id:
        raise Malformed(f"not a plain {tr_id} frame")
