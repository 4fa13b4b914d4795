/** Which sentence the page shows in which situation. Pure: no document, no clock. */

import type { Claim, Strike } from "../../generated/api.js";
import type { ModelStanding, Refusal } from "../../generated/status.js";
import type { EngineView } from "./engine.js";
import { countdown } from "./units.js";

export type Tone = "" | "good" | "waiting" | "wrong";

export interface Situation {
  readonly engine: EngineView;
  readonly signedIn: boolean;
  readonly grids: number;
  readonly online: boolean;
  readonly onBattery: boolean;
  readonly isolated: boolean;
  /** The browser has WebGPU at all; whether it has an adapter only the worker finds out. */
  readonly gpu: boolean;
  /** The owner chose the processor: then WebGPU is not missed. */
  readonly chosenWasm: boolean;
}

export interface Sentence {
  readonly text: string;
  readonly tone: Tone;
}

/** "processor": choose it for good and start again. */
export type Does = "restart" | "reload" | "test" | "processor";

export interface Notice extends Sentence {
  readonly title: string;
  /** A button that helps, where one does. */
  readonly action?: { readonly label: string; readonly does: Does };
}

/** The one line under the state. */
export function message(s: Situation): Sentence {
  const { engine } = s;
  switch (engine.state) {
    case "off":
      return { text: engine.status ? stoppedText(s) : idleText(s), tone: "" };
    case "booting":
      return { text: "Loading the runtime. Your machine is not computing yet.", tone: "waiting" };
    case "recycling":
      return { text: `The worker stopped: ${sentence(engine.trouble)}`, tone: "waiting" };
    case "duplicate":
      return { text: "Stopped: another tab runs this node.", tone: "waiting" };
    case "gave-up":
      return { text: `Stopped: ${sentence(engine.trouble)}`, tone: "wrong" };
    case "running":
      return runningMessage(engine);
  }
}

function runningMessage({ status }: EngineView): Sentence {
  if (!status) return { text: "Starting.", tone: "waiting" };
  if (status.retry_in > 0) {
    // The seconds are counted down in the hint, where no screen reader reads each of them.
    const reason = status.message.replace(/ Next try in \d+ s\.$/, "").replace(/ \(.*\)\.$/, ".");
    return { text: `${reason} This tab keeps trying, with growing waits.`, tone: "waiting" };
  }
  const good = status.state === "ready" || status.state === "working";
  return { text: status.message, tone: good ? "good" : "waiting" };
}

function idleText({ signedIn, grids }: Situation): string {
  if (!signedIn) return "Connect a wallet, choose a grid, then start.";
  if (grids === 0) return "Choose a grid below, then start.";
  return "Everything is set. Press Start when you like.";
}

function stoppedText(s: Situation): string {
  return s.signedIn ? "Stopped. What you earned stays." : "Stopped and signed out.";
}

/** The small line under the buttons; `now` is `performance.now()`, `retryIn` in seconds. */
export function hint(s: Situation, retryIn: number): string {
  if (retryIn > 0) return `Next try in ${countdown(retryIn)}.`;
  if (s.engine.state === "off" && !s.signedIn) return "Connect a wallet and choose a grid first.";
  if (s.engine.state === "off" && s.grids === 0) return "Choose a grid first.";
  return "Closing this tab is always safe.";
}

/** The most pressing thing that is not as it should be, the others after it; null: all well. */
export function notice(s: Situation): Notice | null {
  const [first, ...others] = notices(s);
  if (!first) return null;
  return { ...first, text: [first.text, ...others.map((other) => other.text)].join(" ") };
}

function notices(s: Situation): Notice[] {
  const all = [
    duplicate(s), unsupported(s), gaveUp(s), offline(s), standing(s), battery(s), isolation(s), webgpu(s),
  ];
  return all.filter((found) => found !== null);
}

function duplicate({ engine }: Situation): Notice | null {
  if (engine.state !== "duplicate") return null;
  return {
    title: "This node already runs in another tab.",
    text: "One device is one node. Close or stop the other tab, then start here.",
    tone: "waiting",
    action: { label: "Start here", does: "restart" },
  };
}

/** A model that comes out wrong here. Nobody's fault: the reason, and what may help. */
function unsupported({ engine }: Situation): Notice | null {
  const wrong = wrongHere(engine.status?.refused ?? {});
  if (wrong.length === 0) return null;
  const names = wrong.join(" and ");
  const said = `${names} would give wrong answers, so this tab takes no jobs for it. That is no mark against you and costs you nothing.`;
  if (engine.status?.backend !== "webgpu")
    return {
      title: "This browser gets some numbers wrong.",
      text: `${said} ${UPDATE}`,
      tone: "waiting",
      action: { label: "Test again", does: "restart" },
    };
  return {
    title: "This graphics processor gets some numbers wrong.",
    text: `${said} The processor computes right on most machines, more slowly. ${UPDATE}`,
    tone: "waiting",
    action: { label: "Compute on the processor", does: "processor" },
  };
}

const UPDATE = "A newer browser or graphics driver may help too; it is tested again at each start.";

/** Ids of the models that compute wrong here. */
function wrongHere(refused: Readonly<Record<string, Refusal>>): string[] {
  return Object.keys(refused).filter((id) => refused[id]?.code === "wrong_numbers");
}

/** The line in a grid's card about a model that this device does not run. */
export function refusalWords(title: string, { reason, code }: Refusal): string {
  return code === "wrong_numbers" ? `${title} is not supported here. ${reason}` : `${title} does not run here: ${reason}`;
}

function gaveUp({ engine }: Situation): Notice | null {
  if (engine.state !== "gave-up") return null;
  return {
    title: "This node has stopped.",
    text: `${sentence(engine.trouble)} Nothing you earned is lost.`,
    tone: "wrong",
    action: { label: "Try again", does: "restart" },
  };
}

function offline({ online }: Situation): Notice | null {
  if (online) return null;
  const text = "Jobs wait until the network is back; this page then goes on by itself.";
  return { title: "This machine is offline.", text, tone: "waiting" };
}

function battery({ onBattery, engine }: Situation): Notice | null {
  if (!onBattery || engine.state !== "running") return null;
  const text = "Plug it in, or allow battery under This machine.";
  return { title: "Paused while on battery.", text, tone: "waiting" };
}

/** Standings that an owner should see at once, the gravest first, and how they are headed. */
const STANDINGS: readonly (readonly [ModelStanding["state"], string, Tone])[] = [
  ["convicted", "This wallet gets no more jobs.", "wrong"],
  ["paused", "Your pay is paused: an answer was found wrong.", "waiting"],
  ["quarantined", "This kind of device computes wrong at the moment.", "waiting"],
  ["waiting", "Your answers wait to be checked.", "waiting"],
  ["refused", "The grid does not take answers of this device yet.", "waiting"],
];

/** The reason is the grid's own; it is shown as text, whatever it holds. */
function standing({ engine }: Situation): Notice | null {
  if (engine.state !== "running") return null;
  const said = Object.entries(engine.status?.standings ?? {});
  for (const [state, title, tone] of STANDINGS) {
    const found = said.find(([, each]) => each.state === state);
    if (!found) continue;
    const [model, { reason, test, unit }] = found;
    const action = test ? { label: "Test again", does: "test" as const } : undefined;
    return { title, text: `${model} (${unit}): ${reason}`, tone, ...(action && { action }) };
  }
  return null;
}

/** What has become of a strike. */
export function strikeWords(strike: Strike): Sentence {
  switch (strike.state) {
    case "standing":
      return { text: strike.can_appeal ? "stands" : "stands, too late to appeal", tone: "wrong" };
    case "appealed":
      return { text: "appealed: three references run the job again", tone: "waiting" };
    case "upheld":
      return { text: "upheld by the references", tone: "wrong" };
    case "reversed":
      return { text: "taken back", tone: "good" };
    case "lapsed":
      return { text: "lifted: nobody could look again", tone: "good" };
  }
}

/** What references found, in one sentence. */
export function evidenceWords({ checks }: Strike): string {
  const wrong = checks.filter((check) => !check.agreed);
  const [first] = wrong;
  if (!first) return "";
  const far = wrong.map((check) => check.distance.toPrecision(3)).join(" and ");
  const kinds = [...new Set(wrong.map((check) => check.device_class))].join(" and ");
  return `References (${kinds}) found it ${far} away; ${first.threshold.toPrecision(3)} is allowed.`;
}

/** What this browser lacks; it works all the same, slower. */
function isolation({ isolated }: Situation): Notice | null {
  if (isolated) return null;
  const text =
    "This page is not cross-origin isolated, so the processor is used with one thread. Open it " +
    "over HTTPS or on localhost, and not inside another site's frame.";
  return { title: "One thread only.", text, tone: "waiting" };
}

function webgpu({ engine, gpu, chosenWasm }: Situation): Notice | null {
  if (chosenWasm) return null;
  const capability = engine.capability;
  if (capability ? capability.backend === "webgpu" : gpu) return null;
  const reason = sentence(capability?.reason ?? "This browser has no WebGPU");
  const text = `${reason} That works well; a graphics processor would earn more.`;
  return { title: "This tab computes on the processor.", text, tone: "" };
}

/**
 * A claim's state for its owner: the state's own word, then what it means. `amount` leaves the
 * grid; `received` is what arrives, less where the token itself keeps a part.
 */
export function claimWords(claim: Claim, amount: string, received: string): string {
  const keeper = claim.push_fee === null ? "the token keeps" : "fees are";
  const pays = received === amount ? amount : `${received} of ${amount} (${keeper} the rest)`;
  switch (claim.state) {
    case "reserved":
      if (claim.push_fee !== null) return `Waiting: the grid pays ${pays} within a minute`;
      return `Reserved: sign the payment of ${pays} in your wallet`;
    case "signed":
      return `Signed: ${pays} is on its way to the chain`;
    case "confirmed":
      return `Confirmed: ${pays} is on chain, not final yet`;
    case "finalized":
      return `Finalized: ${pays} is yours`;
    case "failed":
      return `Failed: ${claim.error ?? "the chain refused it"}. ${amount} is claimable again`;
    case "expired":
      return `Expired: ${claim.error ?? "not signed in time."} ${amount} is claimable again`;
  }
}

/** With a full stop, and a capital where it begins with a letter. */
function sentence(text: string): string {
  const trimmed = text.trim().replace(/^Uncaught (Error: )?/, "");
  const capital = trimmed.charAt(0).toUpperCase() + trimmed.slice(1);
  return /[.!?…]$/.test(capital) ? capital : `${capital}.`;
}
