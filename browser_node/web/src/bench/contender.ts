/** What is compared runs in workers of one page; this is how the page speaks to them. */

import { bytesRead } from "./reads";

/** Where every contender finds its own files, and how much of the machine it takes. */
export interface Runtime {
  threads: number;
  /** The runtime's loader and binary. */
  mjs: string;
  wasm: string;
}

/** Where a contender that embeds finds the model. */
export interface Setting extends Runtime {
  model: string;
  weights: string;
  tokenizer: string;
  maxTokens: number;
}

export type ToContender<W> = { kind: "load"; setting: unknown } | { kind: "run"; work: W };

export type FromContender =
  | { kind: "loaded" }
  /** `read`: bytes that came back from the GPU meanwhile. */
  | { kind: "ran"; ms: number; answer: Float32Array | Uint8Array; read: number }
  | { kind: "failed"; message: string };

/** One piece of work to its answer. */
export type Run<W> = (work: W) => Promise<Float32Array | Uint8Array>;

/** Texts to rows of float32, one after another. */
export type Embed = (texts: string[]) => Promise<Float32Array>;

/** Serve one contender: call it once, at the top of its worker. Each takes its own setting. */
export function contend<W>(load: (setting: never) => Promise<Run<W>>): void {
  const post = (message: FromContender): void => self.postMessage(message);
  let run: Run<W> | null = null;

  async function handle(message: ToContender<W>): Promise<void> {
    if (message.kind === "load") {
      run = await load(message.setting as never);
      post({ kind: "loaded" });
      return;
    }
    if (!run) throw new Error("run came before load");
    const began = performance.now();
    const before = bytesRead();
    const answer = await run(message.work);
    post({ kind: "ran", ms: performance.now() - began, answer, read: bytesRead() - before });
  }

  self.onmessage = ({ data }: MessageEvent<ToContender<W>>) => {
    handle(data).catch((error: unknown) => post({ kind: "failed", message: String(error) }));
  };
}

export async function bytesOf(url: string): Promise<Uint8Array<ArrayBuffer>> {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${url}: the server answered ${answer.status}`);
  return new Uint8Array(await answer.arrayBuffer());
}
