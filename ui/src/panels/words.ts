/** The words, shapes and tones of states: one table, so that a state looks the same wherever it is shown. */
import type { Look, Tone } from "../kit/Status";
import { isKey, type Translate } from "../i18n";
import { TERMS } from "../i18n/phrases";
import { korean } from "../i18n/said";
import { ApiError } from "../link/errors";
import { LEVELS, type Level } from "../wire/common";
import type { EngineStatus, Stop, StopPhase, StopResult, Strategy } from "../wire/items";

export function engineLook(engine: EngineStatus, stops: Stops, t: Translate): Look {
  if (engine.connection === "never") return { shape: "ring", tone: "idle", word: t("engine.never") };
  if (engine.connection === "offline") return { shape: "square", tone: "crit", word: t("engine.offline") };
  if (engine.connection === "suspect") return { shape: "triangle", tone: "warn", word: t("engine.suspect") };
  if (engine.status === "error") return { shape: "cross", tone: "crit", word: t("engine.error") };
  if (engine.level !== "NORMAL") return { shape: "octagon", tone: "warn", word: heldWord(engine, stops, t) };
  if (engine.halted_by_lease) return { shape: "octagon", tone: "warn", word: t("engine.halted_by_lease") };
  if (engine.status === "running") return { shape: "dot", tone: "ok", word: t("engine.running") };
  if (engine.status === "stopping") return { shape: "pause", tone: "warn", word: t("engine.stopping") };
  if (engine.status === "stopped") return { shape: "ring", tone: "idle", word: t("engine.stopped") };
  return { shape: "diamond", tone: "idle", word: t("engine.starting") };
}

type Stops = ReadonlyMap<string, Stop>;

/** An engine's level is what is wanted of it. That it is so is known by what it answered to every stop that holds it. */
export function holds(engine: EngineStatus, stops: Stops): boolean {
  return engine.stops.every(({ stop_id }) => {
    const result = stops.get(stop_id)?.results.find((each) => each.engine_id === engine.engine_id);
    return result !== undefined && (result.phase === "superseded" || reached(result, "frozen"));
  });
}

/** The level stands in the chips of the stops; where none is told, the word names it. */
function heldWord(engine: EngineStatus, stops: Stops, t: Translate): string {
  const known = holds(engine, stops);
  if (engine.level === "REDUCE_ONLY") return known ? levelWord(engine.level, t) : t("engine.asked_at", { level: levelWord(engine.level, t) });
  if (!known) return t("engine.asked");
  return engine.stops.length > 0 ? t("engine.held") : t("engine.held_at", { level: levelWord(engine.level, t) });
}

/** What was true when the page last heard. Hollow and grey: it may not be true now. */
export function lastKnown(look: Look, t: Translate): Look {
  return { shape: "ring", tone: "idle", word: t("state.last", { state: look.word }) };
}

const SEVERITY: Record<Tone, number> = { crit: 0, warn: 1, idle: 2, ok: 3 };

/** Worst first, then by name. */
export function byConcern(stops: Stops, t: Translate) {
  return (a: EngineStatus, b: EngineStatus): number => SEVERITY[engineLook(a, stops, t).tone] - SEVERITY[engineLook(b, stops, t).tone] || a.engine_id.localeCompare(b.engine_id);
}

export function levelWord(level: Level, t: Translate): string {
  return t(`level.${level}`);
}

export function strategyLook(strategy: Strategy, t: Translate): Look {
  if (strategy.status === "error") return { shape: "cross", tone: "crit", word: t("strategy.error") };
  if (strategy.status === "paused") return { shape: "pause", tone: "idle", word: t("strategy.paused") };
  if (strategy.trading_state === "HALTED") return { shape: "octagon", tone: "warn", word: t("strategy.halted") };
  if (strategy.trading_state === "REDUCE_ONLY") return { shape: "triangle", tone: "warn", word: t("strategy.reduce_only") };
  return { shape: "dot", tone: "ok", word: t("strategy.active") };
}

export function phaseLook(phase: StopPhase, t: Translate): Look {
  const word = t(`phase.${phase}`);
  if (phase === "verified") return { shape: "check", tone: "ok", word };
  if (phase === "failed" || phase === "timed_out") return { shape: "cross", tone: "crit", word };
  if (phase === "unreachable") return { shape: "square", tone: "crit", word };
  if (phase === "superseded" || phase === "released") return { shape: "ring", tone: "idle", word };
  return { shape: "diamond", tone: "warn", word };
}

/** What a timeline says happened: a step of an engine, or something done to the whole stop. */
export function eventWord(event: string, t: Translate): string {
  for (const key of [`event.${event}`, `phase.${event}`]) if (isKey(key)) return t(key as "event.requested");
  return event;
}

/** What engines and the platform say in sentences or as a code, in the language of this page; anything else as it is. */
export function saidWord(text: string, t: Translate): string {
  const code = /^error_[a-z0-9_]+(?=$|: )/.exec(text)?.[0];
  const words = code === undefined ? null : codeText(code, t);
  if (words === null || code === undefined) return sentence(text, t);
  const rest = text.slice(code.length).replace(/^: /, "");
  return `${words} (${code})${rest === "" ? "" : `: ${sentence(rest, t)}`}`;
}

/** A part of the platform by its name. */
export function partWord(part: string, t: Translate): string {
  return t("language") === "ko" ? (TERMS[part] ?? part) : part;
}

/** Who, and the level that they asked for, as timelines name it. */
const ASKED = new RegExp(`^(\\S+: )(${LEVELS.join("|")})(?= |$)`);

function sentence(text: string, t: Translate): string {
  return t("language") === "ko" ? (korean(text) ?? text) : text.replace(ASKED, (_, who: string, level: Level) => who + levelWord(level, t));
}

export function stopLook(stop: Stop, t: Translate): Look {
  if (stop.released_at !== null) return { shape: "ring", tone: "idle", word: t("stop.state.released") };
  const word = t(`stop.state.${stop.state}`);
  if (stop.state === "verified") return { shape: "check", tone: "ok", word };
  if (stop.state === "failed" || stop.state === "timed_out") return { shape: "cross", tone: "crit", word };
  if (stop.state === "empty") return { shape: "ring", tone: "idle", word };
  return { shape: "octagon", tone: "warn", word };
}

export function scopeWord(scope: string, t: Translate): string {
  const [kind, name = ""] = scope.split(/:(.*)/s);
  if (kind === "engine") return t("scope.engine", { name });
  if (kind === "account") return t("scope.account", { name });
  if (kind === "strategy") return t("scope.strategy", { name });
  if (kind === "symbol") return t("scope.symbol", { name });
  return scope === "all" ? t("scope.all") : scope;
}

/** The steps a level goes through, in order. */
export function stepsOf(level: Level): StopPhase[] {
  const steps: StopPhase[] = ["sent", "received", "frozen"];
  if (level === "CANCEL" || level === "FLATTEN") steps.push("cancelled");
  if (level === "FLATTEN") steps.push("flattened");
  return [...steps, "verified"];
}

const RANK: Partial<Record<StopPhase, number>> = { pending: 0, sent: 1, received: 2, frozen: 3, cancelled: 4, flattened: 5, verified: 6 };

/** Whether a step is done. Of an engine that failed only what it proved counts: the time to frozen. */
export function reached(result: StopResult, step: StopPhase): boolean {
  const rank = RANK[result.phase] ?? (result.ms_to_frozen === null ? 0 : 3);
  return rank >= (RANK[step] ?? 99);
}

export const FINAL_PHASES: ReadonlySet<StopPhase> = new Set(["verified", "failed", "timed_out", "unreachable", "superseded", "released"]);

/** Codes that say too little without the platform's own words. */
const DETAILED: ReadonlySet<string> = new Set(["error_checklist", "error_invalid_field", "error_invalid_parameters", "error_conflict"]);

/** An error as a sentence for a person, with its code to look up. */
export function errorText(error: unknown, t: Translate): string {
  if (!(error instanceof ApiError)) return t("error.unreachable");
  const known = codeText(error.code, t);
  const words = known === null ? sentence(error.reason, t) || t("error.unknown") : DETAILED.has(error.code) ? `${known}: ${sentence(error.reason, t)}` : known;
  return `${words} (${error.code})`;
}

/** The words for an error_* code, or null for one that has none here. */
export function codeText(code: string, t: Translate): string | null {
  const key = `error.${code}`;
  return isKey(key) ? t(key as "error.error_internal") : null;
}
