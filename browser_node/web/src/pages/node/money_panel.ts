/** What the wallet has earned, what of it is free, and the way of a claim. */

import type { Claim, Token, Wallet } from "../../generated/api.js";
import { byId, setText } from "../../lib/dom.js";
import { amount as words, short } from "../../lib/format.js";
import { followClaim, isOver, makeClaim } from "../../wallet/claim.js";
import type { Offer } from "../../wallet/discovery.js";
import { WalletError } from "../../wallet/errors.js";
import { ApiError, type Api } from "./api.js";
import { button, html, setData } from "./dom.js";
import { PayoutPanel } from "./payout_panel.js";
import { countdown } from "./units.js";
import { claimWords } from "./words.js";

/** Between two looks at the wallet's figures when nothing happens. */
const POLL_S = 15;
/** After a settlement or a release the books are there at once; this gathers bursts. */
const SOON_MS = 400;

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export class MoneyPanel {
  private address: string | null = null;
  private figures: Wallet | null = null;
  /** This visit's own count, which is ahead of the server's figures for a moment. */
  private run = { earned: 0, jobs: 0 };
  /** Reserved and not signed yet: the button takes it up again. */
  private open: Claim | null = null;
  private busy = false;
  private readonly payout: PayoutPanel;
  private timer = 0;
  private lastLook = 0;

  constructor(
    private readonly api: Api,
    private readonly token: Token,
    private readonly chain: string,
    /** The wallet to sign with; asks the person for one where it is not known. */
    private readonly wallet: () => Offer | null,
  ) {
    button("claim").addEventListener("click", () => void this.claim());
    this.payout = new PayoutPanel(api, (maxFee) => void this.push(maxFee));
  }

  /** Show this wallet's money; null when signed out. */
  async show(address: string | null): Promise<void> {
    this.address = address;
    this.figures = null;
    this.open = null;
    this.run = { earned: 0, jobs: 0 };
    setText(html("claim-status"), "");
    setData(html("claim-status"), "state", "");
    html("claim-link").hidden = true;
    linkFigures(address);
    this.render();
    if (address === null) return;
    await this.look();
    await this.resume(address);
  }

  /** What this run of the node has earned so far. */
  earned(earned: number, jobs: number): void {
    if (this.run.earned === earned && this.run.jobs === jobs) return;
    this.run = { earned, jobs };
    this.render();
    this.lookSoon();
  }

  /** Once a second: count down, and look again when something is due. */
  tick(): void {
    if (this.address === null) return;
    const release = this.figures?.next_release_at ?? null;
    const left = release === null ? null : release - this.api.serverNow();
    const due = left !== null && left < 0;
    setText(html("next-release"), left === null ? "none due" : due ? "now" : `in ${countdown(left)}`);
    const since = (Date.now() - this.lastLook) / 1_000;
    if (!document.hidden && (since > POLL_S || (due && since > 1))) void this.look();
  }

  private lookSoon(): void {
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => void this.look(), SOON_MS);
  }

  /** Ask for the figures; a failed look changes nothing, the next one comes. */
  private async look(): Promise<void> {
    const address = this.address;
    if (address === null) return;
    this.lastLook = Date.now();
    try {
      const figures = await this.api.wallet(address);
      if (this.address === address) this.figures = figures;
      if (this.open && !this.busy) await this.reread(this.open);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
    }
    this.render();
  }

  private async reread(claim: Claim): Promise<void> {
    const now = await this.api.readClaim(claim.id);
    if (now.state !== claim.state) this.showClaim(now);
  }

  private render(): void {
    const figures = this.figures;
    const amount = (units: number): string => words(units, figures?.token ?? this.token);
    const { earned, jobs } = this.run;
    setText(html("earned"), amount(Math.max(figures?.earned ?? 0, earned)));
    setText(html("jobs-done"), String(Math.max(figures?.jobs_done ?? 0, jobs)));
    setText(html("earned-run"), `${amount(earned)} from ${jobs === 1 ? "1 job" : `${jobs} jobs`} in this visit`);
    setText(html("claimable"), amount(figures?.claimable ?? 0));
    setText(html("withheld"), amount(figures?.withheld ?? 0));
    setText(html("in-flight"), amount(figures?.in_flight ?? 0));
    setText(html("paid"), amount(figures?.paid ?? 0));
    this.renderButton(amount);
    const units = this.busy || this.open ? 0 : (figures?.claimable ?? 0);
    this.payout.show(this.address, units, figures?.token ?? this.token);
  }

  private renderButton(amount: (units: number) => string): void {
    const units = this.open?.amount ?? this.figures?.claimable ?? 0;
    button("claim").disabled = this.busy || units === 0;
    setText(button("claim"), units === 0 ? "Nothing to claim yet" : `Claim ${amount(units)}`);
  }

  private async claim(): Promise<void> {
    const address = this.address;
    if (address === null || this.busy) return;
    const offer = this.wallet();
    if (!offer) {
      const text = "The wallet you signed in with is not in this browser now. Unlock or install it.";
      this.showTrouble(text);
      return;
    }
    await this.during(() =>
      makeClaim({ offer, address, chain: this.chain }, this.api, wait, (claim) => this.showClaim(claim)),
    );
  }

  /** Let the grid pay the network, for at most this fee. */
  private async push(maxFee: number): Promise<void> {
    if (this.address === null || this.busy) return;
    await this.during(async () => {
      const claim = await this.api.createPayout({ max_fee: maxFee });
      this.showClaim(claim);
      await followClaim(claim, this.api, wait, (next) => this.showClaim(next));
    });
  }

  /** A claim of an earlier visit: follow it, or offer to sign it. */
  private async resume(address: string): Promise<void> {
    await this.during(async () => {
      const { claims } = await this.api.claims(address);
      const live = claims.find((claim) => !isOver(claim));
      if (!live || this.address !== address) return;
      this.showClaim(live);
      if (live.state !== "reserved" || live.push_fee !== null) {
        await followClaim(live, this.api, wait, (claim) => this.showClaim(claim));
      }
    });
  }

  private async during(work: () => Promise<unknown>): Promise<void> {
    this.busy = true;
    this.render();
    try {
      await work();
    } catch (error) {
      if (!(error instanceof WalletError || error instanceof ApiError)) throw error;
      this.showTrouble(error.message, error instanceof WalletError && error.trouble === "refused");
    } finally {
      this.busy = false;
      this.lookSoon();
      this.render();
    }
  }

  private showTrouble(text: string, calm = false): void {
    setText(html("claim-status"), text);
    setData(html("claim-status"), "state", calm ? "" : "failed");
  }

  private showClaim(claim: Claim): void {
    if (claim.wallet !== this.address) return;
    this.open = claim.state === "reserved" && claim.push_fee === null ? claim : null;
    const token = this.figures?.token ?? this.token;
    const received = words(claim.amount - claim.fee - (claim.push_fee ?? 0), token);
    setText(html("claim-status"), claimWords(claim, words(claim.amount, token), received));
    setData(html("claim-status"), "state", claim.state);
    const link = byId("claim-link", HTMLAnchorElement);
    link.hidden = claim.signature === null;
    if (claim.signature !== null) {
      link.href = `/explorer/wallets/${claim.wallet}`;
      link.title = claim.signature;
      setText(link, short(claim.signature));
    }
    this.lookSoon();
    this.render();
  }
}

/** Each amount leads to the postings behind it; to nothing while nobody is signed in. */
function linkFigures(address: string | null): void {
  for (const figure of document.querySelectorAll<HTMLAnchorElement>("a[data-account]")) {
    const account = figure.dataset.account ? `?account=${figure.dataset.account}` : "";
    if (address === null) figure.removeAttribute("href");
    else figure.href = `/explorer/wallets/${address}/statement${account}`;
  }
}
