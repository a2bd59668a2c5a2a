"""The lines that the SDK and the reference engine write into the trade log about the engine itself, in Korean.

As in the book of sentences an English line is its own key, and what an author's own engine says is shown as it came.
Besides what may stand in the book's braces:

    {scope}   of a stop
    {phase}   of a stop on an engine
    {line}    a line again, or a sentence of the book, or whatever it is
"""

from collections.abc import Mapping
from functools import cache

from wire.phrases import TERMS, Template, compiled, filled, put
from wire.values import StopPhase

KOREAN: Mapping[str, str] = {
    "STOP {level} of {scope}: {line}": "정지 {level}, 범위 {scope}: {line}",
    "STOP {stop}: {phase} ({flatness})": "정지 {stop}: {phase} ({flatness})",
    "RELEASED {stop}": "정지 해제: {stop}",
    "PAUSED {strategy}": "전략 {strategy}: 일시 중지",
    "RESUMED {strategy}": "전략 {strategy}: 다시 가동",
    "REDUCED for {n} min: orders of at most {n2} won ({strategies})": (
        "{n}분 동안 주문 한 건에 최대 {n2}원 ({strategies})"
    ),
    "HALTED: {line}": "주문 중지: {line}",
    "the lease from the platform ran out: no order leaves before it is renewed": (
        "플랫폼의 가동 허가가 만료됨: 갱신될 때까지 주문이 나가지 않음"
    ),
    "the outbox ended in the middle of a line: that line is lost": (
        "보낼 메시지 파일의 마지막 줄이 잘려 있어 그 줄을 잃음"
    ),
    "the settings file was damaged: the configuration's values count, and every strategy stays paused": (
        "설정 파일이 손상됨: 구성 파일의 값을 쓰고 모든 전략을 일시 중지함"
    ),
    "the settings file was damaged: the engine's own values count, and every strategy stays paused until a person "
    "resumes it": "설정 파일이 손상됨: 엔진 자체의 값을 쓰고, 사람이 다시 가동할 때까지 모든 전략을 일시 중지함",
    "the broker keys stay as they were: {line}": "증권사 키를 바꾸지 않음: {line}",
    "the broker keys were changed by the platform": "플랫폼이 증권사 키를 바꿈",
    "books and broker agree: in step": "장부와 증권사 잔고가 일치함",
    "trading day {day} began": "거래일 {day} 시작",
    "FOUND {symbol}: an order of somebody else": "{symbol}: 이 엔진의 것이 아닌 주문을 찾음",
    "REJECTED {symbol}: {line}": "{symbol}: 주문이 거절됨: {line}",
    "UNKNOWN {symbol}: {line}": "{symbol}: 주문의 결과를 알 수 없음: {line}",
    "RECONCILED {line}": "증권사 잔고에 맞춤: {line}",
    "RISK the limits can be judged again: all orders may leave": (
        "위험 한도를 다시 판단할 수 있음: 모든 주문이 나갈 수 있음"
    ),
    "RISK limits in force: {limits}": "적용되는 위험 한도: {limits}",
    "RISK {line}": "위험 한도: {line}",
    "no earlier record of losses: today's is measured from the broker's figure for the previous day": (
        "이전 손실 기록이 없음: 증권사의 전일 자산을 기준으로 오늘 손실을 계산함"
    ),
    "the connector was restarted before the answer": "답을 받기 전에 증권사 연결을 다시 시작함",
    "the engine ended before the answer": "답을 받기 전에 엔진이 종료됨",
    "refused by the exchange": "거래소가 거절함",
}
"""English → Korean. The first one that fits is meant: particular ones stand before general ones."""

LONGEST = 300
"""Characters of a line that is looked up: a report has hundreds of lines, and anybody's engine writes them."""
_SCOPES = {"account": "계좌", "engine": "엔진", "strategy": "전략", "symbol": "종목"}
_PHASES = {
    StopPhase.PENDING: "대기",
    StopPhase.SENT: "전송",
    StopPhase.RECEIVED: "수신",
    StopPhase.FROZEN: "차단",
    StopPhase.CANCELLED: "취소",
    StopPhase.FLATTENED: "청산 (미검증)",
    StopPhase.VERIFIED: "검증",
    StopPhase.FAILED: "실패",
    StopPhase.TIMED_OUT: "시간 초과",
    StopPhase.UNREACHABLE: "도달 불가",
    StopPhase.SUPERSEDED: "대체됨",
    StopPhase.RELEASED: "해제됨",
}


def put_line(text: str, language: str) -> str:
    """The line in ``language`` (``ko`` or ``en``); as it is where neither book has it."""
    if language == "en" or len(text) > LONGEST:
        return text
    for template in _templates():
        if (found := template.match(text)) is not None:
            return filled(template.other, {name: _value(name, value) for name, value in found.groupdict().items()})
    return put(text, language)


@cache
def _templates() -> tuple[Template, ...]:
    return compiled(KOREAN)


def _value(name: str, value: str) -> str:
    match name:
        case "line":
            return put_line(value, "ko")
        case "scope":
            kind, _, which = value.partition(":")
            return "전체" if value == "all" else f"{_SCOPES.get(kind, kind)} {which}"
        case "phase":
            return next((korean for phase, korean in _PHASES.items() if phase.value == value), value)
        case "level" | "flatness":
            return TERMS.get(value, value)
    return value
