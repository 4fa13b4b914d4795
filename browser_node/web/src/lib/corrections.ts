/** The chain of hashes of the corrections; the twin of `tabgrid_server/proofs/corrections.py`. */

import type { CorrectionLink } from "../generated/api.js";
import { hex, sha256, text } from "./merkle.js";

/** Where the chain stands: how many corrections it has, and the newest one's hash. */
export interface Head {
  readonly count: number;
  readonly hash: Uint8Array;
}

export const GENESIS: Head = { count: 0, hash: new Uint8Array(32) };

/** Where it stands after these too. Throws where one of them does not follow the one before. */
export async function follow(head: Head, links: readonly CorrectionLink[]): Promise<Head> {
  let { count, hash } = head;
  for (const link of links) {
    hash = await sha256(text("tabgrid/correction/v1\0"), hash, text(link.correction));
    count += 1;
    if (link.number !== count || link.hash !== hex(hash))
      throw new Error(`correction ${count} does not follow the one before`);
  }
  return { count, hash };
}
