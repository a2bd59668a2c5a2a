import { en } from "./en";
import { ko, type Key } from "./ko";

export type Language = "ko" | "en";
export type { Key };

/** The names in braces of a text: t("link.stale", { seconds }) does not compile without `seconds`. */
type Slots<S extends string> = S extends `${string}{${infer Name}}${infer Rest}` ? Name | Slots<Rest> : never;
type Values<K extends Key> = [Slots<(typeof ko)[K]>] extends [never] ? [] : [values: Record<Slots<(typeof ko)[K]>, string | number>];

export type Translate = <K extends Key>(key: K, ...values: Values<K>) => string;

const DICTIONARIES: Record<Language, Record<Key, string>> = { ko, en };

export function fill(text: string, values: Readonly<Record<string, string | number>>): string {
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole));
}

export function slotsOf(text: string): string[] {
  return [...text.matchAll(/\{(\w+)\}/g)].map((match) => match[1] ?? "").sort();
}

export function translator(language: Language): Translate {
  const dictionary = DICTIONARIES[language];
  return (key, ...values) => fill(dictionary[key], values[0] ?? {});
}

export function isKey(text: string): text is Key {
  return Object.hasOwn(ko, text);
}

export const dictionaries = DICTIONARIES;
