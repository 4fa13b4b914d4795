/** What the playground asks of the grid, and errors as sentences. */

import type {
  Claim,
  Deposit,
  Deposits,
  ErrorBody,
  Job,
  Key,
  NewKey,
  Quote,
  SignedClaim,
  UnsignedPayment,
} from "../../generated/api.js";

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
  readonly checked?: boolean;
}

const GONE = "The coordinator does not answer. Check your connection, then try again.";
/** The answer was not the grid's: somebody between it and this page gave it. */
export const NOT_OURS = "";

/** A request that is answered with success, or an error that says what to do. */
export async function send(path: string, key: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  if (!headers.has("accept")) headers.set("accept", "application/json");
  if (key) headers.set("authorization", `Bearer ${key}`);
  if (init.body) headers.set("content-type", "application/json");
  const answer = await fetch(path, { ...init, headers, credentials: "omit" }).catch(cut(init.signal));
  if (answer.ok) return answer;
  throw await errorOf(answer);
}

async function ask<T>(path: string, key: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  const init: RequestInit = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
  if (signal) init.signal = signal;
  const answer = await send(path, key, init);
  return (await answer.json().catch(cut(signal))) as T;
}

/** Before the answer or in the middle of it. */
const cut = (signal?: AbortSignal | null) => (error: unknown): never => {
  if (signal?.aborted) throw error;
  throw new ApiError(GONE, 0, "offline");
};

async function errorOf(answer: Response): Promise<ApiError> {
  const body = (await answer.json().catch(() => null)) as ErrorBody | null;
  const wait = answer.headers.get("retry-after");
  const message = body?.error.message ?? `The coordinator answered ${answer.status}.`;
  const advice = wait ? ` Try again in ${wait} s.` : "";
  return new ApiError(message + advice, answer.status, body?.error.code ?? NOT_OURS, body?.error.param ?? null);
}

export const createKey = (label: string): Promise<NewKey> => ask("/api/keys", "", { label });

export const currentKey = (key: string): Promise<Key> => ask("/api/keys/current", key);

/** In base units; `wallet`: where a refund goes instead of the account that pays. */
export interface Wanted {
  readonly amount: number;
  readonly wallet: string | null;
}

export const createDeposit = (key: string, wanted: Wanted): Promise<Deposit> => ask("/api/deposits", key, wanted);

export const deposits = (key: string): Promise<Deposits> => ask("/api/deposits", key);

export const depositOf = (key: string, id: string): Promise<Deposit> => ask(`/api/deposits/${id}`, key);

export const paymentOf = (key: string, id: string, wallet: string): Promise<UnsignedPayment> =>
  ask(`/api/deposits/${id}/transaction`, key, { wallet });

export const sendPayment = (key: string, id: string, transaction: string): Promise<Deposit> =>
  ask(`/api/deposits/${id}/send`, key, { transaction });

export const createRefund = (key: string, wallet: string): Promise<Claim> => ask("/api/refunds", key, { wallet });

export const signRefund = (key: string, id: string, signed: SignedClaim): Promise<Claim> =>
  ask(`/api/refunds/${id}/sign`, key, signed);

export const refundOf = (key: string, id: string): Promise<Claim> => ask(`/api/refunds/${id}`, key);

export const quote = ({ model, input }: Order, signal: AbortSignal): Promise<Quote> =>
  ask("/api/quotes", "", { model, input }, signal);

/** Sent again under the same `name`, within a day, it is the same job and charged once. */
export async function submit(key: string, order: Order, name: string): Promise<Job> {
  const init = { method: "POST", body: JSON.stringify(order), headers: { "idempotency-key": name } };
  const answer = await send("/api/jobs", key, init);
  return (await answer.json().catch(() => { throw new ApiError(GONE, 0, "offline"); })) as Job;
}

/** 128 random bits in hex; `crypto.randomUUID` is there on https only. */
export const newName = (): string =>
  [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

export const jobOf = (key: string, id: string): Promise<Job> => ask(`/api/jobs/${id}`, key);

export const cancel = (key: string, id: string): Promise<Job> => ask(`/api/jobs/${id}/cancel`, key, {});
