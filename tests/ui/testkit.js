/* built from ui/src by `npm run build`; sources 4b799e8645b658e87110bb44addd71bf0e5402a5be41a4dab5e5cc2fed50e7e4 */
var TK = (function(exports) {
	Object.defineProperty(exports, Symbol.toStringTag, { value: "Module" });
	// \0rolldown/runtime.js
	var __defProp = Object.defineProperty;
	var __exportAll = (all, no_symbols) => {
		let target = {};
		for (var name in all) __defProp(target, name, {
			get: all[name],
			enumerable: true
		});
		if (!no_symbols) __defProp(target, Symbol.toStringTag, { value: "Module" });
		return target;
	};
	// src/link/machine.ts
	/**
	* The life of the UI link as a pure function: `step(state, event, now, random)` gives the next state and what to do.
	*
	* The page promises that a lost connection is shown within 15 s. With a tick every 250 ms the bound is
	* offlineMs + tickMs = 10.25 s, whatever the network does; a socket that closes is shown at once.
	*/
	var TIMING = {
		beatMs: 2e3,
		staleMs: 5e3,
		offlineMs: 1e4,
		tickMs: 250,
		dialMs: 8e3,
		backoffFirstMs: 500,
		backoffCapMs: 5e3,
		reauthLeadMs: 12e4,
		reauthRetryMs: 15e3
	};
	/** After an offline that was silence, a snapshot alone proves nothing: this many beats must follow. */
	var BEATS_TO_TRUST = 2;
	function initial() {
		return {
			phase: "off",
			liveness: "loading",
			socket: 0,
			attempt: 0,
			startedAt: 0,
			heardAt: null,
			currentAt: null,
			dueAt: null,
			synced: false,
			everSynced: false,
			beats: 0,
			distrust: false,
			networkDown: false,
			freshToken: false,
			authRefused: 0,
			reauthAt: null,
			refusal: null
		};
	}
	function step(state, event, now, random) {
		const [next, commands] = move(state, event, now, random);
		return [{
			...next,
			liveness: livenessOf(next, now)
		}, commands];
	}
	/** Milliseconds until the next dial, or null when none is planned. */
	function retryIn(state, now) {
		return state.phase === "waiting" && state.dueAt !== null ? Math.max(0, state.dueAt - now) : null;
	}
	function move(state, event, now, random) {
		if ("socket" in event && event.socket !== state.socket) return [state, []];
		switch (event.type) {
			case "start": return dial({
				...initial(),
				socket: state.socket,
				everSynced: state.everSynced,
				currentAt: state.currentAt,
				networkDown: state.networkDown,
				startedAt: now
			}, now);
			case "stop": return [{
				...initial(),
				socket: state.socket + 1,
				networkDown: state.networkDown
			}, [{
				do: "hangup",
				socket: state.socket
			}]];
			case "opened": return [{
				...state,
				phase: "greeting",
				heardAt: now,
				dueAt: null
			}, [{
				do: "greet",
				socket: state.socket
			}]];
			case "welcome": return [{
				...state,
				phase: "online",
				heardAt: now,
				authRefused: 0,
				refusal: null,
				reauthAt: reauthAt(event.expiresInMs, now)
			}, []];
			case "heard": return [hear(state, now), []];
			case "beat": return [trust({
				...hear(state, now),
				beats: state.beats + 1
			}), []];
			case "synced": return [trust({
				...hear({
					...state,
					synced: true
				}, now),
				everSynced: true,
				attempt: 0
			}), []];
			case "token": return [{
				...state,
				reauthAt: reauthAt(event.expiresInMs, now)
			}, []];
			case "reauth-failed": return [{
				...state,
				reauthAt: now + TIMING.reauthRetryMs
			}, []];
			case "session-over": return refuse(state, 4504, "error_session_over");
			case "closed": return closed(state, event.code, event.reason, now, random);
			case "network": return network(state, event.up, now, random);
			case "wake": return state.phase === "waiting" ? dial(state, now) : tick(state, now, random);
			case "retry": return state.phase === "waiting" || state.phase === "refused" ? dial({
				...state,
				authRefused: 0
			}, now) : tick(state, now, random);
			case "tick": return tick(state, now, random);
		}
	}
	function tick(state, now, random) {
		if (state.phase === "waiting" && state.dueAt !== null && now >= state.dueAt && !state.networkDown) return dial(state, now);
		if (state.phase === "dialling" && state.dueAt !== null && now >= state.dueAt) return lost(state, now, random);
		if (silentFor(state, now) >= TIMING.offlineMs) return lost({
			...state,
			distrust: true
		}, now, random);
		if (state.phase === "online" && state.reauthAt !== null && now >= state.reauthAt) return [{
			...state,
			reauthAt: null
		}, [{ do: "reauth" }]];
		return [state, []];
	}
	function hear(state, now) {
		return {
			...state,
			heardAt: now,
			currentAt: state.synced ? now : state.currentAt
		};
	}
	function silentFor(state, now) {
		return (state.phase === "online" || state.phase === "greeting") && state.heardAt !== null ? now - state.heardAt : 0;
	}
	function dial(state, now) {
		const socket = state.socket + 1;
		return [{
			...state,
			phase: "dialling",
			socket,
			dueAt: now + TIMING.dialMs,
			synced: false,
			beats: 0,
			freshToken: false,
			refusal: null
		}, [{
			do: "dial",
			socket,
			freshToken: state.freshToken
		}]];
	}
	/** Gives the present socket up and plans the next dial. */
	function lost(state, now, random) {
		return [{
			...state,
			phase: "waiting",
			attempt: state.attempt + 1,
			synced: false,
			beats: 0,
			reauthAt: null,
			socket: state.socket + 1,
			dueAt: now + backoff(state.attempt, random)
		}, [{
			do: "hangup",
			socket: state.socket
		}]];
	}
	function closed(state, code, reason, now, random) {
		if (state.phase === "off" || state.phase === "refused") return [state, []];
		if (code === 4101) return lost({
			...state,
			freshToken: true
		}, now, random);
		if (code === 4504 && state.authRefused === 0) return lost({
			...state,
			freshToken: true,
			authRefused: 1
		}, now, random);
		if (code >= 4500 && code <= 4999) return refuse(state, code, reason);
		return lost(state, now, random);
	}
	/** The server's lasting no: dialling again by itself would not help. */
	function refuse(state, code, reason) {
		const commands = [{
			do: "hangup",
			socket: state.socket
		}];
		if (code === 4504) commands.push({ do: "sign-in" });
		return [{
			...state,
			phase: "refused",
			socket: state.socket + 1,
			synced: false,
			dueAt: null,
			reauthAt: null,
			refusal: {
				code,
				reason
			}
		}, commands];
	}
	function network(state, up, now, random) {
		const known = {
			...state,
			networkDown: !up
		};
		if (up) return state.phase === "waiting" ? dial(known, now) : tick(known, now, random);
		return state.phase === "off" || state.phase === "refused" || state.phase === "waiting" ? [known, []] : lost(known, now, random);
	}
	function trust(state) {
		return state.distrust && state.synced && state.beats >= BEATS_TO_TRUST ? {
			...state,
			distrust: false
		} : state;
	}
	/** 0.5 s doubled up to 5 s, the upper half of it random; it never gives up. */
	function backoff(attempt, random) {
		return Math.min(TIMING.backoffCapMs, TIMING.backoffFirstMs * 2 ** Math.min(attempt, 10)) * (.5 + .5 * random);
	}
	function reauthAt(expiresInMs, now) {
		if (expiresInMs === null) return null;
		return now + Math.max(expiresInMs - TIMING.reauthLeadMs, expiresInMs / 2);
	}
	function livenessOf(state, now) {
		if (state.phase === "off") return "loading";
		if (state.networkDown || state.phase === "refused" || state.distrust) return "offline";
		if (state.phase === "online" && state.synced) {
			const silent = silentFor(state, now);
			return silent >= TIMING.offlineMs ? "offline" : silent >= TIMING.staleMs ? "stale" : "live";
		}
		return !state.everSynced && state.attempt === 0 && now - state.startedAt < TIMING.offlineMs ? "loading" : "offline";
	}
	// src/i18n/index.ts
	var DICTIONARIES = {
		ko: {
			/** Which language this is. */
			language: "ko",
			close: "닫기",
			cancel: "취소",
			retry: "다시 시도",
			none: "없음",
			unknown: "알 수 없음",
			ago: "{age} 전",
			as_of: "{time} 기준",
			until: "{time}까지",
			shares: "주",
			platform: "플랫폼",
			"who.local": "서버에서 직접",
			"who.trigger": "자동 정지: {name}",
			skip: "본문으로 건너뛰기",
			logout: "로그아웃",
			"page.none": "없는 화면입니다",
			"panel.failed": "이 화면을 그리지 못했습니다",
			"panel.reload": "다시 불러오기",
			"login.tagline": "트레이딩 엔진 관제실",
			"login.username": "사용자 이름",
			"login.password": "비밀번호",
			"login.totp": "인증 앱의 6자리 코드",
			"login.with_code": "인증 코드로 로그인",
			"login.submit": "로그인",
			"login.busy": "확인 중…",
			"login.unreachable": "서버에 연결할 수 없습니다.",
			"login.again": "다시 로그인하세요",
			"login.again.kept": "{username} 님의 세션이 끝났습니다. 입력하던 값은 그대로 남아 있습니다.",
			"login.again.stop": "정지를 보내려면 로그인해야 합니다. 로그인이 되지 않거나 급하면 아래 방법을 차례로 쓰세요.",
			"login.other": "다른 사용자로 로그인",
			"role.viewer": "조회",
			"role.operator": "운영",
			"role.risk": "위험 관리",
			"role.admin": "관리자",
			"nav.label": "주 메뉴",
			"nav.overview": "관제",
			"nav.strategies": "전략",
			"nav.terminal": "거래 기록",
			"nav.health": "시스템 상태",
			"nav.stops": "정지",
			"nav.settings": "설정",
			"theme.dark": "어두운 화면",
			"theme.contrast": "고대비 화면",
			"theme.light": "밝은 화면",
			"updown.kr": "상승 빨강 · 하락 파랑",
			"updown.us": "상승 초록 · 하락 빨강",
			"link.loading": "연결 중",
			"link.live": "실시간",
			"link.stale": "지연됨",
			"link.offline": "오프라인",
			"link.stale.text": "새 소식이 {age}째 없습니다. 연결을 확인하고 있습니다.",
			"link.offline.text": "서버와 연결이 끊겼습니다. 아래 값은 {age} 전 것이며 지금과 다를 수 있습니다.",
			"link.offline.never": "서버와 연결되지 않았습니다. 아래 값은 지금과 다를 수 있습니다.",
			"link.retry_in": "{age} 뒤 다시 연결합니다.",
			"link.retry": "지금 다시 연결",
			"link.refused": "서버가 연결을 거절했습니다.",
			"degraded.database": "기록 저장이 멈췄습니다. 긴급 정지와 실시간 화면은 동작합니다.",
			"degraded.parts": "일부 기능이 제한되고 있습니다.",
			"state.last": "마지막 상태: {state}",
			"mode.paper": "모의",
			"mode.live": "실전",
			"engines.title": "엔진",
			"engines.connected": "{total}개 중 {connected}개 연결됨",
			"engines.none": "아직 등록된 엔진이 없습니다",
			"engines.none.next": "엔진을 등록해 자격 증명을 발급한 뒤 엔진을 시작하세요.",
			"engine.never": "접속한 적 없음",
			"engine.offline": "연결 끊김",
			"engine.suspect": "응답 지연",
			"engine.running": "가동 중",
			"engine.starting": "시작하는 중",
			"engine.stopping": "멈추는 중",
			"engine.stopped": "꺼짐",
			"engine.error": "오류",
			"engine.asked": "정지 요청됨",
			"engine.asked_at": "요청됨: {level}",
			"engine.held": "정지됨",
			"engine.held_at": "정지됨: {level}",
			"engine.halted_by_lease": "허가 만료로 정지",
			"engine.no_report": "보고 없음",
			"engine.heartbeat": "마지막 하트비트",
			"engine.never_heard": "수신 기록 없음",
			"engine.lease": "가동 허가",
			"engine.lease.expired": "만료",
			"engine.positions": "보유 종목",
			"engine.orders": "미체결",
			"engine.equity": "평가 자산",
			"engine.pnl": "실현 손익",
			"engine.books": "잔고 대사",
			"engine.synced": "일치",
			"engine.unsynced": "확인 중",
			"engine.no_strategies": "전략 없음",
			"engine.stop_this": "이 엔진 정지",
			"strategy.active": "가동",
			"strategy.paused": "일시정지",
			"strategy.error": "오류",
			"strategy.halted": "주문 중지",
			"strategy.reduce_only": "축소 주문만",
			"strategy.stop_this": "이 전략 정지",
			"strategy.stopped_note": "정지 상태입니다. 지금 적용한 값은 저장되며, 해제된 뒤의 주문부터 쓰입니다. 위험 관리 권한이 필요합니다.",
			"strategies.list": "전략 목록",
			"strategies.none": "아직 전략이 없습니다",
			"strategies.none.next": "엔진이 접속하면 그 엔진의 전략이 여기에 나타납니다.",
			"strategies.gone": "이 전략은 더 이상 보고되지 않습니다",
			"parameter.takeProfitPercent": "익절 기준",
			"parameter.stopLossPercent": "손절 기준",
			"parameter.maxPositionSize": "최대 보유 규모",
			"parameter.riskPerTrade": "거래당 위험",
			"parameter.shortWindow": "단기 평균",
			"parameter.longWindow": "장기 평균",
			"parameter.corePercent": "기본 보유 비중",
			"parameter.cooldownSeconds": "주문 사이 간격",
			"unit.percent": "%",
			"unit.won": "원",
			"unit.shares": "주",
			"unit.trades": "체결",
			"unit.s": "초",
			"unit.seconds": "초",
			"parameters.range": "{low} – {high}, {step} 단위",
			"parameters.now": "현재 {value}",
			"parameters.effective": "엔진 적용값 {value}",
			"parameters.slider": "막대로 조절",
			"parameters.version": "버전 {version}",
			"parameters.revert": "되돌리기",
			"parameters.differ": "엔진에 적용된 값이 원하는 값과 다릅니다. 다시 적용하거나 엔진의 값을 확인하세요.",
			"parameters.offline": "서버와 연결이 끊겨 적용할 수 없습니다",
			"parameters.needs_operator": "값을 바꾸려면 운영 권한이 필요합니다.",
			"problem.required": "값을 입력하세요",
			"problem.number": "숫자로 입력하세요",
			"problem.integer": "정수로 입력하세요",
			"problem.low": "{low} 이상이어야 합니다",
			"problem.high": "{high} 이하여야 합니다",
			"problem.whole": "0 이상의 정수로 입력하세요",
			"problem.auto_save": "5초에서 3600초 사이의 정수로 입력하세요",
			"apply.open": "실전에 적용 ({n})",
			"apply.pending": "적용 중…",
			"apply.title": "{name}: 실전에 적용",
			"apply.means": "{engine} 엔진이 다음 판단부터 이 값을 씁니다. 엔진을 다시 시작하지 않습니다.",
			"apply.parameter": "항목",
			"apply.before": "현재",
			"apply.after": "변경",
			"apply.change": "변화",
			"apply.loosens": "위험 한도를 넓히는 변경입니다: {names}. 위험 관리 권한이 필요합니다.",
			"apply.confirm": "{n}개 값을 실전에 적용",
			"apply.waiting": "엔진의 응답을 기다립니다.",
			"apply.effective": "버전 {version} · 적용된 값: {values}",
			"apply.conflict": "그사이 다른 변경이 있었습니다. 새 값을 불러왔으니 차이를 다시 확인하고 적용하세요.",
			"apply.unknown": "응답을 받지 못해 적용되었는지 알 수 없습니다. 아래 이력과 엔진 적용값을 확인하세요.",
			"apply.toast.applied": "{name}: 엔진이 새 값을 적용했습니다",
			"apply.toast.failed": "{name}: 적용되지 않았습니다",
			"update.pending": "적용 대기",
			"update.applied": "적용됨",
			"update.failed": "실패",
			"update.expired": "시간 초과",
			"update.applied_late": "늦게 적용됨",
			"history.title": "변경 이력",
			"history.version": "버전",
			"history.at": "시각",
			"history.by": "변경한 사람",
			"history.status": "결과",
			"history.values": "값",
			"history.action": "동작",
			"history.rollback": "이 값으로 되돌리기",
			"terminal.title": "거래 기록",
			"terminal.count": "{shown} / {total}",
			"terminal.malformed": "형식 오류 {n}건",
			"terminal.waiting": "새 기록 {n}건",
			"terminal.pause": "멈춤",
			"terminal.resume": "이어 보기",
			"terminal.category": "분류",
			"terminal.engine": "엔진",
			"terminal.all_engines": "모든 엔진",
			"terminal.search": "검색: 내용, 사유, 종목",
			"terminal.empty": "아직 기록이 없습니다",
			"terminal.empty.next": "엔진이 보낸 기록이 도착하는 대로 나타납니다.",
			"terminal.nothing": "조건에 맞는 기록이 없습니다",
			"terminal.nothing.next": "분류, 엔진 또는 검색어를 바꿔 보세요.",
			"terminal.tail": "최신 기록으로",
			"terminal.reason": "사유",
			"terminal.gap": "이 자리의 기록 일부를 받지 못했습니다",
			"terminal.gap.n": "이 자리의 기록 {n}건을 받지 못했습니다",
			"terminal.quarantined": "형식이 맞지 않아 격리된 기록 ({issue})",
			"terminal.record": "기록 상세",
			"category.all": "전체",
			"category.Trade": "거래",
			"category.Strategy": "전략",
			"category.System": "시스템",
			"severity.info": "정보",
			"severity.warning": "주의",
			"severity.error": "오류",
			"severity.critical": "심각",
			"health.title": "시스템 상태",
			"health.none": "아직 상태 보고가 없습니다",
			"health.process": "플랫폼",
			"health.database": "데이터베이스",
			"database.up": "정상",
			"database.down": "중단",
			"health.cpu": "CPU",
			"health.memory": "메모리",
			"health.table": "엔진별 상태",
			"health.engines": "엔진",
			"health.strategies": "가동 전략",
			"health.lag": "루프 지연",
			"health.lag.hint": "처리 순서가 밀린 시간",
			"health.trend": "{label} 최근 {last}%, 최저 {low}%, 최고 {high}%",
			"health.engine": "엔진",
			"health.state": "상태",
			"health.process_age": "프로세스",
			"health.market_age": "시세",
			"health.order_age": "주문 채널",
			"health.token": "증권사 토큰",
			"health.lease": "가동 허가",
			"process.running": "정상",
			"process.degraded": "제한됨",
			"process.stopping": "멈추는 중",
			"process.error": "오류",
			"token.ok": "정상",
			"token.expiring": "만료 임박",
			"token.invalid": "무효",
			"token.none": "없음",
			"alerts.title": "확인이 필요한 알림 {n}건",
			"alerts.ack": "확인",
			"letters.title": "전달하지 못한 것 {n}건",
			"letters.webhook": "밖으로 보내지 못한 알림",
			"letters.message": "받아들이지 못한 메시지 ({kind})",
			"letters.retry": "다시 보내기",
			"letters.discard": "버리기",
			"level.NORMAL": "정상",
			"level.REDUCE_ONLY": "축소 주문만 허용",
			"level.HALT": "주문 중지",
			"level.CANCEL": "주문 중지 · 미체결 취소",
			"level.FLATTEN": "정지하고 청산",
			"level.NORMAL.means": "주문할 수 있습니다.",
			"level.REDUCE_ONLY.means": "보유를 줄이는 주문만 내보냅니다.",
			"level.HALT.means": "새 주문을 내지 않습니다. 미체결 주문과 보유 종목은 그대로 둡니다.",
			"level.CANCEL.means": "새 주문을 막고 미체결 주문을 모두 취소합니다. 보유 종목은 그대로 둡니다.",
			"level.FLATTEN.means": "새 주문을 막고 미체결을 취소한 뒤 보유 종목을 모두 팝니다.",
			"scope.all": "전체",
			"scope.engine": "엔진 {name}",
			"scope.account": "계좌 {name}",
			"scope.strategy": "전략 {name}",
			"scope.symbol": "종목 {name}",
			"stop.button": "긴급 정지",
			"stop.button.name": "긴급 정지 / EMERGENCY STOP",
			"stop.keys": "Ctrl+Shift+K 또는 Ctrl+Shift+. (창이 열린 채 3초 안에 다시 누르면 주문 중지를 바로 보냄)",
			"stop.title": "긴급 정지: {scope}",
			"stop.title.drill": "정지 훈련: {scope}",
			"stop.level": "정지 수준",
			"stop.scope": "범위",
			"stop.symbol": "종목 코드",
			"stop.one_symbol": "종목 하나",
			"stop.reason": "사유",
			"stop.reach.engines": "대상 엔진",
			"stop.reach.orders": "미체결 주문",
			"stop.reach.positions": "보유 종목",
			"stop.reach.value": "보유 금액",
			"stop.unreachable": "지금 닿지 않는 엔진 {n}개: 다시 연결되는 즉시 정지하며, 가동 허가가 끝나면 스스로 멈춥니다. 급하면 증권사 앱에서 직접 확인하세요.",
			"stop.link_down": "실시간 연결이 끊겨 있습니다. 정지 요청은 따로 보내므로 그대로 시도할 수 있습니다.",
			"stop.blocked": "지금 팔 수 없는 종목:",
			"stop.sending": "보내는 중…",
			"stop.again": "같은 정지를 다시 보내기",
			"stop.confirm.NORMAL": "정상으로",
			"stop.confirm.REDUCE_ONLY": "{n}개 엔진을 축소 주문만 허용",
			"stop.confirm.HALT": "{n}개 엔진의 주문 중지",
			"stop.confirm.CANCEL": "{n}개 엔진 정지하고 미체결 취소",
			"stop.confirm.FLATTEN": "{n}개 엔진 정지하고 청산",
			"stop.effect.REDUCE_ONLY": "엔진 {n}개: 보유를 줄이는 주문만 허용",
			"stop.effect.HALT": "엔진 {n}개: 새 주문 중지",
			"stop.effect.CANCEL": "엔진 {n}개: 새 주문 중지, 미체결 {orders}건 취소",
			"stop.effect.FLATTEN": "엔진 {n}개: 새 주문 중지, 미체결 {orders}건 취소, 보유 {positions}종목({value}) 시장가 매도",
			"stop.failed": "서버의 응답이 없어 정지되었는지 알 수 없습니다. 다시 보내거나, 아래 방법을 차례로 쓰세요.",
			"stop.way.page": "비상 정지 페이지 열기:",
			"stop.way.cli": "서버에서 실행:",
			"stop.way.file": "엔진마다 상태 폴더에 파일 만들기:",
			"stop.way.copy": "복사",
			"stop.way.copied": "복사됨",
			"stop.way.broker": "증권사 앱이나 전화로 직접 정지",
			"stop.way.lease": "서버가 멈췄다면 엔진은 {time}까지 스스로 주문을 멈춥니다.",
			"stops.title": "정지 현황",
			"stops.new": "새 정지",
			"stops.open": "진행 중인 정지",
			"stops.none": "열려 있는 정지가 없습니다",
			"stops.none.next": "긴급 정지를 누르면 엔진별 진행 단계가 여기에 나타납니다.",
			"stops.history": "정지 이력",
			"stop.banner": "정지 중: {scope}",
			"stop.banner.short": "정지 중",
			"stop.banner.drill": "훈련 중",
			"stop.banner.more": "그 밖에 {n}건",
			"stop.banner.open": "현황 보기",
			"stop.drill": "훈련",
			"stop.durable": "기록 저장됨",
			"stop.not_durable": "기록 저장 전",
			"stop.by": "요청한 사람",
			"stop.at": "요청 시각",
			"stop.epoch": "순번",
			"stop.id": "정지 번호",
			"stop.state": "상태",
			"stop.released_at": "해제 시각",
			"stop.board": "엔진별 진행 단계",
			"stop.phase": "단계",
			"stop.steps": "진행",
			"stop.ms_to_frozen": "차단까지",
			"stop.orders": "취소 / 남은 주문",
			"stop.positions": "청산 / 남은 종목",
			"stop.flatness": "잔고 확인",
			"stop.summary": "{total}개 엔진 중 {verified}개 검증 완료",
			"stop.elapsed": "{age} 경과",
			"stop.took": "시작부터 끝까지 {age}",
			"stop.deadline": "기한 30초 가운데 지난 시간",
			"stop.raise": "정지 수준 올리기",
			"stop.as_of": "확인 시점",
			"stop.unfinished": "{n}개 진행 중",
			"stop.manual": "직접 확인이 필요한 엔진:",
			"stop.manual.next": "증권사 앱에서 주문과 잔고를 확인하세요. 정지는 계속 유지되며 다시 연결되면 이어서 실행합니다.",
			"stop.timeline": "시간순 기록",
			"stop.state.running": "진행 중",
			"stop.state.verified": "검증 완료",
			"stop.state.failed": "실패 있음",
			"stop.state.timed_out": "시간 초과",
			"stop.state.partial": "검증 안 된 엔진 있음",
			"stop.state.empty": "해당 엔진 없음",
			"stop.state.released": "해제됨",
			"event.requested": "요청",
			"event.raised": "갱신",
			"event.continued": "계속 실행",
			"event.recovered": "다시 시작 뒤 이어짐",
			"event.kept": "유지",
			"event.reopened": "다시 열림",
			"event.connected": "다시 연결",
			"event.release_requested": "해제 요청",
			"event.release_void": "해제 요청 무효",
			"phase.pending": "대기",
			"phase.sent": "전송",
			"phase.received": "수신",
			"phase.frozen": "차단",
			"phase.cancelled": "취소",
			"phase.flattened": "청산 (미검증)",
			"phase.verified": "검증",
			"phase.failed": "실패",
			"phase.timed_out": "시간 초과",
			"phase.unreachable": "도달 불가 – 재연결 시 적용(래치됨)",
			"phase.superseded": "대체됨",
			"phase.released": "해제됨",
			"step.done": "완료",
			"step.reached": "지남",
			"step.open": "아직",
			"flatness.FLAT": "잔고 없음",
			"flatness.NOT_FLAT": "잔고 남음",
			"flatness.UNKNOWN": "미확인",
			"stop.as_drill": "훈련으로 실행",
			"stop.as_drill.hint": "실제로 정지하고 해제가 필요합니다. 훈련이라는 표시가 남습니다. 청산 훈련은 모의투자 엔진에서만 할 수 있습니다.",
			"stop.reach.unknown": "{n}개 엔진의 수량은 알 수 없습니다.",
			"stop.reach.oldest": "가장 오래된 값은 {age} 전 것입니다.",
			"stop.reach.seen": "플랫폼에서 미리보기를 받지 못해, 이 화면이 마지막으로 받은 값입니다.",
			"stop.reach.none": "플랫폼에서 미리보기를 받지 못했습니다. 정지는 그대로 보낼 수 있습니다.",
			"release.waived": "{engine} 예외: 따로 정지 상태로 남음",
			"release.resumes": "해제하면 전략이 다시 가동됩니다.",
			"release.paused": "해제 뒤 전략은 일시정지 상태로 남습니다.",
			"report.what": "이 정지의 보고서 (경과, 엔진별 전후, 기록)",
			"report.save": "{kind} 저장",
			"sound.mute": "{n}분 동안 소리 끄기",
			"sound.left": "{n}분",
			"sound.muted": "경보음을 껐습니다. 새 경보가 오거나 {n}분이 지나면 다시 울립니다.",
			"sound.blocked": "브라우저가 소리를 막고 있어 경보음이 들리지 않습니다. 화면을 한 번 누르면 켜집니다.",
			"sound.none": "이 브라우저는 소리를 낼 수 없습니다. 심각한 알림이 처리를 기다립니다.",
			"sound.wake": "소리 켜기",
			"drill.overdue": "훈련 기한이 지났습니다",
			"drill.never": "훈련한 적 없음",
			"drill.last": "마지막 훈련 {time}",
			"strategy.pause": "일시정지",
			"strategy.resume": "다시 가동",
			"strategy.resume.title": "다시 가동: {name}",
			"strategy.resume.reason": "다시 가동하는 사유",
			"stop.continue": "이번 장에서 계속 실행",
			"stop.continue.means": "장이 바뀌었습니다. 확인하기 전에는 남은 청산 주문을 내지 않습니다: {engines}",
			"error.error_command_expired": "엔진이 제때 답하지 않았습니다",
			"error.error_command_failed": "엔진이 실행하지 못했습니다",
			"release.reduce": "처음에는 주문 한도를 낮춤",
			"release.reduce.hint": "정한 시간 동안 이 금액보다 큰 주문은 나가지 않습니다. 보유를 줄이는 주문은 언제나 나갑니다.",
			"release.reduce.minutes": "시간(분, 1–120)",
			"release.reduce.won": "주문 한 건의 최대 금액(원)",
			"release.reduced": "해제 뒤 {n}분 동안 주문 한 건은 {won}원까지",
			"release.how": "해제에는 요청과 승인이 필요합니다. 승인은 다른 사람이 하며, 담당자가 한 명뿐이면 요청하고 60초 뒤 스스로 승인합니다.",
			"release.other": "요청한 사람은 승인할 수 없습니다. 위험 관리 권한이 있는 다른 사람이 승인해야 합니다.",
			"release.needs_risk": "정지를 해제하려면 위험 관리 권한이 필요합니다.",
			"release.request": "해제 요청",
			"release.approve": "해제 승인",
			"release.approve.in": "해제 승인 ({n}초 뒤)",
			"release.title": "해제 요청: {scope}",
			"release.reason": "해제 사유",
			"release.waive": "검증되지 않은 엔진",
			"release.waive.hint": "예외로 둔 엔진은 이 해제 뒤에도 따로 정지 상태로 남습니다.",
			"release.waive.reason": "{engine} 예외 사유",
			"release.resume": "해제와 함께 전략을 다시 가동 (선택하지 않으면 일시정지 상태로 돌아옵니다)",
			"release.password": "비밀번호 확인",
			"release.password.hint": "본인 확인은 5분 동안 유효합니다.",
			"release.approve.title": "해제 승인: {scope}",
			"release.approve.means": "승인하면 엔진이 다시 주문할 수 있습니다.",
			"release.approve.confirm": "{n}개 엔진의 정지를 해제",
			"release.approve.confirm.waived": "승인 ({n}개 엔진은 정지 유지)",
			"release.moved": "이 창을 연 뒤 정지가 바뀌었습니다. 정지 수준: {level}, 범위: {scope}, 순번: {n}. 현황을 다시 확인하세요.",
			"release.look": "현황 다시 보기",
			"release.done": "{time}에 해제되었습니다.",
			"checklist.engines_verified": "모든 엔진 검증",
			"checklist.reconciled": "증권사 잔고와 대사",
			"checklist.parameters": "해제 뒤 적용될 파라미터(전략과 버전)",
			"checklist.cause_noted": "해제 사유",
			"release.state.requested": "해제 요청됨",
			"release.state.approved": "해제 승인됨",
			"release.state.released": "해제됨",
			"release.state.void": "해제 요청 무효",
			"settings.needs_operator": "설정을 보려면 운영 권한이 필요합니다.",
			"settings.accounts": "증권 계좌",
			"settings.limits": "위험 한도",
			"settings.preferences": "화면과 알림",
			"settings.save": "저장",
			"settings.saving": "저장 중…",
			"settings.saved": "설정을 저장했습니다",
			"settings.version": "설정 버전 {version}",
			"settings.conflict": "그사이 다른 사람이 설정을 바꿨습니다. 새 값을 불러왔으니 확인하고 다시 저장하세요.",
			"settings.validate_first": "저장하기 전에 연결 확인을 마치세요: {names}",
			"settings.loosens": "한도를 넓히는 변경은 위험 관리 권한이 필요합니다: {names}",
			"account.add": "계좌 추가",
			"account.none": "등록된 증권 계좌가 없습니다",
			"account.none.next": "계좌를 추가하고 연결을 확인한 뒤 저장하세요.",
			"account.new": "새 계좌",
			"account.name": "이름",
			"account.type": "증권사",
			"account.number": "계좌 번호",
			"account.profile": "확인할 서버",
			"account.profile.real": "실전 서버",
			"account.profile.mock": "모의 서버",
			"account.key": "앱 키",
			"account.secret": "앱 시크릿",
			"account.active": "사용",
			"account.remove": "계좌 삭제",
			"account.validate": "연결 확인",
			"account.validating": "확인 중…",
			"account.validate.needs": "계좌 번호와 새 앱 키, 앱 시크릿을 모두 입력하세요",
			"account.validated": "{time} 확인됨",
			"brokerage.kis": "한국투자증권",
			"brokerage.kiwoom": "키움증권",
			"brokerage.samsung": "삼성증권",
			"secret.keep": "바꾸려면 새 값을 입력",
			"secret.stored": "저장됨",
			"secret.none": "저장된 값 없음",
			"check.format": "형식",
			"check.token": "토큰 발급",
			"check.account": "잔고 조회",
			"limit.max_daily_loss": "일일 최대 손실",
			"limit.max_position_size": "종목당 최대 금액",
			"limit.max_concurrent_positions": "최대 동시 보유 종목",
			"limit.emergency_stop_loss": "긴급 정지 손실 기준",
			"limit.count": "종목 수",
			"preference.language": "언어",
			"preference.theme": "화면 밝기",
			"preference.updown": "등락 색",
			"preference.timeframe": "기본 차트 간격",
			"preference.auto_save": "자동 저장 간격 (초)",
			"preference.auto_save.hint": "화면과 알림 설정만 자동으로 저장합니다.",
			"preference.volume": "소리 크기 (이 브라우저)",
			"preference.volume.test": "들어 보기",
			"preference.notifications": "알림",
			"preference.notifications.on": "다른 탭을 볼 때 정지와 심각한 알림을 브라우저 알림으로 받기",
			"timeframe.1m": "1분",
			"timeframe.5m": "5분",
			"timeframe.15m": "15분",
			"timeframe.1h": "1시간",
			"timeframe.1d": "1일",
			"error.unreachable": "서버의 응답이 없습니다. 연결을 확인하고 다시 시도하세요.",
			"error.unknown": "요청을 처리하지 못했습니다",
			"error.error_internal": "서버에서 오류가 났습니다",
			"error.error_unexpected_answer": "서버의 응답을 이해하지 못했습니다",
			"error.error_bad_credentials": "이름, 비밀번호 또는 인증 코드가 맞지 않습니다",
			"error.error_too_many_attempts": "실패가 너무 잦습니다. 잠시 뒤 다시 시도하세요",
			"error.error_rate_limited": "요청이 너무 잦습니다. 잠시 뒤 다시 시도하세요",
			"error.error_unauthorized": "로그인이 필요합니다",
			"error.error_session_over": "세션이 끝났습니다. 다시 로그인하세요",
			"error.error_token_expired": "세션이 만료되었습니다",
			"error.error_forbidden": "이 작업을 할 권한이 없습니다",
			"error.error_risk_role_required": "위험 관리 권한이 필요합니다",
			"error.error_not_found": "찾을 수 없습니다",
			"error.error_invalid_field": "값이 올바르지 않습니다",
			"error.error_invalid_parameters": "값이 허용 범위를 벗어났습니다",
			"error.error_conflict": "그사이 다른 변경이 있었습니다",
			"error.error_version_conflict": "그사이 다른 변경이 있었습니다",
			"error.error_unavailable": "지금은 처리할 수 없습니다. 잠시 뒤 다시 시도하세요",
			"error.error_database_unavailable": "데이터베이스가 멈춰 지금은 처리할 수 없습니다",
			"error.error_storage": "기록 저장소가 멈춰 지금은 처리할 수 없습니다",
			"error.error_part_unavailable": "서버의 일부가 다시 시작하는 중입니다. 잠시 뒤 다시 시도하세요",
			"error.error_draining": "서버가 종료하는 중입니다",
			"error.error_unknown_engine": "등록되지 않은 엔진입니다",
			"error.error_unknown_account": "등록되지 않은 계좌입니다",
			"error.error_unknown_strategy": "이 엔진에 없는 전략입니다",
			"error.error_unknown_stop": "없는 정지입니다",
			"error.error_engine_offline": "엔진의 소식이 끊겼습니다",
			"error.error_account_id_in_use": "다른 사용자가 이미 쓰는 계좌 ID입니다",
			"error.error_token_too_soon": "토큰은 60초에 한 번만 발급됩니다. 잠시 뒤 다시 확인하세요",
			"error.error_stop_not_taken": "정지되었는지 알 수 없습니다. 비상 정지 페이지나 서버의 명령줄을 쓰세요",
			"error.error_no_read_yet": "증권사 잔고를 아직 읽지 못했습니다",
			"error.error_applied_late": "늦게 적용된 파라미터가 있습니다",
			"error.error_broker_auth": "증권사가 엔진의 인증을 거부합니다",
			"error.error_clock_skew": "엔진의 시계가 어긋났습니다",
			"error.error_descriptors": "열린 파일이 한도에 가깝습니다",
			"error.error_disk_space": "디스크 공간이 부족합니다",
			"error.error_engine_auth": "엔진 이름으로 잘못된 인증이 반복됩니다",
			"error.error_engine_cpu": "엔진의 CPU 사용률이 높습니다",
			"error.error_engine_memory": "엔진의 메모리 사용률이 높습니다",
			"error.error_machine_memory": "서버의 메모리가 부족합니다",
			"error.error_engine_lost": "엔진의 소식이 끊겼습니다",
			"error.error_left_exposed": "보유나 주문을 남기고 떠난 엔진이 있습니다",
			"error.error_unreachable_exposed": "정지가 닿지 않는 엔진에 보유나 주문이 남아 있습니다",
			"error.error_last_words_lost": "다시 시작하기 전 엔진의 보유를 알 수 없습니다",
			"error.error_engine_id_in_use": "같은 엔진이 두 번 연결하려 했습니다",
			"error.error_engine_unreachable": "엔진에 닿을 수 없습니다",
			"error.error_journal": "정지 기록 파일에 쓸 수 없습니다",
			"error.error_lost_journal": "정지 기록 파일을 잃어 모두 정지했습니다",
			"error.error_latch_corrupt": "엔진의 정지 기록을 읽을 수 없습니다",
			"error.error_messages_lost": "엔진의 메시지 일부를 잃었습니다",
			"error.error_invalid_message": "엔진이 잘못된 메시지를 보냈습니다",
			"error.error_parameters_differ": "엔진의 파라미터가 저장된 값과 다릅니다",
			"error.error_stop_refused": "자동 정지가 받아들여지지 않았습니다",
			"error.error_stop_released": "이미 해제된 정지입니다",
			"error.error_release_changed": "다른 해제 요청으로 바뀌었습니다. 다시 확인하세요",
			"error.error_unsupported": "엔진이 지원하지 않는 요청입니다",
			"error.error_confirmation_needed": "다른 장에서는 사람이 다시 확인해야 합니다",
			"error.error_engine_mismatch": "다른 엔진의 요청입니다",
			"error.error_degraded_event_loop": "플랫폼의 처리가 늦어지고 있습니다",
			"error.error_degraded_database": "데이터베이스가 응답하지 않습니다",
			"error.error_degraded_journal": "정지 기록 파일이 응답하지 않습니다",
			"error.error_degraded_audit": "감사 기록이 밀려 있습니다",
			"error.error_risk_daily_loss": "오늘 손실이 한도에 이르렀습니다",
			"error.error_risk_emergency_loss": "오늘 손실이 긴급 정지 기준에 이르렀습니다",
			"error.error_risk_drawdown": "평가 자산의 낙폭이 한도에 이르렀습니다",
			"error.error_risk_order_rate": "주문이 너무 잦습니다",
			"error.error_risk_reject_storm": "증권사의 주문 거절이 너무 잦습니다",
			"error.error_risk_position_mismatch": "장부와 증권사 잔고가 달랐습니다",
			"error.error_stop_unfinished": "엔진이 정지를 끝내지 못했습니다",
			"error.error_not_supported": "엔진이 지원하지 않는 일입니다",
			"error.error_degraded_alert_webhook": "알림을 밖으로 보내지 못합니다",
			"error.error_degraded_alerts": "알림을 저장하지 못합니다",
			"error.error_degraded_logs": "거래 기록 저장이 밀려 있습니다",
			"error.error_degraded_last_words": "엔진의 마지막 소식을 저장하지 못합니다",
			"error.error_stopped": "정지가 걸려 있습니다. 먼저 해제하세요",
			"error.error_drill_level": "청산 훈련은 모의투자 엔진에서만 할 수 있습니다",
			"error.error_timeout": "제때 끝나지 않았습니다",
			"error.error_idempotency_conflict": "같은 요청 번호로 다른 요청을 보냈습니다",
			"error.error_effective_mismatch": "엔진이 다른 값을 적용했습니다",
			"error.error_release_unknown": "플랫폼이 잃은 해제입니다. 정지가 다시 유효합니다",
			"error.error_triggers_not_judged": "자동 정지 조건을 판단할 수 없습니다",
			"error.error_not_judged": "조건을 판단할 수 없음",
			"error.error_risk_not_judged": "위험 한도를 판단할 수 없습니다",
			"error.error_stop_failed": "엔진이 정지를 끝내지 못했습니다",
			"error.error_stop_timeout": "엔진이 제때 정지를 끝내지 못했습니다",
			"error.error_stop_unreachable": "정지할 엔진에 닿지 못했습니다",
			"error.error_unreachable": "엔진에 닿지 못했습니다",
			"error.error_positions_blocked": "팔 수 없는 보유 종목이 남아 있습니다",
			"error.error_local_stop": "엔진이 스스로 정지했습니다",
			"error.error_unknown_stop_reopened": "플랫폼이 모르던 정지를 다시 열었습니다",
			"error.error_contradictory_evidence": "증권사의 답이 서로 맞지 않습니다",
			"error.error_not_durable": "아직 기록되지 않아 해제할 수 없습니다",
			"error.error_reauthentication_required": "비밀번호를 다시 확인해야 합니다",
			"error.error_second_person_required": "다른 사람이 승인해야 합니다",
			"error.error_too_early": "아직 승인할 수 없습니다. 요청하고 60초가 지나야 합니다",
			"error.error_no_release_requested": "먼저 해제를 요청해야 합니다",
			"error.error_release_void": "그사이 정지가 바뀌어 해제 요청이 무효가 되었습니다",
			"error.error_release_running": "해제가 이미 진행 중입니다",
			"error.error_already_released": "이미 해제된 정지입니다",
			"error.error_checklist": "해제 조건을 모두 채우지 못했습니다",
			"error.error_epoch": "그사이 정지가 바뀌었습니다. 현황을 다시 확인하세요",
			"error.error_broker_unavailable": "증권사에 연결할 수 없습니다"
		},
		en: {
			/** Which language this is. */
			language: "en",
			close: "Close",
			cancel: "Cancel",
			retry: "Try again",
			none: "None",
			unknown: "Unknown",
			ago: "{age} ago",
			as_of: "as of {time}",
			until: "until {time}",
			shares: " sh",
			platform: "Platform",
			"who.local": "At the server",
			"who.trigger": "Trigger: {name}",
			skip: "Skip to content",
			logout: "Sign out",
			"page.none": "There is no such page",
			"panel.failed": "This view could not be drawn",
			"panel.reload": "Reload",
			"login.tagline": "Control room for trading engines",
			"login.username": "User name",
			"login.password": "Password",
			"login.totp": "6-digit code of your authenticator",
			"login.with_code": "I use an authenticator code",
			"login.submit": "Sign in",
			"login.busy": "Checking…",
			"login.unreachable": "The server cannot be reached.",
			"login.again": "Sign in again",
			"login.again.kept": "The session of {username} has ended. What you typed is kept.",
			"login.again.stop": "Sending the stop needs you signed in. If that fails or it is urgent, use these ways, in this order.",
			"login.other": "Sign in as someone else",
			"role.viewer": "Viewer",
			"role.operator": "Operator",
			"role.risk": "Risk",
			"role.admin": "Administrator",
			"nav.label": "Main menu",
			"nav.overview": "Overview",
			"nav.strategies": "Strategies",
			"nav.terminal": "Trade log",
			"nav.health": "System health",
			"nav.stops": "Stops",
			"nav.settings": "Settings",
			"theme.dark": "Dark",
			"theme.contrast": "High contrast",
			"theme.light": "Light",
			"updown.kr": "Up red · down blue",
			"updown.us": "Up green · down red",
			"link.loading": "Connecting",
			"link.live": "Live",
			"link.stale": "Delayed",
			"link.offline": "Offline",
			"link.stale.text": "Nothing new for {age}. Checking the connection.",
			"link.offline.text": "Connection to the server is lost. The values below are {age} old and may be wrong.",
			"link.offline.never": "Not connected to the server. The values below may be wrong.",
			"link.retry_in": "Connecting again in {age}.",
			"link.retry": "Connect now",
			"link.refused": "The server refused the connection.",
			"degraded.database": "Storage is down. Emergency stop and live views still work.",
			"degraded.parts": "Some functions are limited.",
			"state.last": "Last: {state}",
			"mode.paper": "Paper",
			"mode.live": "Live",
			"engines.title": "Engines",
			"engines.connected": "{connected} of {total} connected",
			"engines.none": "No engine has been enrolled yet",
			"engines.none.next": "Enrol an engine to get its credential, then start the engine.",
			"engine.never": "Never connected",
			"engine.offline": "Disconnected",
			"engine.suspect": "Late",
			"engine.running": "Running",
			"engine.starting": "Starting",
			"engine.stopping": "Stopping",
			"engine.stopped": "Off",
			"engine.error": "Error",
			"engine.asked": "Stop requested",
			"engine.asked_at": "Requested: {level}",
			"engine.held": "Stopped",
			"engine.held_at": "Stopped: {level}",
			"engine.halted_by_lease": "Halted: lease expired",
			"engine.no_report": "No report",
			"engine.heartbeat": "Last heartbeat",
			"engine.never_heard": "Never heard",
			"engine.lease": "Run lease",
			"engine.lease.expired": "Expired",
			"engine.positions": "Positions",
			"engine.orders": "Open orders",
			"engine.equity": "Equity",
			"engine.pnl": "Realised P&L",
			"engine.books": "Books",
			"engine.synced": "In sync",
			"engine.unsynced": "Checking",
			"engine.no_strategies": "No strategies",
			"engine.stop_this": "Stop this engine",
			"strategy.active": "Active",
			"strategy.paused": "Paused",
			"strategy.error": "Error",
			"strategy.halted": "Halted",
			"strategy.reduce_only": "Reduce only",
			"strategy.stop_this": "Stop this strategy",
			"strategy.stopped_note": "This strategy is stopped. Values applied now are stored behind the closed gate and used by orders after the release. It needs the risk role.",
			"strategies.list": "All strategies",
			"strategies.none": "No strategies yet",
			"strategies.none.next": "An engine's strategies appear here once it connects.",
			"strategies.gone": "This strategy is no longer reported",
			"parameter.takeProfitPercent": "Take profit",
			"parameter.stopLossPercent": "Stop loss",
			"parameter.maxPositionSize": "Maximum position",
			"parameter.riskPerTrade": "Risk per trade",
			"parameter.shortWindow": "Fast average",
			"parameter.longWindow": "Slow average",
			"parameter.corePercent": "Core holding",
			"parameter.cooldownSeconds": "Pause between orders",
			"unit.percent": "%",
			"unit.won": "₩",
			"unit.shares": "shares",
			"unit.trades": "trades",
			"unit.s": "s",
			"unit.seconds": "s",
			"parameters.range": "{low} – {high}, step {step}",
			"parameters.now": "Now {value}",
			"parameters.effective": "In the engine {value}",
			"parameters.slider": "slider",
			"parameters.version": "Version {version}",
			"parameters.revert": "Revert",
			"parameters.differ": "The engine's values differ from the desired ones. Apply again, or check the engine's values.",
			"parameters.offline": "Cannot apply while the server is not connected",
			"parameters.needs_operator": "Changing values needs the operator role.",
			"problem.required": "Enter a value",
			"problem.number": "Enter a number",
			"problem.integer": "Enter a whole number",
			"problem.low": "Must be at least {low}",
			"problem.high": "Must be at most {high}",
			"problem.whole": "Enter a whole number of at least 0",
			"problem.auto_save": "Enter a whole number from 5 to 3600",
			"apply.open": "Apply to Live ({n})",
			"apply.pending": "Applying…",
			"apply.title": "{name}: Apply to Live",
			"apply.means": "Engine {engine} uses these values from its next decision. It is not restarted.",
			"apply.parameter": "Parameter",
			"apply.before": "Now",
			"apply.after": "New",
			"apply.change": "Change",
			"apply.loosens": "This loosens a risk limit: {names}. It needs the risk role.",
			"apply.confirm": "Apply {n} values to live",
			"apply.waiting": "Waiting for the engine's answer.",
			"apply.effective": "Version {version} · in effect: {values}",
			"apply.conflict": "Something changed meanwhile. The new values are loaded; look at the difference again, then apply.",
			"apply.unknown": "No answer came, so it is not known whether it was applied. Check the history and the engine's values.",
			"apply.toast.applied": "{name}: the engine applied the new values",
			"apply.toast.failed": "{name}: not applied",
			"update.pending": "Pending",
			"update.applied": "Applied",
			"update.failed": "Failed",
			"update.expired": "Timed out",
			"update.applied_late": "Applied late",
			"history.title": "History",
			"history.version": "Version",
			"history.at": "Time",
			"history.by": "Changed by",
			"history.status": "Result",
			"history.values": "Values",
			"history.action": "Action",
			"history.rollback": "Roll back to this",
			"terminal.title": "Trade log",
			"terminal.count": "{shown} / {total}",
			"terminal.malformed": "{n} malformed",
			"terminal.waiting": "{n} new",
			"terminal.pause": "Pause",
			"terminal.resume": "Resume",
			"terminal.category": "Category",
			"terminal.engine": "Engine",
			"terminal.all_engines": "All engines",
			"terminal.search": "Search: text, reason, symbol",
			"terminal.empty": "No records yet",
			"terminal.empty.next": "Records appear as the engines send them.",
			"terminal.nothing": "No record matches",
			"terminal.nothing.next": "Try another category, engine or search.",
			"terminal.tail": "To the newest",
			"terminal.reason": "Reason",
			"terminal.gap": "Some records are missing here",
			"terminal.gap.n": "{n} records are missing here",
			"terminal.quarantined": "Quarantined: malformed record ({issue})",
			"terminal.record": "Record",
			"category.all": "All",
			"category.Trade": "Trade",
			"category.Strategy": "Strategy",
			"category.System": "System",
			"severity.info": "Info",
			"severity.warning": "Warning",
			"severity.error": "Error",
			"severity.critical": "Critical",
			"health.title": "System health",
			"health.none": "No report yet",
			"health.process": "Platform",
			"health.database": "Database",
			"database.up": "up",
			"database.down": "down",
			"health.cpu": "CPU",
			"health.memory": "Memory",
			"health.table": "Health per engine",
			"health.engines": "Engines",
			"health.strategies": "Active strategies",
			"health.lag": "Loop lag",
			"health.lag.hint": "Time behind schedule",
			"health.trend": "{label} now {last}%, lowest {low}%, highest {high}%",
			"health.engine": "Engine",
			"health.state": "State",
			"health.process_age": "Process",
			"health.market_age": "Market data",
			"health.order_age": "Order channel",
			"health.token": "Broker token",
			"health.lease": "Run lease",
			"process.running": "Running",
			"process.degraded": "Degraded",
			"process.stopping": "Stopping",
			"process.error": "Error",
			"token.ok": "ok",
			"token.expiring": "expiring",
			"token.invalid": "invalid",
			"token.none": "none",
			"alerts.title": "Alerts to acknowledge: {n}",
			"alerts.ack": "Acknowledge",
			"letters.title": "{n} not delivered",
			"letters.webhook": "An alert that was not told outside",
			"letters.message": "A message that could not be kept ({kind})",
			"letters.retry": "Send again",
			"letters.discard": "Discard",
			"level.NORMAL": "Normal",
			"level.REDUCE_ONLY": "Reduce only",
			"level.HALT": "Halt orders",
			"level.CANCEL": "Halt and cancel orders",
			"level.FLATTEN": "Stop and flatten",
			"level.NORMAL.means": "Orders may be sent.",
			"level.REDUCE_ONLY.means": "Only orders that reduce a position are sent.",
			"level.HALT.means": "No new orders. Working orders and positions stay as they are.",
			"level.CANCEL.means": "No new orders, and all working orders are cancelled. Positions stay.",
			"level.FLATTEN.means": "No new orders, working orders cancelled, then all positions sold.",
			"scope.all": "everything",
			"scope.engine": "engine {name}",
			"scope.account": "account {name}",
			"scope.strategy": "strategy {name}",
			"scope.symbol": "symbol {name}",
			"stop.button": "EMERGENCY STOP",
			"stop.button.name": "EMERGENCY STOP / 긴급 정지",
			"stop.keys": "Ctrl+Shift+K or Ctrl+Shift+. (again within 3 s while the dialog is open: halts orders at once)",
			"stop.title": "Emergency stop: {scope}",
			"stop.title.drill": "Stop drill: {scope}",
			"stop.level": "Level",
			"stop.scope": "Scope",
			"stop.symbol": "Symbol code",
			"stop.one_symbol": "one symbol",
			"stop.reason": "Reason",
			"stop.reach.engines": "Engines",
			"stop.reach.orders": "Open orders",
			"stop.reach.positions": "Positions",
			"stop.reach.value": "Value held",
			"stop.unreachable": "Engines that cannot be reached now: {n}. They stop the moment they return, and by themselves when their run lease ends. If it is urgent, check in the broker's app.",
			"stop.link_down": "The live connection is down. The stop is sent on its own way, so you can try it.",
			"stop.blocked": "Cannot be sold now:",
			"stop.sending": "Sending…",
			"stop.again": "Send the same stop again",
			"stop.confirm.NORMAL": "Back to normal",
			"stop.confirm.REDUCE_ONLY": "Allow {n} engines to reduce only",
			"stop.confirm.HALT": "Halt orders of {n} engines",
			"stop.confirm.CANCEL": "Stop {n} engines and cancel orders",
			"stop.confirm.FLATTEN": "Stop {n} engines and flatten",
			"stop.effect.REDUCE_ONLY": "Engines: {n}. Only orders that reduce a position stay allowed",
			"stop.effect.HALT": "Engines: {n}. No new orders",
			"stop.effect.CANCEL": "Engines: {n}. No new orders, {orders} open orders cancelled",
			"stop.effect.FLATTEN": "Engines: {n}. No new orders, {orders} open orders cancelled, {positions} positions ({value}) sold at market",
			"stop.failed": "The server did not answer, so it is not known whether the stop was taken. Send it again, or use these ways, in this order.",
			"stop.way.page": "Open the emergency page:",
			"stop.way.cli": "Run on the server:",
			"stop.way.file": "In each engine's state folder, make a file named",
			"stop.way.copy": "Copy",
			"stop.way.copied": "Copied",
			"stop.way.broker": "Stop in the broker's app or by phone",
			"stop.way.lease": "If the server is gone, the engines stop ordering by themselves by {time}.",
			"stops.title": "Stops",
			"stops.new": "New stop",
			"stops.open": "Open stop",
			"stops.none": "No stop is open",
			"stops.none.next": "After an emergency stop, every engine's progress appears here.",
			"stops.history": "History of stops",
			"stop.banner": "Stopped: {scope}",
			"stop.banner.short": "Stopped",
			"stop.banner.drill": "Drill",
			"stop.banner.more": "{n} more",
			"stop.banner.open": "Show progress",
			"stop.drill": "Drill",
			"stop.durable": "Recorded",
			"stop.not_durable": "Not yet recorded",
			"stop.by": "Requested by",
			"stop.at": "Requested at",
			"stop.epoch": "Epoch",
			"stop.id": "Stop id",
			"stop.state": "State",
			"stop.released_at": "Released at",
			"stop.board": "Progress per engine",
			"stop.phase": "Phase",
			"stop.steps": "Progress",
			"stop.ms_to_frozen": "To frozen",
			"stop.orders": "Cancelled / left",
			"stop.positions": "Closed / left",
			"stop.flatness": "Flat",
			"stop.summary": "{verified} of {total} engines verified",
			"stop.elapsed": "{age} elapsed",
			"stop.took": "{age} from start to end",
			"stop.deadline": "Time used of the 30 s deadline",
			"stop.raise": "Raise the level",
			"stop.as_of": "Checked",
			"stop.unfinished": "{n} under way",
			"stop.manual": "Check by hand:",
			"stop.manual.next": "Look at orders and positions in the broker's app. The stop stays in force and goes on when the engine returns.",
			"stop.timeline": "Timeline",
			"stop.state.running": "Under way",
			"stop.state.verified": "Verified",
			"stop.state.failed": "With failures",
			"stop.state.timed_out": "Timed out",
			"stop.state.partial": "Not all verified",
			"stop.state.empty": "No engine matched",
			"stop.state.released": "Released",
			"event.requested": "Requested",
			"event.raised": "Renewed",
			"event.continued": "Continued",
			"event.recovered": "Taken up after a restart",
			"event.kept": "Kept",
			"event.reopened": "Opened again",
			"event.connected": "Connected",
			"event.release_requested": "Release asked for",
			"event.release_void": "Release void",
			"phase.pending": "Pending",
			"phase.sent": "Sent",
			"phase.received": "Received",
			"phase.frozen": "Frozen",
			"phase.cancelled": "Cancelled",
			"phase.flattened": "Flat (unverified)",
			"phase.verified": "Verified",
			"phase.failed": "Failed",
			"phase.timed_out": "Timed out",
			"phase.unreachable": "Unreachable – takes effect on reconnect (latched)",
			"phase.superseded": "Superseded",
			"phase.released": "Released",
			"step.done": "done",
			"step.reached": "reached",
			"step.open": "not yet",
			"flatness.FLAT": "Flat",
			"flatness.NOT_FLAT": "Not flat",
			"flatness.UNKNOWN": "Unknown",
			"stop.as_drill": "Run as a drill",
			"stop.as_drill.hint": "It really stops and needs a release; it stays marked as a drill. A drill that flattens is for paper engines only.",
			"stop.reach.unknown": "The numbers of {n} engines are not known.",
			"stop.reach.oldest": "The oldest number is {age} old.",
			"stop.reach.seen": "The platform's preview did not come: these are the last values of this page.",
			"stop.reach.none": "The platform's preview did not come. The stop can be sent all the same.",
			"release.waived": "{engine} waived: it stays stopped by itself",
			"release.resumes": "The release makes the strategies trade again.",
			"release.paused": "After the release the strategies stay paused.",
			"report.what": "Report of this stop (timeline, engines before and after, log)",
			"report.save": "Save {kind}",
			"sound.mute": "Mute for {n} min",
			"sound.left": "{n} min",
			"sound.muted": "The alarm is muted. It sounds again at a new alarm, or in {n} min.",
			"sound.blocked": "The browser blocks sound: no alarm is heard. Click anywhere to turn it on.",
			"sound.none": "This browser can make no sound. A critical alert waits.",
			"sound.wake": "Turn on",
			"drill.overdue": "A drill is overdue",
			"drill.never": "never drilled",
			"drill.last": "last drill {time}",
			"strategy.pause": "Pause",
			"strategy.resume": "Resume",
			"strategy.resume.title": "Resume {name}",
			"strategy.resume.reason": "Why it may go on",
			"stop.continue": "Go on in this session",
			"stop.continue.means": "Another trading session has begun. No order leaves for what is left before you confirm: {engines}",
			"error.error_command_expired": "The engine did not answer in time",
			"error.error_command_failed": "The engine could not do it",
			"release.reduce": "Lower the order limit at first",
			"release.reduce.hint": "For that time no order above this amount leaves; orders that reduce a position always do.",
			"release.reduce.minutes": "Minutes (1–120)",
			"release.reduce.won": "Largest order (won)",
			"release.reduced": "For {n} minutes after the release no order above {won} won",
			"release.how": "A release is requested and then approved by another person. At a desk of one, the same person approves it after 60 s.",
			"release.other": "Who asked cannot approve. Another person with the risk role has to.",
			"release.needs_risk": "Releasing a stop needs the risk role.",
			"release.request": "Request release",
			"release.approve": "Approve release",
			"release.approve.in": "Approve release (in {n} s)",
			"release.title": "Request release: {scope}",
			"release.reason": "Reason for the release",
			"release.waive": "Engines without proof",
			"release.waive.hint": "A waived engine stays stopped on its own after this release.",
			"release.waive.reason": "Why {engine} is waived",
			"release.resume": "Start the strategies again (otherwise they come back paused)",
			"release.password": "Your password",
			"release.password.hint": "The proof of who you are is good for 5 minutes.",
			"release.approve.title": "Approve release: {scope}",
			"release.approve.means": "After this the engines may send orders again.",
			"release.approve.confirm": "Release {n} engines",
			"release.approve.confirm.waived": "Approve ({n} stay stopped)",
			"release.moved": "The stop changed while this was open. Level now: {level}, scope: {scope}, epoch: {n}. Look at it again.",
			"release.look": "Look again",
			"release.done": "Released at {time}.",
			"checklist.engines_verified": "All engines verified",
			"checklist.reconciled": "Books reconciled with the broker",
			"checklist.parameters": "Parameters in force after it (strategy and version)",
			"checklist.cause_noted": "Reason given",
			"release.state.requested": "Release requested",
			"release.state.approved": "Release approved",
			"release.state.released": "Released",
			"release.state.void": "Release void",
			"settings.needs_operator": "Seeing the settings needs the operator role.",
			"settings.accounts": "Broker accounts",
			"settings.limits": "Risk limits",
			"settings.preferences": "Display and notifications",
			"settings.save": "Save",
			"settings.saving": "Saving…",
			"settings.saved": "Settings saved",
			"settings.version": "Settings version {version}",
			"settings.conflict": "Someone else changed the settings meanwhile. The new values are loaded; check them and save again.",
			"settings.validate_first": "Check the connection before saving: {names}",
			"settings.loosens": "Loosening a limit needs the risk role: {names}",
			"account.add": "Add account",
			"account.none": "No broker account yet",
			"account.none.next": "Add an account, check its connection, then save.",
			"account.new": "New account",
			"account.name": "Name",
			"account.type": "Broker",
			"account.number": "Account number",
			"account.profile": "Server to check",
			"account.profile.real": "Live server",
			"account.profile.mock": "Paper server",
			"account.key": "App key",
			"account.secret": "App secret",
			"account.active": "In use",
			"account.remove": "Remove account",
			"account.validate": "Check connection",
			"account.validating": "Checking…",
			"account.validate.needs": "Enter the account number and both new keys",
			"account.validated": "Checked {time}",
			"brokerage.kis": "Korea Investment & Securities",
			"brokerage.kiwoom": "Kiwoom Securities",
			"brokerage.samsung": "Samsung Securities",
			"secret.keep": "Type to replace",
			"secret.stored": "Stored",
			"secret.none": "Nothing stored",
			"check.format": "Format",
			"check.token": "Token",
			"check.account": "Balance",
			"limit.max_daily_loss": "Maximum daily loss",
			"limit.max_position_size": "Maximum per position",
			"limit.max_concurrent_positions": "Maximum positions at once",
			"limit.emergency_stop_loss": "Loss that triggers an emergency stop",
			"limit.count": "Number of positions",
			"preference.language": "Language",
			"preference.theme": "Theme",
			"preference.updown": "Colours of up and down",
			"preference.timeframe": "Default chart interval",
			"preference.auto_save": "Auto-save interval (s)",
			"preference.auto_save.hint": "Only display and notifications save themselves.",
			"preference.volume": "Volume (this browser)",
			"preference.volume.test": "Try it",
			"preference.notifications": "Notifications",
			"preference.notifications.on": "Tell me of stops and serious alerts while I look at another tab",
			"timeframe.1m": "1 minute",
			"timeframe.5m": "5 minutes",
			"timeframe.15m": "15 minutes",
			"timeframe.1h": "1 hour",
			"timeframe.1d": "1 day",
			"error.unreachable": "The server did not answer. Check the connection and try again.",
			"error.unknown": "The request was not done",
			"error.error_internal": "The server had an error",
			"error.error_unexpected_answer": "The server's answer was not understood",
			"error.error_bad_credentials": "The name, the password or the code is wrong",
			"error.error_too_many_attempts": "Too many failures. Try again in a moment",
			"error.error_rate_limited": "Too many requests. Try again in a moment",
			"error.error_unauthorized": "Please sign in",
			"error.error_session_over": "The session has ended. Sign in again",
			"error.error_token_expired": "The session has expired",
			"error.error_forbidden": "You may not do this",
			"error.error_risk_role_required": "This needs the risk role",
			"error.error_not_found": "Not found",
			"error.error_invalid_field": "A value is not valid",
			"error.error_invalid_parameters": "A value is outside its range",
			"error.error_conflict": "Something changed meanwhile",
			"error.error_version_conflict": "Something changed meanwhile",
			"error.error_unavailable": "Not possible right now. Try again in a moment",
			"error.error_database_unavailable": "Not possible while the database is down",
			"error.error_storage": "Not possible while storage is down",
			"error.error_part_unavailable": "A part of the server is restarting. Try again in a moment",
			"error.error_draining": "The server is shutting down",
			"error.error_unknown_engine": "There is no such engine",
			"error.error_unknown_account": "There is no such account",
			"error.error_unknown_strategy": "The engine has no such strategy",
			"error.error_unknown_stop": "There is no such stop",
			"error.error_engine_offline": "An engine fell silent",
			"error.error_account_id_in_use": "Another user has an account of that id",
			"error.error_token_too_soon": "A token is issued once in 60 s. Check again in a moment",
			"error.error_stop_not_taken": "Whether the stop was taken is not known. Use the emergency page or the command line",
			"error.error_no_read_yet": "The broker's books have not been read yet",
			"error.error_applied_late": "Parameters were applied late",
			"error.error_broker_auth": "The broker refuses an engine's token",
			"error.error_clock_skew": "An engine's clock is off",
			"error.error_descriptors": "The platform is short of file descriptors",
			"error.error_disk_space": "The disk is almost full",
			"error.error_engine_auth": "Wrong secrets in an engine's name",
			"error.error_engine_cpu": "An engine uses too much CPU",
			"error.error_engine_memory": "An engine uses too much memory",
			"error.error_machine_memory": "The machine is short of memory",
			"error.error_engine_lost": "An engine is not heard any more",
			"error.error_left_exposed": "An engine left with something at stake",
			"error.error_unreachable_exposed": "A stop cannot reach an engine with something at stake",
			"error.error_last_words_lost": "What absent engines had at stake is not known",
			"error.error_engine_id_in_use": "Two programs want to be the same engine",
			"error.error_engine_unreachable": "The engine cannot be reached",
			"error.error_journal": "The stop journal cannot be written",
			"error.error_lost_journal": "The stop journal was lost, so everything is halted",
			"error.error_latch_corrupt": "An engine's stop latch cannot be read",
			"error.error_messages_lost": "Messages of an engine were lost",
			"error.error_invalid_message": "An engine sent a message that is not valid",
			"error.error_parameters_differ": "An engine runs other parameters than wanted",
			"error.error_stop_refused": "An automatic stop was not taken",
			"error.error_stop_released": "The stop is already released",
			"error.error_release_changed": "Another release request took its place. Look at it again",
			"error.error_unsupported": "An engine does not support this",
			"error.error_confirmation_needed": "Another trading session needs a person's word",
			"error.error_engine_mismatch": "This belongs to another engine",
			"error.error_degraded_event_loop": "The platform falls behind",
			"error.error_degraded_database": "The database does not answer",
			"error.error_degraded_journal": "The stop journal does not answer",
			"error.error_degraded_audit": "The audit log falls behind",
			"error.error_risk_daily_loss": "The day's loss has reached its limit",
			"error.error_risk_emergency_loss": "The day's loss has reached the emergency limit",
			"error.error_risk_drawdown": "Equity fell from its peak by more than the limit",
			"error.error_risk_order_rate": "Too many orders",
			"error.error_risk_reject_storm": "Too many orders are refused",
			"error.error_risk_position_mismatch": "Books and broker differed",
			"error.error_stop_unfinished": "An engine could not finish a stop",
			"error.error_not_supported": "The engine cannot do that",
			"error.error_degraded_alert_webhook": "Alerts cannot be told outside",
			"error.error_degraded_alerts": "Alerts cannot be saved",
			"error.error_degraded_logs": "Trade logs wait to be saved",
			"error.error_degraded_last_words": "The engines' last words cannot be saved",
			"error.error_stopped": "A stop holds it: release that first",
			"error.error_drill_level": "Flatten drills only where trading is on paper",
			"error.error_timeout": "Not done in time",
			"error.error_idempotency_conflict": "The same request id was used for another request",
			"error.error_effective_mismatch": "The engine applied other values",
			"error.error_release_unknown": "A release was lost: the stop is in force again",
			"error.error_triggers_not_judged": "What would stop an engine cannot be judged",
			"error.error_not_judged": "what would stop it could not be judged",
			"error.error_risk_not_judged": "The risk limits cannot be judged",
			"error.error_stop_failed": "An engine could not finish a stop",
			"error.error_stop_timeout": "An engine did not finish a stop in time",
			"error.error_stop_unreachable": "An engine to be stopped could not be reached",
			"error.error_unreachable": "The engine could not be reached",
			"error.error_positions_blocked": "Positions are left that cannot be sold",
			"error.error_local_stop": "An engine stopped by itself",
			"error.error_unknown_stop_reopened": "A stop unknown to the platform was opened again",
			"error.error_contradictory_evidence": "The broker's answers contradict each other",
			"error.error_not_durable": "Not yet recorded, so it cannot be released",
			"error.error_reauthentication_required": "Your password has to be confirmed again",
			"error.error_second_person_required": "Another person has to approve",
			"error.error_too_early": "Too early: 60 s have to pass after the request",
			"error.error_no_release_requested": "A release has to be requested first",
			"error.error_release_void": "The stop changed, so the request is void",
			"error.error_release_running": "A release is already under way",
			"error.error_already_released": "The stop is already released",
			"error.error_checklist": "The conditions for a release are not met",
			"error.error_epoch": "The stop changed meanwhile. Look at it again",
			"error.error_broker_unavailable": "The broker cannot be reached"
		}
	};
	function fill(text, values) {
		return text.replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole));
	}
	function slotsOf(text) {
		return [...text.matchAll(/\{(\w+)\}/g)].map((match) => match[1] ?? "").sort();
	}
	var dictionaries = DICTIONARIES;
	// src/i18n/phrases.ts
	/** Made from `wire/phrases.py` by `make docs`; do not edit. */
	var KOREAN = {
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
		"being closed": "청산하는 중",
		"trading in the symbol is halted": "거래가 정지된 종목",
		"volatility interruption: the order waits for its single price": "변동성 완화 장치: 주문이 단일가를 기다림",
		"call auction: the order waits for its single price": "동시호가: 주문이 단일가를 기다림",
		"at the lower price limit and nobody buys: the order waits in the queue": "하한가에 매수세 없음: 주문이 대기열에서 기다림",
		"the market is closed": "장이 닫힘",
		"{n} shares are fewer than the trading unit of {n2}": "{n}주는 매매 단위 {n2}주보다 적음",
		"refused by the broker: {said}": "증권사가 거절함: {said}",
		"closing failed: {said}": "청산 실패: {said}",
		"another trading session began: nothing is sent for this stop before a person continues it": "다른 장이 시작됨: 사람이 계속 실행할 때까지 주문을 내지 않음",
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
		"the broker offers no list of open orders and the notice stream is interrupted": "증권사가 미체결 조회를 제공하지 않고 체결 통보도 끊김",
		"this engine offers no reading of its account": "이 엔진은 계좌를 읽지 못합니다",
		"this engine cannot cancel orders by itself": "이 엔진은 스스로 주문을 취소하지 못합니다",
		"this engine cannot close positions by itself": "이 엔진은 스스로 청산하지 못합니다",
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
		"reduced limits are not known to {engines}: waive them, or release without": "낮춘 한도를 지키지 못하는 엔진: {engines}. 예외로 두거나 한도 없이 해제하세요",
		"this engine does not keep to reduced limits of one strategy: resume it without": "이 엔진은 전략 하나의 낮춘 한도를 지키지 못합니다. 한도 없이 다시 가동하세요",
		"another person with the risk role has to approve": "위험 관리 권한이 있는 다른 사람이 승인해야 함",
		"the stop was raised, or another one came, while this release was being written: still stopped": "해제를 기록하는 사이 정지가 강화되거나 새로 걸림: 계속 정지 상태",
		"still stopped: {said}": "계속 정지 상태: {said}",
		"this engine has no such strategy": "이 엔진에 없는 전략",
		"a stop came after this was decided": "결정한 뒤에 정지가 걸림",
		"a stop holds it at {level}": "정지가 걸려 있음({level})",
		"the stop journal is missing": "정지 기록 파일이 없음",
		"the stop journal is {state}: {said}": "정지 기록 파일 상태 {state}: {said}",
		"the stop journal belongs to another database": "정지 기록 파일이 다른 데이터베이스의 것임",
		"the stop journal is older than the database": "정지 기록 파일이 데이터베이스보다 오래됨",
		"the database cannot be asked": "데이터베이스를 조회할 수 없음",
		"there is no journal": "정지 기록 파일이 없음",
		"a stop was left by the local operator, but its file cannot be read": "서버에서 남긴 정지가 있으나 파일을 읽을 수 없음",
		"{engine} stopped itself at {level}: {cause}": "엔진 {engine}: 스스로 정지함({level}), 원인 {cause}",
		"{engine} knows of a release of this stop that the platform has lost: it is in force again": "엔진 {engine}: 플랫폼이 잃은 해제를 알고 있음. 정지가 다시 유효함",
		"{engine} took it for released": "엔진 {engine}: 해제된 것으로 여김",
		"takes an open stop for released": "열린 정지를 해제된 것으로 여김",
		"{engine} holds a stop this platform did not know as open (with the platform's proof)": "엔진 {engine}: 플랫폼이 모르던 정지를 지니고 있음(플랫폼의 증명 있음)",
		"{engine} holds a stop this platform did not know as open (without proof, so for it alone)": "엔진 {engine}: 플랫폼이 모르던 정지를 지니고 있음(증명이 없어 이 엔진에만 적용)",
		"the file that remembers this engine's stops is damaged": "이 엔진의 정지 기록 파일이 손상됨",
		"the file {name} was put there": "파일 {name}이(가) 놓임",
		"the lease stayed expired: cancelling": "가동 허가가 만료된 채로 있음: 미체결 취소",
		"the lease stayed expired: closing": "가동 허가가 만료된 채로 있음: 청산",
		"not heard for {n} s (limit {n2} s): {said}": "{n}초 동안 소식 없음(한도 {n2}초): {said}",
		"its clock is off by {n} ms (limit {n2} ms) since {n3} s, smallest of the last 8 heartbeats": "시계가 {n}ms 어긋남(한도 {n2}ms), {n3}초째, 최근 하트비트 8개 중 최솟값",
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
		"not connected, latched for their return: {engines}": "연결되지 않음, 돌아오면 적용됨: {engines}",
		"not verified within 30 s: {engines}": "30초 안에 검증되지 않음: {engines}",
		"{engine} could not finish the stop: {said}": "엔진 {engine}: 정지를 끝내지 못함: {said}",
		"{engine} cannot be reached by an open stop: {said}; go to the broker's own screen": "엔진 {engine}: 열린 정지가 닿지 않음: {said}. 증권사 화면에서 직접 확인하세요",
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
		"what was at stake at {engines} when they were last heard is not known": "마지막 소식 때의 보유를 알 수 없음: {engines}",
		"the engine's clock is more than {n} ms off the platform's: its times cannot be trusted": "엔진의 시계가 플랫폼과 {n}ms 넘게 다름: 시각을 믿을 수 없음",
		"an invalid {kind}: {said}": "잘못된 메시지 {kind}: {said}",
		"the engine had no room for {n} of its messages": "엔진에 자리가 없어 메시지 {n}건을 잃음",
		"there was no room for messages to the platform: some are lost": "자리가 없어 플랫폼으로 보낼 메시지를 일부 잃음",
		"{n} trade logs were dropped while the platform was away": "플랫폼이 없는 동안 거래 기록 {n}건을 버림",
		"a second process uses this engine's id": "다른 프로세스가 이 엔진의 이름을 씀",
		"the engine could not read a stop: {said}": "엔진이 정지를 읽지 못함: {said}",
		"{strategy} was changed after it was given up": "{strategy}: 포기한 뒤에 변경됨",
		"{strategy} stays held: {said}": "{strategy}: 계속 묶여 있음: {said}",
		"the engine did not answer within 10 s": "엔진이 10초 안에 답하지 않음",
		"the engine reports other parameters than version {n}, which is wanted": "엔진이 원하는 버전 {n}과 다른 파라미터를 보고함",
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
		"the latch cannot be written, and no order leaves before it can: {said}": "정지 기록을 쓸 수 없어, 쓸 수 있을 때까지 주문이 나가지 않음: {said}",
		"the latch is written: orders may leave again": "정지 기록을 썼음: 주문이 다시 나갈 수 있음",
		"a message of the platform ({kind}) was not valid": "플랫폼의 메시지({kind})가 올바르지 않음",
		"the platform's settings cannot be used, what was known stays in force: {said}": "플랫폼의 설정을 쓸 수 없어 알던 값을 계속 씀: {said}",
		"{n} messages of the broker unreadable: {said}": "증권사 메시지 {n}건을 읽지 못함: {said}",
		"recorded; engines halt by lease within 15 s": "기록됨: 플랫폼 본체가 응답하지 않아 연결을 모두 끊었고, 엔진은 가동 허가가 끝나는 15초 안에 스스로 멈춥니다",
		"the main loop of the platform does not answer: no drill was taken; a real stop works without it": "플랫폼 본체가 응답하지 않아 훈련은 하지 않았습니다. 실제 정지는 본체 없이도 됩니다",
		"{n} engines were cut off and halt by lease within 15 s; not recorded: {said}": "엔진 {n}개의 연결을 끊었고 15초 안에 스스로 멈춥니다. 그러나 기록하지 못함: {said}",
		"the disk does not answer": "디스크가 응답하지 않음",
		"taken, and under way: {n} of {n2} engines have it": "접수되어 정지하는 중: 엔진 {n2}개 중 {n}개가 받음",
		"stopped: each of {n2} engines is verified": "정지됨: 엔진 {n2}개 모두 검증 완료",
		"taken, but there is no engine that it concerns": "접수됨: 해당하는 엔진이 없음",
		"taken, but not every engine is verified: {n} of {n2} engines have it": "접수되었으나 모두 검증되지는 않음: 엔진 {n2}개 중 {n}개가 받음",
		"not on the disk yet": "아직 디스크에 저장되지 않음",
		"look after these on the broker's own screen: {engines}": "증권사 화면에서 직접 확인할 엔진: {engines}",
		"look after orders and positions on the broker's own screen": "주문과 보유는 증권사 화면에서 직접 확인하세요",
		"and {n} more engines": "그 밖에 엔진 {n}개",
		"that is not the emergency code: it is in the file emergency.code of the home folder": "비상 코드가 다릅니다. 홈 폴더의 emergency.code 파일에 있는 그대로 입력하세요",
		"the emergency code, or an operator's token, is needed": "비상 코드나 담당자의 토큰이 필요합니다",
		"this session has ended": "로그인이 끝났습니다",
		"this needs the role operator": "담당자 권한이 필요합니다",
		"the token has expired": "토큰이 만료되었습니다",
		"the token is not valid": "토큰이 올바르지 않습니다",
		"there is only the page, and POST /stop": "여기에는 긴급 정지 페이지와 POST /stop만 있습니다",
		"not a sound request": "요청 형식이 올바르지 않습니다",
		"{who}: {level} {said}": "{who}: {level} {said}",
		"{who}: {level}": "{who}: {level}"
	};
	var TERMS = {
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
		"trigger:not_judged": "자동 정지: 조건을 판단할 수 없음"
	};
	var KINDS = {
		"n": "-?[0-9][0-9,.]*",
		"level": "NORMAL|REDUCE_ONLY|HALT|CANCEL|FLATTEN",
		"flatness": "FLAT|NOT_FLAT|UNKNOWN",
		"who": "trigger:[a-z_]+|[^:\\s]+",
		"engine": "[^:\\s]+",
		"stop": "[^:\\s]+",
		"said": ".+",
		"left": ".+"
	};
	// src/i18n/said.ts
	/** What engines and the platform say in English sentences, in Korean: the same book as the platform's reports. */
	var SLOT = /\{(\w+?)(\d*)\}/g;
	var NAMED = /^([A-Za-z0-9_.-]{1,64}(?: [a-z]{1,20})?): (.+)$/s;
	var PART = /^([0-9A-Za-z]{1,12}) ([0-9][0-9,]*) \((.+)\)$/s;
	/** Timelines are drawn again and again with the same words. */
	var KEPT = 2e3;
	var kept = /* @__PURE__ */ new Map();
	var escaped = (text) => text.replace(/[.*+?^${}()|[\]\\/-]/g, "\\$&");
	var patterns = null;
	function pattern(template) {
		let made = "";
		let at = 0;
		for (const slot of template.matchAll(SLOT)) {
			made += `${escaped(template.slice(at, slot.index))}(?<${slot[1]}${slot[2]}>${KINDS[slot[1] ?? ""] ?? ".+?"})`;
			at = slot.index + slot[0].length;
		}
		return new RegExp(`^(?:${made}${escaped(template.slice(at))})$`, "s");
	}
	/** The sentence in Korean, or null where the book does not have it. */
	function korean(text) {
		const known = kept.get(text);
		if (known !== void 0) return known;
		if (kept.size >= KEPT) kept.clear();
		const made = translated(text);
		kept.set(text, made);
		return made;
	}
	function translated(text) {
		if (Object.hasOwn(KOREAN, text)) return KOREAN[text] ?? null;
		if (text.includes("; ")) {
			const parts = text.split("; ").map(korean);
			if (parts.every((part) => part !== null)) return parts.join("; ");
		}
		patterns ??= Object.entries(KOREAN).map(([english, words]) => [pattern(english), words]);
		for (const [each, words] of patterns) {
			const groups = each.exec(text)?.groups;
			if (groups) return words.replace(SLOT, (_, name, n) => value(name, groups[name + n] ?? ""));
		}
		const listed = left(text);
		if (listed !== null) return listed;
		const named = NAMED.exec(text);
		const said = named && korean(named[2] ?? "");
		return named && said !== null ? `${TERMS[named[1] ?? ""] ?? named[1]}: ${said}` : null;
	}
	function value(kind, text) {
		if (kind === "said" || kind === "left") return korean(text) ?? text;
		return [
			"level",
			"flatness",
			"who",
			"cause"
		].includes(kind) ? TERMS[text] ?? text : text;
	}
	/** `005930 10 (reason), …` */
	function left(text) {
		const parts = text.split(/(?<=\)), (?=[0-9A-Za-z]{1,12} [0-9])/).map((part) => PART.exec(part));
		if (parts.some((part) => part === null)) return null;
		return parts.map((part) => `${part?.[1]} ${part?.[2]}주 (${korean(part?.[3] ?? "") ?? part?.[3]})`).join(", ");
	}
	// src/i18n/format.ts
	var KST = "Asia/Seoul";
	/** en-GB for the digits: ko-KR with hour12:false writes "0시 42분 5초", which breaks columns. */
	var CLOCK = new Intl.DateTimeFormat("en-GB", {
		timeZone: KST,
		hour: "2-digit",
		minute: "2-digit",
		second: "2-digit",
		hourCycle: "h23"
	});
	new Intl.DateTimeFormat("en-CA", {
		timeZone: KST,
		year: "numeric",
		month: "2-digit",
		day: "2-digit"
	});
	var GROUPED = new Intl.NumberFormat("en-US", { maximumFractionDigits: 4 });
	/** Korean time; null for a text that is no time. */
	function clock(at) {
		const ms = millis(at);
		return ms === null ? "–" : CLOCK.format(ms);
	}
	function millis(at) {
		if (at === null) return null;
		const ms = typeof at === "number" ? at : Date.parse(at);
		return Number.isFinite(ms) ? ms : null;
	}
	function grouped(value) {
		return GROUPED.format(value);
	}
	function won(value, language) {
		return language === "ko" ? `${GROUPED.format(value)}원` : `₩${GROUPED.format(value)}`;
	}
	/** "0.8초", "42초", "3분 05초", "2시간 10분". */
	function age(ms, language) {
		const s = Math.max(0, ms) / 1e3;
		const ko = language === "ko";
		if (s < 10) return `${s.toFixed(1)}${ko ? "초" : " s"}`;
		if (s < 60) return `${Math.floor(s)}${ko ? "초" : " s"}`;
		const pad = (n) => String(Math.floor(n)).padStart(2, "0");
		if (s < 3600) return ko ? `${Math.floor(s / 60)}분 ${pad(s % 60)}초` : `${Math.floor(s / 60)} min ${pad(s % 60)} s`;
		if (s < 86400) return ko ? `${Math.floor(s / 3600)}시간 ${pad(s % 3600 / 60)}분` : `${Math.floor(s / 3600)} h ${pad(s % 3600 / 60)} min`;
		return ko ? `${Math.floor(s / 86400)}일` : `${Math.floor(s / 86400)} d`;
	}
	// node_modules/valibot/dist/index.mjs
	var store$4;
	var DEFAULT_CONFIG = {
		lang: void 0,
		message: void 0,
		abortEarly: void 0,
		abortPipeEarly: void 0
	};
	/**
	* Returns the global configuration.
	*
	* @param config The config to merge.
	*
	* @returns The configuration.
	*/
	/* @__NO_SIDE_EFFECTS__ */
	function getGlobalConfig(config$1) {
		if (!config$1 && !store$4) return DEFAULT_CONFIG;
		return {
			lang: config$1?.lang ?? store$4?.lang,
			message: config$1?.message,
			abortEarly: config$1?.abortEarly ?? store$4?.abortEarly,
			abortPipeEarly: config$1?.abortPipeEarly ?? store$4?.abortPipeEarly
		};
	}
	var store$3;
	/**
	* Returns a global error message.
	*
	* @param lang The language of the message.
	*
	* @returns The error message.
	*/
	/* @__NO_SIDE_EFFECTS__ */
	function getGlobalMessage(lang) {
		return store$3?.get(lang);
	}
	var store$2;
	/**
	* Returns a schema error message.
	*
	* @param lang The language of the message.
	*
	* @returns The error message.
	*/
	/* @__NO_SIDE_EFFECTS__ */
	function getSchemaMessage(lang) {
		return store$2?.get(lang);
	}
	var store$1;
	/**
	* Returns a specific error message.
	*
	* @param reference The identifier reference.
	* @param lang The language of the message.
	*
	* @returns The error message.
	*/
	/* @__NO_SIDE_EFFECTS__ */
	function getSpecificMessage(reference, lang) {
		return store$1?.get(reference)?.get(lang);
	}
	/**
	* Stringifies an unknown input to a literal or type string.
	*
	* @param input The unknown input.
	*
	* @returns A literal or type string.
	*
	* @internal
	*/
	/* @__NO_SIDE_EFFECTS__ */
	function _stringify(input) {
		const type = typeof input;
		if (type === "string") return `"${input}"`;
		if (type === "number" || type === "bigint" || type === "boolean") return `${input}`;
		if (type === "object" || type === "function") return (input && Object.getPrototypeOf(input)?.constructor?.name) ?? "null";
		return type;
	}
	/**
	* Adds an issue to the dataset.
	*
	* @param context The issue context.
	* @param label The issue label.
	* @param dataset The input dataset.
	* @param config The configuration.
	* @param other The optional props.
	*
	* @internal
	*/
	function _addIssue(context, label, dataset, config$1, other) {
		const input = other && "input" in other ? other.input : dataset.value;
		const expected = other?.expected ?? context.expects ?? null;
		const received = other?.received ?? /* @__PURE__ */ _stringify(input);
		const issue = {
			kind: context.kind,
			type: context.type,
			input,
			expected,
			received,
			message: `Invalid ${label}: ${expected ? `Expected ${expected} but r` : "R"}eceived ${received}`,
			requirement: context.requirement,
			path: other?.path,
			issues: other?.issues,
			lang: config$1.lang,
			abortEarly: config$1.abortEarly,
			abortPipeEarly: config$1.abortPipeEarly
		};
		const isSchema = context.kind === "schema";
		const message$1 = other?.message ?? context.message ?? /* @__PURE__ */ getSpecificMessage(context.reference, issue.lang) ?? (isSchema ? /* @__PURE__ */ getSchemaMessage(issue.lang) : null) ?? config$1.message ?? /* @__PURE__ */ getGlobalMessage(issue.lang);
		if (message$1 !== void 0) issue.message = typeof message$1 === "function" ? message$1(issue) : message$1;
		if (isSchema) dataset.typed = false;
		if (dataset.issues) dataset.issues.push(issue);
		else dataset.issues = [issue];
	}
	/**
	* Compares two values using the SameValueZero algorithm, which treats `NaN`
	* as equal to itself unlike `===`.
	*
	* @param value1 The first value.
	* @param value2 The second value.
	*
	* @returns Whether the values are equal.
	*
	* @internal
	*/
	/* @__NO_SIDE_EFFECTS__ */
	function _isSameValueZero(value1, value2) {
		return value1 === value2 || Number.isNaN(value1) && Number.isNaN(value2);
	}
	/**
	* Disallows inherited object properties and prevents object prototype
	* pollution by disallowing certain keys.
	*
	* @param object The object to check.
	* @param key The key to check.
	*
	* @returns Whether the key is allowed.
	*
	* @internal
	*/
	/* @__NO_SIDE_EFFECTS__ */
	function _isValidObjectKey(object$1, key) {
		return Object.prototype.hasOwnProperty.call(object$1, key) && key !== "__proto__" && key !== "prototype" && key !== "constructor";
	}
	/**
	* Joins multiple `expects` values with the given separator.
	*
	* @param values The `expects` values.
	* @param separator The separator.
	*
	* @returns The joined `expects` property.
	*
	* @internal
	*/
	/* @__NO_SIDE_EFFECTS__ */
	function _joinExpects(values$1, separator) {
		const list = [...new Set(values$1)];
		if (list.length > 1) return `(${list.join(` ${separator} `)})`;
		return list[0] ?? "never";
	}
	/**
	* Eagerly creates and attaches the Standard Schema properties of a schema.
	*
	* Hint: The contextual `this` type includes the standard properties that are
	* attached before the schema is returned.
	*
	* @param schema The schema to attach standard properties to.
	*
	* @returns The schema with standard properties attached.
	*
	* @internal
	*/
	function _standardSchema(schema) {
		schema["~standard"] = {
			version: 1,
			vendor: "valibot",
			validate: (value$1) => schema["~run"]({ value: value$1 }, /* @__PURE__ */ getGlobalConfig())
		};
		return schema;
	}
	/* @__NO_SIDE_EFFECTS__ */
	function getDotPath(issue) {
		if (issue.path) {
			let key = "";
			for (const item of issue.path) if (typeof item.key === "string" || typeof item.key === "number") if (key) key += `.${item.key}`;
			else key += item.key;
			else return null;
			return key;
		}
		return null;
	}
	/* @__NO_SIDE_EFFECTS__ */
	function check(requirement, message$1) {
		return {
			kind: "validation",
			type: "check",
			reference: check,
			async: false,
			expects: null,
			requirement,
			message: message$1,
			"~run"(dataset, config$1) {
				if (dataset.typed && !this.requirement(dataset.value)) _addIssue(this, "input", dataset, config$1);
				return dataset;
			}
		};
	}
	/* @__NO_SIDE_EFFECTS__ */
	function finite$1(message$1) {
		return {
			kind: "validation",
			type: "finite",
			reference: finite$1,
			async: false,
			expects: null,
			requirement: Number.isFinite,
			message: message$1,
			"~run"(dataset, config$1) {
				if (dataset.typed && !this.requirement(dataset.value)) _addIssue(this, "finite", dataset, config$1);
				return dataset;
			}
		};
	}
	/* @__NO_SIDE_EFFECTS__ */
	function gtValue(requirement, message$1) {
		return {
			kind: "validation",
			type: "gt_value",
			reference: gtValue,
			async: false,
			expects: `>${requirement instanceof Date ? requirement.toJSON() : /* @__PURE__ */ _stringify(requirement)}`,
			requirement,
			message: message$1,
			"~run"(dataset, config$1) {
				if (dataset.typed && !(dataset.value > this.requirement)) _addIssue(this, "value", dataset, config$1, { received: dataset.value instanceof Date ? dataset.value.toJSON() : /* @__PURE__ */ _stringify(dataset.value) });
				return dataset;
			}
		};
	}
	/* @__NO_SIDE_EFFECTS__ */
	function integer$1(message$1) {
		return {
			kind: "validation",
			type: "integer",
			reference: integer$1,
			async: false,
			expects: null,
			requirement: Number.isInteger,
			message: message$1,
			"~run"(dataset, config$1) {
				if (dataset.typed && !this.requirement(dataset.value)) _addIssue(this, "integer", dataset, config$1);
				return dataset;
			}
		};
	}
	/* @__NO_SIDE_EFFECTS__ */
	function minLength(requirement, message$1) {
		return {
			kind: "validation",
			type: "min_length",
			reference: minLength,
			async: false,
			expects: `>=${requirement}`,
			requirement,
			message: message$1,
			"~run"(dataset, config$1) {
				if (dataset.typed && dataset.value.length < this.requirement) _addIssue(this, "length", dataset, config$1, { received: `${dataset.value.length}` });
				return dataset;
			}
		};
	}
	/* @__NO_SIDE_EFFECTS__ */
	function minValue(requirement, message$1) {
		return {
			kind: "validation",
			type: "min_value",
			reference: minValue,
			async: false,
			expects: `>=${requirement instanceof Date ? requirement.toJSON() : /* @__PURE__ */ _stringify(requirement)}`,
			requirement,
			message: message$1,
			"~run"(dataset, config$1) {
				if (dataset.typed && !(dataset.value >= this.requirement)) _addIssue(this, "value", dataset, config$1, { received: dataset.value instanceof Date ? dataset.value.toJSON() : /* @__PURE__ */ _stringify(dataset.value) });
				return dataset;
			}
		};
	}
	/* @__NO_SIDE_EFFECTS__ */
	function regex(requirement, message$1) {
		return {
			kind: "validation",
			type: "regex",
			reference: regex,
			async: false,
			expects: `${requirement}`,
			requirement,
			message: message$1,
			"~run"(dataset, config$1) {
				if (dataset.typed && !this.requirement.test(dataset.value)) _addIssue(this, "format", dataset, config$1);
				return dataset;
			}
		};
	}
	/**
	* Creates a custom transformation action.
	*
	* @param operation The transformation operation.
	*
	* @returns A transform action.
	*/
	/* @__NO_SIDE_EFFECTS__ */
	function transform(operation) {
		return {
			kind: "transformation",
			type: "transform",
			reference: transform,
			async: false,
			operation,
			"~run"(dataset) {
				dataset.value = this.operation(dataset.value);
				return dataset;
			}
		};
	}
	var ABORT_EARLY_CONFIG = { abortEarly: true };
	/**
	* Returns the fallback value of the schema.
	*
	* @param schema The schema to get it from.
	* @param dataset The output dataset if available.
	* @param config The config if available.
	*
	* @returns The fallback value.
	*/
	/* @__NO_SIDE_EFFECTS__ */
	function getFallback(schema, dataset, config$1) {
		return typeof schema.fallback === "function" ? schema.fallback(dataset, config$1) : schema.fallback;
	}
	/**
	* Forwards the issues of the passed validation action.
	*
	* @param action The validation action.
	* @param path The path to forward the issues to.
	*
	* @returns The modified action.
	*/
	/* @__NO_SIDE_EFFECTS__ */
	function forward(action, path) {
		return {
			...action,
			"~run"(dataset, config$1) {
				const prevIssues = dataset.issues && [...dataset.issues];
				dataset = action["~run"](dataset, config$1);
				if (dataset.issues) {
					for (const issue of dataset.issues) if (!prevIssues?.includes(issue)) {
						let pathInput = dataset.value;
						for (const key of path) {
							const pathValue = pathInput[key];
							const pathItem = {
								type: "unknown",
								origin: "value",
								input: pathInput,
								key,
								value: pathValue
							};
							if (issue.path) issue.path.push(pathItem);
							else issue.path = [pathItem];
							if (!pathValue) break;
							pathInput = pathValue;
						}
					}
				}
				return dataset;
			}
		};
	}
	/**
	* Returns the default value of the schema.
	*
	* @param schema The schema to get it from.
	* @param dataset The input dataset if available.
	* @param config The config if available.
	*
	* @returns The default value.
	*/
	/* @__NO_SIDE_EFFECTS__ */
	function getDefault(schema, dataset, config$1) {
		return typeof schema.default === "function" ? schema.default(dataset, config$1) : schema.default;
	}
	/* @__NO_SIDE_EFFECTS__ */
	function array(item, message$1) {
		return _standardSchema({
			kind: "schema",
			type: "array",
			reference: array,
			expects: "Array",
			async: false,
			item,
			message: message$1,
			"~run"(dataset, config$1) {
				const input = dataset.value;
				if (Array.isArray(input)) {
					dataset.typed = true;
					dataset.value = [];
					for (let key = 0; key < input.length; key++) {
						const value$1 = input[key];
						const itemDataset = this.item["~run"]({ value: value$1 }, config$1);
						if (itemDataset.issues) {
							const pathItem = {
								type: "array",
								origin: "value",
								input,
								key,
								value: value$1
							};
							for (const issue of itemDataset.issues) {
								if (issue.path) issue.path.unshift(pathItem);
								else issue.path = [pathItem];
								dataset.issues?.push(issue);
							}
							if (!dataset.issues) dataset.issues = itemDataset.issues;
							if (config$1.abortEarly) {
								dataset.typed = false;
								break;
							}
						}
						if (!itemDataset.typed) dataset.typed = false;
						dataset.value.push(itemDataset.value);
					}
				} else _addIssue(this, "type", dataset, config$1);
				return dataset;
			}
		});
	}
	/* @__NO_SIDE_EFFECTS__ */
	function boolean(message$1) {
		return _standardSchema({
			kind: "schema",
			type: "boolean",
			reference: boolean,
			expects: "boolean",
			async: false,
			message: message$1,
			"~run"(dataset, config$1) {
				if (typeof dataset.value === "boolean") dataset.typed = true;
				else _addIssue(this, "type", dataset, config$1);
				return dataset;
			}
		});
	}
	/* @__NO_SIDE_EFFECTS__ */
	function literal(literal_, message$1) {
		return _standardSchema({
			kind: "schema",
			type: "literal",
			reference: literal,
			expects: /* @__PURE__ */ _stringify(literal_),
			async: false,
			literal: literal_,
			message: message$1,
			"~run"(dataset, config$1) {
				if (/* @__PURE__ */ _isSameValueZero(dataset.value, this.literal)) dataset.typed = true;
				else _addIssue(this, "type", dataset, config$1);
				return dataset;
			}
		});
	}
	/* @__NO_SIDE_EFFECTS__ */
	function nullable(wrapped, default_) {
		return _standardSchema({
			kind: "schema",
			type: "nullable",
			reference: nullable,
			expects: `(${wrapped.expects} | null)`,
			async: false,
			wrapped,
			default: default_,
			"~run"(dataset, config$1) {
				if (dataset.value === null) {
					if (this.default !== void 0) dataset.value = /* @__PURE__ */ getDefault(this, dataset, config$1);
					if (dataset.value === null) {
						dataset.typed = true;
						return dataset;
					}
				}
				return this.wrapped["~run"](dataset, config$1);
			}
		});
	}
	/* @__NO_SIDE_EFFECTS__ */
	function number(message$1) {
		return _standardSchema({
			kind: "schema",
			type: "number",
			reference: number,
			expects: "number",
			async: false,
			message: message$1,
			"~run"(dataset, config$1) {
				if (typeof dataset.value === "number" && !isNaN(dataset.value)) dataset.typed = true;
				else _addIssue(this, "type", dataset, config$1);
				return dataset;
			}
		});
	}
	/* @__NO_SIDE_EFFECTS__ */
	function object(entries$1, message$1) {
		return _standardSchema({
			kind: "schema",
			type: "object",
			reference: object,
			expects: "Object",
			async: false,
			entries: entries$1,
			message: message$1,
			"~run"(dataset, config$1) {
				const input = dataset.value;
				if (input && typeof input === "object") {
					dataset.typed = true;
					dataset.value = {};
					for (const key in this.entries) {
						const valueSchema = this.entries[key];
						if (key in input || (valueSchema.type === "exact_optional" || valueSchema.type === "optional" || valueSchema.type === "nullish") && valueSchema.default !== void 0) {
							const value$1 = key in input ? input[key] : /* @__PURE__ */ getDefault(valueSchema);
							const valueDataset = valueSchema["~run"]({ value: value$1 }, config$1);
							if (valueDataset.issues) {
								const pathItem = {
									type: "object",
									origin: "value",
									input,
									key,
									value: value$1
								};
								for (const issue of valueDataset.issues) {
									if (issue.path) issue.path.unshift(pathItem);
									else issue.path = [pathItem];
									dataset.issues?.push(issue);
								}
								if (!dataset.issues) dataset.issues = valueDataset.issues;
								if (config$1.abortEarly) {
									dataset.typed = false;
									break;
								}
							}
							if (!valueDataset.typed) dataset.typed = false;
							dataset.value[key] = valueDataset.value;
						} else if (valueSchema.fallback !== void 0) dataset.value[key] = /* @__PURE__ */ getFallback(valueSchema);
						else if (valueSchema.type !== "exact_optional" && valueSchema.type !== "optional" && valueSchema.type !== "nullish") {
							_addIssue(this, "key", dataset, config$1, {
								input: void 0,
								expected: `"${key}"`,
								path: [{
									type: "object",
									origin: "key",
									input,
									key,
									value: input[key]
								}]
							});
							if (config$1.abortEarly) break;
						}
					}
				} else _addIssue(this, "type", dataset, config$1);
				return dataset;
			}
		});
	}
	/* @__NO_SIDE_EFFECTS__ */
	function optional(wrapped, default_) {
		return _standardSchema({
			kind: "schema",
			type: "optional",
			reference: optional,
			expects: `(${wrapped.expects} | undefined)`,
			async: false,
			wrapped,
			default: default_,
			"~run"(dataset, config$1) {
				if (dataset.value === void 0) {
					if (this.default !== void 0) dataset.value = /* @__PURE__ */ getDefault(this, dataset, config$1);
					if (dataset.value === void 0) {
						dataset.typed = true;
						return dataset;
					}
				}
				return this.wrapped["~run"](dataset, config$1);
			}
		});
	}
	/* @__NO_SIDE_EFFECTS__ */
	function picklist(options, message$1) {
		return _standardSchema({
			kind: "schema",
			type: "picklist",
			reference: picklist,
			expects: /* @__PURE__ */ _joinExpects(options.map(_stringify), "|"),
			async: false,
			options,
			message: message$1,
			"~run"(dataset, config$1) {
				if (this.options.includes(dataset.value)) dataset.typed = true;
				else _addIssue(this, "type", dataset, config$1);
				return dataset;
			}
		});
	}
	/* @__NO_SIDE_EFFECTS__ */
	function record(key, value$1, message$1) {
		return _standardSchema({
			kind: "schema",
			type: "record",
			reference: record,
			expects: "Object",
			async: false,
			key,
			value: value$1,
			message: message$1,
			"~run"(dataset, config$1) {
				const input = dataset.value;
				if (input && typeof input === "object") {
					dataset.typed = true;
					dataset.value = {};
					for (const entryKey in input) if (/* @__PURE__ */ _isValidObjectKey(input, entryKey)) {
						const entryValue = input[entryKey];
						const keyDataset = this.key["~run"]({ value: entryKey }, config$1);
						if (keyDataset.issues) {
							const pathItem = {
								type: "object",
								origin: "key",
								input,
								key: entryKey,
								value: entryValue
							};
							for (const issue of keyDataset.issues) {
								issue.path = [pathItem];
								dataset.issues?.push(issue);
							}
							if (!dataset.issues) dataset.issues = keyDataset.issues;
							if (config$1.abortEarly) {
								dataset.typed = false;
								break;
							}
						}
						const valueDataset = this.value["~run"]({ value: entryValue }, config$1);
						if (valueDataset.issues) {
							const pathItem = {
								type: "object",
								origin: "value",
								input,
								key: entryKey,
								value: entryValue
							};
							for (const issue of valueDataset.issues) {
								if (issue.path) issue.path.unshift(pathItem);
								else issue.path = [pathItem];
								dataset.issues?.push(issue);
							}
							if (!dataset.issues) dataset.issues = valueDataset.issues;
							if (config$1.abortEarly) {
								dataset.typed = false;
								break;
							}
						}
						if (!keyDataset.typed || !valueDataset.typed) dataset.typed = false;
						if (keyDataset.typed) dataset.value[keyDataset.value] = valueDataset.value;
					}
				} else _addIssue(this, "type", dataset, config$1);
				return dataset;
			}
		});
	}
	/* @__NO_SIDE_EFFECTS__ */
	function string(message$1) {
		return _standardSchema({
			kind: "schema",
			type: "string",
			reference: string,
			expects: "string",
			async: false,
			message: message$1,
			"~run"(dataset, config$1) {
				if (typeof dataset.value === "string") dataset.typed = true;
				else _addIssue(this, "type", dataset, config$1);
				return dataset;
			}
		});
	}
	/**
	* Returns the sub issues of the provided datasets for the union issue.
	*
	* @param datasets The datasets.
	*
	* @returns The sub issues.
	*
	* @internal
	*/
	/* @__NO_SIDE_EFFECTS__ */
	function _subIssues(datasets) {
		let issues;
		if (datasets) for (const dataset of datasets) if (issues) for (const issue of dataset.issues) issues.push(issue);
		else issues = dataset.issues;
		return issues;
	}
	/* @__NO_SIDE_EFFECTS__ */
	function union(options, message$1) {
		return _standardSchema({
			kind: "schema",
			type: "union",
			reference: union,
			expects: /* @__PURE__ */ _joinExpects(options.map((option) => option.expects), "|"),
			async: false,
			options,
			message: message$1,
			"~run"(dataset, config$1) {
				let validDataset;
				let typedDatasets;
				let untypedDatasets;
				for (const schema of this.options) {
					const optionDataset = schema["~run"]({ value: dataset.value }, config$1);
					if (optionDataset.typed) if (optionDataset.issues) if (typedDatasets) typedDatasets.push(optionDataset);
					else typedDatasets = [optionDataset];
					else {
						validDataset = optionDataset;
						break;
					}
					else if (untypedDatasets) untypedDatasets.push(optionDataset);
					else untypedDatasets = [optionDataset];
				}
				if (validDataset) return validDataset;
				if (typedDatasets) {
					if (typedDatasets.length === 1) return typedDatasets[0];
					_addIssue(this, "type", dataset, config$1, { issues: /* @__PURE__ */ _subIssues(typedDatasets) });
					dataset.typed = true;
				} else if (untypedDatasets?.length === 1) return untypedDatasets[0];
				else _addIssue(this, "type", dataset, config$1, { issues: /* @__PURE__ */ _subIssues(untypedDatasets) });
				return dataset;
			}
		});
	}
	/**
	* Creates a unknown schema.
	*
	* @returns A unknown schema.
	*/
	/* @__NO_SIDE_EFFECTS__ */
	function unknown() {
		return _standardSchema({
			kind: "schema",
			type: "unknown",
			reference: unknown,
			expects: "unknown",
			async: false,
			"~run"(dataset) {
				dataset.typed = true;
				return dataset;
			}
		});
	}
	/* @__NO_SIDE_EFFECTS__ */
	function variant(key, options, message$1) {
		return _standardSchema({
			kind: "schema",
			type: "variant",
			reference: variant,
			expects: "Object",
			async: false,
			key,
			options,
			message: message$1,
			"~run"(dataset, config$1) {
				const input = dataset.value;
				if (input && typeof input === "object") {
					let outputDataset;
					let maxDiscriminatorPriority = 0;
					let invalidDiscriminatorKey = this.key;
					let expectedDiscriminators = [];
					const parseOptions = (variant$1, allKeys) => {
						for (const schema of variant$1.options) {
							if (schema.type === "variant") parseOptions(schema, new Set(allKeys).add(schema.key));
							else {
								let keysAreValid = true;
								let currentPriority = 0;
								for (const currentKey of allKeys) {
									const discriminatorSchema = schema.entries[currentKey];
									if (currentKey in input ? discriminatorSchema["~run"]({
										typed: false,
										value: input[currentKey]
									}, ABORT_EARLY_CONFIG).issues : discriminatorSchema.type !== "exact_optional" && discriminatorSchema.type !== "optional" && discriminatorSchema.type !== "nullish") {
										keysAreValid = false;
										if (invalidDiscriminatorKey !== currentKey && (maxDiscriminatorPriority < currentPriority || maxDiscriminatorPriority === currentPriority && currentKey in input && !(invalidDiscriminatorKey in input))) {
											maxDiscriminatorPriority = currentPriority;
											invalidDiscriminatorKey = currentKey;
											expectedDiscriminators = [];
										}
										if (invalidDiscriminatorKey === currentKey) expectedDiscriminators.push(schema.entries[currentKey].expects);
										break;
									}
									currentPriority++;
								}
								if (keysAreValid) {
									const optionDataset = schema["~run"]({ value: input }, config$1);
									if (!outputDataset || !outputDataset.typed && optionDataset.typed) outputDataset = optionDataset;
								}
							}
							if (outputDataset && !outputDataset.issues) break;
						}
					};
					parseOptions(this, /* @__PURE__ */ new Set([this.key]));
					if (outputDataset) return outputDataset;
					_addIssue(this, "type", dataset, config$1, {
						input: input[invalidDiscriminatorKey],
						expected: /* @__PURE__ */ _joinExpects(expectedDiscriminators, "|"),
						path: [{
							type: "object",
							origin: "value",
							input,
							key: invalidDiscriminatorKey,
							value: input[invalidDiscriminatorKey]
						}]
					});
				} else _addIssue(this, "type", dataset, config$1);
				return dataset;
			}
		});
	}
	/* @__NO_SIDE_EFFECTS__ */
	function pipe(...pipe$1) {
		return _standardSchema({
			...pipe$1[0],
			pipe: pipe$1,
			"~run"(dataset, config$1) {
				for (const item of pipe$1) if (item.kind !== "metadata") {
					if (dataset.issues && (item.kind === "schema" || item.kind === "transformation")) {
						dataset.typed = false;
						break;
					}
					if (!dataset.issues || !config$1.abortEarly && !config$1.abortPipeEarly) dataset = item["~run"](dataset, config$1);
				}
				return dataset;
			}
		});
	}
	/**
	* Parses an unknown input based on a schema.
	*
	* @param schema The schema to be used.
	* @param input The input to be parsed.
	* @param config The parse configuration.
	*
	* @returns The parse result.
	*/
	/* @__NO_SIDE_EFFECTS__ */
	function safeParse(schema, input, config$1) {
		const dataset = schema["~run"]({ value: input }, /* @__PURE__ */ getGlobalConfig(config$1));
		return {
			typed: dataset.typed,
			success: !dataset.issues,
			output: dataset.value,
			issues: dataset.issues
		};
	}
	// src/wire/enums.ts
	/** Made from the platform's message classes by `make docs`; do not edit. Times: RFC 3339, money: won. */
	var AlertState = [
		"open",
		"acknowledged",
		"resolved"
	];
	var BrokerToken = [
		"ok",
		"expiring",
		"invalid",
		"none"
	];
	/** EXPIRED: the engine did not answer in time; what the strategy is then is in its own status. */
	var CommandStatus = [
		"applied",
		"failed",
		"expired"
	];
	var Connection = [
		"connected",
		"suspect",
		"offline",
		"never"
	];
	var EngineState = [
		"starting",
		"running",
		"stopping",
		"stopped",
		"error"
	];
	/** From the broker's own view. A failed, missing or unsynced read is UNKNOWN, never FLAT. */
	var Flatness = [
		"FLAT",
		"NOT_FLAT",
		"UNKNOWN"
	];
	/** How much a stop takes away, in rising order. NORMAL nothing · REDUCE_ONLY only orders that reduce a position · HALT send nothing · CANCEL and cancel working orders · FLATTEN and close positions by reduce-only orders. */
	var Level = [
		"NORMAL",
		"REDUCE_ONLY",
		"HALT",
		"CANCEL",
		"FLATTEN"
	];
	var LogCategory = [
		"System",
		"Strategy",
		"Trade"
	];
	/** Which direction of change takes more risk, so that it needs the risk role. */
	var Loosens = [
		"up",
		"down",
		"never"
	];
	var ProcessStatus = [
		"running",
		"degraded",
		"stopping",
		"error"
	];
	var ReleaseState = [
		"requested",
		"approved",
		"released",
		"void"
	];
	/** viewer < operator < risk < admin; each may do what those before it may. */
	var Role = [
		"viewer",
		"operator",
		"risk",
		"admin"
	];
	var Severity = [
		"info",
		"warning",
		"error",
		"critical"
	];
	/** Where an engine stands with a stop. "sent", "received", "frozen" and "verified" never stand for each other. */
	var StopPhase = [
		"pending",
		"sent",
		"received",
		"frozen",
		"cancelled",
		"flattened",
		"verified",
		"failed",
		"timed_out",
		"unreachable",
		"superseded",
		"released"
	];
	var StopState = [
		"running",
		"verified",
		"failed",
		"timed_out",
		"partial",
		"empty"
	];
	/** Exactly these three (property 2). Whether a stop holds the strategy is said by `TradingState`. */
	var StrategyState = [
		"active",
		"paused",
		"error"
	];
	var TradingMode = ["paper", "live"];
	var TradingState = [
		"NORMAL",
		"REDUCE_ONLY",
		"HALTED"
	];
	var UpdateStatus = [
		"pending",
		"applied",
		"failed",
		"expired",
		"applied_late"
	];
	// src/wire/common.ts
	/** A field that may be null or left out; it reads as null either way. */
	var orNull = (schema) => /* @__PURE__ */ optional(/* @__PURE__ */ nullable(schema), null);
	var finite = /* @__PURE__ */ pipe(/* @__PURE__ */ number(), /* @__PURE__ */ finite$1());
	var count = /* @__PURE__ */ pipe(/* @__PURE__ */ number(), /* @__PURE__ */ integer$1(), /* @__PURE__ */ minValue(0));
	var integer = /* @__PURE__ */ pipe(/* @__PURE__ */ number(), /* @__PURE__ */ integer$1());
	var text = /* @__PURE__ */ string();
	/** RFC 3339 with offset; kept as text, since it is only ever shown or compared. */
	var time = /* @__PURE__ */ pipe(/* @__PURE__ */ string(), /* @__PURE__ */ regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/), /* @__PURE__ */ check((at) => Number.isFinite(Date.parse(at))));
	var parameters = /* @__PURE__ */ record(/* @__PURE__ */ string(), finite);
	/** What is said in the same words by the platform comes from there; these lists are in rising order. */
	var LEVELS = Level;
	var level = /* @__PURE__ */ picklist(LEVELS);
	var ROLES = Role;
	function may(role, needed) {
		return ROLES.indexOf(role) >= ROLES.indexOf(needed);
	}
	/** The issue names the field and the kind of fault, never the value. */
	function parse(schema, input) {
		const result = /* @__PURE__ */ safeParse(schema, input, { abortEarly: true });
		if (result.success) return {
			ok: true,
			value: result.output
		};
		const issue = result.issues[0];
		return {
			ok: false,
			issue: `${/* @__PURE__ */ getDotPath(issue) ?? "body"}: ${issue.type}`
		};
	}
	// src/wire/frames.ts
	/** The frames of the UI link (wire/ui.py). Items stay unknown here: each is judged alone, so that one bad item costs only itself. */
	var envelope = {
		timestamp: time,
		engine_id: orNull(text)
	};
	var frame = (type, payload) => /* @__PURE__ */ object({
		...envelope,
		type: /* @__PURE__ */ literal(type),
		payload
	});
	var Delta = /* @__PURE__ */ pipe(/* @__PURE__ */ object({
		topic: text,
		offset: count,
		item: /* @__PURE__ */ optional(/* @__PURE__ */ unknown()),
		items: /* @__PURE__ */ optional(/* @__PURE__ */ array(/* @__PURE__ */ unknown())),
		conflated: orNull(count)
	}), /* @__PURE__ */ transform(({ item, items, ...rest }) => ({
		...rest,
		items: items ?? (item === void 0 ? [] : [item])
	})));
	var Frame = /* @__PURE__ */ variant("type", [
		frame("welcome", /* @__PURE__ */ object({
			session: text,
			topics: /* @__PURE__ */ array(/* @__PURE__ */ object({
				topic: text,
				epoch: text,
				offset: count,
				recovered: /* @__PURE__ */ boolean()
			})),
			bookmark_ms: count,
			offline_ms: count,
			server_time: time,
			token_expires: time
		})),
		frame("snapshot", /* @__PURE__ */ object({
			topic: text,
			epoch: text,
			offset: count,
			items: /* @__PURE__ */ array(/* @__PURE__ */ unknown())
		})),
		frame("delta", Delta),
		frame("gap", /* @__PURE__ */ object({
			topic: text,
			from_offset: count,
			to_offset: count,
			cause: text
		})),
		frame("bookmark", /* @__PURE__ */ object({
			n: count,
			server_time: time,
			offsets: /* @__PURE__ */ record(text, count)
		})),
		frame("ack", /* @__PURE__ */ object({ re: text })),
		frame("nack", /* @__PURE__ */ object({
			code: text,
			reason: text
		}))
	]);
	function parseFrame(data) {
		if (typeof data !== "string") return {
			ok: false,
			issue: "frame: not text"
		};
		let json;
		try {
			json = JSON.parse(data);
		} catch {
			return {
				ok: false,
				issue: "frame: not JSON"
			};
		}
		return parse(Frame, json);
	}
	// src/wire/items.ts
	/** The items of the UI topics and the bodies that share their shape, as wire/rest.py and wire/messages.py define them. */
	var items_exports = /* @__PURE__ */ __exportAll({
		Alert: () => Alert,
		EngineHealth: () => EngineHealth,
		EngineStatus: () => EngineStatus,
		OpenStop: () => OpenStop,
		PROCESS_STATES: () => PROCESS_STATES,
		ParameterSpec: () => ParameterSpec,
		Residual: () => Residual,
		STOP_PHASES: () => STOP_PHASES,
		Stop: () => Stop,
		StopResult: () => StopResult,
		Strategy: () => Strategy,
		SystemHealth: () => SystemHealth,
		TradeLog: () => TradeLog,
		UPDATE_STATES: () => UPDATE_STATES,
		UpdateResult: () => UpdateResult
	});
	var ParameterSpec = /* @__PURE__ */ object({
		type: /* @__PURE__ */ picklist(["integer", "number"]),
		minimum: finite,
		maximum: finite,
		step: /* @__PURE__ */ pipe(finite, /* @__PURE__ */ gtValue(0)),
		unit: /* @__PURE__ */ optional(text, ""),
		title: /* @__PURE__ */ optional(text, ""),
		loosens: /* @__PURE__ */ optional(/* @__PURE__ */ picklist(Loosens), "never")
	});
	var Strategy = /* @__PURE__ */ object({
		engine_id: text,
		id: text,
		name: text,
		status: /* @__PURE__ */ picklist(StrategyState),
		trading_state: /* @__PURE__ */ optional(/* @__PURE__ */ picklist(TradingState), "NORMAL"),
		parameters,
		parameter_schema: /* @__PURE__ */ optional(/* @__PURE__ */ record(text, ParameterSpec), {}),
		version: /* @__PURE__ */ optional(count, 0)
	});
	var OpenStop = /* @__PURE__ */ object({
		stop_id: text,
		scope: text,
		level,
		stop_epoch: count
	});
	var EngineStatus = /* @__PURE__ */ object({
		engine_id: text,
		name: text,
		status: orNull(/* @__PURE__ */ picklist(EngineState)),
		connection: /* @__PURE__ */ picklist(Connection),
		trading_mode: orNull(/* @__PURE__ */ picklist(TradingMode)),
		level,
		stops: /* @__PURE__ */ array(OpenStop),
		halted_by_lease: /* @__PURE__ */ optional(/* @__PURE__ */ boolean(), false),
		lease_expires_at: orNull(time),
		last_heartbeat: orNull(time),
		age_ms: orNull(finite),
		version: orNull(text),
		account_id: orNull(text),
		strategies: /* @__PURE__ */ array(Strategy),
		positions: orNull(count),
		open_orders: orNull(count),
		synced: orNull(/* @__PURE__ */ boolean()),
		equity: orNull(integer),
		realized_pnl: orNull(integer)
	});
	var PROCESS_STATES = ProcessStatus;
	var EngineHealth = /* @__PURE__ */ object({
		engine_id: text,
		connection: /* @__PURE__ */ optional(/* @__PURE__ */ picklist(Connection), "never"),
		cpu_usage: orNull(finite),
		memory_usage: orNull(finite),
		process_status: orNull(/* @__PURE__ */ picklist(PROCESS_STATES)),
		clocks: /* @__PURE__ */ object({
			process_age_ms: orNull(finite),
			market_data_age_ms: orNull(finite),
			order_channel_age_ms: orNull(finite),
			broker_token: /* @__PURE__ */ optional(/* @__PURE__ */ picklist(BrokerToken), "none")
		}),
		lease_ms_left: orNull(finite),
		skew_ms: orNull(integer),
		instance: orNull(text),
		version: orNull(text),
		last_update: orNull(time)
	});
	var SystemHealth = /* @__PURE__ */ object({
		cpu_usage: finite,
		memory_usage: finite,
		process_status: /* @__PURE__ */ picklist(PROCESS_STATES),
		engine_count: count,
		active_strategies: count,
		last_update: time,
		engines_connected: /* @__PURE__ */ optional(count, 0),
		engines_offline: /* @__PURE__ */ optional(count, 0),
		loop_lag_ms: /* @__PURE__ */ optional(finite, 0),
		database: /* @__PURE__ */ optional(/* @__PURE__ */ picklist(["up", "down"]), "up"),
		degraded: /* @__PURE__ */ optional(/* @__PURE__ */ array(text), []),
		drill: orNull(/* @__PURE__ */ object({
			last_at: orNull(time),
			stop_id: orNull(text),
			due_at: orNull(time),
			overdue: orNull(/* @__PURE__ */ boolean())
		})),
		emergency: orNull(text)
	});
	var STOP_PHASES = StopPhase;
	var Residual = /* @__PURE__ */ object({
		symbol: text,
		quantity: integer,
		reason: text,
		until: orNull(time)
	});
	var StopResult = /* @__PURE__ */ object({
		engine_id: text,
		success: /* @__PURE__ */ boolean(),
		phase: /* @__PURE__ */ picklist(STOP_PHASES),
		positions_liquidated: count,
		orders_cancelled: count,
		orders_remaining: orNull(count),
		positions_remaining: orNull(count),
		flatness: /* @__PURE__ */ optional(/* @__PURE__ */ picklist(Flatness), "UNKNOWN"),
		flatness_as_of: orNull(time),
		flatness_reason: orNull(text),
		residuals: /* @__PURE__ */ optional(/* @__PURE__ */ array(Residual), []),
		ms_to_frozen: orNull(finite),
		completed_at: orNull(time),
		error: orNull(text)
	});
	var Stop = /* @__PURE__ */ object({
		stop_id: text,
		request_id: text,
		epoch: count,
		scope: text,
		level,
		user_id: text,
		username: orNull(text),
		reason: /* @__PURE__ */ optional(text, ""),
		requested_at: time,
		delivered: count,
		engines: count,
		durable: /* @__PURE__ */ boolean(),
		state: /* @__PURE__ */ picklist(StopState),
		results: /* @__PURE__ */ array(StopResult),
		drill: /* @__PURE__ */ optional(/* @__PURE__ */ boolean(), false),
		cause: /* @__PURE__ */ optional(text, "operator"),
		released_at: orNull(time),
		timeline: /* @__PURE__ */ optional(/* @__PURE__ */ array(/* @__PURE__ */ object({
			at: time,
			event: text,
			engine_id: orNull(text),
			detail: orNull(text)
		})), [])
	});
	/** A Trade must say why (property 3). */
	var TradeLog = /* @__PURE__ */ pipe(/* @__PURE__ */ object({
		engine_id: /* @__PURE__ */ pipe(text, /* @__PURE__ */ minLength(1)),
		id: /* @__PURE__ */ pipe(text, /* @__PURE__ */ minLength(1)),
		category: /* @__PURE__ */ picklist(LogCategory),
		message: text,
		timestamp: time,
		reason: orNull(text),
		strategy_id: orNull(text),
		symbol: orNull(text),
		order_id: orNull(text),
		severity: orNull(/* @__PURE__ */ picklist(Severity)),
		quarantined: /* @__PURE__ */ optional(/* @__PURE__ */ boolean(), false)
	}), /* @__PURE__ */ forward(/* @__PURE__ */ check((log) => log.category !== "Trade" || (log.reason ?? "").trim() !== "", "a Trade needs a reason"), ["reason"]));
	var Alert = /* @__PURE__ */ object({
		id: text,
		code: text,
		severity: /* @__PURE__ */ picklist(Severity),
		reason: text,
		engine_id: orNull(text),
		stop_id: orNull(text),
		state: /* @__PURE__ */ picklist(AlertState),
		raised_at: time,
		acknowledged_by: orNull(text),
		acknowledged_at: orNull(time),
		acknowledged_by_name: orNull(text)
	});
	var UPDATE_STATES = UpdateStatus;
	var UpdateResult = /* @__PURE__ */ object({
		request_id: text,
		engine_id: text,
		strategy_id: text,
		status: /* @__PURE__ */ picklist(UPDATE_STATES),
		parameters,
		version: count,
		applied_at: orNull(time),
		error: orNull(text),
		reason: orNull(text)
	});
	// src/wire/rest.ts
	/** The bodies of the REST face that are not also topic items (wire/rest.py). */
	var rest_exports = /* @__PURE__ */ __exportAll({
		BROKERAGES: () => BROKERAGES,
		BrokerageAccount: () => BrokerageAccount,
		DeadLetter: () => DeadLetter,
		ErrorBody: () => ErrorBody,
		LogPage: () => LogPage,
		ParameterVersion: () => ParameterVersion,
		Release: () => Release,
		RiskLimits: () => RiskLimits,
		SecretState: () => SecretState,
		StopPreview: () => StopPreview,
		StrategyCommandResult: () => StrategyCommandResult,
		StrategyParameters: () => StrategyParameters,
		SystemPreferences: () => SystemPreferences,
		TIMEFRAMES: () => TIMEFRAMES,
		TokenAnswer: () => TokenAnswer,
		User: () => User,
		UserSettings: () => UserSettings,
		ValidationResult: () => ValidationResult,
		listOf: () => listOf
	});
	var ErrorBody = /* @__PURE__ */ object({
		error: text,
		reason: /* @__PURE__ */ optional(text, ""),
		field: orNull(text)
	});
	var User = /* @__PURE__ */ object({
		id: text,
		username: text,
		role: /* @__PURE__ */ picklist(ROLES)
	});
	var TokenAnswer = /* @__PURE__ */ object({
		access_token: /* @__PURE__ */ pipe(text, /* @__PURE__ */ minLength(1)),
		expires_in: finite,
		user: orNull(User)
	});
	var SecretState = /* @__PURE__ */ object({
		set: /* @__PURE__ */ boolean(),
		fingerprint: orNull(text),
		updated_at: orNull(time)
	});
	var BROKERAGES = [
		"kis",
		"kiwoom",
		"samsung"
	];
	var BrokerageAccount = /* @__PURE__ */ object({
		id: text,
		name: text,
		type: /* @__PURE__ */ picklist(BROKERAGES),
		api_key: SecretState,
		api_secret: SecretState,
		account_number: text,
		is_active: /* @__PURE__ */ boolean(),
		last_validated: orNull(time)
	});
	var TIMEFRAMES = [
		"1m",
		"5m",
		"15m",
		"1h",
		"1d"
	];
	var SystemPreferences = /* @__PURE__ */ object({
		theme: /* @__PURE__ */ optional(/* @__PURE__ */ picklist([
			"dark",
			"light",
			"contrast"
		]), "dark"),
		notifications_enabled: /* @__PURE__ */ optional(/* @__PURE__ */ boolean(), true),
		auto_save_interval: /* @__PURE__ */ optional(count, 30),
		default_chart_timeframe: /* @__PURE__ */ optional(/* @__PURE__ */ picklist(TIMEFRAMES), "1h"),
		language: /* @__PURE__ */ optional(/* @__PURE__ */ picklist(["ko", "en"]), "ko"),
		updown: /* @__PURE__ */ optional(/* @__PURE__ */ picklist(["kr", "us"]), "kr")
	});
	var RiskLimits = /* @__PURE__ */ object({
		max_daily_loss: integer,
		max_position_size: integer,
		max_concurrent_positions: integer,
		emergency_stop_loss: integer
	});
	var UserSettings = /* @__PURE__ */ object({
		id: text,
		user_id: text,
		brokerage_accounts: /* @__PURE__ */ array(BrokerageAccount),
		system_preferences: SystemPreferences,
		risk_limits: RiskLimits,
		created_at: time,
		updated_at: time,
		config_version: count
	});
	var ValidationResult = /* @__PURE__ */ object({
		is_valid: /* @__PURE__ */ boolean(),
		errors: /* @__PURE__ */ array(text),
		warnings: /* @__PURE__ */ array(text),
		checks: /* @__PURE__ */ optional(/* @__PURE__ */ array(/* @__PURE__ */ object({
			name: /* @__PURE__ */ picklist([
				"format",
				"token",
				"account"
			]),
			ok: /* @__PURE__ */ boolean(),
			reason: /* @__PURE__ */ optional(text, ""),
			ms: finite
		})), [])
	});
	var StrategyParameters = /* @__PURE__ */ object({
		engine_id: text,
		strategy_id: text,
		version: count,
		desired: parameters,
		effective: orNull(parameters),
		effective_version: orNull(count),
		parameter_schema: /* @__PURE__ */ optional(/* @__PURE__ */ record(text, ParameterSpec), {}),
		updated_at: orNull(time)
	});
	var ParameterVersion = /* @__PURE__ */ object({
		version: count,
		parameters,
		status: /* @__PURE__ */ picklist(UPDATE_STATES),
		user_id: text,
		username: orNull(text),
		at: time,
		request_id: text,
		error: orNull(text),
		reason: orNull(text)
	});
	var StrategyCommandResult = /* @__PURE__ */ object({
		status: /* @__PURE__ */ picklist(CommandStatus),
		strategy_status: orNull(/* @__PURE__ */ picklist(StrategyState)),
		error: orNull(text),
		reason: orNull(text)
	});
	var RELEASE_STATES = ReleaseState;
	var Release = /* @__PURE__ */ object({
		id: text,
		stop_id: /* @__PURE__ */ optional(text, ""),
		state: /* @__PURE__ */ picklist(RELEASE_STATES),
		checklist: /* @__PURE__ */ array(/* @__PURE__ */ object({
			name: text,
			ok: /* @__PURE__ */ boolean(),
			detail: /* @__PURE__ */ optional(text, "")
		})),
		requested_by: text,
		requested_by_name: orNull(text),
		requested_at: orNull(time),
		not_before: orNull(time),
		epoch: /* @__PURE__ */ optional(count, 0),
		reason: /* @__PURE__ */ optional(text, ""),
		waive: /* @__PURE__ */ optional(/* @__PURE__ */ array(/* @__PURE__ */ object({
			engine_id: text,
			reason: text
		})), []),
		resume: /* @__PURE__ */ optional(/* @__PURE__ */ boolean(), false),
		approved_by: orNull(text),
		approved_by_name: orNull(text),
		reduced: orNull(/* @__PURE__ */ object({
			minutes: count,
			max_order_value: count
		})),
		history: /* @__PURE__ */ optional(/* @__PURE__ */ array(/* @__PURE__ */ object({
			at: time,
			state: /* @__PURE__ */ picklist(RELEASE_STATES),
			by: orNull(text),
			detail: orNull(text)
		})), [])
	});
	var Exposure = /* @__PURE__ */ object({
		orders: orNull(count),
		positions: orNull(count),
		value: orNull(integer)
	});
	/** What a stop would reach, before it is asked for. */
	var StopPreview = /* @__PURE__ */ object({
		engines: /* @__PURE__ */ array(/* @__PURE__ */ object({
			...Exposure.entries,
			engine_id: text,
			blocked: /* @__PURE__ */ optional(/* @__PURE__ */ array(/* @__PURE__ */ object({
				symbol: text,
				reason: text
			})), []),
			as_of: orNull(time),
			age_ms: orNull(finite),
			connection: /* @__PURE__ */ picklist(Connection)
		})),
		total: /* @__PURE__ */ object({
			...Exposure.entries,
			unknown: /* @__PURE__ */ optional(count, 0),
			oldest_ms: orNull(finite)
		})
	});
	var listOf = (item) => /* @__PURE__ */ object({
		items: /* @__PURE__ */ array(item),
		next: orNull(/* @__PURE__ */ union([text, finite]))
	});
	/** A message that could not be delivered. Its content is not told. */
	var DeadLetter = /* @__PURE__ */ object({
		id: text,
		engine_id: text,
		kind: text,
		reason: text,
		state: /* @__PURE__ */ picklist([
			"open",
			"retried",
			"discarded"
		]),
		at: time
	});
	var LogPage = listOf(TradeLog);
	// src/store/topics.ts
	var kind = (schema, key) => ({
		schema,
		key
	});
	var KEYED = {
		engines: kind(EngineStatus, (item) => item.engine_id),
		strategies: kind(Strategy, (item) => `${item.engine_id}/${item.id}`),
		health: kind(EngineHealth, (item) => item.engine_id),
		system: kind(SystemHealth, () => "platform"),
		stops: kind(Stop, (item) => item.stop_id),
		alerts: kind(Alert, (item) => item.id),
		parameters: kind(UpdateResult, (item) => item.request_id)
	};
	[...Object.keys(KEYED)];
	var LOG_CAPACITY = 2e4;
	var RAW_SHOWN = 300;
	/** The last 20,000 rows of the terminal. Mutable for speed; readers watch `version`. */
	var LogRing = class {
		capacity;
		rows = [];
		version = 0;
		malformed = 0;
		epoch = null;
		offset = 0;
		loaded = false;
		#seq = 0;
		#seen = /* @__PURE__ */ new Set();
		constructor(capacity = LOG_CAPACITY) {
			this.capacity = capacity;
		}
		snapshot(frame) {
			const had = this.#seen.size > 0;
			const fresh = frame.items.filter((item) => !this.#knows(item));
			if (had && fresh.length === frame.items.length && fresh.length > 0) this.gap(null, "lost");
			this.epoch = frame.epoch;
			this.offset = frame.offset;
			this.loaded = true;
			this.append(fresh);
		}
		delta(frame) {
			if (this.loaded && frame.offset <= this.offset) return;
			this.offset = frame.offset;
			this.append(frame.items);
		}
		gap(lost, cause) {
			this.#push({
				kind: "gap",
				seq: this.#next(),
				lost,
				cause
			});
		}
		append(items) {
			for (const item of items) if (!this.#knows(item)) this.#push(this.#row(item));
			this.version += 1;
		}
		#row(item) {
			const parsed = parse(TradeLog, item);
			if (!parsed.ok) {
				this.malformed += 1;
				return {
					kind: "malformed",
					seq: this.#next(),
					issue: parsed.issue,
					raw: String(JSON.stringify(item)).slice(0, RAW_SHOWN)
				};
			}
			const log = parsed.value;
			this.#seen.add(`${log.engine_id}\n${log.id}`);
			const haystack = [
				log.message,
				log.reason,
				log.symbol,
				log.strategy_id,
				log.order_id,
				log.engine_id
			].filter(Boolean).join("\n").toLowerCase();
			return {
				kind: "log",
				seq: this.#next(),
				log,
				haystack
			};
		}
		#push(row) {
			this.rows.push(row);
			this.version += 1;
			if (this.rows.length > this.capacity * 1.1) this.#trim();
		}
		#trim() {
			this.rows = this.rows.slice(-this.capacity);
			this.#seen = new Set(this.rows.flatMap((row) => row.kind === "log" ? [`${row.log.engine_id}\n${row.log.id}`] : []));
		}
		#knows(item) {
			return typeof item === "object" && item !== null && "id" in item && "engine_id" in item && this.#seen.has(`${String(item.engine_id)}\n${String(item.id)}`);
		}
		#next() {
			this.#seq += 1;
			return this.#seq;
		}
	};
	/** Gaps always show. Malformed rows show wherever no filter could have told what they were. */
	function matches(row, filter) {
		if (row.kind === "gap") return true;
		if (row.kind === "malformed") return filter.category === "all" && filter.engine === "all" && filter.search === "";
		return (filter.category === "all" || row.log.category === filter.category) && (filter.engine === "all" || row.log.engine_id === filter.engine) && (filter.search === "" || row.haystack.includes(filter.search.toLowerCase()));
	}
	// src/panels/parameters/change.ts
	/** A number as people type it, "1,000.5" included; null for anything else. Never infinite, never NaN. */
	function numberOf(text) {
		const bare = text.trim().replaceAll(",", "");
		if (!/^[+-]?(\d+\.?\d*|\.\d+)$/.test(bare)) return null;
		const value = Number(bare);
		return Number.isFinite(value) ? value : null;
	}
	function problemOf(text, spec) {
		if (text.trim() === "") return "required";
		const value = numberOf(text);
		if (value === null) return "number";
		if (!spec) return null;
		if (spec.type === "integer" && !Number.isInteger(value)) return "integer";
		if (value < spec.minimum) return "low";
		return value > spec.maximum ? "high" : null;
	}
	function changesOf(before, typed, schema) {
		return Object.entries(typed).flatMap(([key, text]) => {
			const to = numberOf(text);
			const from = before[key] ?? null;
			return to === null || to === from ? [] : [{
				key,
				from,
				to,
				loosens: loosens(from, to, schema[key])
			}];
		});
	}
	function loosens(from, to, spec) {
		if (!spec || from === null || spec.loosens === "never") return false;
		return spec.loosens === "up" ? to > from : to < from;
	}
	/** "+25%", or null where a share of the old value says nothing. */
	function percentChange({ from, to }) {
		if (from === null || from === 0) return null;
		const percent = (to - from) / Math.abs(from) * 100;
		return `${percent > 0 ? "+" : ""}${grouped(Math.round(percent * 10) / 10)}%`;
	}
	// src/panels/settings/form.ts
	var LIMITS = [
		"max_daily_loss",
		"max_position_size",
		"max_concurrent_positions",
		"emergency_stop_loss"
	];
	function formOf(settings) {
		return {
			accounts: settings.brokerage_accounts.map((account) => ({
				id: account.id,
				name: account.name,
				type: account.type,
				account_number: account.account_number,
				api_key: "",
				api_secret: "",
				is_active: account.is_active,
				profile: "real",
				stored: true
			})),
			limits: Object.fromEntries(LIMITS.map((name) => [name, String(settings.risk_limits[name])])),
			preferences: { ...settings.system_preferences }
		};
	}
	function bodyOf(form) {
		return {
			brokerage_accounts: form.accounts.map(({ id, name, type, account_number, is_active, api_key, api_secret }) => ({
				id,
				name: name.trim(),
				type,
				account_number: account_number.trim(),
				is_active,
				api_key: api_key === "" ? { set: true } : api_key,
				api_secret: api_secret === "" ? { set: true } : api_secret
			})),
			system_preferences: form.preferences,
			risk_limits: Object.fromEntries(LIMITS.map((name) => [name, numberOf(form.limits[name]) ?? 0]))
		};
	}
	function hasNewSecret(account) {
		return account.api_key !== "" || account.api_secret !== "";
	}
	function proofKey(account) {
		return JSON.stringify([
			account.type,
			account.api_key,
			account.api_secret,
			account.account_number.trim()
		]);
	}
	/** The accounts whose new keys no broker has accepted yet: they hold the saving back. */
	function unprovedAccounts(accounts, proofs) {
		return accounts.filter((account) => hasNewSecret(account) || !account.stored).filter((account) => !(proofs[account.id]?.result.is_valid && proofs[account.id]?.of === proofKey(account))).map((account) => account.name || account.id);
	}
	/** A higher limit takes more risk. */
	function loosened(stored, typed) {
		return LIMITS.filter((name) => (numberOf(typed[name]) ?? 0) > stored[name]);
	}
	// src/panels/words.ts
	/** An engine's level is what is wanted of it. That it is so is known by what it answered to every stop that holds it. */
	function holds(engine, stops) {
		return engine.stops.every(({ stop_id }) => {
			const result = stops.get(stop_id)?.results.find((each) => each.engine_id === engine.engine_id);
			return result !== void 0 && (result.phase === "superseded" || reached(result, "frozen"));
		});
	}
	new RegExp(`^(\\S+: )(${LEVELS.join("|")})(?= |$)`);
	/** The steps a level goes through, in order. */
	function stepsOf(level) {
		const steps = [
			"sent",
			"received",
			"frozen"
		];
		if (level === "CANCEL" || level === "FLATTEN") steps.push("cancelled");
		if (level === "FLATTEN") steps.push("flattened");
		return [...steps, "verified"];
	}
	var RANK = {
		pending: 0,
		sent: 1,
		received: 2,
		frozen: 3,
		cancelled: 4,
		flattened: 5,
		verified: 6
	};
	/** Whether a step is done. Of an engine that failed only what it proved counts: the time to frozen. */
	function reached(result, step) {
		return (RANK[result.phase] ?? (result.ms_to_frozen === null ? 0 : 3)) >= (RANK[step] ?? 99);
	}
	// src/data/mockData.ts
	var systemHealthData = {
		cpu_usage: 12.4,
		memory_usage: 38.1,
		process_status: "running",
		engine_count: 3,
		active_strategies: 5,
		last_update: "2026-11-20T05:30:00.000+00:00"
	};
	var categorizedTradeLogs = [
		{
			id: "log-1",
			timestamp: "2026-11-20T05:29:58.120+00:00",
			category: "System",
			message: "시세 연결을 다시 맺었습니다"
		},
		{
			id: "log-2",
			timestamp: "2026-11-20T05:29:59.004+00:00",
			category: "Strategy",
			message: "005930 신호: 20일선 돌파",
			reason: null
		},
		{
			id: "log-3",
			timestamp: "2026-11-20T05:29:59.310+00:00",
			category: "Trade",
			message: "005930 10주 매수 71,800원",
			reason: "20일선 돌파, 거래량 평균의 2.1배"
		}
	];
	var strategies = [{
		id: "momentum",
		name: "모멘텀",
		status: "active",
		parameters: {
			takeProfitPercent: 4,
			stopLossPercent: 2,
			maxPositionSize: 1e7,
			riskPerTrade: .5
		}
	}, {
		id: "pairs",
		name: "페어 트레이딩",
		status: "paused",
		parameters: {
			takeProfitPercent: 1.5,
			stopLossPercent: 1,
			maxPositionSize: 2e7,
			riskPerTrade: .3
		}
	}];
	exports.LogRing = LogRing;
	exports.TIMING = TIMING;
	exports.age = age;
	exports.backoff = backoff;
	exports.bodyOf = bodyOf;
	exports.categorizedTradeLogs = categorizedTradeLogs;
	exports.changesOf = changesOf;
	exports.clock = clock;
	exports.dictionaries = dictionaries;
	exports.fill = fill;
	exports.formOf = formOf;
	exports.holds = holds;
	exports.initial = initial;
	Object.defineProperty(exports, "items", {
		enumerable: true,
		get: function() {
			return items_exports;
		}
	});
	exports.korean = korean;
	exports.loosened = loosened;
	exports.matches = matches;
	exports.may = may;
	exports.numberOf = numberOf;
	exports.parse = parse;
	exports.parseFrame = parseFrame;
	exports.percentChange = percentChange;
	exports.problemOf = problemOf;
	exports.proofKey = proofKey;
	exports.reached = reached;
	Object.defineProperty(exports, "rest", {
		enumerable: true,
		get: function() {
			return rest_exports;
		}
	});
	exports.retryIn = retryIn;
	exports.slotsOf = slotsOf;
	exports.step = step;
	exports.stepsOf = stepsOf;
	exports.strategies = strategies;
	exports.systemHealthData = systemHealthData;
	exports.unprovedAccounts = unprovedAccounts;
	exports.won = won;
	return exports;
})({});
