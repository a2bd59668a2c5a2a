"""The sentences that engines and the platform write into stops, alerts and reports, and the same in Korean.

An English sentence is its own key: frames, the journal, the database and webhooks carry it as text, and whoever shows
it to a person says it in that person's language. A sentence that is not in the book (a person's own words, what a
broker answered, what an engine of another make says) is shown as it came.

What stands in braces is taken over. Its name says what it may be:

    {n} {n2} …         a number
    {level} {flatness} a level of stop, a flatness: said in words
    {who}              a user, an engine, or ``trigger:<name>``
    {left}             what is left, as ``005930 10 (reason), …``, or a sentence
    {said} {said2}     a sentence again, or whatever it is
    anything else      any text
"""

import re
from collections.abc import Mapping
from functools import cache

import attrs

KOREAN: Mapping[str, str] = {
    # --- a stop and its engines
    "not connected; it gets the stop when it returns": "연결되지 않음: 돌아오는 즉시 정지를 받습니다",
    "{n} request in flight: written before the gate closed": "차단 전에 이미 나간 요청 {n}건",
    "{n} requests in flight: written before the gate closed": "차단 전에 이미 나간 요청 {n}건",
    "open when the platform started": "플랫폼이 시작할 때 열려 있었음",
    "open at start": "시작할 때 열려 있었음",
    "found in the database": "데이터베이스에서 찾음",
    "found in the engine's latch": "엔진에 남아 있던 정지",
    "found in the latch of {engine}": "엔진 {engine}에 남아 있던 정지",
    "the stop latch of {engine} cannot be read": "엔진 {engine}의 정지 기록을 읽을 수 없음",
    "waived at the release of {stop}": "정지 {stop} 해제 때 예외로 남음",
    "in force at the platform": "플랫폼에서 유효한 정지",
    "not verified within 30 s; the engine keeps trying": "30초 안에 검증되지 않음. 엔진이 계속 시도합니다",
    "the engine's own time limit": "엔진 자체의 시간 제한",
    "the engine did not say why": "엔진이 이유를 말하지 않음",
    "still trying": "계속 시도 중",
    "released before it arrived": "도착하기 전에 해제됨",
    "reported verified while its latch is not written": "정지 기록을 쓰지 않고 검증되었다고 보고함",
    "reported verified with {n} working orders": "미체결 주문 {n}건을 두고 검증되었다고 보고함",
    "reported verified while {flatness} with {n} positions": "보유 {n}종목({flatness})을 두고 검증되었다고 보고함",
    "reported verified while {flatness} with None positions": "보유를 모르면서({flatness}) 검증되었다고 보고함",
    "a release did not become durable": "해제를 저장하지 못함",
    "the release did not become durable": "해제를 저장하지 못함",
    "the wanted parameters are in force": "원하는 파라미터가 적용됨",
    # --- what cannot be sold, and what is not known
    "being closed": "청산하는 중",
    "trading in the symbol is halted": "거래가 정지된 종목",
    "volatility interruption: the order waits for its single price": "변동성 완화 장치: 주문이 단일가를 기다림",
    "call auction: the order waits for its single price": "동시호가: 주문이 단일가를 기다림",
    "at the lower price limit and nobody buys: the order waits in the queue": (
        "하한가에 매수세 없음: 주문이 대기열에서 기다림"
    ),
    "the market is closed": "장이 닫힘",
    "{n} shares are fewer than the trading unit of {n2}": "{n}주는 매매 단위 {n2}주보다 적음",
    "refused by the broker: {said}": "증권사가 거절함: {said}",
    "closing failed: {said}": "청산 실패: {said}",
    "another trading session began: nothing is sent for this stop before a person continues it": (
        "다른 장이 시작됨: 사람이 계속 실행할 때까지 주문을 내지 않음"
    ),
    "the exchange's date is not known yet": "거래소 날짜를 아직 알 수 없음",
    "the broker has not been read since the stop": "정지 뒤에 증권사 잔고를 아직 읽지 못함",
    "only one read so far shows it flat": "한 번만 잔고 없음으로 읽힘: 한 번 더 확인하는 중",
    "the broker was not read: {said}": "증권사 잔고를 읽지 못함: {said}",
    "the account was not read: {said}": "계좌를 읽지 못함: {said}",
    "the account was not read": "계좌를 읽지 못함",
    "the reading of the account is not one: {said}": "계좌 조회 결과가 올바르지 않음: {said}",
    "read_account returned no Reading": "계좌 조회가 결과를 돌려주지 않음",
    "books and broker differ: reading again": "장부와 증권사 잔고가 다름: 다시 읽는 중",
    "an order of unknown origin is working: reading again": "출처를 모르는 주문이 있음: 다시 읽는 중",
    "the broker offers no list of open orders and the notice stream is interrupted": (
        "증권사가 미체결 조회를 제공하지 않고 체결 통보도 끊김"
    ),
    "this engine offers no reading of its account": "이 엔진은 계좌를 읽지 못합니다",
    "this engine cannot cancel orders by itself": "이 엔진은 스스로 주문을 취소하지 못합니다",
    "this engine cannot close positions by itself": "이 엔진은 스스로 청산하지 못합니다",
    # --- codes that stand in front of a sentence, or alone
    "error_unreachable: {said}": "닿을 수 없음: {said}",
    "error_timeout: {said}": "시간 초과: {said}",
    "error_stop_timeout: {said}": "제때 끝나지 않음: {said}",
    "error_contradictory_evidence: {said}": "보고가 서로 맞지 않음: {said}",
    "error_positions_blocked: {left}": "팔 수 없는 보유 종목: {left}",
    "error_confirmation_needed: {said}": "사람의 확인이 필요함: {said}",
    "error_not_supported: {said}": "엔진이 지원하지 않음: {said}",
    "error_timeout": "시간 초과",
    "error_stop_timeout": "제때 끝나지 않음",
    "error_positions_blocked": "팔 수 없는 보유 종목이 남아 있음",
    "error_confirmation_needed": "사람의 확인이 필요함",
    "error_not_supported": "엔진이 지원하지 않음",
    "error_engine_unreachable": "엔진에 닿을 수 없음",
    "error_no_read_yet": "증권사 잔고를 아직 읽지 못함",
    # --- a release
    "not verified: {engines}": "검증되지 않음: {engines}",
    "{n} verified, {n2} waived": "검증 {n}, 예외 {n2}",
    "books not reconciled with the broker: {engines}": "증권사 잔고와 대사되지 않음: {engines}",
    "all unwaived engines": "예외를 뺀 모든 엔진",
    "no reason was given": "사유가 없음",
    "engines_verified: {said}": "모든 엔진 검증: {said}",
    "reconciled: {said}": "증권사 잔고와 대사: {said}",
    "cause_noted: {said}": "해제 사유: {said}",
    "{stop} was taken or raised": "정지 {stop}: 새로 걸리거나 강화됨",
    "{who} asked anew": "{who}: 다시 요청함",
    "it was asked for anew": "다시 요청됨",
    "it could not be written down": "기록하지 못함",
    "it was not written down in time": "제때 기록하지 못함",
    "the stop was raised meanwhile": "그사이 정지가 강화됨",
    "its stop is not known": "정지를 알 수 없음",
    "its stop is not open any more": "정지가 이미 끝남",
    "its stop was raised": "정지가 강화됨",
    "the platform was restarted before it was durable": "저장되기 전에 플랫폼이 다시 시작됨",
    "this stop does not concern {engines}": "이 정지와 관계없는 엔진: {engines}",
    "another request waits for this stop than the one you looked at": "보고 있던 것과 다른 해제 요청이 기다리고 있음",
    "the stop is at epoch {n} now: it was raised since you looked": "정지의 순번이 이제 {n}: 그사이 강화됨",
    "reduced limits are not known to {engines}: waive them, or release without": (
        "낮춘 한도를 지키지 못하는 엔진: {engines}. 예외로 두거나 한도 없이 해제하세요"
    ),
    "this engine does not keep to reduced limits of one strategy: resume it without": (
        "이 엔진은 전략 하나의 낮춘 한도를 지키지 못합니다. 한도 없이 다시 가동하세요"
    ),
    "another person with the risk role has to approve": "위험 관리 권한이 있는 다른 사람이 승인해야 함",
    "the stop was raised, or another one came, while this release was being written: still stopped": (
        "해제를 기록하는 사이 정지가 강화되거나 새로 걸림: 계속 정지 상태"
    ),
    "still stopped: {said}": "계속 정지 상태: {said}",
    "this engine has no such strategy": "이 엔진에 없는 전략",
    "a stop came after this was decided": "결정한 뒤에 정지가 걸림",
    "a stop holds it at {level}": "정지가 걸려 있음({level})",
    # --- a stop that the platform or an engine takes by itself
    "the stop journal is missing": "정지 기록 파일이 없음",
    "the stop journal is {state}: {said}": "정지 기록 파일 상태 {state}: {said}",
    "the stop journal belongs to another database": "정지 기록 파일이 다른 데이터베이스의 것임",
    "the stop journal is older than the database": "정지 기록 파일이 데이터베이스보다 오래됨",
    "the database cannot be asked": "데이터베이스를 조회할 수 없음",
    "there is no journal": "정지 기록 파일이 없음",
    "a stop was left by the local operator, but its file cannot be read": (
        "서버에서 남긴 정지가 있으나 파일을 읽을 수 없음"
    ),
    "{engine} stopped itself at {level}: {cause}": "엔진 {engine}: 스스로 정지함({level}), 원인 {cause}",
    "{engine} knows of a release of this stop that the platform has lost: it is in force again": (
        "엔진 {engine}: 플랫폼이 잃은 해제를 알고 있음. 정지가 다시 유효함"
    ),
    "{engine} took it for released": "엔진 {engine}: 해제된 것으로 여김",
    "takes an open stop for released": "열린 정지를 해제된 것으로 여김",
    "{engine} holds a stop this platform did not know as open (with the platform's proof)": (
        "엔진 {engine}: 플랫폼이 모르던 정지를 지니고 있음(플랫폼의 증명 있음)"
    ),
    "{engine} holds a stop this platform did not know as open (without proof, so for it alone)": (
        "엔진 {engine}: 플랫폼이 모르던 정지를 지니고 있음(증명이 없어 이 엔진에만 적용)"
    ),
    "the file that remembers this engine's stops is damaged": "이 엔진의 정지 기록 파일이 손상됨",
    "the file {name} was put there": "파일 {name}이(가) 놓임",
    "the lease stayed expired: cancelling": "가동 허가가 만료된 채로 있음: 미체결 취소",
    "the lease stayed expired: closing": "가동 허가가 만료된 채로 있음: 청산",
    "not heard for {n} s (limit {n2} s): {said}": "{n}초 동안 소식 없음(한도 {n2}초): {said}",
    "its clock is off by {n} ms (limit {n2} ms) since {n3} s, smallest of the last 8 heartbeats": (
        "시계가 {n}ms 어긋남(한도 {n2}ms), {n3}초째, 최근 하트비트 8개 중 최솟값"
    ),
    "daily_loss: {said}": "일일 손실: {said}",
    "emergency_loss: {said}": "긴급 손실: {said}",
    "drawdown: {said}": "최대 낙폭: {said}",
    "order_rate: {said}": "주문 빈도: {said}",
    "reject_storm: {said}": "거부 급증: {said}",
    "position_mismatch: {said}": "잔고 불일치: {said}",
    "the day's loss of {n} won has reached {n2}": "오늘 손실 {n}원이 {n2}원에 이름",
    "equity is {n} won below the day's peak, the limit is {n2}": "평가 자산이 오늘 고점보다 {n}원 낮음(한도 {n2}원)",
    "{n} orders within a minute": "1분 동안 주문 {n}건",
    "the broker refused {n} orders within a minute": "1분 동안 증권사가 주문 {n}건을 거절함",
    "books and broker differed: {said}": "장부와 증권사가 달랐음: {said}",
    "{symbol}: {n} in the books, {n2} at the broker": "{symbol}: 장부 {n}, 증권사 {n2}",
    "only reducing orders leave: {said}": "보유를 줄이는 주문만 나감: {said}",
    "the risk limits cannot be judged: {said}": "위험 한도를 판단할 수 없음: {said}",
    "its triggers cannot be judged since {n} s: {said}": "자동 정지 조건을 {n}초째 판단할 수 없음: {said}",
    "{engine}: its triggers cannot be judged: {said}": "{engine}: 자동 정지 조건을 판단할 수 없음: {said}",
    "judging fails: {kind}": "판단 중 오류: {kind}",
    "the platform's risk limits are not known yet": "플랫폼의 위험 한도를 아직 알 수 없음",
    "the account has not been read yet": "계좌를 아직 읽지 못함",
    "the account was last read {n} s ago": "계좌를 {n}초 전에 마지막으로 읽음",
    "the price of {symbol} is too old": "{symbol}의 시세가 너무 오래됨",
    "what today's loss is measured against is not known": "오늘 손실의 기준을 알 수 없음",
    "the exchange's date went back from {day} to {day2}": "거래소 날짜가 {day}에서 {day2}로 되돌아감",
    # --- alerts
    "not connected, latched for their return: {engines}": "연결되지 않음, 돌아오면 적용됨: {engines}",
    "not verified within 30 s: {engines}": "30초 안에 검증되지 않음: {engines}",
    "{engine} could not finish the stop: {said}": "엔진 {engine}: 정지를 끝내지 못함: {said}",
    "{engine} cannot be reached by an open stop: {said}; go to the broker's own screen": (
        "엔진 {engine}: 열린 정지가 닿지 않음: {said}. 증권사 화면에서 직접 확인하세요"
    ),
    "not heard since {n} s: {said}": "{n}초 동안 소식 없음: {said}",
    "ended: {said}": "종료함: {said}",
    "its positions are not known": "보유를 알 수 없음",
    "{n} positions and {n2} working orders when it was last heard": "마지막 소식 때 보유 {n}종목, 미체결 {n2}건",
    "memory {n} %": "메모리 {n}%",
    "CPU {n} %": "CPU {n}%",
    "memory {n} % used": "메모리 {n}% 사용",
    "{n} % of the open files this process may have are used": "열 수 있는 파일의 {n}%를 사용",
    "{n} MiB left on the disk of the home folder": "홈 폴더의 디스크에 {n}MiB 남음",
    "its broker refuses the access token": "증권사가 접근 토큰을 거부함",
    "{n} wrong secrets in its name within five minutes": "5분 동안 이 이름으로 잘못된 비밀 값 {n}번",
    "what was at stake at {engines} when they were last heard is not known": (
        "마지막 소식 때의 보유를 알 수 없음: {engines}"
    ),
    "the engine's clock is more than {n} ms off the platform's: its times cannot be trusted": (
        "엔진의 시계가 플랫폼과 {n}ms 넘게 다름: 시각을 믿을 수 없음"
    ),
    "an invalid {kind}: {said}": "잘못된 메시지 {kind}: {said}",
    "the engine had no room for {n} of its messages": "엔진에 자리가 없어 메시지 {n}건을 잃음",
    "there was no room for messages to the platform: some are lost": "자리가 없어 플랫폼으로 보낼 메시지를 일부 잃음",
    "{n} trade logs were dropped while the platform was away": "플랫폼이 없는 동안 거래 기록 {n}건을 버림",
    "a second process uses this engine's id": "다른 프로세스가 이 엔진의 이름을 씀",
    "the engine could not read a stop: {said}": "엔진이 정지를 읽지 못함: {said}",
    "{strategy} was changed after it was given up": "{strategy}: 포기한 뒤에 변경됨",
    "{strategy} stays held: {said}": "{strategy}: 계속 묶여 있음: {said}",
    "the engine did not answer within 10 s": "엔진이 10초 안에 답하지 않음",
    "the engine reports other parameters than version {n}, which is wanted": (
        "엔진이 원하는 버전 {n}과 다른 파라미터를 보고함"
    ),
    "a write to the stop journal does not come back": "정지 기록 파일 쓰기가 끝나지 않음",
    "the stop journal could not be written: {said}": "정지 기록 파일에 쓰지 못함: {said}",
    "the database has not been reached since the start": "시작한 뒤로 데이터베이스에 닿지 못함",
    "the event loop ran {n} ms late": "이벤트 루프가 {n}ms 늦음",
    "alerts cannot be told to {host}: {said}": "{host}에 알림을 보내지 못함: {said}",
    "{name} cannot be written: {said}": "{name}에 쓸 수 없음: {said}",
    "not taken after {n} attempts: {said}": "{n}번 보냈으나 받지 않음: {said}",
    "it does not answer": "응답하지 않음",
    "it could not be asked at the start": "시작할 때 조회하지 못함",
    "stop {stop} waits for a person": "정지 {stop}: 사람의 확인을 기다림",
    "stop {stop} left: {left}": "정지 {stop}에서 남음: {left}",
    "stop {stop}: {left} ({flatness})": "정지 {stop}: {left} ({flatness})",
    "stop {stop}: {left}": "정지 {stop}: {left}",
    "unfinished": "끝나지 않음",
    "the books were not compared with the broker: {said}": "장부를 증권사와 대조하지 못함: {said}",
    "the engine's {what} failed: {said}": "엔진의 {what} 실패: {said}",
    "strategy {strategy} was restarted after a failure": "전략 {strategy}: 오류 뒤 다시 시작함",
    "a callback of on_freeze failed: {kind}": "on_freeze 콜백 실패: {kind}",
    "a file of this engine's state cannot be made safe: {said}": "이 엔진의 상태 파일을 안전하게 저장하지 못함: {said}",
    "the latch cannot be written, and no order leaves before it can: {said}": (
        "정지 기록을 쓸 수 없어, 쓸 수 있을 때까지 주문이 나가지 않음: {said}"
    ),
    "the latch is written: orders may leave again": "정지 기록을 썼음: 주문이 다시 나갈 수 있음",
    "a message of the platform ({kind}) was not valid": "플랫폼의 메시지({kind})가 올바르지 않음",
    "the platform's settings cannot be used, what was known stays in force: {said}": (
        "플랫폼의 설정을 쓸 수 없어 알던 값을 계속 씀: {said}"
    ),
    "{n} messages of the broker unreadable: {said}": "증권사 메시지 {n}건을 읽지 못함: {said}",
    # --- the emergency page
    "recorded; engines halt by lease within 15 s": (
        "기록됨: 플랫폼 본체가 응답하지 않아 연결을 모두 끊었고, 엔진은 가동 허가가 끝나는 15초 안에 스스로 멈춥니다"
    ),
    "the main loop of the platform does not answer: no drill was taken; a real stop works without it": (
        "플랫폼 본체가 응답하지 않아 훈련은 하지 않았습니다. 실제 정지는 본체 없이도 됩니다"
    ),
    "{n} engines were cut off and halt by lease within 15 s; not recorded: {said}": (
        "엔진 {n}개의 연결을 끊었고 15초 안에 스스로 멈춥니다. 그러나 기록하지 못함: {said}"
    ),
    "the disk does not answer": "디스크가 응답하지 않음",
    "taken, and under way: {n} of {n2} engines have it": "접수되어 정지하는 중: 엔진 {n2}개 중 {n}개가 받음",
    "stopped: each of {n2} engines is verified": "정지됨: 엔진 {n2}개 모두 검증 완료",
    "taken, but there is no engine that it concerns": "접수됨: 해당하는 엔진이 없음",
    "taken, but not every engine is verified: {n} of {n2} engines have it": (
        "접수되었으나 모두 검증되지는 않음: 엔진 {n2}개 중 {n}개가 받음"
    ),
    "not on the disk yet": "아직 디스크에 저장되지 않음",
    "look after these on the broker's own screen: {engines}": "증권사 화면에서 직접 확인할 엔진: {engines}",
    "look after orders and positions on the broker's own screen": "주문과 보유는 증권사 화면에서 직접 확인하세요",
    "and {n} more engines": "그 밖에 엔진 {n}개",
    "that is not the emergency code: it is in the file emergency.code of the home folder": (
        "비상 코드가 다릅니다. 홈 폴더의 emergency.code 파일에 있는 그대로 입력하세요"
    ),
    "the emergency code, or an operator's token, is needed": "비상 코드나 담당자의 토큰이 필요합니다",
    "this session has ended": "로그인이 끝났습니다",
    "this needs the role operator": "담당자 권한이 필요합니다",
    "the token has expired": "토큰이 만료되었습니다",
    "the token is not valid": "토큰이 올바르지 않습니다",
    "there is only the page, and POST /stop": "여기에는 긴급 정지 페이지와 POST /stop만 있습니다",
    "not a sound request": "요청 형식이 올바르지 않습니다",
    # --- who did something to a stop, and what
    "{who}: {level} {said}": "{who}: {level} {said}",
    "{who}: {level}": "{who}: {level}",
}
"""English → Korean. The first one that fits is meant: particular ones stand before general ones."""

TERMS: Mapping[str, str] = {
    "NORMAL": "정상",
    "REDUCE_ONLY": "축소 주문만 허용",
    "HALT": "주문 중지",
    "CANCEL": "주문 중지 · 미체결 취소",
    "FLATTEN": "정지하고 청산",
    "FLAT": "잔고 없음",
    "NOT_FLAT": "잔고 남음",
    "UNKNOWN": "미확인",
    "platform": "플랫폼",
    "database": "데이터베이스",
    "journal": "정지 기록 파일",
    "audit": "감사 기록",
    "logs": "거래 기록",
    "alerts": "알림",
    "alert webhook": "알림 웹훅",
    "last words": "마지막 소식 파일",
    "event loop": "이벤트 루프",
    "local": "서버에서 직접",
    "sentinel": "STOP 파일",
    "risk": "위험 한도",
    "lease_expired": "가동 허가 만료",
    "operator": "담당자",
    "trigger:engine_lost": "자동 정지: 엔진의 소식이 끊김",
    "trigger:clock_skew": "자동 정지: 시계 어긋남",
    "trigger:not_judged": "자동 정지: 조건을 판단할 수 없음",
}
"""Words that stand for one thing wherever they are, and are written in capitals or by their name."""

KINDS: Mapping[str, str] = {
    "n": r"-?[0-9][0-9,.]*",
    "level": "NORMAL|REDUCE_ONLY|HALT|CANCEL|FLATTEN",
    "flatness": "FLAT|NOT_FLAT|UNKNOWN",
    "who": r"trigger:[a-z_]+|[^:\s]+",
    "engine": r"[^:\s]+",
    "stop": r"[^:\s]+",
    "said": ".+",
    "left": ".+",
}
"""What may stand in a slot of this name; in any other: any text, as little as possible."""
_SLOT = re.compile(r"\{(\w+?)(\d*)\}")
_PART = re.compile(r"([0-9A-Za-z]{1,12}) ([0-9][0-9,]*) \((.+)\)")
_NAMES = 6  # colons in a text that may still begin with a name
_NAMED = re.compile(r"([A-Za-z0-9_.-]{1,64}(?: [a-z]{1,20})?): (.+)", re.DOTALL)


def put(text: str, language: str) -> str:
    """The sentence in ``language`` (``ko`` or ``en``); as it is where the book does not have it."""
    return text if language == "en" else _korean(text) or text


@attrs.frozen
class Template:
    """``pattern`` has a group for each slot; ``fixed``: words without which nothing fits, looked for first since that
    costs next to nothing; ``other``: the same in the other language."""

    fixed: str
    pattern: re.Pattern[str]
    other: str

    def match(self, text: str) -> re.Match[str] | None:
        return self.pattern.fullmatch(text) if self.fixed in text else None


def compiled(book: Mapping[str, str]) -> tuple[Template, ...]:
    return tuple(
        Template(max(_SLOT.sub("\0", english).split("\0"), key=len), re.compile(_pattern(english), re.DOTALL), other)
        for english, other in book.items()
    )


@cache
def _templates() -> tuple[Template, ...]:
    return compiled(KOREAN)


def _pattern(template: str) -> str:
    made, at = "", 0
    for slot in _SLOT.finditer(template):
        made += re.escape(template[at : slot.start()])
        made += f"(?P<{slot[1]}{slot[2]}>{KINDS.get(slot[1], '.+?')})"
        at = slot.end()
    return made + re.escape(template[at:])


def _korean(text: str) -> str | None:
    if text in KOREAN:
        return KOREAN[text]
    if "; " in text and all(parts := [_korean(part) for part in text.split("; ")]):
        return "; ".join(part or "" for part in parts)
    for template in _templates():
        if (found := template.match(text)) is not None:
            return filled(template.other, {name: _value(name, value) for name, value in found.groupdict().items()})
    if (left := _listed(text)) is not None:
        return left
    named = _NAMED.fullmatch(text) if text.count(": ") <= _NAMES else None
    said = _korean(named[2]) if named is not None else None
    return f"{TERMS.get(named[1], named[1])}: {said}" if named is not None and said is not None else None


def filled(template: str, values: Mapping[str, str]) -> str:
    """The template with its slots filled; ``values`` by the slot's whole name."""
    return _SLOT.sub(lambda slot: values[slot[1] + slot[2]], template)


def _value(name: str, value: str) -> str:
    kind = name.rstrip("0123456789")
    if kind in ("said", "left"):
        return _korean(value) or value
    return TERMS.get(value, value) if kind in ("level", "flatness", "who", "cause") else value


def _listed(text: str) -> str | None:
    """``005930 10 (reason), …``"""
    parts = [_PART.fullmatch(part) for part in re.split(r"(?<=\)), (?=[0-9A-Za-z]{1,12} [0-9])", text)]
    if not all(parts):
        return None
    return ", ".join(f"{p[1]} {p[2]}주 ({_korean(p[3]) or p[3]})" for p in parts if p is not None)
