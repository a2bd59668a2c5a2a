"""The broker's code tables: hosts, transaction ids, order types and what its message codes ask a client to do."""

from enum import Enum, StrEnum

import attrs

from wire.exchange.fees import Side


class Profile(StrEnum):
    """The real service and the paper-trading service; keys, hosts, ids and limits differ."""

    REAL = "real"
    MOCK = "mock"


@attrs.frozen(kw_only=True)
class Service:
    """Where a profile lives and how many REST calls a second (sliding, per app key) it takes."""

    rest: str
    stream: str
    calls_per_second: int
    notice_tr_id: str
    balance_page: int
    daily_page: int


SERVICES = {
    Profile.REAL: Service(
        rest="https://openapi.koreainvestment.com:9443",
        stream="ws://ops.koreainvestment.com:21000",
        calls_per_second=18,
        notice_tr_id="H0STCNI0",
        balance_page=50,
        daily_page=100,
    ),
    Profile.MOCK: Service(
        rest="https://openapivts.koreainvestment.com:29443",
        stream="ws://ops.koreainvestment.com:31000",
        calls_per_second=1,
        notice_tr_id="H0STCNI9",
        balance_page=20,
        daily_page=15,
    ),
}
STREAM_PATH = "/tryitout"
OPEN_ORDERS_PAGE = 50
TOKEN_PATH, REVOKE_PATH, APPROVAL_PATH = "/oauth2/tokenP", "/oauth2/revokeP", "/oauth2/Approval"
HASHKEY_PATH = "/uapi/hashkey"
_STOCK = "/uapi/domestic-stock/v1"


class Call(Enum):
    """A function of the REST API."""

    BUY = "buy"
    SELL = "sell"
    AMEND = "amend"  # modify or cancel
    OPEN_ORDERS = "open_orders"
    DAILY_ORDERS = "daily_orders"
    DAILY_ORDERS_OLD = "daily_orders_old"  # more than three months back
    BALANCE = "balance"
    BUYABLE = "buyable"
    PRICE = "price"
    BOOK = "book"
    DAILY_CHART = "daily_chart"


class NotOffered(Exception):
    """The profile has no such function (the paper service has no open-order query)."""

    def __init__(self, call: Call, profile: Profile) -> None:
        self.call, self.profile = call, profile
        super().__init__(f"the {profile} service does not offer {call.value}")


@attrs.frozen(kw_only=True)
class Transaction:
    """One REST function: its method, path and ids. ``older`` is still accepted beside ``real``."""

    call: Call
    method: str
    path: str
    real: str
    older: str
    mock: bool = True


TRANSACTIONS = {
    entry.call: entry
    for entry in (
        Transaction(
            call=Call.SELL, method="POST", path=f"{_STOCK}/trading/order-cash", real="TTTC0011U", older="TTTC0801U"
        ),
        Transaction(
            call=Call.BUY, method="POST", path=f"{_STOCK}/trading/order-cash", real="TTTC0012U", older="TTTC0802U"
        ),
        Transaction(
            call=Call.AMEND, method="POST", path=f"{_STOCK}/trading/order-rvsecncl", real="TTTC0013U", older="TTTC0803U"
        ),
        Transaction(
            call=Call.OPEN_ORDERS,
            method="GET",
            path=f"{_STOCK}/trading/inquire-psbl-rvsecncl",
            real="TTTC0084R",
            older="TTTC8036R",
            mock=False,
        ),
        Transaction(
            call=Call.DAILY_ORDERS,
            method="GET",
            path=f"{_STOCK}/trading/inquire-daily-ccld",
            real="TTTC0081R",
            older="TTTC8001R",
        ),
        Transaction(
            call=Call.DAILY_ORDERS_OLD,
            method="GET",
            path=f"{_STOCK}/trading/inquire-daily-ccld",
            real="CTSC9215R",
            older="CTSC9115R",
        ),
        Transaction(
            call=Call.BALANCE,
            method="GET",
            path=f"{_STOCK}/trading/inquire-balance",
            real="TTTC8434R",
            older="TTTC8434R",
        ),
        Transaction(
            call=Call.BUYABLE,
            method="GET",
            path=f"{_STOCK}/trading/inquire-psbl-order",
            real="TTTC8908R",
            older="TTTC8908R",
        ),
        Transaction(
            call=Call.PRICE,
            method="GET",
            path=f"{_STOCK}/quotations/inquire-price",
            real="FHKST01010100",
            older="FHKST01010100",
        ),
        Transaction(
            call=Call.BOOK,
            method="GET",
            path=f"{_STOCK}/quotations/inquire-asking-price-exp-ccn",
            real="FHKST01010200",
            older="FHKST01010200",
        ),
        Transaction(
            call=Call.DAILY_CHART,
            method="GET",
            path=f"{_STOCK}/quotations/inquire-daily-itemchartprice",
            real="FHKST03010100",
            older="FHKST03010100",
        ),
    )
}


def on_profile(tr_id: str, profile: Profile) -> str:
    """A real id as the profile spells it: on the paper service a leading T, J or C becomes V."""
    return "V" + tr_id[1:] if profile is Profile.MOCK and tr_id[:1] in ("T", "J", "C") else tr_id


def transaction_id(call: Call, profile: Profile) -> str:
    """The id to send with a call. Raises NotOffered where the profile lacks the function."""
    entry = TRANSACTIONS[call]
    if profile is Profile.MOCK and not entry.mock:
        raise NotOffered(call, profile)
    return on_profile(entry.real, profile)


def call_of(tr_id: str, profile: Profile) -> Call | None:
    """The function a transaction id names on a profile, in its new or older spelling; None for an unknown id."""
    for entry in TRANSACTIONS.values():
        if tr_id in (on_profile(entry.real, profile), on_profile(entry.older, profile)):
            return entry.call
    return None


class SideCode(StrEnum):
    """``SLL_BUY_DVSN_CD`` and ``SELN_BYOV_CLS``."""

    ALL = "00"
    SELL = "01"
    BUY = "02"

    @classmethod
    def of(cls, side: Side) -> "SideCode":
        return cls.BUY if side is Side.BUY else cls.SELL

    @property
    def side(self) -> Side:
        """ValueError for ``ALL``, which is a filter and not a side."""
        if self is SideCode.ALL:
            raise ValueError("a filter for all orders has no side")
        return Side.BUY if self is SideCode.BUY else Side.SELL


class OrderType(StrEnum):
    """``ORD_DVSN`` on KRX, as far as continuous trading and the two call auctions use it."""

    LIMIT = "00"
    MARKET = "01"
    CONDITIONAL = "02"  # a limit order whose rest becomes a market order in the closing auction
    BEST = "03"  # takes the opposite side's best price as its limit
    TOP = "04"  # joins its own side's best price
    PRE_OPEN = "05"
    POST_CLOSE = "06"
    AFTER_HOURS = "07"
    LIMIT_IOC = "11"
    LIMIT_FOK = "12"
    MARKET_IOC = "13"
    MARKET_FOK = "14"
    BEST_IOC = "15"
    BEST_FOK = "16"
    MID = "21"
    STOP = "22"
    MID_IOC = "23"
    MID_FOK = "24"

    @property
    def words(self) -> str:
        """``ord_dvsn_name``."""
        return _ORDER_TYPE_WORDS[self]


_ORDER_TYPE_WORDS = {
    OrderType.LIMIT: "지정가",
    OrderType.MARKET: "시장가",
    OrderType.CONDITIONAL: "조건부지정가",
    OrderType.BEST: "최유리지정가",
    OrderType.TOP: "최우선지정가",
    OrderType.PRE_OPEN: "장전 시간외",
    OrderType.POST_CLOSE: "장후 시간외",
    OrderType.AFTER_HOURS: "시간외 단일가",
    OrderType.LIMIT_IOC: "지정가 IOC",
    OrderType.LIMIT_FOK: "지정가 FOK",
    OrderType.MARKET_IOC: "시장가 IOC",
    OrderType.MARKET_FOK: "시장가 FOK",
    OrderType.BEST_IOC: "최유리 IOC",
    OrderType.BEST_FOK: "최유리 FOK",
    OrderType.MID: "중간가",
    OrderType.STOP: "스톱지정가",
    OrderType.MID_IOC: "중간가 IOC",
    OrderType.MID_FOK: "중간가 FOK",
}
# The paper service takes these only.
MOCK_ORDER_TYPES = frozenset({OrderType.LIMIT, OrderType.MARKET, OrderType.CONDITIONAL, OrderType.BEST, OrderType.TOP})


class AmendKind(StrEnum):
    """``RVSE_CNCL_DVSN_CD``."""

    MODIFY = "01"
    CANCEL = "02"


class Advice(Enum):
    """What a message code asks a client to do."""

    DONE = "done"
    WAIT = "wait"  # nothing was executed: wait and send again, orders included
    NEW_TOKEN = "new_token"  # fetch a token and send again, once
    KEEP_TOKEN = "keep_token"  # asked too early: use the old one or wait 60 s
    STOP = "stop"  # keys, rights or addresses are wrong: no retry can help
    BUG = "bug"  # the request itself is wrong
    GATEWAY = "gateway"  # reads may be sent again; an order must be reconciled first
    RECONCILE = "reconcile"  # the fate is unknown: never send again before looking
    REJECTED = "rejected"  # a business refusal: read msg1
    NOTHING_LEFT = "nothing_left"  # nothing to modify or cancel: look at the order
    EMPTY = "empty"  # no rows
    NOT_OFFERED = "not_offered"  # the paper service lacks the function


_ADVICE = {
    "APBK0013": Advice.DONE,
    "40600000": Advice.DONE,
    "40590000": Advice.DONE,
    "EGW00201": Advice.WAIT,
    "EGW00121": Advice.NEW_TOKEN,
    "EGW00122": Advice.NEW_TOKEN,
    "EGW00123": Advice.NEW_TOKEN,
    "EGW00133": Advice.KEEP_TOKEN,
    "EGW00003": Advice.STOP,
    "EGW00004": Advice.STOP,
    "EGW00103": Advice.STOP,
    "EGW00105": Advice.STOP,
    "EGW00206": Advice.STOP,
    "EGW00207": Advice.STOP,
    "EGW00208": Advice.STOP,
    "EGW00210": Advice.STOP,
    "EGW00213": Advice.STOP,
    "EGW00303": Advice.STOP,
    "EGW00304": Advice.STOP,
    "EGW00101": Advice.BUG,
    "EGW00102": Advice.BUG,
    "EGW00104": Advice.BUG,
    "EGW00115": Advice.BUG,
    "EGW00116": Advice.BUG,
    "EGW00117": Advice.BUG,
    "EGW00131": Advice.BUG,
    "EGW00132": Advice.BUG,
    "EGW00205": Advice.BUG,
    "OPSQ0002": Advice.BUG,
    "OPSQ2000": Advice.BUG,
    "OPSQ2001": Advice.BUG,
    "OPSQ2002": Advice.BUG,
    "EGW00001": Advice.GATEWAY,
    "EGW00002": Advice.GATEWAY,
    "EGW00202": Advice.GATEWAY,
    "EGW00203": Advice.GATEWAY,
    "EGW00204": Advice.GATEWAY,
    "EGW00300": Advice.GATEWAY,
    "EGW00301": Advice.RECONCILE,
    "EGW00302": Advice.RECONCILE,
    "APBK0656": Advice.REJECTED,
    "APBK0918": Advice.REJECTED,
    "APBK0919": Advice.REJECTED,
    "40330000": Advice.NOTHING_LEFT,
    "70070000": Advice.EMPTY,
    "90000000": Advice.NOT_OFFERED,
}


def advice(code: str, *, succeeded: bool, status: int = 200) -> Advice:
    """What to do after an answer with this ``msg_cd`` or ``error_code``.

    ``succeeded`` is ``rt_cd == "0"``. An unknown code of a failed answer is a refusal when the HTTP status is below
    500, and an unknown fate (reconcile) when the gateway itself failed.
    """
    if succeeded:
        return Advice.EMPTY if code == "70070000" else Advice.DONE
    if code in _ADVICE:
        return _ADVICE[code]
    return Advice.RECONCILE if status >= 500 else Advice.REJECTED
