/** Whether a receipt, or the corrections, are in an epoch, by WebCrypto alone; the twin of `tabgrid_wire/merkle.py`.
 * What an epoch's leaves and root are is told in `tabgrid_server/proofs/epoch.py`. */

import type { CorrectionsProof, Proof } from "../generated/api.js";

const SIZE = 32;
export const text = (words: string): Uint8Array => new TextEncoder().encode(words);

export async function sha256(...parts: Uint8Array[]): Promise<Uint8Array> {
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

/** Throws for anything but `size` bytes in lower-case hex. */
export function bytesOf(digits: string, size = SIZE): Uint8Array {
  if (digits.length !== 2 * size || !/^[0-9a-f]*$/.test(digits))
    throw new Error("a hash in the proof is none");
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size; at++) bytes[at] = parseInt(digits.slice(2 * at, 2 * at + 2), 16);
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
  const left = path.map((each) => bytesOf(each));
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

/** What the root of an epoch begins with, by its version: none passes for one of another. */
const EPOCHS: ReadonlyMap<number, string> = new Map([
  [1, "\x02tabgrid/epoch/v1\0"],
  [2, "\x02tabgrid/epoch/v2\0"],
]);

/** The root, in hex, that a receipt of these bytes gives at the proof's place. */
export async function rootOf(receipt: Uint8Array, proof: Proof): Promise<string> {
  return rootFrom(await sha256(text("\0tabgrid/receipt/v1\0"), await sha256(receipt)), proof);
}

/** The same of the corrections, where they stand at `standing` of them and this newest hash. */
export async function correctedRootOf(standing: number, newest: Uint8Array, proof: CorrectionsProof): Promise<string> {
  return rootFrom(await sha256(text("\0tabgrid/corrected/v1\0"), number(standing), newest), proof);
}

async function rootFrom(leaf: Uint8Array, { epoch, index, path }: Proof | CorrectionsProof): Promise<string> {
  const tag = EPOCHS.get(epoch.v);
  if (tag === undefined) throw new Error(`epochs of version ${epoch.v} are not known here`);
  const top = await climb(leaf, index, epoch.count, path);
  const place = [number(epoch.epoch), number(epoch.count)];
  return hex(await sha256(text(tag), ...place, bytesOf(epoch.prev_root), top));
}
