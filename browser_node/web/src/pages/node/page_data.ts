/** What the server wrote into the page for its script (server: pages/front.py). */

import type { Grid, Token } from "../../generated/api.js";
import { pageData } from "../../lib/dom.js";

export interface PageData {
  /** Logical asset name to URL path. */
  readonly assets: Record<string, string>;
  readonly grids: readonly Grid[];
  readonly chain: {
    readonly cluster: string;
    /** The demo wallet and the faucet exist only on a local chain. */
    readonly local: boolean;
    /** False where the operator has set no chain up yet: nothing can be claimed. */
    readonly claims: boolean;
    readonly symbol: string;
    readonly decimals: number;
    readonly mint: string;
  };
}

export function readPageData(): PageData {
  const data = pageData() as PageData | null;
  if (!data) throw new Error("the page has no #page-data");
  return data;
}

/** For showing amounts before the first answer of the API. */
export function tokenOf({ chain, grids }: PageData): Token {
  const { symbol, decimals, mint } = chain;
  return grids[0]?.token ?? { symbol, decimals, mint };
}

/** The chain as wallets name it. */
export function chainOf({ chain }: PageData): string {
  return `solana:${chain.cluster.replace(/-beta$/, "")}`;
}
