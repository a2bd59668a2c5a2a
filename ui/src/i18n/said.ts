/** What engines and the platform say in English sentences, in Korean: the same book as the platform's reports. */
import { KINDS, KOREAN, TERMS } from "./phrases";

const SLOT = /\{(\w+?)(\d*)\}/g;
const NAMED = /^([A-Za-z0-9_.-]{1,64}(?: [a-z]{1,20})?): (.+)$/s;
const PART = /^([0-9A-Za-z]{1,12}) ([0-9][0-9,]*) \((.+)\)$/s;
/** Timelines are drawn again and again with the same words. */
const KEPT = 2_000;
const kept = new Map<string, string | null>();

const escaped = (text: string) => text.replace(/[.*+?^${}()|[\]\\/-]/g, "\\$&");
let patterns: readonly (readonly [RegExp, string])[] | null = null;

function pattern(template: string): RegExp {
  let made = "";
  let at = 0;
  for (const slot of template.matchAll(SLOT)) {
    made += `${escaped(template.slice(at, slot.index))}(?<${slot[1]}${slot[2]}>${KINDS[slot[1] ?? ""] ?? ".+?"})`;
    at = slot.index + slot[0].length;
  }
  return new RegExp(`^(?:${made}${escaped(template.slice(at))})$`, "s");
}

/** The sentence in Korean, or null where the book does not have it. */
export function korean(text: string): string | null {
  const known = kept.get(text);
  if (known !== undefined) return known;
  if (kept.size >= KEPT) kept.clear();
  const made = translated(text);
  kept.set(text, made);
  return made;
}

function translated(text: string): string | null {
  if (Object.hasOwn(KOREAN, text)) return KOREAN[text] ?? null;
  if (text.includes("; ")) {
    const parts = text.split("; ").map(korean);
    if (parts.every((part) => part !== null)) return parts.join("; ");
  }
  patterns ??= Object.entries(KOREAN).map(([english, words]) => [pattern(english), words] as const);
  for (const [each, words] of patterns) {
    const groups = each.exec(text)?.groups;
    if (groups) return words.replace(SLOT, (_, name: string, n: string) => value(name, groups[name + n] ?? ""));
  }
  const listed = left(text);
  if (listed !== null) return listed;
  const named = NAMED.exec(text);
  const said = named && korean(named[2] ?? "");
  return named && said !== null ? `${TERMS[named[1] ?? ""] ?? named[1]}: ${said}` : null;
}

function value(kind: string, text: string): string {
  if (kind === "said" || kind === "left") return korean(text) ?? text;
  return ["level", "flatness", "who", "cause"].includes(kind) ? (TERMS[text] ?? text) : text;
}

/** `005930 10 (reason), …` */
function left(text: string): string | null {
  const parts = text.split(/(?<=\)), (?=[0-9A-Za-z]{1,12} [0-9])/).map((part) => PART.exec(part));
  if (parts.some((part) => part === null)) return null;
  return parts.map((part) => `${part?.[1]} ${part?.[2]}주 (${korean(part?.[3] ?? "") ?? part?.[3]})`).join(", ");
}
