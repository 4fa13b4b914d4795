/** The live figures of a page: every `[data-figure]` is a field of `Totals`. */

import type { Totals } from "../../generated/api.js";
import { setText } from "../../lib/dom.js";
import { amount, backend, count } from "../../lib/format.js";

const MONEY = new Set(["settled", "paid"]);

export function showTotals(totals: Totals): void {
  for (const place of document.querySelectorAll<HTMLElement>("[data-figure]")) {
    const name = place.dataset.figure ?? "";
    const value: unknown = Reflect.get(totals, name);
    if (typeof value !== "number") continue;
    setText(place, MONEY.has(name) ? amount(value, totals.token) : count(value));
  }
  const backends = document.getElementById("backends");
  if (backends) setText(backends, backendWords(totals.nodes_by_backend));
}

/** "WebGPU 3, WASM 1", as the server writes it. */
export function backendWords(numbers: Readonly<Record<string, number>>): string {
  const some = Object.entries(numbers).filter(([, number]) => number > 0);
  some.sort(([a], [b]) => (a < b ? -1 : 1));
  return some.map(([name, number]) => `${backend(name)} ${count(number)}`).join(", ") || "none connected";
}
