/** Which stop is being asked for, if any: the dialog can be opened from anywhere on the page. */
import { useSyncExternalStore } from "react";

const listeners = new Set<() => void>();
let asked: string | null = null;

export function openStopDialog(scope = "all"): void {
  set(asked ?? scope);
}

export function closeStopDialog(): void {
  set(null);
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
