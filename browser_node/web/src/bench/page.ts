/** The page of the benches of the tab: starts the contenders and lets them take turns. */

import type { Backend, FromWorker, ToWorker } from "../shared/protocol";
import type { FromContender, ToContender } from "./contender";
import { INTO_WORKER, type LoopbackFrame, OUT_OF_WORKER } from "./loopback";

/** One turn: how long it took, and what came of it. */
interface Turn {
  ms: number;
  /** A contender's numbers, or the node's frame, in base 64. */
  answer: string;
  /** Bytes that came back from the GPU. */
  read: number;
}

/** The node takes its work as an Assign, in base 64; the others take it as it is. */
type Contender = (work: unknown, frame: string) => Promise<Turn>;

/** What a working node says before its answer. */
const MEANWHILE = ["progress", "chunk"];

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
  backend: Backend,
): Promise<string> {
  const worker = new Worker(script, { type: "module" });
  worker.onmessage = ({ data }: MessageEvent<FromWorker>) => {
    if (data.kind !== "fatal") return;
    failure = data.message;
    wake();
  };
  const say = (message: ToWorker): void => worker.postMessage(message);
  say({ kind: "init", forceBackend: backend, assets });
  say({ kind: "start", grids: ["bench"], wallet, settings: { threads } });
  contenders.set("node", async (_, frame) => {
    const { ms, bytes, read } = await exchange(frame);
    return { ms, answer: base64(bytes), read };
  });
  return base64((await frameOut()).bytes);
}

/** One frame in; the next out that answers it. */
async function exchange(frame: string): Promise<LoopbackFrame> {
  incoming.postMessage(Uint8Array.from(atob(frame), (character) => character.charCodeAt(0)));
  for (;;) {
    const answer = await frameOut();
    // msgpack of {"type": …}: the tag stands within the first bytes.
    const head = new TextDecoder().decode(answer.bytes.subarray(0, 24));
    if (!MEANWHILE.some((kind) => head.includes(kind))) return answer;
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

async function startContender(name: string, script: string, setting: unknown): Promise<void> {
  const worker = new Worker(script, { type: "module" });
  const ask = (message: ToContender<unknown>): Promise<FromContender> =>
    new Promise((resolve, reject) => {
      worker.onmessage = ({ data }: MessageEvent<FromContender>) => {
        if (data.kind === "failed") reject(new Error(`${name}: ${data.message}`));
        else resolve(data);
      };
      worker.onerror = ({ message }) => reject(new Error(`${name}: ${message}`));
      worker.postMessage(message);
    });
  await ask({ kind: "load", setting });
  contenders.set(name, async (work) => {
    const ran = await ask({ kind: "run", work });
    if (ran.kind !== "ran") throw new Error(`${name} answered ${ran.kind}`);
    const { ms, answer, read } = ran;
    return { ms, answer: base64(new Uint8Array(answer.slice().buffer)), read };
  });
}

/** One turn of one contender. */
async function turn(name: string, work: unknown, frame: string): Promise<Turn> {
  const contender = contenders.get(name);
  if (!contender) throw new Error(`${name} was not started`);
  return contender(work, frame);
}

/** Rounds in which each contender has one turn, the order reversed every time. */
async function compare(
  work: unknown,
  frame: string,
  seconds: number,
): Promise<{ ms: Record<string, number[]>; answers: Record<string, string> }> {
  const order = [...contenders];
  const ms = Object.fromEntries(order.map(([name]) => [name, [] as number[]]));
  const answers: Record<string, string> = {};
  const end = performance.now() + 1000 * seconds;
  do {
    for (const [name, contender] of order.reverse()) {
      const taken = await contender(work, frame);
      ms[name]?.push(taken.ms);
      answers[name] = taken.answer;
    }
  } while (performance.now() < end);
  return { ms, answers };
}

function base64(bytes: Uint8Array): string {
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}

/** For whoever drives this page: frames go in and out in base 64. */
const say = async (frame: string): Promise<string> => base64((await exchange(frame)).bytes);

Object.assign(window, { bench: { startNode, say, startContender, compare, turn } });
