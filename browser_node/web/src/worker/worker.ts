/**
 * The worker's entry: binds messages from the page to what runs here, and nothing else.
 *
 * init → (identity) → start → pause, resume, stop. One worker per device: the lock is held
 * from `start` until the worker ends.
 */

import type { FromWorker, ToWorker } from "../shared/protocol";
import { Engine } from "./engine";
import { NeedsPerson } from "./errors";

const post = (message: FromWorker): void => self.postMessage(message);
let engine: Engine | null = null;

/** What nobody expected is the fault of a device or of the net: a fresh worker may do better. */
function fatal(error: unknown): void {
  const next = error instanceof NeedsPerson ? "give-up" : "recycle";
  console.error(error);
  const text = error instanceof Error ? error.message : String(error);
  // Of a Python traceback the last line says what happened; the rest is in the console.
  // (A group of errors draws a frame around its traceback.)
  const lines = text.split("\n").map((line) => line.replace(/^[\s|+-]+/, "").trimEnd());
  const last = lines.filter((line) => line !== "").at(-1) ?? text;
  const message = last.replace(/^(\w+\.)+\w+: /, ""); // the error's class
  post({ kind: "fatal", message: message.slice(0, 500), next });
}

async function handle(message: ToWorker): Promise<void> {
  if (message.kind === "init") engine = new Engine(message, post);
  else if (!engine) throw new Error(`"${message.kind}" came before "init"`);
  else await engine.handle(message);
}

self.onmessage = ({ data }: MessageEvent<ToWorker>) => {
  handle(data).catch(fatal);
};
self.onunhandledrejection = ({ reason }) => fatal(reason);
