/** Any connector: the form that the server made from its schema, and the answer as JSON. */

import type { Job } from "../../generated/api.js";
import { byId, setText } from "../../lib/dom.js";
import { count } from "../../lib/format.js";
import type { Order } from "./api.js";
import { Asking } from "./asking.js";
import { type KeyPanel, sentence } from "./key_panel.js";
import { chosenCheck, type PageData, PriceLine, say, sayReason, tell, tellAnswer } from "./side.js";
import { curlJob } from "./snippets.js";

type Control = HTMLTextAreaElement | HTMLInputElement;

export function startGeneric(data: PageData, panel: KeyPanel): void {
  const form = byId("generic-form", HTMLFormElement);
  const send = byId("send", HTMLButtonElement);
  const controls = [...form.querySelectorAll<Control>("[data-kind]")];

  const order = (): Order => ({ model: data.model, input: inputOf(controls), ...chosenCheck() });
  const attempt = (): Order | string => {
    try {
      return lackOf(controls) || order();
    } catch (error) {
      return sentence(error);
    }
  };

  const check = (): void => {
    const wanted = attempt();
    const reason = !panel.key ? "Create an API key first." : typeof wanted === "string" ? wanted : price.refusal;
    send.disabled = asking.running || reason !== "";
    if (!asking.running) sayReason(reason);
  };
  const price = new PriceLine(data.token, check);
  const asking = new Asking(panel, data.model, {
    changed: (running) => {
      const wanted = attempt();
      check();
      if (!running && typeof wanted !== "string") price.retry(wanted);
    },
    show: (job) => show(job, data),
  });

  /** Of a form that is half filled in too: it shows where what goes. */
  const tellCode = (): void => {
    try {
      setText(byId("snippet-curl", HTMLElement), curlJob(data.origin, order()));
    } catch {
      // What is no JSON yet is said beside the button.
    }
  };

  const changed = (): void => {
    const wanted = attempt();
    if (!asking.running) say("");
    price.soon(typeof wanted === "string" ? null : wanted);
    tellCode();
    check();
  };

  panel.changed = check;
  form.addEventListener("input", changed);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const wanted = attempt();
    if (!send.disabled && typeof wanted !== "string") asking.send(wanted);
  });
  const left = asking.takeUp();
  if (left) fill(controls, left);
  changed();
}

function show(job: Job, data: PageData): void {
  setText(byId("output", HTMLElement), pretty(job.output));
  tellAnswer(job, data.token);
  tell("answer-units", `${count(job.units)} ${data.unit}${job.units === 1 ? "" : "s"}`);
  byId("result-empty", HTMLElement).hidden = true;
  byId("result-body", HTMLElement).hidden = false;
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

/** The other way round: what was sent stands in the form again. */
function fill(controls: readonly Control[], input: Record<string, unknown>): void {
  const values = new Map<string, unknown>(Object.entries(input));
  for (const control of controls) {
    const value = values.get(control.name);
    const { kind } = control.dataset;
    if (kind === "check" && control instanceof HTMLInputElement) control.checked = value === true;
    else if (value === undefined) control.value = "";
    else if (kind === "lines" && Array.isArray(value)) control.value = value.join("\n");
    else control.value = typeof value === "string" ? value : JSON.stringify(value);
  }
}

/** What is still to be filled in, in the form's own words; "" where nothing is. */
function lackOf(controls: readonly Control[]): string {
  for (const control of controls) {
    const { kind, label = "", least = "0", most = "" } = control.dataset;
    if (control.required && control.value.trim() === "") return `${label}: please fill this in.`;
    if (kind === "lines") {
      const lines = control.value.split("\n").filter((line) => line.trim() !== "").length;
      if (lines > 0 && lines < Number(least)) return `${label}: at least ${least}, one per line.`;
      if (most !== "" && lines > Number(most)) return `${label}: at most ${most}, and there are ${lines}.`;
    } else if (control.validationMessage) return `${label}: ${control.validationMessage}`;
  }
  return "";
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
