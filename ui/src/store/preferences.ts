/** How this browser shows things. Kept here for the first paint; the account's own choice arrives with its settings. */
import { useSyncExternalStore } from "react";
import { translator, type Language, type Translate } from "../i18n";

export const THEMES = ["dark", "light", "contrast"] as const;

export interface Look {
  readonly language: Language;
  readonly theme: (typeof THEMES)[number];
  readonly updown: "kr" | "us";
}

const KEY = "watchkeeper.look";
const listeners = new Set<() => void>();
let look = read();
let t = translator(look.language);

function read(): Look {
  const fallback: Look = { language: "ko", theme: "dark", updown: "kr" };
  try {
    const stored: unknown = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    return typeof stored === "object" && stored !== null ? sane({ ...fallback, ...stored }) : fallback;
  } catch {
    return fallback;
  }
}

function sane(wish: Record<keyof Look, unknown>): Look {
  return {
    language: wish.language === "en" ? "en" : "ko",
    theme: THEMES.find((theme) => theme === wish.theme) ?? "dark",
    updown: wish.updown === "us" ? "us" : "kr",
  };
}

function paint(): void {
  const root = document.documentElement;
  root.lang = look.language;
  root.dataset["theme"] = look.theme;
  root.dataset["updown"] = look.updown;
}

export function setLook(change: Partial<Look>): void {
  look = sane({ ...look, ...change });
  t = translator(look.language);
  localStorage.setItem(KEY, JSON.stringify(look));
  paint();
  for (const listener of listeners) listener();
}

/** Whether somebody chose in this very browser. */
export function hasOwnLook(): boolean {
  return localStorage.getItem(KEY) !== null;
}

export function useLook(): Look {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => look,
  );
}

export function useT(): Translate {
  useLook();
  return t;
}

export function currentT(): Translate {
  return t;
}

paint();
