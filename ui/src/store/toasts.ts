import { useSyncExternalStore } from "react";

export interface Toast {
  readonly id: number;
  readonly tone: "ok" | "crit";
  readonly text: string;
}

/** Older ones make room: a toast is never the only place where a result is told. */
const SHOWN = 4;
const GOOD_NEWS_MS = 5_000;
const listeners = new Set<() => void>();
let toasts: readonly Toast[] = [];
let last = 0;

function set(next: readonly Toast[]): void {
  toasts = next;
  for (const listener of listeners) listener();
}

/** Good news leaves by itself; bad news stays until it is closed. */
export function toast(tone: Toast["tone"], text: string): void {
  last += 1;
  const id = last;
  set([...toasts, { id, tone, text }].slice(-SHOWN));
  if (tone === "ok") setTimeout(() => dismiss(id), GOOD_NEWS_MS);
}

export function dismiss(id: number): void {
  set(toasts.filter((each) => each.id !== id));
}

export function useToasts(): readonly Toast[] {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => toasts,
  );
}
