/** The page of `tabgrid bench tab`: starts the contenders and lets them take turns. */

import type { FromWorker, ToWorker } from "../shared/protocol";
import type { FromContender, Setting, ToContender } from "./contender";
import { INTO_WORKER, type LoopbackFrame, OUT_OF_WORKER } from "./loopback";

/** One turn: how long it took, and what came of it. */
interface Turn {
  ms: number;
  /** Rows of float32, or the node's frame, in base 64. */
  answer: string;
}

type Contender = (texts: string[], frame: string) => Promise<Turn>;

const incoming = new BroadcastChannel(INTO_WORKER);
const outgoing = new BroadcastChannel(OUT_OF_WORKER);
const frames: LoopbackFrame[] = [];
let wake: () => void = () => undefined;
let failure = "";
const contenders = new Map<string, Contender>();

outgoing.onmessage = ({ data }: MessageEvent<LoopbackFrame>) => {
  frames.push(data);
  wake();
};

/** The node's worker as it is built, with its socket led to us; its first frame is Hello. */
async function startNode(
  script: string,
  assets: Record<string, string>,
  wallet: string,
  threads: number,
): Promise<string> {
  const worker = new Worker(script, { type: "module" });
  worker.onmessage = ({ data }: MessageEvent<FromWorker>) => {
    if (data.kind !== "fatal") return;
    failure = data.message;
    wake();
  };
  const say = (message: ToWorker): void => worker.postMessage(message);
  say({ kind: "init", forceBackend: "wasm", assets });
  say({ kind: "start", grids: ["bench"], wallet, settings: { threads } });
  contenders.set("node", async (_, frame) => {
    const { ms, bytes } = await exchange(frame);
    return { ms, answer: base64(bytes) };
  });
  return base64((await frameOut()).bytes);
}

/** One frame in; the next out that is no Progress. */
async function exchange(frame: string): Promise<LoopbackFrame> {
  incoming.postMessage(Uint8Array.from(atob(frame), (character) => character.charCodeAt(0)));
  for (;;) {
    const answer = await frameOut();
    // msgpack of {"type": …}: the tag stands within the first bytes.
    const head = new TextDecoder().decode(answer.bytes.subarray(0, 24));
    if (!head.includes("progress")) return answer;
  }
}

async function frameOut(): Promise<LoopbackFrame> {
  for (;;) {
    if (failure) throw new Error(failure);
    const frame = frames.shift();
    if (frame) return frame;
    await new Promise<void>((resolve) => (wake = resolve));
  }
}

async function startContender(name: string, script: string, setting: Setting): Promise<void> {
  const worker = new Worker(script, { type: "module" });
  const ask = (message: ToContender): Promise<FromContender> =>
    new Promise((resolve, reject) => {
      worker.onmessage = ({ data }: MessageEvent<FromContender>) => {
        if (data.kind === "failed") reject(new Error(`${name}: ${data.message}`));
        else resolve(data);
      };
      worker.onerror = ({ message }) => reject(new Error(`${name}: ${message}`));
      worker.postMessage(message);
    });
  await ask({ kind: "load", setting });
  contenders.set(name, async (texts) => {
    const ran = await ask({ kind: "run", texts });
    if (ran.kind !== "ran") throw new Error(`${name} answered ${ran.kind}`);
    return { ms: ran.ms, answer: base64(new Uint8Array(ran.rows.slice().buffer)) };
  });
}

/** Rounds in which each contender has one turn, the order reversed every time. */
async function compare(
  texts: string[],
  frame: string,
  seconds: number,
): Promise<{ ms: Record<string, number[]>; answers: Record<string, string> }> {
  const order = [...contenders];
  const ms = Object.fromEntries(order.map(([name]) => [name, [] as number[]]));
  const answers: Record<string, string> = {};
  const end = performance.now() + 1000 * seconds;
  do {
    for (const [name, contender] of order.reverse()) {
      const turn = await contender(texts, frame);
      ms[name]?.push(turn.ms);
      answers[name] = turn.answer;
    }
  } while (performance.now() < end);
  return { ms, answers };
}

function base64(bytes: Uint8Array): string {
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}

/** For whoever drives this page: frames go in and out in base 64. */
const say = async (frame: string): Promise<string> => base64((await exchange(frame)).bytes);

Object.assign(window, { bench: { startNode, say, startContender, compare } });
