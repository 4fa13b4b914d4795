/** What is compared runs in workers of one page; this is how the page speaks to them. */

/** Where a contender finds the model and its own files. */
export interface Setting {
  model: string;
  weights: string;
  tokenizer: string;
  maxTokens: number;
  threads: number;
  /** The runtime's loader and binary. */
  mjs: string;
  wasm: string;
}

export type ToContender = { kind: "load"; setting: Setting } | { kind: "run"; texts: string[] };

export type FromContender =
  | { kind: "loaded" }
  | { kind: "ran"; ms: number; rows: Float32Array }
  | { kind: "failed"; message: string };

/** Texts to rows of float32, one after another. */
export type Embed = (texts: string[]) => Promise<Float32Array>;

/** Serve one contender: call it once, at the top of its worker. */
export function contend(load: (setting: Setting) => Promise<Embed>): void {
  const post = (message: FromContender): void => self.postMessage(message);
  let embed: Embed | null = null;

  async function handle(message: ToContender): Promise<void> {
    if (message.kind === "load") {
      embed = await load(message.setting);
      post({ kind: "loaded" });
      return;
    }
    if (!embed) throw new Error("run came before load");
    const began = performance.now();
    const rows = await embed(message.texts);
    post({ kind: "ran", ms: performance.now() - began, rows });
  }

  self.onmessage = ({ data }: MessageEvent<ToContender>) => {
    handle(data).catch((error: unknown) => post({ kind: "failed", message: String(error) }));
  };
}

export async function bytesOf(url: string): Promise<Uint8Array> {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${url}: the server answered ${answer.status}`);
  return new Uint8Array(await answer.arrayBuffer());
}
