/** What every side of the playground does the same: price, state of the run, who answered. */

import type { Job, JobRow, Quote, Token } from "../../generated/api.js";
import { byId, make, setText } from "../../lib/dom.js";
import { amount, backend, count, duration, short } from "../../lib/format.js";
import { ApiError, type Order, quote } from "./api.js";
import { watch } from "./corrections.js";
import { sentence } from "./key_panel.js";
import type { Ending } from "./orders.js";

export interface PageData {
  readonly side: "" | "draw" | "compare" | "generic";
  readonly origin: string;
  readonly model: string;
  readonly title: string;
  readonly unit: string;
  readonly token: Token;
  /** As wallets name it; "" where the grid has none, so that nothing can be paid in. */
  readonly chain: string;
  /** The demo wallet is offered only where the tokens are play money. */
  readonly local: boolean;
}

export type Tone = "" | "good" | "waiting" | "wrong";

/** A pause of this length in typing is the end of a thought, and one request. */
const PAUSE_MS = 300;

export interface Link {
  readonly text: string;
  readonly href: string;
}

export function say(text: string, tone: Tone = "", more?: Link): void {
  const place = byId("run-status", HTMLElement);
  place.dataset.tone = tone;
  setText(place, text);
  if (!more) return;
  const link = make("a", "", more.text);
  link.href = more.href;
  place.append(" ", link);
}

/** How an order ended that was not answered, and whether it was charged. */
export function sayUnanswered(ending: Ending): void {
  const { job } = ending;
  if (job) say(`${job.error ?? "The job was not finished."} Nothing was charged.`, job.state === "cancelled" ? "waiting" : "wrong");
  else if (ending.charged === "no") say(ending.why, "wrong");
  else say(`${ending.why} Whether it was charged is not known here.`, "wrong", whereItSays(ending.id));
}

const whereItSays = (id: string): Link =>
  id ? { text: `See ${short(id)}`, href: `/explorer/jobs/${id}` } : { text: "See your statement", href: "/playground/statement" };

/** Why one cannot press, or nothing; a word on the last run stays until something changes. */
export function sayReason(reason: string): void {
  if (reason || byId("run-status", HTMLElement).dataset.tone === "") say(reason);
}

export function stage(row: JobRow, verb: string): string {
  if (row.state === "queued") return "Waiting for a free node";
  if (row.state === "returned") return "Checking the answer";
  const step = row.progress ? `, ${row.progress.stage} ${count(row.progress.done)} of ${count(row.progress.total)}` : "";
  return `${verb} on ${machine(row)}${step}`;
}

export function machine(row: JobRow): string {
  return [row.device, row.backend && backend(row.backend)].filter(Boolean).join(", ") || "a node";
}

/** The rows of the ledger under an answer that are the same for all. */
export function tellAnswer(job: Job, token: Token): void {
  const node = byId("answer-node", HTMLElement);
  node.replaceChildren(machine(job));
  if (job.wallet) {
    const link = document.createElement("a");
    link.className = "hash";
    link.href = `/explorer/wallets/${job.wallet}`;
    link.title = job.wallet;
    link.textContent = short(job.wallet);
    node.append(" ", link);
  }
  const took = (job.finished_at ?? job.submitted_at) - job.submitted_at;
  const computed = job.returned_at && job.assigned_at ? job.returned_at - job.assigned_at : null;
  const part = computed === null ? "" : `, of which ${duration(computed)} on the node`;
  tell("answer-time", duration(took) + part);
  tell("answer-price", amount(job.price, token));
  const receipt = byId("answer-receipt", HTMLAnchorElement);
  receipt.href = `/explorer/jobs/${job.id}`;
  receipt.title = job.id;
  setText(receipt, short(job.id));
  watch(job.id, token);
}

export function tell(id: string, text: string): void {
  const place = byId(id, HTMLElement);
  place.classList.remove("quiet");
  setText(place, text);
}

/** The choice to have answers checked before they come; null where the operator checks none. */
function checkbox(): HTMLInputElement | null {
  const found = document.getElementById("checked");
  return found instanceof HTMLInputElement ? found : null;
}

/** What an order says of the choice: nothing, unless somebody made it. */
export function chosenCheck(): { checked?: true } {
  const box = checkbox();
  return box?.checked && !box.disabled ? { checked: true } : {};
}

/** The price before one presses, asked of the server each time that somebody stops typing. */
export class PriceLine {
  /** The server's word on what is typed now; "" while it takes it. */
  refusal = "";
  private timer = 0;
  private quoted: Quote | null = null;
  private asking = new AbortController();

  constructor(
    private readonly token: Token,
    /** Told when `refusal` may have changed. */
    private readonly changed: () => void,
  ) {
    checkbox()?.addEventListener("change", () => {
      if (this.quoted) this.tell(this.quoted);
      this.changed();
    });
  }

  /** `order` null: there is nothing to price yet. */
  soon(order: Order | null): void {
    clearTimeout(this.timer);
    this.asking.abort();
    this.asking = new AbortController();
    this.quoted = null;
    if (!order) { this.show("…", ""); return; }
    this.timer = window.setTimeout(() => void this.ask(order, this.asking.signal), PAUSE_MS);
  }

  /** Ask once more where the last question found no answer. */
  retry(order: Order | null): void {
    if (order && !this.quoted && !this.refusal) this.soon(order);
  }

  private async ask(order: Order, signal: AbortSignal): Promise<void> {
    try {
      this.tell(await quote(order, signal));
    } catch (error) {
      if (signal.aborted) return;
      // Only what is wrong with the input keeps anybody from pressing.
      this.refusal = error instanceof ApiError && error.status === 400 ? error.message : "";
      this.show("…", this.refusal ? "" : sentence(error));
    }
    this.changed();
  }

  private tell(found: Quote): void {
    this.refusal = "";
    this.quoted = found;
    this.tellCheck(found.check);
    const cut = found.usage.truncated_texts ? "; longer than the model reads, its end is cut" : "";
    const more = chosenCheck().checked ? (found.check ?? 0) : 0;
    this.show(amount(found.price + more, this.token), when(found) + cut);
  }

  private tellCheck(check: number | null): void {
    const box = checkbox();
    if (!box) return;
    // Whoever chose it is told that it cannot be had, and pays nothing for it.
    box.disabled = check === null;
    const words = check === null ? "none of them is online now" : `${amount(check, this.token)} more`;
    setText(byId("checked-price", HTMLElement), words);
  }

  private show(price: string, note: string): void {
    setText(byId("price", HTMLElement), price);
    setText(byId("price-note", HTMLElement), note);
  }
}

function when({ nodes, seconds, waiting }: Quote): string {
  if (!nodes) return "no node is online for it now";
  const time = seconds === null ? "" : `about ${duration(seconds)} on `;
  const queue = waiting ? `, ${count(waiting)} before it` : "";
  return `${time}${nodes === 1 ? "the one node" : `one of ${count(nodes)} nodes`} online${queue}`;
}
