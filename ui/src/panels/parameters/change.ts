/** What a change of parameters is, before it is asked for: pure, so that the tests can try it on many values. */
import { isKey, type Translate } from "../../i18n";
import { grouped } from "../../i18n/format";
import type { ParameterSpec } from "../../wire/items";

/** Where the query of one strategy's parameters is cached. */
export const parametersKey = (engineId: string, strategyId: string) => ["parameters", engineId, strategyId] as const;

export interface Change {
  readonly key: string;
  readonly from: number | null;
  readonly to: number;
  readonly loosens: boolean;
}

export type Problem = "required" | "number" | "integer" | "low" | "high";

/** A number as people type it, "1,000.5" included; null for anything else. Never infinite, never NaN. */
export function numberOf(text: string): number | null {
  const bare = text.trim().replaceAll(",", "");
  if (!/^[+-]?(\d+\.?\d*|\.\d+)$/.test(bare)) return null;
  const value = Number(bare);
  return Number.isFinite(value) ? value : null;
}

export function problemOf(text: string, spec: ParameterSpec | undefined): Problem | null {
  if (text.trim() === "") return "required";
  const value = numberOf(text);
  if (value === null) return "number";
  if (!spec) return null;
  if (spec.type === "integer" && !Number.isInteger(value)) return "integer";
  if (value < spec.minimum) return "low";
  return value > spec.maximum ? "high" : null;
}

export function changesOf(before: Readonly<Record<string, number>>, typed: Readonly<Record<string, string>>, schema: Readonly<Record<string, ParameterSpec>>): Change[] {
  return Object.entries(typed).flatMap(([key, text]) => {
    const to = numberOf(text);
    const from = before[key] ?? null;
    return to === null || to === from ? [] : [{ key, from, to, loosens: loosens(from, to, schema[key]) }];
  });
}

function loosens(from: number | null, to: number, spec: ParameterSpec | undefined): boolean {
  if (!spec || from === null || spec.loosens === "never") return false;
  return spec.loosens === "up" ? to > from : to < from;
}

/** "+25%", or null where a share of the old value says nothing. */
export function percentChange({ from, to }: Change): string | null {
  if (from === null || from === 0) return null;
  const percent = ((to - from) / Math.abs(from)) * 100;
  return `${percent > 0 ? "+" : ""}${grouped(Math.round(percent * 10) / 10)}%`;
}

const FIRST = ["takeProfitPercent", "stopLossPercent", "maxPositionSize", "riskPerTrade"];

/** The four well-known parameters first, then the engine's own by name. */
export function inOrder(keys: readonly string[]): string[] {
  const place = (key: string) => (FIRST.includes(key) ? FIRST.indexOf(key) : FIRST.length);
  return keys.toSorted((a, b) => place(a) - place(b) || a.localeCompare(b));
}

/** "12,000,000원", "4%", "3 seconds". */
export function withUnit(value: number, spec: ParameterSpec | undefined, t: Translate): string {
  const unit = unitOf(spec, t);
  return unit === "" ? grouped(value) : `${grouped(value)}${/^[\w]/.test(unit) ? " " : ""}${unit}`;
}

export function unitOf(spec: ParameterSpec | undefined, t: Translate): string {
  if (!spec) return "";
  const known = `unit.${spec.unit}`;
  return isKey(known) ? t(known as "unit.percent") : spec.unit;
}

/** The name people use: the desk's own word for the four well-known parameters, else the engine's title. */
export function labelOf(key: string, spec: ParameterSpec | undefined, t: Translate): string {
  const known = `parameter.${key}`;
  return isKey(known) ? t(known as "parameter.takeProfitPercent") : spec?.title || key;
}
