/**
 * Who is signed in. The access token lives in this module's memory alone; the refresh token in a cookie that scripts
 * cannot read. Signing out in one tab signs the others out at their next refresh.
 */
import { useSyncExternalStore } from "react";
import * as v from "valibot";
import { parse } from "../wire/common";
import { ErrorBody, TokenAnswer, User } from "../wire/rest";
import { ApiError, Unreachable } from "./errors";

export type Session =
  | { readonly phase: "restoring" }
  | { readonly phase: "out"; readonly unreachable: boolean }
  | { readonly phase: "in"; readonly user: User }
  | { readonly phase: "over"; readonly user: User };

const TIMEOUT_MS = 10_000;
const EXPIRING_MS = 30_000;
const listeners = new Set<() => void>();
let session: Session = { phase: "restoring" };
let token: string | null = null;
let expiresAt = 0;
let refreshing: Promise<void> | null = null;

function set(next: Session): void {
  session = next;
  for (const listener of listeners) listener();
}

async function post(path: string, body: object, bearer: string | null): Promise<unknown> {
  let response: Response;
  try {
    response = await fetch(path, {
      method: "POST",
      credentials: "same-origin",
      headers: { "content-type": "application/json", ...(bearer && { authorization: `Bearer ${bearer}` }) },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
  } catch (cause) {
    throw new Unreachable(cause);
  }
  const json: unknown = await response.json().catch(() => null);
  if (response.ok) return json;
  const error = parse(ErrorBody, json);
  throw error.ok ? new ApiError(response.status, error.value.error, error.value.reason, error.value.field) : new ApiError(response.status, "error_unexpected_answer", "", null);
}

function accept(json: unknown): User | null {
  const answer = parse(TokenAnswer, json);
  if (!answer.ok) throw new ApiError(200, "error_unexpected_answer", answer.issue, null);
  token = answer.value.access_token;
  expiresAt = Date.now() + answer.value.expires_in * 1000;
  return answer.value.user ?? claimed(token);
}

/** The user as the token itself says, for answers that carry no user. Only shown: the server decides what is allowed. */
function claimed(jwt: string): User | null {
  const body = jwt.split(".")[1];
  if (body === undefined) return null;
  try {
    const bytes = Uint8Array.from(atob(body.replaceAll("-", "+").replaceAll("_", "/")), (char) => char.charCodeAt(0));
    const claims = JSON.parse(new TextDecoder().decode(bytes)) as Record<string, unknown>;
    const result = v.safeParse(User, { id: claims["sub"], username: claims["username"] ?? claims["sub"], role: claims["role"] });
    return result.success ? result.output : null;
  } catch {
    return null;
  }
}

function signedInAs(user: User | null): void {
  const known = user ?? ("user" in session ? session.user : null);
  if (!known) throw new ApiError(200, "error_unexpected_answer", "user", null);
  set({ phase: "in", user: known });
}

export async function login(username: string, password: string, totp: string): Promise<void> {
  signedInAs(accept(await post("/api/auth/login", { username, password, ...(totp && { totp }) }, null)));
}

/** Gives the token a fresh auth_time, which a release asks for. */
export async function stepUp(password: string, totp: string): Promise<void> {
  const proof = { password, ...(totp && { totp }) };
  try {
    signedInAs(accept(await post("/api/auth/step-up", proof, token)));
  } catch (error) {
    // Anything but a wrong password means that the access token itself is no longer good.
    if (!(error instanceof ApiError) || error.status !== 401 || error.code === "error_bad_credentials") throw error;
    await refresh();
    signedInAs(accept(await post("/api/auth/step-up", proof, token)));
  }
}

/** Ends the session and starts the page anew, so that nothing of it stays in memory. Throws when the server did not end it. */
export async function logout(): Promise<void> {
  await post("/api/auth/logout", {}, token);
  token = null;
  location.assign("/");
}

/** One refresh at a time, also across tabs: the cookie rotates, and two at once would look like a stolen one. */
export function refresh(): Promise<void> {
  refreshing ??= exclusively(async () => {
    signedInAs(accept(await post("/api/auth/refresh", {}, null)));
  }).finally(() => {
    refreshing = null;
  });
  return refreshing;
}

function exclusively(work: () => Promise<void>): Promise<void> {
  return "locks" in navigator ? navigator.locks.request("watchkeeper-refresh", work) : work();
}

export async function restore(): Promise<void> {
  try {
    await refresh();
  } catch (error) {
    set({ phase: "out", unreachable: !(error instanceof ApiError) || error.status >= 500 });
  }
}

/** A token for the link. An old one is still given when no new one can be had: the server judges, and a stop may use it. */
export async function bearer(fresh: boolean): Promise<string | null> {
  if (fresh || token === null || Date.now() > expiresAt - EXPIRING_MS) {
    try {
      await refresh();
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) {
        over();
        return null;
      }
      if (token === null) throw error;
    }
  }
  return token;
}

export const currentToken = (): string | null => token;
export const expiresInMs = (): number => expiresAt - Date.now();

/** The server no longer knows the session. The page stays as it is, with its drafts, behind a sign-in dialog. */
export function over(): void {
  if (session.phase === "in") set({ phase: "over", user: session.user });
  else if (session.phase === "restoring") set({ phase: "out", unreachable: false });
}

export function useSession(): Session {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => session,
  );
}
