import type { Language } from "./index";

const KST = "Asia/Seoul";
/** en-GB for the digits: ko-KR with hour12:false writes "0시 42분 5초", which breaks columns. */
const CLOCK = new Intl.DateTimeFormat("en-GB", { timeZone: KST, hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const DAY = new Intl.DateTimeFormat("en-CA", { timeZone: KST, year: "numeric", month: "2-digit", day: "2-digit" });
const GROUPED = new Intl.NumberFormat("en-US", { maximumFractionDigits: 4 });

/** Korean time; null for a text that is no time. */
export function clock(at: string | number | null): string {
  const ms = millis(at);
  return ms === null ? "–" : CLOCK.format(ms);
}

export function clockMillis(at: string | number): string {
  const ms = millis(at);
  return ms === null ? "–" : `${CLOCK.format(ms)}.${String(ms % 1000).padStart(3, "0")}`;
}

/** Where the machine's own clock shows another time, the zone stands beside it. */
export function dateTime(at: string | number | null): string {
  const ms = millis(at);
  return ms === null ? "–" : `${DAY.format(ms)} ${CLOCK.format(ms)}${zone(ms)}`;
}

/** Without the day where it is today's. */
export function moment(at: string | number | null, now: number): string {
  const ms = millis(at);
  return ms === null || DAY.format(ms) !== DAY.format(now) ? dateTime(at) : `${CLOCK.format(ms)}${zone(ms)}`;
}

const KST_MINUTES = 9 * 60;
const zone = (ms: number) => (new Date(ms).getTimezoneOffset() === -KST_MINUTES ? "" : " KST");

export function utc(at: string | number | null): string {
  const ms = millis(at);
  return ms === null ? "" : new Date(ms).toISOString().replace("T", " ").replace("Z", " UTC");
}

export function millis(at: string | number | null): number | null {
  if (at === null) return null;
  const ms = typeof at === "number" ? at : Date.parse(at);
  return Number.isFinite(ms) ? ms : null;
}

export function grouped(value: number): string {
  return GROUPED.format(value);
}

export function won(value: number, language: Language): string {
  return language === "ko" ? `${GROUPED.format(value)}원` : `₩${GROUPED.format(value)}`;
}

/** "1억 8,420만원", "₩184.2M": for tight places, rounded to what a person reads at a glance. */
export function wonShort(value: number, language: Language): string {
  if (language === "en") return `₩${new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 }).format(value)}`;
  const [eok, man] = [Math.trunc(value / 1e8), Math.round((Math.abs(value) % 1e8) / 1e4)];
  if (Math.abs(value) < 1e4) return won(value, language);
  if (eok === 0) return `${value < 0 ? "-" : ""}${GROUPED.format(man)}만원`;
  return man === 0 ? `${GROUPED.format(eok)}억원` : `${GROUPED.format(eok)}억 ${GROUPED.format(man)}만원`;
}

export function signed(value: number, text: string): string {
  return value > 0 ? `▲ ${text}` : value < 0 ? `▼ ${text}` : text;
}

/** "0.8초", "42초", "3분 05초", "2시간 10분". */
export function age(ms: number, language: Language): string {
  const s = Math.max(0, ms) / 1000;
  const ko = language === "ko";
  if (s < 10) return `${s.toFixed(1)}${ko ? "초" : " s"}`;
  if (s < 60) return `${Math.floor(s)}${ko ? "초" : " s"}`;
  const pad = (n: number) => String(Math.floor(n)).padStart(2, "0");
  if (s < 3600) return ko ? `${Math.floor(s / 60)}분 ${pad(s % 60)}초` : `${Math.floor(s / 60)} min ${pad(s % 60)} s`;
  if (s < 86_400) return ko ? `${Math.floor(s / 3600)}시간 ${pad((s % 3600) / 60)}분` : `${Math.floor(s / 3600)} h ${pad((s % 3600) / 60)} min`;
  return ko ? `${Math.floor(s / 86_400)}일` : `${Math.floor(s / 86_400)} d`;
}
