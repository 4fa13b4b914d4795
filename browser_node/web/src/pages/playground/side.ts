/** What every side of the playground does the same: price, state of the run, who answered. */

import type { Job, JobRow, Quote, Token } from "../../generated/api.js";
import { byId, setText } from "../../lib/dom.js";
import { amount, backend, count, duration, short } from "../../lib/format.js";
import { ApiError, type Order, quote } from "./api.js";
import { sentence } from "./key_panel.js";

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

export function say(text: string, tone: Tone = ""): void {
  const place = byId("run-status", HTMLElement);
  place.dataset.tone = tone;
  setText(place, text);
}

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
}

export function tell(id: string, text: string): void {
  const place = byId(id, HTMLElement);
  place.classList.remove("quiet");
  setText(place, text);
}

/** The price before one presses, asked of the server each time that somebody stops typing. */
export class PriceLine {
  /** The server's word on what is typed now; "" while it takes it. */
  refusal = "";
  private timer = 0;
  private asking = new AbortController();

  constructor(
    private readonly token: Token,
    /** Told when `refusal` may have changed. */
    private readonly changed: () => void,
  ) {}

  /** `order` null: there is nothing to price yet. */
  soon(order: Order | null): void {
    clearTimeout(this.timer);
    this.asking.abort();
    this.asking = new AbortController();
    if (!order) { this.show("…", ""); return; }
    this.timer = window.setTimeout(() => void this.ask(order, this.asking.signal), PAUSE_MS);
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
    const cut = found.usage.truncated_texts ? "; longer than the model reads, its end is cut" : "";
    this.show(amount(found.price, this.token), when(found) + cut);
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
