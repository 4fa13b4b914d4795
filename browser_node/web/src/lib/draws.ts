/** Whether a receipt's draw is what its day's secret gives; the twin of `trust/draws.py`. */

import type { DrawSecret, Receipt } from "../generated/api.js";
import { bytesOf, hex, sha256, text } from "./merkle.js";

const ONE = 1_000_000n;

/** What a receipt of version 2 says of its draw. */
export type Drawn = Receipt & { audit_probability: number; draw_epoch: number };

export function isDrawn(receipt: Receipt): receipt is Drawn {
  return typeof receipt.audit_probability === "number" && typeof receipt.draw_epoch === "number";
}

/** The SHA-256 of what the node signed, from the receipt's other fields. */
async function commitOf(receipt: Receipt): Promise<Uint8Array> {
  // Receipts of before have no such field.
  const root = (receipt.trace_root as string | null | undefined) ?? null;
  const named = text(`tabgrid/result/v${root === null ? 1 : 2}\0${receipt.job}\0${receipt.wallet}\0`);
  const signed = [named, bytesOf(receipt.nonce, 16), bytesOf(receipt.result_hash)];
  return sha256(...signed, ...(root === null ? [] : [bytesOf(root)]));
}

/** 0 … 999,999: the first 8 bytes of HMAC-SHA256(secret, commit), scaled. */
async function draw(secret: Uint8Array, commit: Uint8Array): Promise<number> {
  const how = { name: "HMAC", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("raw", new Uint8Array(secret), how, false, ["sign"]);
  const mac = await crypto.subtle.sign("HMAC", key, new Uint8Array(commit));
  return Number((new DataView(mac).getBigUint64(0) * ONE) >> 64n);
}

/** The number that was drawn. Throws, in words, for whatever does not fit the receipt. */
export async function drawAgain(receipt: Drawn, told: DrawSecret): Promise<number> {
  const secret = bytesOf(told.secret);
  if (hex(await sha256(secret)) !== receipt.draw_commitment)
    throw new Error("the secret is not the one that the receipt names");
  const commit = await commitOf(receipt);
  if (hex(commit) !== receipt.commit_hash)
    throw new Error("the receipt's commitment is not the hash of what its node signed");
  const drawn = await draw(secret, commit);
  if (drawn < receipt.audit_probability !== receipt.audited)
    throw new Error(`${drawn} was drawn, and the receipt says ${receipt.audited ? "" : "not "}drawn`);
  return drawn;
}
