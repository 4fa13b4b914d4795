/** Two texts go to the grid; their nearness, the node, the time and the price come back. */

import type { Job, Token } from "../generated/api.js";
import { byId, pageData, setText } from "../lib/dom.js";
import { enhance } from "../lib/enhance.js";
import { amount, backend, count, duration, short } from "../lib/format.js";
import { follow, submit } from "./playground/api.js";
import { KeyPanel, sentence } from "./playground/key_panel.js";
import { bars, cosine, rows, verdict } from "./playground/vectors.js";

interface PageData {
  readonly models: readonly { readonly id: string }[];
  readonly token: Token;
}

/** Height of the vectors' pictures in their own units (templates/playground.html). */
const VECTOR_HEIGHT = 40;
const SCALE_WIDTH = 1000;

type Tone = "" | "good" | "waiting" | "wrong";

const data = pageData() as PageData | null;
const form = byId("compare-form", HTMLFormElement);
const send = byId("send", HTMLButtonElement);
const texts = ["text-a", "text-b"].map((id) => byId(id, HTMLTextAreaElement));
let running = false;

function say(text: string, tone: Tone = ""): void {
  const place = byId("run-status", HTMLElement);
  place.dataset.tone = tone;
  setText(place, text);
}

/** What keeps the button from working stands beside it. */
function check(panel: KeyPanel): void {
  const empty = texts.some((text) => text.value.length === 0);
  const model = byId("model", HTMLSelectElement).value;
  send.disabled = running || !panel.key || empty || !model;
  if (running) return;
  if (!panel.key) say("Create an API key first.");
  else if (empty) say("Write something into both fields.");
  else say("");
}

async function run(panel: KeyPanel): Promise<void> {
  running = true;
  check(panel);
  say("Sending", "waiting");
  try {
    const model = byId("model", HTMLSelectElement).value;
    const first = await submit(panel.key, model, texts.map((text) => text.value));
    const job = await follow(panel.key, first, (seen) => say(stage(seen), "waiting"));
    running = false;
    check(panel);
    if (job.state === "done") show(job);
    else say(`${job.error ?? "The job was not finished."} Nothing was charged.`, "wrong");
  } catch (error) {
    running = false;
    check(panel);
    say(sentence(error), "wrong");
  }
  await panel.refresh();
}

function stage(job: Job): string {
  if (job.state === "queued") return "Waiting for a free node";
  if (job.state === "returned") return "Checking the answer";
  return `Computing on ${machine(job)}`;
}

function machine(job: Job): string {
  return [job.device, job.backend && backend(job.backend)].filter(Boolean).join(", ") || "a node";
}

function show(job: Job): void {
  const output = job.output ?? {};
  const [a, b] = rows(String(output.embeddings), Number(output.dims));
  if (!a || !b) throw new Error("The answer holds fewer vectors than texts.");
  const similarity = cosine(a, b);
  setText(byId("similarity", HTMLElement), similarity.toFixed(3));
  setText(byId("verdict", HTMLElement), verdict(similarity));
  setText(byId("dimensions", HTMLElement), count(a.length));
  mark(similarity);
  draw("vector-a", a);
  draw("vector-b", b);
  facts(job);
  byId("result-empty", HTMLElement).hidden = true;
  byId("result-body", HTMLElement).hidden = false;
}

function mark(similarity: number): void {
  const x = Math.max(0, Math.min(1, similarity)) * SCALE_WIDTH;
  byId("scale-fill", SVGElement).setAttribute("width", x.toFixed(0));
  byId("scale-marker", SVGElement).setAttribute("x", (x - 3).toFixed(0));
}

function draw(id: string, vector: Float32Array): void {
  const path = byId(id, SVGElement);
  path.setAttribute("d", bars(vector, VECTOR_HEIGHT));
  path.parentElement?.setAttribute("viewBox", `0 0 ${vector.length} ${VECTOR_HEIGHT}`);
}

function facts(job: Job): void {
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
  setText(byId("answer-time", HTMLElement), duration(took) + part);
  setText(byId("answer-tokens", HTMLElement), count(job.units));
  if (data) setText(byId("answer-price", HTMLElement), amount(job.price, data.token));
  const receipt = byId("answer-receipt", HTMLAnchorElement);
  receipt.href = `/explorer/jobs/${job.id}`;
  receipt.title = job.id;
  setText(receipt, short(job.id));
}

function start(token: Token): void {
  const panel = new KeyPanel(token);
  const recheck = (): void => check(panel);
  panel.changed = recheck;
  for (const text of texts) text.addEventListener("input", recheck);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!send.disabled) void run(panel);
  });
  recheck();
}

enhance();
if (data) start(data.token);
