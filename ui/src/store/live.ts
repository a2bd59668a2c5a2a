/** The one place where the UI link writes and the panels read. Writes are told to React once per frame. */
import { useMemo, useSyncExternalStore } from "react";
import { initial, type LinkState } from "../link/machine";
import type { Frame, Subscription } from "../wire/frames";
import { delta, EMPTY, KEYED, KEYED_TOPICS, LogRing, merge, snapshot, TOPICS, type Heard, type ItemOf, type KeyedTopic, type Topic } from "./topics";

type Slice = KeyedTopic | "trades" | "link" | "history";
type Topics = { [N in KeyedTopic]: Topic<ItemOf<N>> };

/** Points kept of the platform's own CPU and memory. */
const HISTORY = 120;

const listeners = new Map<Slice, Set<() => void>>();
const dirty = new Set<Slice>();
let planned = false;

const topics = Object.fromEntries(KEYED_TOPICS.map((name) => [name, EMPTY])) as unknown as Topics;
const trades = new LogRing();
let link: LinkState = initial();
let history: readonly { cpu: number; memory: number }[] = [];
let skewMs = 0;
let badFrames = 0;

function changed(slice: Slice): void {
  dirty.add(slice);
  if (planned) return;
  planned = true;
  // A hidden page gets no animation frames; its title and favicon still have to follow a stop.
  if (document.hidden) setTimeout(flush, 100);
  else requestAnimationFrame(flush);
}

function flush(): void {
  planned = false;
  const slices = [...dirty];
  dirty.clear();
  for (const slice of slices) for (const listener of listeners.get(slice) ?? []) listener();
}

function subscriber(slice: Slice) {
  return (listener: () => void) => {
    const set = listeners.get(slice) ?? new Set();
    listeners.set(slice, set.add(listener));
    return () => set.delete(listener);
  };
}

function isKeyed(topic: string): topic is KeyedTopic {
  return topic in topics;
}

function put<N extends KeyedTopic>(name: N, next: Topic<ItemOf<N>>): void {
  (topics as Record<KeyedTopic, unknown>)[name] = next;
  changed(name);
  if (name === "system") remember();
}

function remember(): void {
  const now = topics.system.items.get("platform");
  if (!now) return;
  history = [...history.slice(1 - HISTORY), { cpu: now.cpu_usage, memory: now.memory_usage }];
  changed("history");
}

export const live = {
  take(frame: Frame, now: number): void {
    skewMs = Date.parse(frame.timestamp) - now;
    if (frame.type === "snapshot") {
      if (frame.payload.topic === "trades") trades.snapshot(frame.payload);
      else if (isKeyed(frame.payload.topic)) put(frame.payload.topic, snapshot(frame.payload.topic, frame.payload, topics[frame.payload.topic] as never, now));
    } else if (frame.type === "delta") {
      if (frame.payload.topic === "trades") trades.delta(frame.payload);
      else if (isKeyed(frame.payload.topic)) put(frame.payload.topic, delta(frame.payload.topic, frame.payload, topics[frame.payload.topic] as never, now));
    } else if (frame.type === "gap" && frame.payload.topic === "trades") {
      trades.gap(frame.payload.to_offset - frame.payload.from_offset + 1, frame.payload.cause);
      trades.offset = Math.max(trades.offset, frame.payload.to_offset);
    }
    if ("topic" in frame.payload && frame.payload.topic === "trades") changed("trades");
  },

  /** Takes an item that came by REST, so that it shows even while the link is down. What a live link told is newer. */
  takeOne<N extends KeyedTopic>(name: N, item: ItemOf<N>, now: number): void {
    const key = (KEYED[name].key as (item: ItemOf<N>) => string)(item);
    if (link.liveness === "live" && topics[name].items.has(key)) return;
    put(name, merge(name, [item], topics[name] as Topic<ItemOf<N>>, now));
  },

  badFrame(): void {
    badFrames += 1;
    changed("trades");
  },

  setLink(next: LinkState): void {
    if (next.liveness === link.liveness && next.phase === link.phase && next.dueAt === link.dueAt && next.networkDown === link.networkDown && next.refusal === link.refusal) {
      link = next;
      return;
    }
    link = next;
    queueMicrotask(() => {
      for (const listener of listeners.get("link") ?? []) listener();
    });
  },

  /** What to ask for in hello: a place to go on from where there is one. */
  subscriptions(): Subscription[] {
    return TOPICS.map((topic) => {
      const { epoch, offset, loaded } = topic === "trades" ? trades : topics[topic];
      return loaded && epoch !== null ? { topic, epoch, offset } : { topic };
    });
  },

  offsets(): Record<string, number> {
    return Object.fromEntries(TOPICS.map((topic) => [topic, (topic === "trades" ? trades : topics[topic]).offset]));
  },

  serverNow: (now = Date.now()) => now + skewMs,
  link: () => link,
};

export function useTopic<N extends KeyedTopic>(name: N): Topic<ItemOf<N>> {
  return useSyncExternalStore(
    useMemo(() => subscriber(name), [name]),
    () => topics[name] as Topic<ItemOf<N>>,
  );
}

export function useItems<N extends KeyedTopic>(name: N): readonly Heard<ItemOf<N>>[] {
  const topic = useTopic(name);
  return useMemo(() => [...topic.items.values()], [topic]);
}

const subscribeLink = subscriber("link");
const subscribeTrades = subscriber("trades");
const subscribeHistory = subscriber("history");

export function useLink(): LinkState {
  return useSyncExternalStore(subscribeLink, () => link);
}

export function useTrades(): { ring: LogRing; version: number; badFrames: number } {
  const version = useSyncExternalStore(subscribeTrades, () => trades.version + badFrames);
  return useMemo(() => ({ ring: trades, version, badFrames }), [version]);
}

export function useHistory(): readonly { cpu: number; memory: number }[] {
  return useSyncExternalStore(subscribeHistory, () => history);
}
