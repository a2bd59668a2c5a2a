"""Current price, order book and daily chart: request and answer shapes. Prices are won, times HHMMSS, days YYYYMMDD."""

from decimal import Decimal
from typing import Annotated, Any

import attrs

from wire.kis.fields import Wire, from_object, to_object

LEVELS = 10
CHART_ROWS = 100


def change_sign(price: int, reference: int, *, lower: int = 0, upper: int = 0) -> str:
    """``prdy_vrss_sign``: 1 upper limit, 2 up, 3 flat, 4 lower limit, 5 down."""
    if price == reference:
        return "3"
    if price > reference:
        return "1" if price == upper else "2"
    return "4" if price == lower else "5"


def change_percent(price: int, reference: int) -> Decimal:
    """The change against the reference in percent, two places."""
    return (Decimal(price - reference) * 100 / reference).quantize(Decimal("0.01")) if reference else Decimal("0.00")


@attrs.frozen(kw_only=True)
class QuoteQuery:
    """``inquire-price`` and ``inquire-asking-price-exp-ccn``."""

    market: Annotated[str, Wire("FID_COND_MRKT_DIV_CODE")] = "J"
    symbol: Annotated[str, Wire("FID_INPUT_ISCD")]


@attrs.frozen(kw_only=True)
class Price:
    """``output`` of ``inquire-price``, as far as it concerns trading. ``halted`` and ``warning`` are codes."""

    symbol: Annotated[str, Wire("stck_shrn_iscd")]
    market_name: Annotated[str, Wire("rprs_mrkt_kor_name")] = ""
    price: Annotated[int, Wire("stck_prpr")]
    change: Annotated[int, Wire("prdy_vrss")] = 0
    change_sign: Annotated[str, Wire("prdy_vrss_sign")] = "3"
    change_percent: Annotated[Decimal, Wire("prdy_ctrt")] = Decimal("0.00")
    volume: Annotated[int, Wire("acml_vol")] = 0
    value: Annotated[int, Wire("acml_tr_pbmn")] = 0
    open: Annotated[int, Wire("stck_oprc")] = 0
    high: Annotated[int, Wire("stck_hgpr")] = 0
    low: Annotated[int, Wire("stck_lwpr")] = 0
    upper_limit: Annotated[int, Wire("stck_mxpr")]
    lower_limit: Annotated[int, Wire("stck_llam")]
    reference: Annotated[int, Wire("stck_sdpr")]
    tick: Annotated[int, Wire("aspr_unit")]
    lot: Annotated[int, Wire("hts_deal_qty_unit_val")] = 1
    halted: Annotated[str, Wire("temp_stop_yn")] = "N"
    volatility: Annotated[str, Wire("vi_cls_code")] = "N"
    warning: Annotated[str, Wire("mrkt_warn_cls_code")] = "00"
    overheated: Annotated[str, Wire("short_over_yn")] = "N"
    liquidation: Annotated[str, Wire("sltr_yn")] = "N"


@attrs.frozen(kw_only=True)
class Depth:
    """``output1`` of the order book query: ten levels a side, best first."""

    time: str
    ask_prices: tuple[int, ...]
    bid_prices: tuple[int, ...]
    ask_sizes: tuple[int, ...]
    bid_sizes: tuple[int, ...]
    market_code: str = "20"


@attrs.frozen(kw_only=True)
class _DepthTotals:
    time: Annotated[str, Wire("aspr_acpt_hour")]
    asks: Annotated[int, Wire("total_askp_rsqn")]
    bids: Annotated[int, Wire("total_bidp_rsqn")]
    asks_change: Annotated[str, Wire("total_askp_rsqn_icdc")] = "0"
    bids_change: Annotated[str, Wire("total_bidp_rsqn_icdc")] = "0"
    late_asks_change: Annotated[str, Wire("ovtm_total_askp_icdc")] = "0"
    late_bids_change: Annotated[str, Wire("ovtm_total_bidp_icdc")] = "0"
    late_asks: Annotated[str, Wire("ovtm_total_askp_rsqn")] = "0"
    late_bids: Annotated[str, Wire("ovtm_total_bidp_rsqn")] = "0"
    net: Annotated[int, Wire("ntby_aspr_rsqn")] = 0
    market_code: Annotated[str, Wire("new_mkop_cls_code")] = "20"


@attrs.frozen(kw_only=True)
class _Number:
    value: Annotated[int, Wire("value")]


def depth_to_object(depth: Depth) -> dict[str, str]:
    """The broker's flat object: ``askp1`` … ``askp10`` and so on."""
    asks, bids = sum(depth.ask_sizes), sum(depth.bid_sizes)
    totals = _DepthTotals(time=depth.time, asks=asks, bids=bids, net=bids - asks, market_code=depth.market_code)
    flat = to_object(totals)
    for name, values in _columns(depth):
        flat |= {f"{name}{i}": str(value) for i, value in enumerate(values, 1)}
    for name in ("askp_rsqn_icdc", "bidp_rsqn_icdc"):
        flat |= {f"{name}{i}": "0" for i in range(1, LEVELS + 1)}
    return flat


def _columns(depth: Depth) -> tuple[tuple[str, tuple[int, ...]], ...]:
    return (
        ("askp", depth.ask_prices),
        ("bidp", depth.bid_prices),
        ("askp_rsqn", depth.ask_sizes),
        ("bidp_rsqn", depth.bid_sizes),
    )


def depth_from_object(source: dict[str, Any]) -> Depth:
    """The reverse of ``depth_to_object``; InvalidField names the broken field."""
    totals = from_object(_DepthTotals, source, where="output1")

    def column(name: str) -> tuple[int, ...]:
        return tuple(
            from_object(_Number, {"value": source.get(f"{name}{i}", "")}, where=f"output1.{name}{i}").value
            for i in range(1, LEVELS + 1)
        )

    return Depth(
        time=totals.time,
        ask_prices=column("askp"),
        bid_prices=column("bidp"),
        ask_sizes=column("askp_rsqn"),
        bid_sizes=column("bidp_rsqn"),
        market_code=totals.market_code,
    )


@attrs.frozen(kw_only=True)
class Expected:
    """``output2`` of the order book query: the price a call auction would have now."""

    market_code: Annotated[str, Wire("antc_mkop_cls_code")] = ""
    price: Annotated[int, Wire("stck_prpr")]
    open: Annotated[int, Wire("stck_oprc")]
    high: Annotated[int, Wire("stck_hgpr")]
    low: Annotated[int, Wire("stck_lwpr")]
    reference: Annotated[int, Wire("stck_sdpr")]
    expected_price: Annotated[int, Wire("antc_cnpr")] = 0
    expected_sign: Annotated[str, Wire("antc_cntg_vrss_sign")] = "3"
    expected_change: Annotated[int, Wire("antc_cntg_vrss")] = 0
    expected_percent: Annotated[Decimal, Wire("antc_cntg_prdy_ctrt")] = Decimal("0.00")
    expected_volume: Annotated[int, Wire("antc_vol")] = 0
    symbol: Annotated[str, Wire("stck_shrn_iscd")]
    volatility: Annotated[str, Wire("vi_cls_code")] = "N"


@attrs.frozen(kw_only=True)
class ChartQuery:
    """``inquire-daily-itemchartprice``: at most 100 rows; the next page ends the day before the oldest row."""

    market: Annotated[str, Wire("FID_COND_MRKT_DIV_CODE")] = "J"
    symbol: Annotated[str, Wire("FID_INPUT_ISCD")]
    first_day: Annotated[str, Wire("FID_INPUT_DATE_1")]
    last_day: Annotated[str, Wire("FID_INPUT_DATE_2")]
    period: Annotated[str, Wire("FID_PERIOD_DIV_CODE")] = "D"
    raw: Annotated[str, Wire("FID_ORG_ADJ_PRC")] = "0"


@attrs.frozen(kw_only=True)
class ChartSummary:
    """``output1`` of the chart."""

    change: Annotated[int, Wire("prdy_vrss")] = 0
    change_sign: Annotated[str, Wire("prdy_vrss_sign")] = "3"
    change_percent: Annotated[Decimal, Wire("prdy_ctrt")] = Decimal("0.00")
    previous_close: Annotated[int, Wire("stck_prdy_clpr")]
    volume: Annotated[int, Wire("acml_vol")] = 0
    symbol_name: Annotated[str, Wire("hts_kor_isnm")] = ""
    price: Annotated[int, Wire("stck_prpr")]
    symbol: Annotated[str, Wire("stck_shrn_iscd")]
    upper_limit: Annotated[int, Wire("stck_mxpr")]
    lower_limit: Annotated[int, Wire("stck_llam")]


@attrs.frozen(kw_only=True)
class ChartRow:
    """One day of ``output2`` of the chart; rows are newest first."""

    day: Annotated[str, Wire("stck_bsop_date")]
    close: Annotated[int, Wire("stck_clpr")]
    open: Annotated[int, Wire("stck_oprc")]
    high: Annotated[int, Wire("stck_hgpr")]
    low: Annotated[int, Wire("stck_lwpr")]
    volume: Annotated[int, Wire("acml_vol")]
    value: Annotated[int, Wire("acml_tr_pbmn")] = 0
    event_code: Annotated[str, Wire("flng_cls_code")] = "00"
    split_rate: Annotated[str, Wire("prtt_rate")] = "0.00"
    modified: Annotated[str, Wire("mod_yn")] = "N"
    change_sign: Annotated[str, Wire("prdy_vrss_sign")] = "3"
    change: Annotated[int, Wire("prdy_vrss")] = 0
    event_reason: Annotated[str, Wire("revl_issu_reas")] = ""
