/** Buttons that check in the reader's own browser what a grid says of itself: on a job's page its
 * receipt, on an epoch's page the corrections under its root. */

import type { Corrections, CorrectionsProof, DrawSecret, Epoch, Proof, Receipt } from "../../generated/api.js";
import { follow, GENESIS } from "../../lib/corrections.js";
import { make, setText } from "../../lib/dom.js";
import { drawAgain, isDrawn } from "../../lib/draws.js";
import { count, short } from "../../lib/format.js";
import { correctedRootOf, hex, rootOf } from "../../lib/merkle.js";

/** What was found, in words; or throws. */
interface Found {
  readonly right: boolean;
  readonly words: string;
}

/** What was found, which the server does not know of. */
let told: readonly [state: string, words: string] | null = null;

/** Shows the button, which is hidden where no script runs, and what was found; also after the
 * page is drawn anew. */
export function showCheck(): void {
  const button = document.getElementById("check");
  if (button) button.hidden = false;
  if (told) tell(...told);
}

/** `page` says what there is to check on it: a job's receipt, or an epoch's corrections. */
export function enableCheck(page: { readonly job?: string; readonly epoch?: number }): void {
  const { job, epoch } = page;
  const check = job !== undefined ? () => receiptOf(job) : epoch !== undefined ? () => correctionsOf(epoch) : null;
  if (!check) return;
  showCheck();
  document.addEventListener("click", (event) => {
    const pressed = event.target instanceof Element ? event.target.closest("#check") : null;
    if (pressed instanceof HTMLButtonElement) void run(pressed, check);
  });
}

async function run(button: HTMLButtonElement, check: () => Promise<Found>): Promise<void> {
  button.disabled = true;
  tell("loading", "Checking …");
  try {
    const { right, words } = await check();
    tell(right ? "done" : "failed", words);
  } catch (error) {
    tell("failed", `Could not be checked: ${error instanceof Error ? error.message : "no answer"}.`);
  }
  button.disabled = false;
}

async function receiptOf(job: string): Promise<Found> {
  const [receipt, proof] = await Promise.all([bytes(`/api/receipts/${job}`), read<Proof>(`/api/receipts/${job}/proof`)]);
  const root = await rootOf(receipt, proof);
  if (!isRoot(root, proof.epoch))
    return { right: false, words: `Not in epoch ${proof.epoch.epoch}: this receipt gives the root ${root}.` };
  return { right: true, words: `${found(root, proof)} ${await drawn(receipt)}` };
}

async function correctionsOf(number: number): Promise<Found> {
  const proof = await read<CorrectionsProof>(`/api/epochs/${number}/corrections`);
  const { corrections: standing, epoch } = proof.epoch;
  if (standing === null) throw new Error(`epoch ${epoch} holds no corrections`);
  let head = GENESIS;
  while (head.count < standing) {
    const limit = Math.min(PAGE, standing - head.count);
    const { corrections } = await read<Corrections>(`/api/corrections?after=${head.count}&limit=${limit}`);
    if (!corrections.length) return { right: false, words: `Of ${count(standing)} corrections under it only ${count(head.count)} are told.` };
    head = await follow(head, corrections);
  }
  const root = await correctedRootOf(head.count, head.hash, proof);
  if (!isRoot(root, proof.epoch))
    return { right: false, words: `Not in epoch ${epoch}: the corrections that are told give the root ${root}.` };
  const what = standing === 0 ? "There was no correction by its end" : `All ${count(standing)} hashes lead from the first correction to ${short(hex(head.hash), 8, 8)}`;
  return { right: true, words: `${what}. ${found(root, proof)}` };
}

/** Of the corrections, as many as the grid tells at once. */
const PAGE = 1_000;

function isRoot(root: string, epoch: Epoch): boolean {
  const memo = JSON.parse(epoch.memo) as { root?: unknown };
  return root === epoch.root && root === memo.root;
}

function found(root: string, { epoch, index }: Proof | CorrectionsProof): string {
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

async function read<T>(path: string): Promise<T> {
  return JSON.parse(new TextDecoder().decode(await bytes(path))) as T;
}

function tell(state: string, words: string): void {
  told = [state, words];
  const place = document.getElementById("check-result");
  if (!place) return;
  const said = place.firstElementChild ?? place.appendChild(make("span", "state"));
  if (said instanceof HTMLElement) said.dataset.state = state;
  setText(said, words);
}
