/** Two texts go to the grid; their nearness, the node, the time and the price come back. */

import type { Job } from "../../generated/api.js";
import { byId, setText } from "../../lib/dom.js";
import { count } from "../../lib/format.js";
import { type Order, submit } from "./api.js";
import { follow } from "./events.js";
import { type KeyPanel, sentence } from "./key_panel.js";
import { type PageData, PriceLine, say, sayReason, stage, tell, tellAnswer } from "./side.js";
import { bars, cosine, rows, verdict } from "./vectors.js";

/** Height of the vectors' pictures in their own units (templates/playground/compare.html). */
const VECTOR_HEIGHT = 40;
const SCALE_WIDTH = 1000;

export function startCompare(data: PageData, panel: KeyPanel): void {
  const form = byId("compare-form", HTMLFormElement);
  const send = byId("send", HTMLButtonElement);
  const texts = ["text-a", "text-b"].map((id) => byId(id, HTMLTextAreaElement));
  let running = false;

  const order = (): Order | null =>
    texts.some((text) => text.value.length === 0)
      ? null
      : { model: data.model, input: { texts: texts.map((text) => text.value) } };

  /** What keeps the button from working stands beside it. */
  const check = (): void => {
    const reason = !panel.key ? "Create an API key first." : !order() ? "Write something into both fields." : price.refusal;
    send.disabled = running || reason !== "";
    if (!running) sayReason(reason);
  };
  const price = new PriceLine(data.token, check);

  const run = async (wanted: Order): Promise<void> => {
    running = true;
    check();
    say("Sending", "waiting");
    try {
      const { id } = await submit(panel.key, wanted);
      const job = await follow(panel.key, id, { job: (row) => say(stage(row, "Computing"), "waiting") });
      running = false;
      check();
      if (job.state === "done") {
        show(job, data);
        say("Answered", "good");
      } else say(`${job.error ?? "The job was not finished."} Nothing was charged.`, "wrong");
    } catch (error) {
      running = false;
      check();
      say(sentence(error), "wrong");
    }
    await panel.refresh();
  };

  panel.changed = check;
  for (const text of texts)
    text.addEventListener("input", () => {
      if (!running) say("");
      price.soon(order());
      check();
    });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const wanted = order();
    if (!send.disabled && wanted) void run(wanted);
  });
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
