/** Whether a receipt is in an epoch, by WebCrypto alone; the twin of `proofs/merkle.py`. */

import type { Proof } from "../generated/api.js";

const SIZE = 32;
const text = (words: string): Uint8Array => new TextEncoder().encode(words);

async function sha256(...parts: Uint8Array[]): Promise<Uint8Array> {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return new Uint8Array(await crypto.subtle.digest("SHA-256", whole));
}

/** Eight bytes, big end first. */
function number(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value));
  return bytes;
}

export function hex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Throws for anything but 32 bytes in lower-case hex. */
function hash(digits: string): Uint8Array {
  if (!/^[0-9a-f]{64}$/.test(digits)) throw new Error("a hash in the proof is none");
  const bytes = new Uint8Array(SIZE);
  for (let at = 0; at < SIZE; at++) bytes[at] = parseInt(digits.slice(2 * at, 2 * at + 2), 16);
  return bytes;
}

/** The top to which `path` leads from leaf `index` of `count`. Throws if it does not fit. */
async function climb(
  leaf: Uint8Array,
  index: number,
  count: number,
  path: readonly string[],
): Promise<Uint8Array> {
  if (!Number.isSafeInteger(index) || index < 0 || index >= count)
    throw new Error(`there is no leaf ${index} of ${count}`);
  const left = path.map(hash);
  let found = leaf;
  for (; count > 1; count = Math.ceil(count / 2), index = Math.floor(index / 2)) {
    const first = index % 2 === 0;
    if (first && index + 1 >= count) continue; // without a partner it rises as it is
    const partner = left.shift();
    if (!partner) throw new Error("the path is too short for its place");
    const pair = first ? [found, partner] : [partner, found];
    found = await sha256(Uint8Array.of(1), ...pair);
  }
  if (left.length) throw new Error("the path is too long for its place");
  return found;
}

/** The root, in hex, that a receipt of these bytes gives at the proof's place. */
export async function rootOf(receipt: Uint8Array, proof: Proof): Promise<string> {
  const { epoch, index, path } = proof;
  const leaf = await sha256(text("\0tabgrid/receipt/v1\0"), await sha256(receipt));
  const top = await climb(leaf, index, epoch.count, path);
  const place = [number(epoch.epoch), number(epoch.count)];
  return hex(await sha256(text("\x02tabgrid/epoch/v1\0"), ...place, hash(epoch.prev_root), top));
}
