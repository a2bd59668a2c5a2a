/** What the page knows of each topic, as pure functions of the frames. */
import type * as v from "valibot";
import { parse } from "../wire/common";
import { Alert, EngineHealth, EngineStatus, Stop, Strategy, SystemHealth, TradeLog, UpdateResult } from "../wire/items";

interface Kind<S extends v.GenericSchema> {
  readonly schema: S;
  readonly key: (item: v.InferOutput<S>) => string;
}
const kind = <S extends v.GenericSchema>(schema: S, key: Kind<S>["key"]): Kind<S> => ({ schema, key });

export const KEYED = {
  engines: kind(EngineStatus, (item) => item.engine_id),
  strategies: kind(Strategy, (item) => `${item.engine_id}/${item.id}`),
  health: kind(EngineHealth, (item) => item.engine_id),
  system: kind(SystemHealth, () => "platform"),
  stops: kind(Stop, (item) => item.stop_id),
  alerts: kind(Alert, (item) => item.id),
  parameters: kind(UpdateResult, (item) => item.request_id),
} as const;

export type KeyedTopic = keyof typeof KEYED;
export const KEYED_TOPICS = Object.keys(KEYED) as KeyedTopic[];
export const TOPICS = [...KEYED_TOPICS, "trades"] as const;

export type ItemOf<N extends KeyedTopic> = v.InferOutput<(typeof KEYED)[N]["schema"]>;
/** An item with the moment (this machine's clock) at which it was heard, so that its ages can go on growing. */
export type Heard<T> = T & { readonly heard_at: number };

export interface Topic<T> {
  readonly epoch: string | null;
  readonly offset: number;
  readonly loaded: boolean;
  readonly items: ReadonlyMap<string, Heard<T>>;
  readonly malformed: number;
}

const NOTHING: ReadonlyMap<string, never> = new Map<string, never>();
export const EMPTY: Topic<never> = { epoch: null, offset: 0, loaded: false, items: NOTHING, malformed: 0 };

export function snapshot<N extends KeyedTopic>(name: N, frame: { epoch: string; offset: number; items: readonly unknown[] }, before: Topic<ItemOf<N>>, now: number): Topic<ItemOf<N>> {
  const fresh = { ...EMPTY, malformed: before.malformed };
  return { ...merge(name, frame.items, fresh, now), epoch: frame.epoch, offset: frame.offset, loaded: true };
}

export function delta<N extends KeyedTopic>(name: N, frame: { offset: number; items: readonly unknown[] }, before: Topic<ItemOf<N>>, now: number): Topic<ItemOf<N>> {
  if (frame.offset <= before.offset && before.loaded) return before;
  return { ...merge(name, frame.items, before, now), offset: frame.offset };
}

/** Takes one item in, also when it came by REST. */
export function merge<N extends KeyedTopic>(name: N, items: readonly unknown[], before: Topic<ItemOf<N>>, now: number): Topic<ItemOf<N>> {
  const known = new Map<string, Heard<ItemOf<N>>>(before.items);
  let malformed = before.malformed;
  for (const item of items) {
    const parsed = parse<v.GenericSchema<unknown, ItemOf<N>>>(KEYED[name].schema as never, item);
    if (parsed.ok) known.set((KEYED[name].key as (item: ItemOf<N>) => string)(parsed.value), { ...parsed.value, heard_at: now });
    else malformed += 1;
  }
  return { ...before, items: known, malformed };
}

export type LogRow =
  | { readonly kind: "log"; readonly seq: number; readonly log: TradeLog; readonly haystack: string }
  | { readonly kind: "gap"; readonly seq: number; readonly lost: number | null; readonly cause: string }
  | { readonly kind: "malformed"; readonly seq: number; readonly issue: string; readonly raw: string };

export const LOG_CAPACITY = 20_000;
const RAW_SHOWN = 300;

/** The last 20,000 rows of the terminal. Mutable for speed; readers watch `version`. */
export class LogRing {
  rows: LogRow[] = [];
  version = 0;
  malformed = 0;
  epoch: string | null = null;
  offset = 0;
  loaded = false;
  #seq = 0;
  #seen = new Set<string>();

  constructor(readonly capacity = LOG_CAPACITY) {}

  snapshot(frame: { epoch: string; offset: number; items: readonly unknown[] }): void {
    const had = this.#seen.size > 0;
    const fresh = frame.items.filter((item) => !this.#knows(item));
    if (had && fresh.length === frame.items.length && fresh.length > 0) this.gap(null, "lost");
    this.epoch = frame.epoch;
    this.offset = frame.offset;
    this.loaded = true;
    this.append(fresh);
  }

  delta(frame: { offset: number; items: readonly unknown[] }): void {
    if (this.loaded && frame.offset <= this.offset) return;
    this.offset = frame.offset;
    this.append(frame.items);
  }

  gap(lost: number | null, cause: string): void {
    this.#push({ kind: "gap", seq: this.#next(), lost, cause });
  }

  append(items: readonly unknown[]): void {
    for (const item of items) {
      if (!this.#knows(item)) this.#push(this.#row(item));
    }
    this.version += 1;
  }

  #row(item: unknown): LogRow {
    const parsed = parse(TradeLog, item);
    if (!parsed.ok) {
      this.malformed += 1;
      return { kind: "malformed", seq: this.#next(), issue: parsed.issue, raw: String(JSON.stringify(item)).slice(0, RAW_SHOWN) };
    }
    const log = parsed.value;
    this.#seen.add(`${log.engine_id}\n${log.id}`);
    const haystack = [log.message, log.reason, log.symbol, log.strategy_id, log.order_id, log.engine_id].filter(Boolean).join("\n").toLowerCase();
    return { kind: "log", seq: this.#next(), log, haystack };
  }

  #push(row: LogRow): void {
    this.rows.push(row);
    this.version += 1;
    if (this.rows.length > this.capacity * 1.1) this.#trim();
  }

  #trim(): void {
    this.rows = this.rows.slice(-this.capacity);
    this.#seen = new Set(this.rows.flatMap((row) => (row.kind === "log" ? [`${row.log.engine_id}\n${row.log.id}`] : [])));
  }

  #knows(item: unknown): boolean {
    return typeof item === "object" && item !== null && "id" in item && "engine_id" in item && this.#seen.has(`${String(item.engine_id)}\n${String(item.id)}`);
  }

  #next(): number {
    this.#seq += 1;
    return this.#seq;
  }
}

export interface LogFilter {
  readonly category: string;
  readonly engine: string;
  readonly search: string;
}

/** Gaps always show. Malformed rows show wherever no filter could have told what they were. */
export function matches(row: LogRow, filter: LogFilter): boolean {
  if (row.kind === "gap") return true;
  if (row.kind === "malformed") return filter.category === "all" && filter.engine === "all" && filter.search === "";
  return (
    (filter.category === "all" || row.log.category === filter.category) &&
    (filter.engine === "all" || row.log.engine_id === filter.engine) &&
    (filter.search === "" || row.haystack.includes(filter.search.toLowerCase()))
  );
}
