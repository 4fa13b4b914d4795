/** Two texts go to the grid; their nearness, the node, the time and the price come back. */

import type { Job } from "../../generated/api.js";
import { byId, setText } from "../../lib/dom.js";
import { count } from "../../lib/format.js";
import type { Order } from "./api.js";
import { Asking } from "./asking.js";
import type { KeyPanel } from "./key_panel.js";
import { chosenCheck, type PageData, PriceLine, say, sayReason, tell, tellAnswer } from "./side.js";
import { bars, cosine, rows, verdict } from "./vectors.js";

/** Height of the vectors' pictures in their own units (templates/playground/compare.html). */
const VECTOR_HEIGHT = 40;
const SCALE_WIDTH = 1000;

export function startCompare(data: PageData, panel: KeyPanel): void {
  const form = byId("compare-form", HTMLFormElement);
  const send = byId("send", HTMLButtonElement);
  const texts = ["text-a", "text-b"].map((id) => byId(id, HTMLTextAreaElement));

  const order = (): Order | null =>
    texts.some((text) => text.value.length === 0)
      ? null
      : { model: data.model, input: { texts: texts.map((text) => text.value) }, ...chosenCheck() };

  /** What keeps the button from working stands beside it. */
  const check = (): void => {
    const reason = !panel.key ? "Create an API key first." : !order() ? "Write something into both fields." : price.refusal;
    send.disabled = asking.running || reason !== "";
    if (!asking.running) sayReason(reason);
  };
  const price = new PriceLine(data.token, check);
  const asking = new Asking(panel, data.model, {
    changed: (running) => {
      check();
      if (!running) price.retry(order());
    },
    show: (job) => show(job, data),
  });

  panel.changed = check;
  for (const text of texts)
    text.addEventListener("input", () => {
      if (!asking.running) say("");
      price.soon(order());
      check();
    });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const wanted = order();
    if (!send.disabled && wanted) asking.send(wanted);
  });
  const left = asking.takeUp()?.texts;
  if (Array.isArray(left)) texts.forEach((text, at) => (text.value = typeof left[at] === "string" ? left[at] : ""));
  price.soon(order());
  check();
}

function show(job: Job, data: PageData): void {
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
  tellAnswer(job, data.token);
  tell("answer-tokens", count(job.units));
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
