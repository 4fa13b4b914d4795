/** The button on a job's page that checks its receipt in the reader's own browser. */

import type { DrawSecret, Proof, Receipt } from "../../generated/api.js";
import { make, setText } from "../../lib/dom.js";
import { drawAgain, isDrawn } from "../../lib/draws.js";
import { count, short } from "../../lib/format.js";
import { rootOf } from "../../lib/merkle.js";

/** Shows the button, which is hidden where no script runs; also after the page is drawn anew. */
export function showCheck(): void {
  const button = document.getElementById("check-receipt");
  if (button) button.hidden = false;
}

export function enableCheck(job: string): void {
  showCheck();
  document.addEventListener("click", (event) => {
    const pressed = event.target instanceof Element ? event.target.closest("#check-receipt") : null;
    if (pressed instanceof HTMLButtonElement) void run(pressed, job);
  });
}

async function run(button: HTMLButtonElement, job: string): Promise<void> {
  button.disabled = true;
  tell("loading", "Checking …");
  try {
    const [receipt, proof] = await Promise.all([bytes(`/api/receipts/${job}`), read(job)]);
    const root = await rootOf(receipt, proof);
    const memo = JSON.parse(proof.epoch.memo) as { root?: unknown };
    if (root === proof.epoch.root && root === memo.root)
      tell("done", `${found(root, proof)} ${await drawn(receipt)}`);
    else tell("failed", `Not in epoch ${proof.epoch.epoch}: this receipt gives the root ${root}.`);
  } catch (error) {
    tell("failed", `Could not be checked: ${error instanceof Error ? error.message : "no answer"}.`);
  }
  button.disabled = false;
}

function found(root: string, { epoch, index }: Proof): string {
  const place = `leaf ${index + 1} of ${epoch.count} in epoch ${epoch.epoch}`;
  const where =
    epoch.state === "final" ? "the memo on chain has this root" : "its memo is on the way to the chain";
  return `Your browser computed the root ${short(root, 8, 8)}: ${place}, and ${where}.`;
}

/** What can be said of the draw today; throws if it is not what its secret gives. */
async function drawn(body: Uint8Array): Promise<string> {
  const receipt = JSON.parse(new TextDecoder().decode(body)) as Receipt;
  if (!isDrawn(receipt)) return "It was not subject to a draw.";
  const answer = await fetch(`/api/draws/${receipt.draw_epoch}`, { cache: "no-store" });
  if (answer.status === 404) return "The secret of its draw is told when its day is over.";
  if (!answer.ok) throw new Error(`the grid answered ${answer.status}`);
  const number = await drawAgain(receipt, (await answer.json()) as DrawSecret);
  const limit = count(receipt.audit_probability);
  const word = receipt.audited ? "below" : "not below";
  return `It drew again: ${count(number)} is ${word} ${limit}, as the receipt says.`;
}

async function bytes(path: string): Promise<Uint8Array> {
  const answer = await fetch(path, { cache: "no-store" });
  if (!answer.ok) throw new Error(`the grid answered ${answer.status}`);
  return new Uint8Array(await answer.arrayBuffer());
}

async function read(job: string): Promise<Proof> {
  return JSON.parse(new TextDecoder().decode(await bytes(`/api/receipts/${job}/proof`))) as Proof;
}

function tell(state: string, words: string): void {
  const place = document.getElementById("check-result");
  if (!place) return;
  const said = place.firstElementChild ?? place.appendChild(make("span", "state"));
  if (said instanceof HTMLElement) said.dataset.state = state;
  setText(said, words);
}
