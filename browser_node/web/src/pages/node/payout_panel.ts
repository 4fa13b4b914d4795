/** The offer to have the grid pay the network, where the wallet has no SOL of its own. */

import type { PayoutOffer, Token } from "../../generated/api.js";
import { setText } from "../../lib/dom.js";
import { amount as words } from "../../lib/format.js";
import { ApiError, type Api } from "./api.js";
import { button, html } from "./dom.js";

/** An answer is good for so long: SOL may arrive, an account may be made. */
const FRESH_MS = 60_000;

export class PayoutPanel {
  private offer: PayoutOffer | null = null;
  private asked = { address: "", at: 0 };
  private units = 0;
  private token: Token | null = null;

  constructor(
    private readonly api: Api,
    accept: (maxFee: number) => void,
  ) {
    button("push").addEventListener("click", () => {
      if (this.offer) accept(this.offer.fee);
    });
  }

  /** `units` can be claimed by `address` now; with 0 nothing is offered. */
  show(address: string | null, units: number, token: Token): void {
    if (address !== this.asked.address) this.offer = null;
    this.units = units;
    this.token = token;
    if (address !== null && units > 0) void this.ask(address);
    this.render();
  }

  private async ask(address: string): Promise<void> {
    const stale = Date.now() - this.asked.at > FRESH_MS;
    if (address === this.asked.address && !stale) return;
    this.asked = { address, at: Date.now() };
    try {
      const offer = await this.api.payoutOffer();
      if (address === this.asked.address) this.offer = offer;
    } catch (error) {
      // Without an answer nothing is offered; a claim by the wallet itself works as ever.
      if (!(error instanceof ApiError)) throw error;
      this.offer = null;
    }
    this.render();
  }

  private render(): void {
    const { offer, units, token } = this;
    const shown = offer?.offered === true && !offer.has_sol && units > 0 && token !== null;
    html("push-offer").hidden = !shown;
    if (!offer || !token || !shown) return;
    const enough = units >= offer.minimum;
    const fee = words(offer.fee, token);
    const account = offer.creates_account ? ", part of it for making your token account" : "";
    const text = enough
      ? `This wallet has too little SOL for the network. The grid can pay it for you and keeps ${fee} of your tokens${account}. There is nothing to sign.`
      : `This wallet has too little SOL for the network. From ${words(offer.minimum, token)} on the grid can pay it for you and keeps ${fee}${account}.`;
    setText(html("push-text"), text);
    button("push").hidden = !enough;
    setText(button("push"), `Receive ${words(units - offer.fee, token)}`);
  }
}
