"""Orders, open orders, fills of a day, balance and buyable amount: request and answer shapes.

Amounts are won, quantities shares. Fields the broker sends but nothing here reads keep a blank default, so that an
answer written from these shapes carries every documented name.
"""

from decimal import Decimal
from typing import Annotated

import attrs

from wire.kis.codes import AmendKind, OrderType, SideCode
from wire.kis.fields import Wire


@attrs.frozen(kw_only=True)
class OrderRequest:
    """``order-cash``; the side is in the transaction id. ``price`` is 0 for order types without one."""

    account: Annotated[str, Wire("CANO")]
    product: Annotated[str, Wire("ACNT_PRDT_CD")]
    symbol: Annotated[str, Wire("PDNO")]
    order_type: Annotated[OrderType, Wire("ORD_DVSN")]
    quantity: Annotated[int, Wire("ORD_QTY")]
    price: Annotated[int, Wire("ORD_UNPR")]
    exchange: Annotated[str, Wire("EXCG_ID_DVSN_CD")] = "KRX"
    sell_type: Annotated[str, Wire("SLL_TYPE")] = ""
    stop_price: Annotated[str, Wire("CNDT_PRIC")] = ""


@attrs.frozen(kw_only=True)
class AmendRequest:
    """``order-rvsecncl``. With ``whole`` the rest of the order is meant and ``quantity`` is not looked at."""

    account: Annotated[str, Wire("CANO")]
    product: Annotated[str, Wire("ACNT_PRDT_CD")]
    branch: Annotated[str, Wire("KRX_FWDG_ORD_ORGNO")]
    original: Annotated[str, Wire("ORGN_ODNO")]
    order_type: Annotated[OrderType, Wire("ORD_DVSN")]
    kind: Annotated[AmendKind, Wire("RVSE_CNCL_DVSN_CD")]
    quantity: Annotated[int, Wire("ORD_QTY")]
    price: Annotated[int, Wire("ORD_UNPR")]
    whole: Annotated[bool, Wire("QTY_ALL_ORD_YN")]
    exchange: Annotated[str, Wire("EXCG_ID_DVSN_CD")] = "KRX"
    stop_price: Annotated[str, Wire("CNDT_PRIC")] = ""


@attrs.frozen(kw_only=True)
class OrderAccepted:
    """``output`` of both order calls: received, not filled. ``time`` is HHMMSS."""

    branch: Annotated[str, Wire("KRX_FWDG_ORD_ORGNO")]
    order_no: Annotated[str, Wire("ODNO")]
    time: Annotated[str, Wire("ORD_TMD")]


@attrs.frozen(kw_only=True)
class OpenOrdersQuery:
    """``inquire-psbl-rvsecncl``."""

    account: Annotated[str, Wire("CANO")]
    product: Annotated[str, Wire("ACNT_PRDT_CD")]
    fk: Annotated[str, Wire("CTX_AREA_FK100")] = ""
    nk: Annotated[str, Wire("CTX_AREA_NK100")] = ""
    grouping: Annotated[str, Wire("INQR_DVSN_1")] = "0"
    side: Annotated[str, Wire("INQR_DVSN_2")] = "0"  # 0 all, 1 sell, 2 buy


@attrs.frozen(kw_only=True)
class OpenOrder:
    """One row of ``inquire-psbl-rvsecncl``; ``open_quantity`` is what can still be modified or cancelled."""

    branch: Annotated[str, Wire("ord_gno_brno")]
    order_no: Annotated[str, Wire("odno")]
    original: Annotated[str, Wire("orgn_odno")] = ""
    order_type_words: Annotated[str, Wire("ord_dvsn_name")] = ""
    symbol: Annotated[str, Wire("pdno")]
    symbol_name: Annotated[str, Wire("prdt_name")] = ""
    amend_words: Annotated[str, Wire("rvse_cncl_dvsn_name")] = ""
    quantity: Annotated[int, Wire("ord_qty")]
    price: Annotated[int, Wire("ord_unpr")]
    time: Annotated[str, Wire("ord_tmd")] = ""
    filled_quantity: Annotated[int, Wire("tot_ccld_qty")]
    filled_value: Annotated[int, Wire("tot_ccld_amt")] = 0
    open_quantity: Annotated[int, Wire("psbl_qty")]
    side: Annotated[SideCode, Wire("sll_buy_dvsn_cd")]
    order_type: Annotated[str, Wire("ord_dvsn_cd")] = "00"
    management_order_no: Annotated[str, Wire("mgco_aptm_odno")] = ""
    exchange_code: Annotated[str, Wire("excg_dvsn_cd")] = "02"
    exchange: Annotated[str, Wire("excg_id_dvsn_cd")] = "KRX"
    exchange_words: Annotated[str, Wire("excg_id_dvsn_name")] = "한국거래소"
    stop_price: Annotated[str, Wire("stpm_cndt_pric")] = "0"
    stop_fired: Annotated[str, Wire("stpm_efct_occr_yn")] = ""


@attrs.frozen(kw_only=True)
class DailyOrdersQuery:
    """``inquire-daily-ccld``; days are YYYYMMDD."""

    account: Annotated[str, Wire("CANO")]
    product: Annotated[str, Wire("ACNT_PRDT_CD")]
    first_day: Annotated[str, Wire("INQR_STRT_DT")]
    last_day: Annotated[str, Wire("INQR_END_DT")]
    side: Annotated[SideCode, Wire("SLL_BUY_DVSN_CD")] = SideCode.ALL
    symbol: Annotated[str, Wire("PDNO")] = ""
    filled: Annotated[str, Wire("CCLD_DVSN")] = "00"  # 00 all, 01 filled, 02 unfilled
    ordering: Annotated[str, Wire("INQR_DVSN")] = "00"  # 00 newest first, 01 oldest first
    kind: Annotated[str, Wire("INQR_DVSN_3")] = "00"
    branch: Annotated[str, Wire("ORD_GNO_BRNO")] = ""
    order_no: Annotated[str, Wire("ODNO")] = ""
    grouping: Annotated[str, Wire("INQR_DVSN_1")] = ""
    exchange: Annotated[str, Wire("EXCG_ID_DVSN_CD")] = "KRX"
    fk: Annotated[str, Wire("CTX_AREA_FK100")] = ""
    nk: Annotated[str, Wire("CTX_AREA_NK100")] = ""


@attrs.frozen(kw_only=True)
class DailyOrder:
    """One row of ``output1`` of ``inquire-daily-ccld``."""

    day: Annotated[str, Wire("ord_dt")]
    branch: Annotated[str, Wire("ord_gno_brno")]
    order_no: Annotated[str, Wire("odno")]
    original: Annotated[str, Wire("orgn_odno")] = ""
    order_type_words: Annotated[str, Wire("ord_dvsn_name")] = ""
    side: Annotated[SideCode, Wire("sll_buy_dvsn_cd")]
    side_words: Annotated[str, Wire("sll_buy_dvsn_cd_name")] = ""
    symbol: Annotated[str, Wire("pdno")]
    symbol_name: Annotated[str, Wire("prdt_name")] = ""
    quantity: Annotated[int, Wire("ord_qty")]
    price: Annotated[int, Wire("ord_unpr")]
    time: Annotated[str, Wire("ord_tmd")] = ""
    filled_quantity: Annotated[int, Wire("tot_ccld_qty")]
    average_price: Annotated[Decimal, Wire("avg_prvs")]
    cancelled: Annotated[str, Wire("cncl_yn")] = "N"
    filled_value: Annotated[int, Wire("tot_ccld_amt")]
    loan_day: Annotated[str, Wire("loan_dt")] = ""
    entered_by: Annotated[str, Wire("ordr_empno")] = ""
    order_type: Annotated[str, Wire("ord_dvsn_cd")] = "00"
    confirmed_quantity: Annotated[int, Wire("cnc_cfrm_qty")] = 0  # cancelled
    open_quantity: Annotated[int, Wire("rmn_qty")]
    rejected_quantity: Annotated[int, Wire("rjct_qty")] = 0
    condition_words: Annotated[str, Wire("ccld_cndt_name")] = "없음"
    address: Annotated[str, Wire("inqr_ip_addr")] = ""
    received_by: Annotated[str, Wire("cpbc_ordp_ord_rcit_dvsn_cd")] = ""
    informed_by: Annotated[str, Wire("cpbc_ordp_infm_mthd_dvsn_cd")] = ""
    informed_at: Annotated[str, Wire("infm_tmd")] = ""
    contact: Annotated[str, Wire("ctac_tlno")] = ""
    product_type: Annotated[str, Wire("prdt_type_cd")] = "300"
    exchange_code: Annotated[str, Wire("excg_dvsn_cd")] = "02"
    medium: Annotated[str, Wire("cpbc_ordp_mtrl_dvsn_cd")] = ""
    order_branch: Annotated[str, Wire("ord_orgno")] = ""
    reserved_until: Annotated[str, Wire("rsvn_ord_end_dt")] = ""
    exchange: Annotated[str, Wire("excg_id_dvsn_Cd")] = "KRX"  # the capital C is the broker's
    stop_price: Annotated[str, Wire("stpm_cndt_pric")] = "0"
    stop_fired_at: Annotated[str, Wire("stpm_efct_occr_dtmd")] = ""


@attrs.frozen(kw_only=True)
class DailyTotals:
    """``output2`` of ``inquire-daily-ccld``."""

    quantity: Annotated[int, Wire("tot_ord_qty")]
    filled_quantity: Annotated[int, Wire("tot_ccld_qty")]
    filled_value: Annotated[int, Wire("tot_ccld_amt")]
    expenses: Annotated[int, Wire("prsm_tlex_smtl")]
    average_price: Annotated[Decimal, Wire("pchs_avg_pric")]


@attrs.frozen(kw_only=True)
class BalanceQuery:
    """``inquire-balance``."""

    account: Annotated[str, Wire("CANO")]
    product: Annotated[str, Wire("ACNT_PRDT_CD")]
    after_hours: Annotated[str, Wire("AFHR_FLPR_YN")] = "N"
    offline: Annotated[str, Wire("OFL_YN")] = ""
    grouping: Annotated[str, Wire("INQR_DVSN")] = "02"
    price_kind: Annotated[str, Wire("UNPR_DVSN")] = "01"
    include_funds: Annotated[str, Wire("FUND_STTL_ICLD_YN")] = "N"
    repay_loans: Annotated[str, Wire("FNCG_AMT_AUTO_RDPT_YN")] = "N"
    processing: Annotated[str, Wire("PRCS_DVSN")] = "00"
    fk: Annotated[str, Wire("CTX_AREA_FK100")] = ""
    nk: Annotated[str, Wire("CTX_AREA_NK100")] = ""


@attrs.frozen(kw_only=True)
class Holding:
    """One row of ``output1`` of ``inquire-balance``; ``quantity`` may be 0 until a sale has settled."""

    symbol: Annotated[str, Wire("pdno")]
    symbol_name: Annotated[str, Wire("prdt_name")] = ""
    kind_words: Annotated[str, Wire("trad_dvsn_name")] = "현금"
    bought_yesterday: Annotated[int, Wire("bfdy_buy_qty")] = 0
    sold_yesterday: Annotated[int, Wire("bfdy_sll_qty")] = 0
    bought_today: Annotated[int, Wire("thdt_buyqty")] = 0
    sold_today: Annotated[int, Wire("thdt_sll_qty")] = 0
    quantity: Annotated[int, Wire("hldg_qty")]
    sellable: Annotated[int, Wire("ord_psbl_qty")]
    average_price: Annotated[Decimal, Wire("pchs_avg_pric")]
    cost: Annotated[int, Wire("pchs_amt")]
    price: Annotated[int, Wire("prpr")]
    value: Annotated[int, Wire("evlu_amt")]
    profit: Annotated[int, Wire("evlu_pfls_amt")]
    profit_percent: Annotated[Decimal, Wire("evlu_pfls_rt")] = Decimal("0.00")
    return_percent: Annotated[Decimal, Wire("evlu_erng_rt")] = Decimal("0.00000000")
    loan_day: Annotated[str, Wire("loan_dt")] = ""
    loan_amount: Annotated[str, Wire("loan_amt")] = "0"
    lent_value: Annotated[str, Wire("stln_slng_chgs")] = "0"
    expires: Annotated[str, Wire("expd_dt")] = ""
    change_percent: Annotated[Decimal, Wire("fltt_rt")] = Decimal("0.00000000")
    change: Annotated[int, Wire("bfdy_cprs_icdc")] = 0
    margin_words: Annotated[str, Wire("item_mgna_rt_name")] = "20%"
    guarantee_words: Annotated[str, Wire("grta_rt_name")] = ""
    collateral_price: Annotated[str, Wire("sbst_pric")] = "0"
    loan_price: Annotated[str, Wire("stck_loan_unpr")] = "0.0000"


@attrs.frozen(kw_only=True)
class BalanceTotals:
    """``output2`` of ``inquire-balance`` (a list of one).

    ``deposit`` is not lowered by unsettled buys; ``cash_d2`` is, and net assets are ``cash_d2`` plus stock value.
    """

    deposit: Annotated[int, Wire("dnca_tot_amt")]
    cash_d1: Annotated[int, Wire("nxdy_excc_amt")]
    cash_d2: Annotated[int, Wire("prvs_rcdl_excc_amt")]
    cma_value: Annotated[str, Wire("cma_evlu_amt")] = "0"
    bought_yesterday: Annotated[int, Wire("bfdy_buy_amt")] = 0
    bought_today: Annotated[int, Wire("thdt_buy_amt")] = 0
    repaid_d1: Annotated[str, Wire("nxdy_auto_rdpt_amt")] = "0"
    sold_yesterday: Annotated[int, Wire("bfdy_sll_amt")] = 0
    sold_today: Annotated[int, Wire("thdt_sll_amt")] = 0
    repaid_d2: Annotated[str, Wire("d2_auto_rdpt_amt")] = "0"
    expenses_yesterday: Annotated[int, Wire("bfdy_tlex_amt")] = 0
    expenses_today: Annotated[int, Wire("thdt_tlex_amt")] = 0
    loans: Annotated[str, Wire("tot_loan_amt")] = "0"
    stock_value: Annotated[int, Wire("scts_evlu_amt")]
    total_value: Annotated[int, Wire("tot_evlu_amt")]
    net_assets: Annotated[int, Wire("nass_amt")]
    loans_repaid: Annotated[str, Wire("fncg_gld_auto_rdpt_yn")] = ""
    cost: Annotated[int, Wire("pchs_amt_smtl_amt")] = 0
    value: Annotated[int, Wire("evlu_amt_smtl_amt")] = 0
    profit: Annotated[int, Wire("evlu_pfls_smtl_amt")] = 0
    lent_value: Annotated[str, Wire("tot_stln_slng_chgs")] = "0"
    assets_yesterday: Annotated[int, Wire("bfdy_tot_asst_evlu_amt")] = 0
    assets_change: Annotated[int, Wire("asst_icdc_amt")] = 0
    assets_change_percent: Annotated[Decimal, Wire("asst_icdc_erng_rt")] = Decimal("0.00000000")


@attrs.frozen(kw_only=True)
class BuyableQuery:
    """``inquire-psbl-order``."""

    account: Annotated[str, Wire("CANO")]
    product: Annotated[str, Wire("ACNT_PRDT_CD")]
    symbol: Annotated[str, Wire("PDNO")]
    price: Annotated[str, Wire("ORD_UNPR")] = ""
    order_type: Annotated[str, Wire("ORD_DVSN")] = "01"
    include_cma: Annotated[str, Wire("CMA_EVLU_AMT_ICLD_YN")] = "N"
    include_foreign: Annotated[str, Wire("OVRS_ICLD_YN")] = "N"


@attrs.frozen(kw_only=True)
class Buyable:
    """``output`` of ``inquire-psbl-order``; the simulator gives no credit, so both amounts are the same there."""

    cash: Annotated[int, Wire("ord_psbl_cash")]
    collateral: Annotated[str, Wire("ord_psbl_sbst")] = "0"
    reusable: Annotated[int, Wire("ruse_psbl_amt")] = 0
    fund_value: Annotated[str, Wire("fund_rpch_chgs")] = "0"
    unit_price: Annotated[int, Wire("psbl_qty_calc_unpr")]
    amount: Annotated[int, Wire("nrcvb_buy_amt")]
    quantity: Annotated[int, Wire("nrcvb_buy_qty")]
    amount_on_credit: Annotated[int, Wire("max_buy_amt")]
    quantity_on_credit: Annotated[int, Wire("max_buy_qty")]
    cma_value: Annotated[str, Wire("cma_evlu_amt")] = "0"
    foreign_reuse: Annotated[str, Wire("ovrs_re_use_amt_wcrc")] = "0"
    foreign: Annotated[str, Wire("ord_psbl_frcr_amt_wcrc")] = "0"
