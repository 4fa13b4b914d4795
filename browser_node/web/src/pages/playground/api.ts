/** The four requests of the playground, and errors as sentences. */

import type { ErrorBody, Job, Key, NewKey } from "../../generated/api.js";

export class ApiError extends Error {
  constructor(
    message: string,
    readonly status: number,
    readonly code: string,
  ) {
    super(message);
  }
}

/** First wait between two looks at a job; it grows, because long jobs need fewer looks. */
const FIRST_WAIT_MS = 40;
const LONGEST_WAIT_MS = 500;

async function ask<T>(path: string, key: string, method = "GET", body?: unknown): Promise<T> {
  const headers: Record<string, string> = { accept: "application/json" };
  if (key) headers.authorization = `Bearer ${key}`;
  if (body !== undefined) headers["content-type"] = "application/json";
  const init: RequestInit = { method, headers, credentials: "omit" };
  if (body !== undefined) init.body = JSON.stringify(body);
  const answer = await fetch(path, init).catch(() => {
    throw new ApiError("The coordinator does not answer. Check your connection, then try again.", 0, "offline");
  });
  if (answer.ok) return (await answer.json()) as T;
  throw await errorOf(answer);
}

async function errorOf(answer: Response): Promise<ApiError> {
  const body = (await answer.json().catch(() => null)) as ErrorBody | null;
  const wait = answer.headers.get("retry-after");
  const message = body?.error.message ?? `The coordinator answered ${answer.status}.`;
  const advice = wait ? ` Try again in ${wait} s.` : "";
  return new ApiError(message + advice, answer.status, body?.error.code ?? "");
}

export const createKey = (label: string): Promise<NewKey> => ask("/api/keys", "", "POST", { label });

export const currentKey = (key: string): Promise<Key> => ask("/api/keys/current", key);

export const submit = (key: string, model: string, texts: readonly string[]): Promise<Job> =>
  ask("/api/jobs", key, "POST", { model, input: { texts } });

/** Look until the job is over; `seen` is told each state. */
export async function follow(key: string, first: Job, seen: (job: Job) => void): Promise<Job> {
  let job = first;
  for (let wait = FIRST_WAIT_MS; !isOver(job); wait = Math.min(wait * 1.5, LONGEST_WAIT_MS)) {
    seen(job);
    await new Promise((resolve) => setTimeout(resolve, wait));
    job = await ask<Job>(`/api/jobs/${job.id}`, key);
  }
  return job;
}

const isOver = (job: Job): boolean => ["done", "failed", "cancelled"].includes(job.state);
