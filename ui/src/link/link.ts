/** The shell around the link's state machine: one WebSocket, one ticker, the browser's network events. */
import { live } from "../store/live";
import { encode, parseFrame, PROTOCOL, SUBPROTOCOL, type Frame } from "../wire/frames";
import { initial, step, TIMING, type LinkCommand, type LinkEvent } from "./machine";
import { bearer, currentToken, expiresInMs, over } from "./session";

/** A lost tail is looked into at most this often, so that a disagreement about offsets cannot become a storm of dials. */
const DRIFT_PAUSE_MS = 60_000;

let state = initial();
let socket: WebSocket | null = null;
let generation = 0;
let awaited = new Set<string>();
let promised: Record<string, number> = {};
let driftAt = -DRIFT_PAUSE_MS;
let ticker: ReturnType<typeof setInterval> | undefined;

function dispatch(event: LinkEvent): void {
  const [next, commands] = step(state, event, performance.now(), Math.random());
  state = next;
  live.setLink(state);
  for (const command of commands) perform(command);
}

function perform(command: LinkCommand): void {
  switch (command.do) {
    case "dial":
      generation = command.socket;
      void dial(command.socket, command.freshToken);
      return;
    case "greet":
      greet();
      return;
    case "hangup":
      hangUp();
      return;
    case "reauth":
      void reauthenticate();
      return;
    case "sign-in":
      over();
      return;
  }
}

async function dial(mine: number, freshToken: boolean): Promise<void> {
  try {
    if ((await bearer(freshToken)) === null) return dispatch({ type: "session-over" });
  } catch {
    return dispatch({ type: "closed", socket: mine, code: 1006, reason: "" });
  }
  if (mine !== generation || state.phase !== "dialling") return;
  const opened = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`, SUBPROTOCOL);
  socket = opened;
  opened.onopen = () => dispatch({ type: "opened", socket: mine });
  opened.onmessage = ({ data }) => heard(mine, data);
  opened.onclose = ({ code, reason }) => dispatch({ type: "closed", socket: mine, code, reason });
}

function greet(): void {
  promised = {};
  say("hello", { token: currentToken(), protocol: PROTOCOL, topics: live.subscriptions(), client: "dashboard" });
}

function hangUp(): void {
  const old = socket;
  socket = null;
  if (!old) return;
  old.onopen = old.onmessage = old.onclose = null;
  old.close(1000);
}

function say(type: "hello" | "auth" | "bookmark_ack", payload: object): void {
  if (socket?.readyState === WebSocket.OPEN) socket.send(encode(type, payload, Date.now()));
}

function heard(mine: number, data: unknown): void {
  if (mine !== generation) return;
  const parsed = parseFrame(data);
  if (!parsed.ok) {
    live.badFrame();
    return dispatch({ type: "heard", socket: mine });
  }
  const frame = parsed.value;
  live.take(frame, Date.now());
  dispatch(eventOf(frame, mine));
  if (frame.type === "welcome" || frame.type === "snapshot") settle(frame, mine);
  if (frame.type === "bookmark") answer(frame.payload.n, frame.payload.offsets);
}

function eventOf(frame: Frame, mine: number): LinkEvent {
  if (frame.type === "bookmark") return { type: "beat", socket: mine };
  if (frame.type !== "welcome") return { type: "heard", socket: mine };
  return { type: "welcome", socket: mine, expiresInMs: Date.parse(frame.payload.token_expires) - Date.parse(frame.payload.server_time) };
}

/** The page is up to date once every topic has gone on from its offset or sent its snapshot. */
function settle(frame: Extract<Frame, { type: "welcome" | "snapshot" }>, mine: number): void {
  if (frame.type === "welcome") awaited = new Set(frame.payload.topics.filter((each) => !each.recovered).map((each) => each.topic));
  else awaited.delete(frame.payload.topic);
  if (awaited.size === 0 && !state.synced) dispatch({ type: "synced", socket: mine });
}

function answer(n: number, offsets: Record<string, number>): void {
  const mine = live.offsets();
  say("bookmark_ack", { n, offsets: Object.fromEntries(Object.keys(offsets).map((topic) => [topic, mine[topic] ?? 0])) });
  const behind = Object.entries(promised).some(([topic, offset]) => topic in mine && (mine[topic] ?? 0) < offset);
  promised = offsets;
  if (!behind || performance.now() - driftAt < DRIFT_PAUSE_MS) return;
  driftAt = performance.now();
  dispatch({ type: "closed", socket: generation, code: 4009, reason: "error_offset_behind" });
}

async function reauthenticate(): Promise<void> {
  try {
    if ((await bearer(true)) === null) return dispatch({ type: "session-over" });
  } catch {
    return dispatch({ type: "reauth-failed" });
  }
  say("auth", { token: currentToken() });
  dispatch({ type: "token", expiresInMs: expiresInMs() });
}

const onOnline = () => dispatch({ type: "network", up: true });
const onOffline = () => dispatch({ type: "network", up: false });
const onVisible = () => dispatch({ type: "wake" });

export function openLink(): void {
  ticker ??= setInterval(() => dispatch({ type: "tick" }), TIMING.tickMs);
  addEventListener("online", onOnline);
  addEventListener("offline", onOffline);
  document.addEventListener("visibilitychange", onVisible);
  dispatch({ type: "start" });
}

export function closeLink(): void {
  clearInterval(ticker);
  ticker = undefined;
  removeEventListener("online", onOnline);
  removeEventListener("offline", onOffline);
  document.removeEventListener("visibilitychange", onVisible);
  dispatch({ type: "stop" });
}

export function retryNow(): void {
  dispatch({ type: "retry" });
}
