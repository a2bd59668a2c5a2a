import * as v from "valibot";
import { parse } from "../wire/common";
import { ErrorBody } from "../wire/rest";
import { ApiError, Unreachable } from "./errors";
import { newId } from "./ids";
import { currentToken, over, refresh } from "./session";

export interface Call<S extends v.GenericSchema> {
  readonly method?: "GET" | "POST" | "PATCH" | "PUT" | "DELETE";
  readonly path: string;
  readonly answer: S;
  readonly body?: object;
  readonly headers?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
  /** How often to try again, with the same ids, when no answer came. Only for requests that are idempotent by id. */
  readonly retries?: number;
  /** The request outlives the page: a stop must not be lost by closing the tab. */
  readonly keepalive?: boolean;
}

export interface Answer<T> {
  readonly value: T;
  readonly status: number;
  readonly etag: string | null;
}

const RETRY_PAUSE_MS = 300;

export async function call<S extends v.GenericSchema>(request: Call<S>): Promise<Answer<v.InferOutput<S>>> {
  const key = newId();
  for (let left = request.retries ?? 0; ; left -= 1) {
    try {
      return await authorised(request, key);
    } catch (error) {
      if (!(error instanceof Unreachable) || left <= 0) throw error;
      await new Promise((resolve) => setTimeout(resolve, RETRY_PAUSE_MS));
    }
  }
}

/** A document of the platform as text, for instance to be saved. */
export async function readDocument(path: string, mime: string): Promise<string> {
  const request = { path, answer: v.unknown(), headers: { accept: mime }, timeoutMs: 20_000 };
  let response = await send(request, newId());
  if (response.status === 401) {
    await refresh();
    response = await send(request, newId());
  }
  if (!response.ok) await read(request, response);
  return response.text();
}

async function authorised<S extends v.GenericSchema>(request: Call<S>, key: string): Promise<Answer<v.InferOutput<S>>> {
  const first = await send(request, key);
  if (first.status !== 401) return read(request, first);
  try {
    await refresh();
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) over();
    return read(request, first);
  }
  return read(request, await send(request, key));
}

async function send(request: Call<v.GenericSchema>, key: string): Promise<Response> {
  const method = request.method ?? "GET";
  const token = currentToken();
  try {
    return await fetch(request.path, {
      method,
      credentials: "same-origin",
      cache: "no-store",
      keepalive: request.keepalive ?? false,
      signal: AbortSignal.timeout(request.timeoutMs ?? 10_000),
      headers: {
        accept: "application/json",
        ...(token && { authorization: `Bearer ${token}` }),
        ...(request.body && { "content-type": "application/json" }),
        ...(method !== "GET" && { "idempotency-key": key }),
        ...request.headers,
      },
      ...(request.body && { body: JSON.stringify(request.body) }),
    });
  } catch (cause) {
    throw new Unreachable(cause);
  }
}

async function read<S extends v.GenericSchema>(request: Call<S>, response: Response): Promise<Answer<v.InferOutput<S>>> {
  const json: unknown = await response.json().catch(() => null);
  if (!response.ok) {
    const error = parse(ErrorBody, json);
    if (error.ok) throw new ApiError(response.status, error.value.error, error.value.reason, error.value.field);
    // A proxy's 502 or 504 page is no answer of the platform.
    throw response.status >= 502 ? new Unreachable(response.status) : new ApiError(response.status, "error_unexpected_answer", "", null);
  }
  const parsed = parse(request.answer, json);
  if (!parsed.ok) throw new ApiError(response.status, "error_unexpected_answer", parsed.issue, null);
  return { value: parsed.value, status: response.status, etag: response.headers.get("etag") };
}
