"""What the broker says: success and refusal codes with their texts, per profile.

Codes that start with SIM stand where no source names the broker's own code (tick, price-limit, halt and quantity
errors); a client must treat them as any other refusal. The texts are the simulator's.
"""

from typing import Any

import attrs

from wire.exchange.fees import Side
from wire.exchange.orders import Purpose, Refusal
from wire.kis.codes import Profile
from wire.kis.rest import refusal

QUERY_DONE = {
    Profile.REAL: ("KIOK0510", "조회가 완료되었습니다"),
    Profile.MOCK: ("20310000", "모의투자 조회가 완료되었습니다."),
}
NO_ROWS = ("70070000", "조회할 내역(자료)이 없습니다")
QUOTE_DONE = ("MCA00000", "정상처리 되었습니다.")
ORDER_SENT = ("APBK0013", "주문 전송 완료 되었습니다.")

_REFUSALS = {
    Refusal.CLOSED: ("APBK0918", "장운영시간이 아닙니다."),
    Refusal.UNKNOWN_ACCOUNT: ("OPSQ2000", "INPUT INVALID_CHECK_ACNO"),
    Refusal.UNKNOWN_SYMBOL: ("APBK0656", "해당 종목이 없습니다."),
    Refusal.CASH: ("APBK0919", "주문가능금액이 부족합니다."),
    Refusal.HOLDING: ("APBK0919", "주문가능수량이 부족합니다."),
    Refusal.UNKNOWN_ORDER: ("40330000", "정정/취소할 수량이 없습니다"),
    Refusal.NOTHING_LEFT: ("40330000", "정정/취소할 수량이 없습니다"),
    Refusal.HALTED: ("SIM00001", "거래가 정지된 종목입니다."),
    Refusal.OFF_GRID: ("SIM00002", "호가단위 오류입니다."),
    Refusal.OUTSIDE_LIMITS: ("SIM00003", "상하한가를 벗어난 가격입니다."),
    Refusal.QUANTITY: ("SIM00004", "주문수량 오류입니다."),
    Refusal.KIND: ("SIM00005", "지금은 받을 수 없는 주문유형입니다."),
}
_GATEWAY = {
    "EGW00002": (500, "서버 에러가 발생했습니다."),
    "EGW00101": (500, "유효하지 않은 요청입니다."),
    "EGW00103": (403, "유효하지 않은 AppKey 입니다."),
    "EGW00105": (403, "유효하지 않은 AppSecret 입니다."),
    "EGW00121": (500, "유효하지 않은 token 입니다."),
    "EGW00123": (500, "기간이 만료된 token 입니다."),
    "EGW00201": (500, "초당 거래건수를 초과하였습니다."),
    "EGW00202": (500, "GW라우팅 중 오류가 발생했습니다."),
    "EGW00203": (500, "OPS라우팅 중 오류가 발생했습니다."),
    "EGW00213": (500, "모의투자 TR 이 아닙니다."),
    "EGW00301": (500, "연결시간이 초과하였습니다. 직전 거래를 반드시 확인하세요."),
    "OPSQ0002": (200, "없는 서비스 코드 입니다."),
    "OPSQ2000": (200, "INPUT INVALID_CHECK_ACNO"),
    "OPSQ2001": (200, "INPUT INVALID_CHECK_MRKT_DIV_CODE"),
    "OPSQ2002": (200, "INPUT INVALID_CHECK_FIELD"),
    "90000000": (200, "모의투자에서는 해당업무가 제공되지 않습니다."),
    "SIM00006": (200, "취소 주문이 거부되었습니다."),
}


@attrs.frozen(kw_only=True)
class Answer:
    """One HTTP answer: its status, its body and whether another page follows."""

    body: dict[str, Any]
    status: int = 200
    more: bool = False


def gateway(code: str) -> Answer:
    """A failure that never reached the exchange. KeyError for a code that is not in the table."""
    status, text = _GATEWAY[code]
    return Answer(body=refusal(code, text), status=status)


def refused(why: Refusal, profile: Profile) -> Answer:
    """A business refusal: HTTP 200 with ``rt_cd`` 1."""
    code, text = _REFUSALS[why]
    return Answer(body=refusal(code, f"모의투자 {text}" if profile is Profile.MOCK else text))


def refusal_code(why: Refusal) -> str:
    return _REFUSALS[why][0]


def order_code(side: Side, purpose: Purpose, profile: Profile) -> tuple[str, str]:
    """Code and text of an accepted order."""
    if profile is Profile.REAL or purpose is not Purpose.NEW:
        return ORDER_SENT
    if side is Side.BUY:
        return "40600000", "모의투자 매수주문이 완료 되었습니다."
    return "40590000", "모의투자 매도주문이 완료 되었습니다."
