/** Which stop is being asked for, if any: the dialog can be opened from anywhere on the page. */
import { useSyncExternalStore } from "react";

/** Two presses of the stop's key within this time are meant as one: stop now. */
const TWICE_MS = 3_000;

const listeners = new Set<() => void>();
let asked: string | null = null;
let pressedAt = -Infinity;
let halt: (() => void) | null = null;

export function openStopDialog(scope = "all"): void {
  set(asked ?? scope);
}

export function closeStopDialog(): void {
  set(null);
}

/** The first press opens the dialog; a second one soon after, while it is open, halts what the dialog shows. */
export function pressStopKey(now: number): void {
  const twice = asked !== null && now - pressedAt <= TWICE_MS;
  pressedAt = twice ? -Infinity : now;
  if (twice) halt?.();
  else openStopDialog();
}

/** What the open dialog does at the second press. */
export function atSecondPress(act: () => void): () => void {
  halt = act;
  return () => {
    if (halt === act) halt = null;
  };
}

function set(next: string | null): void {
  asked = next;
  for (const listener of listeners) listener();
}

export function useAskedStop(): string | null {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => asked,
  );
}
