import * as v from "valibot";
import { Level, Role } from "./enums";

/** A field that may be null or left out; it reads as null either way. */
export const orNull = <S extends v.GenericSchema>(schema: S) => v.optional(v.nullable(schema), null);

export const finite = v.pipe(v.number(), v.finite());
export const count = v.pipe(v.number(), v.integer(), v.minValue(0));
export const integer = v.pipe(v.number(), v.integer());
export const text = v.string();
/** RFC 3339 with offset; kept as text, since it is only ever shown or compared. */
export const time = v.pipe(
  v.string(),
  v.regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/),
  v.check((at) => Number.isFinite(Date.parse(at))),
);
export const parameters = v.record(v.string(), finite);

/** What is said in the same words by the platform comes from there; these lists are in rising order. */
export const LEVELS = Level;
export type { Level, Role } from "./enums";
export const level = v.picklist(LEVELS);
export const ROLES = Role;

export function may(role: Role, needed: Role): boolean {
  return ROLES.indexOf(role) >= ROLES.indexOf(needed);
}

export type Parsed<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly issue: string };

/** The issue names the field and the kind of fault, never the value. */
export function parse<S extends v.GenericSchema>(schema: S, input: unknown): Parsed<v.InferOutput<S>> {
  const result = v.safeParse(schema, input, { abortEarly: true });
  if (result.success) return { ok: true, value: result.output };
  const issue = result.issues[0];
  return { ok: false, issue: `${v.getDotPath(issue) ?? "body"}: ${issue.type}` };
}
