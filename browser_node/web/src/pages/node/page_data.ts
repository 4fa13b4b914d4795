/** What the server wrote into the page for its script. */

import type { Grid, Token } from "../../generated/api.js";

export interface PageData {
  /** Logical asset name to URL path. */
  readonly assets: Record<string, string>;
  readonly grids: readonly Grid[];
  readonly chain: {
    /** The demo wallet and the faucet exist only on a local chain. */
    readonly local: boolean;
    readonly symbol: string;
    readonly decimals: number;
    readonly cluster: string;
  };
}

export function readPageData(): PageData {
  const script = document.getElementById("page-data");
  if (!script?.textContent) throw new Error("the page has no #page-data");
  return JSON.parse(script.textContent) as PageData;
}

/** For showing amounts before the first answer of the API. */
export function tokenOf(data: PageData): Token {
  const { symbol, decimals } = data.chain;
  return data.grids[0]?.token ?? { symbol, decimals, mint: "" };
}
