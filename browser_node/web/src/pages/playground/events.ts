/**
 * Follow a job by its events. Not an EventSource: that cannot send the key, and previews of
 * a private job are for its key alone.
 */

import type { Job, JobRow, Preview } from "../../generated/api.js";
import { ApiError, jobOf, NOT_OURS, send } from "./api.js";

export interface Follower {
  job(row: JobRow): void;
  preview?(preview: Preview): void;
  /** The connection is gone, and why; it is tried again. */
  lost(why: string): void;
}

const ENDED = ["done", "failed", "cancelled"];
/** Between two attempts to follow again: the job goes on meanwhile. Doubled each time, up to … */
const AGAIN_MS = 1_000;
const LONGEST_MS = 15_000;
/** The server sends something every 20 s: after this silence nobody is at the other end. */
const SILENT_MS = 45_000;

/** A 500 of the grid's own is no such thing: it has found that it cannot. */
const NOT_NOW = [0, 429, 502, 503, 504];

export const isOver = (job: JobRow): boolean => ENDED.includes(job.state);

/** No answer, or one that says "not now": it says nothing of the job, and may be another soon. */
export const isPassing = (error: unknown): error is ApiError =>
  error instanceof ApiError && (error.code === NOT_OURS || NOT_NOW.includes(error.status));

const LOST = "The connection to the coordinator is lost.";
const KEPT = "Your job is kept: this page asks again until it hears of it.";

/**
 * Tell `follower` what happens until the job is over; its end, with what it answered. However
 * long the coordinator is away: a job that it took is kept. Raises ApiError where it says no.
 */
export async function follow(key: string, id: string, follower: Follower): Promise<Job> {
  for (let cuts = 0; ; cuts++) {
    try {
      if (await listen(key, id, follower)) cuts = 0;
    } catch (error) {
      if (!isPassing(error)) throw error;
      follower.lost(`${error.status === 0 ? LOST : error.message} ${KEPT}`);
    }
    // The stream ends with the job, or with a connection that somebody in between cut.
    const job = await jobOf(key, id).catch(passing);
    if (job && isOver(job)) return job;
    if (job) follower.job(job);
    await pause(cuts);
  }
}

/** To the end of the stream; whether anything came. */
async function listen(key: string, id: string, follower: Follower): Promise<boolean> {
  let heard = false;
  for await (const [name, data] of events(await open(key, id))) {
    heard = true;
    if (name === "preview") follower.preview?.(JSON.parse(data) as Preview);
    if (name === "job") follower.job(JSON.parse(data) as JobRow);
  }
  return heard;
}

function passing(error: unknown): null {
  if (!isPassing(error)) throw error;
  return null;
}

/** Longer after each cut; no longer than until the network or the reader is back. */
export function pause(cuts: number): Promise<void> {
  return new Promise((resolve) => {
    const over = new AbortController();
    const { signal } = over;
    const end = (): void => {
      over.abort();
      clearTimeout(timer);
      resolve();
    };
    const timer = setTimeout(end, Math.min(AGAIN_MS * 2 ** cuts, LONGEST_MS));
    window.addEventListener("online", end, { signal });
    document.addEventListener("visibilitychange", () => document.hidden || end(), { signal });
  });
}

async function open(key: string, id: string): Promise<ReadableStream<Uint8Array>> {
  const answer = await send(`/api/jobs/${id}/events`, key, { headers: { accept: "text/event-stream" } });
  if (!answer.body) throw new ApiError("The coordinator sent no events.", 0, "offline");
  return answer.body;
}

/** [event, data] of a stream of server-sent events; our server sends one line of data each. */
export async function* events(body: ReadableStream<Uint8Array>): AsyncGenerator<[string, string]> {
  const reader = body.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await inTime(reader.read()).catch(() => {
      void reader.cancel().catch(() => undefined);
      throw new ApiError("The connection to the coordinator was lost.", 0, "offline");
    });
    if (done) return;
    const blocks = (rest + value.replaceAll("\r", "")).split("\n\n");
    rest = blocks.pop() ?? "";
    for (const block of blocks) {
      const fields = new Map(block.split("\n").map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).trim()]));
      const data = fields.get("data");
      if (data !== undefined) yield [fields.get("event") ?? "message", data];
    }
  }
}

/** A connection says nothing of a network that went away: the browser does, or a long silence. */
function inTime<T>(work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const cut = (): void => reject(new Error("nobody is there"));
    const timer = setTimeout(cut, SILENT_MS);
    window.addEventListener("offline", cut);
    void work.then(resolve, reject).finally(() => {
      clearTimeout(timer);
      window.removeEventListener("offline", cut);
    });
  });
}
