/**
 * The life of the UI link as a pure function: `step(state, event, now, random)` gives the next state and what to do.
 *
 * The page promises that a lost connection is shown within 15 s. With a tick every 250 ms the bound is
 * offlineMs + tickMs = 10.25 s, whatever the network does; a socket that closes is shown at once.
 */
export const TIMING = {
  beatMs: 2_000,
  staleMs: 5_000,
  offlineMs: 10_000,
  tickMs: 250,
  dialMs: 8_000,
  backoffFirstMs: 500,
  backoffCapMs: 5_000,
  reauthLeadMs: 120_000,
  reauthRetryMs: 15_000,
} as const;

/** After an offline that was silence, a snapshot alone proves nothing: this many beats must follow. */
const BEATS_TO_TRUST = 2;

export type Phase = "off" | "dialling" | "greeting" | "online" | "waiting" | "refused";
export type Liveness = "loading" | "live" | "stale" | "offline";

export interface LinkState {
  readonly phase: Phase;
  readonly liveness: Liveness;
  /** Generation of the socket; whatever an older socket reports is ignored. */
  readonly socket: number;
  readonly attempt: number;
  readonly startedAt: number;
  /** Last sign of life on the present socket. */
  readonly heardAt: number | null;
  /** Until when what is shown was known to be the present. */
  readonly currentAt: number | null;
  /** The end of the present dial, or the moment of the next one. */
  readonly dueAt: number | null;
  readonly synced: boolean;
  readonly everSynced: boolean;
  readonly beats: number;
  readonly distrust: boolean;
  readonly networkDown: boolean;
  readonly freshToken: boolean;
  readonly authRefused: number;
  readonly reauthAt: number | null;
  readonly refusal: { readonly code: number; readonly reason: string } | null;
}

export type LinkEvent =
  | { readonly type: "start" | "stop" | "tick" | "wake" | "retry" | "reauth-failed" | "session-over" }
  | { readonly type: "network"; readonly up: boolean }
  | { readonly type: "opened" | "heard" | "beat" | "synced"; readonly socket: number }
  | { readonly type: "welcome"; readonly socket: number; readonly expiresInMs: number | null }
  | { readonly type: "token"; readonly expiresInMs: number | null }
  | { readonly type: "closed"; readonly socket: number; readonly code: number; readonly reason: string };

export type LinkCommand =
  | { readonly do: "dial"; readonly socket: number; readonly freshToken: boolean }
  | { readonly do: "greet" | "hangup"; readonly socket: number }
  | { readonly do: "reauth" | "sign-in" };

type Step = readonly [LinkState, readonly LinkCommand[]];

export function initial(): LinkState {
  return {
    phase: "off",
    liveness: "loading",
    socket: 0,
    attempt: 0,
    startedAt: 0,
    heardAt: null,
    currentAt: null,
    dueAt: null,
    synced: false,
    everSynced: false,
    beats: 0,
    distrust: false,
    networkDown: false,
    freshToken: false,
    authRefused: 0,
    reauthAt: null,
    refusal: null,
  };
}

export function step(state: LinkState, event: LinkEvent, now: number, random: number): Step {
  const [next, commands] = move(state, event, now, random);
  return [{ ...next, liveness: livenessOf(next, now) }, commands];
}

/** Milliseconds until the next dial, or null when none is planned. */
export function retryIn(state: LinkState, now: number): number | null {
  return state.phase === "waiting" && state.dueAt !== null ? Math.max(0, state.dueAt - now) : null;
}

function move(state: LinkState, event: LinkEvent, now: number, random: number): Step {
  if ("socket" in event && event.socket !== state.socket) return [state, []];
  switch (event.type) {
    case "start":
      return dial({ ...initial(), socket: state.socket, everSynced: state.everSynced, currentAt: state.currentAt, networkDown: state.networkDown, startedAt: now }, now);
    case "stop":
      return [{ ...initial(), socket: state.socket + 1, networkDown: state.networkDown }, [{ do: "hangup", socket: state.socket }]];
    case "opened":
      return [{ ...state, phase: "greeting", heardAt: now, dueAt: null }, [{ do: "greet", socket: state.socket }]];
    case "welcome":
      return [
        { ...state, phase: "online", heardAt: now, authRefused: 0, refusal: null, reauthAt: reauthAt(event.expiresInMs, now) },
        [],
      ];
    case "heard":
      return [hear(state, now), []];
    case "beat":
      return [trust({ ...hear(state, now), beats: state.beats + 1 }), []];
    case "synced":
      return [trust({ ...hear({ ...state, synced: true }, now), everSynced: true, attempt: 0 }), []];
    case "token":
      return [{ ...state, reauthAt: reauthAt(event.expiresInMs, now) }, []];
    case "reauth-failed":
      return [{ ...state, reauthAt: now + TIMING.reauthRetryMs }, []];
    case "session-over":
      return refuse(state, 4504, "error_session_over");
    case "closed":
      return closed(state, event.code, event.reason, now, random);
    case "network":
      return network(state, event.up, now, random);
    case "wake":
      return state.phase === "waiting" ? dial(state, now) : tick(state, now, random);
    case "retry":
      return state.phase === "waiting" || state.phase === "refused" ? dial({ ...state, authRefused: 0 }, now) : tick(state, now, random);
    case "tick":
      return tick(state, now, random);
  }
}

function tick(state: LinkState, now: number, random: number): Step {
  if (state.phase === "waiting" && state.dueAt !== null && now >= state.dueAt && !state.networkDown) return dial(state, now);
  if (state.phase === "dialling" && state.dueAt !== null && now >= state.dueAt) return lost(state, now, random);
  if (silentFor(state, now) >= TIMING.offlineMs) return lost({ ...state, distrust: true }, now, random);
  if (state.phase === "online" && state.reauthAt !== null && now >= state.reauthAt) return [{ ...state, reauthAt: null }, [{ do: "reauth" }]];
  return [state, []];
}

function hear(state: LinkState, now: number): LinkState {
  return { ...state, heardAt: now, currentAt: state.synced ? now : state.currentAt };
}

function silentFor(state: LinkState, now: number): number {
  const listening = state.phase === "online" || state.phase === "greeting";
  return listening && state.heardAt !== null ? now - state.heardAt : 0;
}

function dial(state: LinkState, now: number): Step {
  const socket = state.socket + 1;
  return [
    { ...state, phase: "dialling", socket, dueAt: now + TIMING.dialMs, synced: false, beats: 0, freshToken: false, refusal: null },
    [{ do: "dial", socket, freshToken: state.freshToken }],
  ];
}

/** Gives the present socket up and plans the next dial. */
function lost(state: LinkState, now: number, random: number): Step {
  const planned = { ...state, phase: "waiting" as const, attempt: state.attempt + 1, synced: false, beats: 0, reauthAt: null };
  return [
    { ...planned, socket: state.socket + 1, dueAt: now + backoff(state.attempt, random) },
    [{ do: "hangup", socket: state.socket }],
  ];
}

function closed(state: LinkState, code: number, reason: string, now: number, random: number): Step {
  if (state.phase === "off" || state.phase === "refused") return [state, []];
  if (code === 4101) return lost({ ...state, freshToken: true }, now, random);
  if (code === 4504 && state.authRefused === 0) return lost({ ...state, freshToken: true, authRefused: 1 }, now, random);
  if (code >= 4500 && code <= 4999) return refuse(state, code, reason);
  return lost(state, now, random);
}

/** The server's lasting no: dialling again by itself would not help. */
function refuse(state: LinkState, code: number, reason: string): Step {
  const commands: LinkCommand[] = [{ do: "hangup", socket: state.socket }];
  if (code === 4504) commands.push({ do: "sign-in" });
  return [{ ...state, phase: "refused", socket: state.socket + 1, synced: false, dueAt: null, reauthAt: null, refusal: { code, reason } }, commands];
}

function network(state: LinkState, up: boolean, now: number, random: number): Step {
  const known = { ...state, networkDown: !up };
  if (up) return state.phase === "waiting" ? dial(known, now) : tick(known, now, random);
  return state.phase === "off" || state.phase === "refused" || state.phase === "waiting" ? [known, []] : lost(known, now, random);
}

function trust(state: LinkState): LinkState {
  return state.distrust && state.synced && state.beats >= BEATS_TO_TRUST ? { ...state, distrust: false } : state;
}

/** 0.5 s doubled up to 5 s, the upper half of it random; it never gives up. */
export function backoff(attempt: number, random: number): number {
  const full = Math.min(TIMING.backoffCapMs, TIMING.backoffFirstMs * 2 ** Math.min(attempt, 10));
  return full * (0.5 + 0.5 * random);
}

function reauthAt(expiresInMs: number | null, now: number): number | null {
  if (expiresInMs === null) return null;
  return now + Math.max(expiresInMs - TIMING.reauthLeadMs, expiresInMs / 2);
}

function livenessOf(state: LinkState, now: number): Liveness {
  if (state.phase === "off") return "loading";
  if (state.networkDown || state.phase === "refused" || state.distrust) return "offline";
  if (state.phase === "online" && state.synced) {
    const silent = silentFor(state, now);
    return silent >= TIMING.offlineMs ? "offline" : silent >= TIMING.staleMs ? "stale" : "live";
  }
  const firstTry = !state.everSynced && state.attempt === 0 && now - state.startedAt < TIMING.offlineMs;
  return firstTry ? "loading" : "offline";
}
