/**
 * Follow a job by its events. Not an EventSource: that cannot send the key, and previews of
 * a private job are for its key alone.
 */

import type { Job, JobRow, Preview } from "../../generated/api.js";
import { ApiError, jobOf, send } from "./api.js";

export interface Follower {
  job(row: JobRow): void;
  preview?(preview: Preview): void;
}

const ENDED = ["done", "failed", "cancelled"];
/** Between two attempts to follow again: the job goes on meanwhile. */
const AGAIN_MS = 1000;
/** A coordinator that is away for longer than this is worth a word. */
const ATTEMPTS = 5;

export const isOver = (job: JobRow): boolean => ENDED.includes(job.state);

/** Tell `follower` what happens until the job is over; its end, with what it answered. */
export async function follow(key: string, id: string, follower: Follower): Promise<Job> {
  for (let failed = 0; ; ) {
    try {
      for await (const [name, data] of events(await open(key, id))) {
        failed = 0;
        if (name === "preview") follower.preview?.(JSON.parse(data) as Preview);
        if (name === "job") follower.job(JSON.parse(data) as JobRow);
      }
    } catch (error) {
      if (error instanceof ApiError && error.status >= 400 && error.status < 500) throw error;
      if (++failed >= ATTEMPTS) throw error;
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
      continue;
    }
    // The stream ends with the job, or with a connection that somebody in between cut.
    const job = await jobOf(key, id);
    if (isOver(job)) return job;
  }
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
    const { done, value } = await reader.read().catch(() => {
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
