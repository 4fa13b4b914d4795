/** What the playground asks of the grid, and errors as sentences. */

import type { ErrorBody, Job, Key, NewKey, Quote } from "../../generated/api.js";

export class ApiError extends Error {
  constructor(
    message: string,
    readonly status: number,
    readonly code: string,
    readonly param: string | null = null,
  ) {
    super(message);
  }
}

/** What somebody wants done, before it is a job. */
export interface Order {
  readonly model: string;
  readonly input: Record<string, unknown>;
  readonly public?: boolean;
  readonly show_preview?: boolean;
}

const GONE = "The coordinator does not answer. Check your connection, then try again.";

/** A request that is answered with success, or an error that says what to do. */
export async function send(path: string, key: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  if (!headers.has("accept")) headers.set("accept", "application/json");
  if (key) headers.set("authorization", `Bearer ${key}`);
  if (init.body) headers.set("content-type", "application/json");
  const answer = await fetch(path, { ...init, headers, credentials: "omit" }).catch((error: unknown) => {
    if (init.signal?.aborted) throw error;
    throw new ApiError(GONE, 0, "offline");
  });
  if (answer.ok) return answer;
  throw await errorOf(answer);
}

async function ask<T>(path: string, key: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  const init: RequestInit = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
  if (signal) init.signal = signal;
  return (await (await send(path, key, init)).json()) as T;
}

async function errorOf(answer: Response): Promise<ApiError> {
  const body = (await answer.json().catch(() => null)) as ErrorBody | null;
  const wait = answer.headers.get("retry-after");
  const message = body?.error.message ?? `The coordinator answered ${answer.status}.`;
  const advice = wait ? ` Try again in ${wait} s.` : "";
  return new ApiError(message + advice, answer.status, body?.error.code ?? "", body?.error.param ?? null);
}

export const createKey = (label: string): Promise<NewKey> => ask("/api/keys", "", { label });

export const currentKey = (key: string): Promise<Key> => ask("/api/keys/current", key);

export const quote = ({ model, input }: Order, signal: AbortSignal): Promise<Quote> =>
  ask("/api/quotes", "", { model, input }, signal);

export const submit = (key: string, order: Order): Promise<Job> => ask("/api/jobs", key, order);

export const jobOf = (key: string, id: string): Promise<Job> => ask(`/api/jobs/${id}`, key);

export const cancel = (key: string, id: string): Promise<Job> => ask(`/api/jobs/${id}/cancel`, key, {});
