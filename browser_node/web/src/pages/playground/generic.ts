/** Any connector: the form that the server made from its schema, and the answer as JSON. */

import { byId, setText } from "../../lib/dom.js";
import { count } from "../../lib/format.js";
import { type Order, submit } from "./api.js";
import { follow } from "./events.js";
import { type KeyPanel, sentence } from "./key_panel.js";
import { type PageData, PriceLine, say, sayReason, stage, tell, tellAnswer } from "./side.js";
import { curlJob } from "./snippets.js";

type Control = HTMLTextAreaElement | HTMLInputElement;

export function startGeneric(data: PageData, panel: KeyPanel): void {
  const form = byId("generic-form", HTMLFormElement);
  const send = byId("send", HTMLButtonElement);
  const controls = [...form.querySelectorAll<Control>("[data-kind]")];
  let running = false;

  const order = (): Order => ({ model: data.model, input: inputOf(controls) });
  const attempt = (): Order | string => {
    try {
      return order();
    } catch (error) {
      return sentence(error);
    }
  };

  const check = (): void => {
    const wanted = attempt();
    const reason = !panel.key ? "Create an API key first." : typeof wanted === "string" ? wanted : price.refusal;
    send.disabled = running || reason !== "";
    if (!running) sayReason(reason);
  };
  const price = new PriceLine(data.token, check);

  const changed = (): void => {
    const wanted = attempt();
    if (!running) say("");
    price.soon(typeof wanted === "string" ? null : wanted);
    if (typeof wanted !== "string") setText(byId("snippet-curl", HTMLElement), curlJob(data.origin, wanted));
    check();
  };

  const run = async (wanted: Order): Promise<void> => {
    running = true;
    check();
    say("Sending", "waiting");
    try {
      const { id } = await submit(panel.key, wanted);
      const job = await follow(panel.key, id, { job: (row) => say(stage(row, "Computing"), "waiting") });
      running = false;
      check();
      if (job.state !== "done") { say(`${job.error ?? "The job was not finished."} Nothing was charged.`, "wrong"); return; }
      setText(byId("output", HTMLElement), pretty(job.output));
      tellAnswer(job, data.token);
      tell("answer-units", `${count(job.units)} ${data.unit}${job.units === 1 ? "" : "s"}`);
      byId("result-empty", HTMLElement).hidden = true;
      byId("result-body", HTMLElement).hidden = false;
      say("Answered", "good");
    } catch (error) {
      running = false;
      check();
      say(sentence(error), "wrong");
    }
    await panel.refresh();
  };

  panel.changed = check;
  form.addEventListener("input", changed);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const wanted = attempt();
    if (!send.disabled && typeof wanted !== "string") void run(wanted);
  });
  changed();
}

/** JSON with a row of numbers on one line: people compare rows. */
function pretty(value: unknown): string {
  const rows = /\[\s+(-?[\d.eE+-]+(?:,\s+-?[\d.eE+-]+)*)\s+\]/g;
  return JSON.stringify(value, null, 1).replace(rows, (_, inner: string) => `[${inner.replace(/\s+/g, " ")}]`);
}

/** What is filled in, by the connector's names; what is left empty is left out. */
export function inputOf(controls: readonly Control[]): Record<string, unknown> {
  const input: Record<string, unknown> = {};
  for (const control of controls) {
    const value = valueOf(control);
    if (value !== undefined) input[control.name] = value;
  }
  return input;
}

function valueOf(control: Control): unknown {
  const { value } = control;
  switch (control.dataset.kind) {
    case "check":
      return control instanceof HTMLInputElement && control.checked;
    case "integer":
    case "number":
      return value === "" ? undefined : Number(value);
    case "lines":
      return value.split("\n").filter((line) => line.trim() !== "");
    case "json":
      return value.trim() === "" ? undefined : (JSON.parse(value) as unknown);
    default:
      return value === "" && !control.required ? undefined : value;
  }
}
