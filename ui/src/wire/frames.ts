/** The frames of the UI link (wire/ui.py). Items stay unknown here: each is judged alone, so that one bad item costs only itself. */
import * as v from "valibot";
import { count, orNull, parse, text, time, type Parsed } from "./common";

export const SUBPROTOCOL = "watchkeeper-ui.v1";
export const PROTOCOL = "1";

const envelope = { timestamp: time, engine_id: orNull(text) };
const frame = <T extends string, S extends v.GenericSchema>(type: T, payload: S) => v.object({ ...envelope, type: v.literal(type), payload });

const Delta = v.pipe(
  v.object({ topic: text, offset: count, item: v.optional(v.unknown()), items: v.optional(v.array(v.unknown())), conflated: orNull(count) }),
  v.transform(({ item, items, ...rest }) => ({ ...rest, items: items ?? (item === undefined ? [] : [item]) })),
);

export const Frame = v.variant("type", [
  frame(
    "welcome",
    v.object({
      session: text,
      topics: v.array(v.object({ topic: text, epoch: text, offset: count, recovered: v.boolean() })),
      bookmark_ms: count,
      offline_ms: count,
      server_time: time,
      token_expires: time,
    }),
  ),
  frame("snapshot", v.object({ topic: text, epoch: text, offset: count, items: v.array(v.unknown()) })),
  frame("delta", Delta),
  frame("gap", v.object({ topic: text, from_offset: count, to_offset: count, cause: text })),
  frame("bookmark", v.object({ n: count, server_time: time, offsets: v.record(text, count) })),
  frame("ack", v.object({ re: text })),
  frame("nack", v.object({ code: text, reason: text })),
]);
export type Frame = v.InferOutput<typeof Frame>;

export function parseFrame(data: unknown): Parsed<Frame> {
  if (typeof data !== "string") return { ok: false, issue: "frame: not text" };
  let json: unknown;
  try {
    json = JSON.parse(data);
  } catch {
    return { ok: false, issue: "frame: not JSON" };
  }
  return parse(Frame, json);
}

export interface Subscription {
  readonly topic: string;
  readonly epoch?: string;
  readonly offset?: number;
}

/** What the page says: an envelope like the server's, with its own clock. */
export function encode(type: "hello" | "auth" | "bookmark_ack", payload: object, now: number): string {
  return JSON.stringify({ type, payload, timestamp: new Date(now).toISOString() });
}
