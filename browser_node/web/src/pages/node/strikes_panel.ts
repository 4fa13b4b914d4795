/** Answers of this wallet that were found wrong, the newest first. */

import type { Strike, Token } from "../../generated/api.js";
import { ApiError, type Api } from "./api.js";
import { html } from "./dom.js";
import { StrikeItem } from "./strike_item.js";

/** Between two looks while an appeal is under way or nothing happens. */
const POLL_MS = 15_000;

export class StrikesPanel {
  private address: string | null = null;
  private strikes: readonly Strike[] = [];
  /** By job. */
  private readonly items = new Map<string, StrikeItem>();
  private lastLook = 0;
  /** Counts looks and what makes them old: only the answer to the last one is shown. */
  private looks = 0;
  private said = "";

  constructor(
    private readonly api: Api,
    private readonly token: Token,
  ) {}

  /** Of this wallet; null when signed out. */
  show(address: string | null): void {
    this.address = address;
    this.strikes = [];
    this.said = "";
    this.looks += 1;
    this.render();
    this.look();
  }

  /** The node was told something of its standing: there may be news. */
  news(said: string): void {
    if (said === this.said) return;
    this.said = said;
    this.look();
  }

  tick(): void {
    if (!document.hidden && Date.now() - this.lastLook > POLL_MS) this.look();
  }

  private look(): void {
    if (this.address === null) return;
    this.lastLook = Date.now();
    const look = ++this.looks;
    this.api
      .strikes()
      .then(({ strikes }) => {
        if (look !== this.looks) return;
        this.strikes = strikes;
        this.render();
      })
      .catch((error: unknown) => {
        // The next look comes by itself.
        if (!(error instanceof ApiError)) throw error;
      });
  }

  /** An item stays the same element from look to look: who stands on its button stays there. */
  private render(): void {
    html("strikes").hidden = this.address === null;
    html("strikes-none").hidden = this.strikes.length > 0;
    const list = html("strikes-list");
    const jobs = new Set(this.strikes.map(({ job }) => job));
    for (const [job, item] of this.items) {
      if (jobs.has(job)) continue;
      item.place.remove();
      this.items.delete(job);
    }
    this.strikes.forEach((strike, at) => {
      const { place } = this.itemOf(strike);
      if (list.children[at] !== place) list.insertBefore(place, list.children[at] ?? null);
    });
  }

  private itemOf(strike: Strike): StrikeItem {
    const appealed = (): void => void (this.looks += 1);
    const item = this.items.get(strike.job) ?? new StrikeItem(this.api, this.token, appealed);
    this.items.set(strike.job, item);
    item.show(strike);
    return item;
  }
}
