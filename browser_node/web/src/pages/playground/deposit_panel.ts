/** Credit for the key: paid in by a link, a QR code or a wallet here, and given back unused. */

import type { Claim, Deposit, Refundable, Token } from "../../generated/api.js";
import { byId, make, setText } from "../../lib/dom.js";
import { amount, short, units } from "../../lib/format.js";
import { makeClaim, signTransaction } from "../../wallet/claim.js";
import { type Offer, watchWallets } from "../../wallet/discovery.js";
import { WalletError } from "../../wallet/errors.js";
import { connect } from "../../wallet/sign_in.js";
import * as api from "./api.js";
import { type KeyPanel, sentence } from "./key_panel.js";

/** Finality takes some 13 s; nothing is gained by more haste. */
const POLL_MS = 2_000;
/** The same signed bytes are sent again while the network has not taken them: it drops some. */
const SENDS = 20;

/** Of these only one does its work at a time. */
const BUTTONS = "#deposit-form button, #deposit-wallets button, #refund-list button";
const NOTHING = { refundable: [] } as const;

/** Base58 of 32 bytes. */
const ADDRESS = /^[1-9A-HJ-NP-Za-km-z]{32,44}$/;

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const html = (id: string): HTMLElement => byId(id, HTMLElement);

export class DepositPanel {
  private open: Deposit | null = null;
  private offers: readonly Offer[] = [];
  /** Whoever is paying or refunding; others wait. */
  private busy = false;

  constructor(
    private readonly panel: KeyPanel,
    private readonly token: Token,
    private readonly chain: string,
  ) {
    byId("deposit-form", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      void this.during("deposit-error", () => this.ask());
    });
    watchWallets((offers) => {
      this.offers = offers;
      this.renderWallets();
    });
    panel.keyed = () => {
      this.show(null);
      html("refunds").hidden = true;
      void this.refresh();
    };
    void this.refresh();
  }

  private async ask(): Promise<void> {
    const text = byId("deposit-amount", HTMLInputElement).value;
    const wanted = units(text, this.token.decimals);
    if (wanted === null || wanted <= 0) {
      throw new Error(`"${text}" is no amount of ${this.token.symbol}; write it like 2.5.`);
    }
    const wallet = byId("deposit-wallet", HTMLInputElement).value.trim();
    if (wallet && !ADDRESS.test(wallet)) {
      throw new Error(`"${wallet}" is no Solana address; those are 32 to 44 letters and digits.`);
    }
    const made = await api.createDeposit(this.panel.key, { amount: wanted, wallet: wallet || null });
    this.show(made);
    showCode(made.qr ?? null);
    void this.follow(made.id);
  }

  /** Ask how far it is until it is paid, or another one is shown. */
  private async follow(id: string): Promise<void> {
    while (this.open?.id === id && this.open.state !== "paid") {
      await wait(POLL_MS);
      if (document.hidden) continue;
      const found = await api.depositOf(this.panel.key, id).catch(() => null);
      if (found === null || this.received(id) === null) continue;
      const more = found.received > (this.received(id) ?? 0);
      this.show(found);
      if (more) await this.refresh();
    }
  }

  /** What came so far for the deposit that is shown; null for another one. */
  private received(id: string): number | null {
    return this.open?.id === id ? this.open.received : null;
  }

  private show(deposit: Deposit | null): void {
    this.open = deposit;
    html("deposit-open").hidden = deposit === null;
    if (deposit === null) return;
    const state = html("deposit-state");
    state.dataset.state = deposit.state;
    state.dataset.tone = deposit.state === "paid" ? "good" : "waiting";
    setText(state, this.words(deposit));
    setText(html("deposit-note"), deposit.note ?? "");
    html("deposit-ways").hidden = deposit.state === "paid";
    const link = byId("deposit-link", HTMLAnchorElement);
    html("deposit-by-link").hidden = deposit.url === null;
    if (deposit.url !== null) link.href = deposit.url;
    byId("deposit-copy", HTMLButtonElement).dataset.copy = deposit.url ?? "";
    this.renderWallets();
  }

  private words({ state, amount: asked, received }: Deposit): string {
    const got = amount(received, this.token);
    if (state === "paid") return `${got} came and are credited.`;
    if (state === "partial") return `${got} of ${amount(asked ?? 0, this.token)} came and are credited.`;
    if (state === "arriving") return "Your payment is on chain. It is credited once it is final, in about 15 s.";
    return `Waiting for ${asked === null ? "your payment" : amount(asked, this.token)}.`;
  }

  private renderWallets(): void {
    const slugs = this.offers.map((offer) => offer.slug);
    this.fill(html("deposit-wallets"), slugs, () => this.offers.map((offer) => this.payButton(offer)));
    html("deposit-wallets").hidden = slugs.length === 0;
  }

  /** Other buttons only where there are others: whoever is about to press one keeps it. */
  private fill(list: HTMLElement, keys: readonly string[], buttons: () => HTMLElement[]): void {
    if (list.dataset.keys === keys.join()) return;
    list.dataset.keys = keys.join();
    list.replaceChildren(...buttons());
    this.hold(this.busy);
  }

  private payButton(offer: Offer): HTMLElement {
    const item = make("li");
    const pay = make("button", "button", `Pay with ${offer.name}`);
    pay.type = "button";
    pay.dataset.testid = `deposit-pay-${offer.slug}`;
    pay.addEventListener("click", () => void this.during("deposit-error", () => this.pay(offer)));
    item.append(pay);
    return item;
  }

  private async pay(offer: Offer): Promise<void> {
    const deposit = this.open;
    if (deposit === null) return;
    const account = await connect(offer);
    const { transaction } = await api.paymentOf(this.panel.key, deposit.id, account.address);
    const signed = await signTransaction({ offer, address: account.address, chain: this.chain }, account, transaction, "sign the payment");
    for (let sends = 0; sends < SENDS && this.open?.id === deposit.id; sends++) {
      const found = await api.sendPayment(this.panel.key, deposit.id, signed);
      if (this.open.id === deposit.id && found.received >= this.open.received) this.show(found);
      if (found.state !== "waiting") return;
      await wait(POLL_MS);
    }
  }

  // --- what goes back --------------------------------------------------------------------

  /** The key's figures, and what of its deposits is unused. */
  private async refresh(): Promise<void> {
    const { key } = this.panel;
    await this.panel.refresh();
    const found = key ? await api.deposits(key).catch(() => null) : NOTHING;
    if (found === null || key !== this.panel.key) return;
    const shares = found.refundable;
    const keys = shares.map((each) => `${each.wallet} ${each.amount}`);
    this.fill(html("refund-list"), keys, () => shares.map((each) => this.refundItem(each)));
    html("refunds").hidden = shares.length === 0 && html("refund-state").textContent === "";
  }

  private refundItem(share: Refundable): HTMLElement {
    const item = make("li");
    const text = `Refund ${amount(share.amount, this.token)} to ${short(share.wallet)}`;
    const button = make("button", "button", text);
    button.type = "button";
    button.title = share.wallet;
    button.dataset.testid = "refund";
    button.addEventListener("click", () => void this.during("refund-error", () => this.refund(share.wallet)));
    item.append(button);
    return item;
  }

  private async refund(address: string): Promise<void> {
    const offer = this.offerOf(address);
    if (!offer) throw new Error(`The wallet ${short(address)} has to sign. Unlock or install it in this browser.`);
    const key = this.panel.key;
    const refunds = {
      createClaim: () => api.createRefund(key, address),
      signClaim: api.signRefund.bind(null, key),
      readClaim: api.refundOf.bind(null, key),
    };
    await makeClaim({ offer, address, chain: this.chain }, refunds, wait, (claim) => this.showRefund(claim, offer));
  }

  /** The wallet that shows this account; else the only one that may have it. */
  private offerOf(address: string): Offer | undefined {
    const shows = (offer: Offer): boolean => offer.wallet.accounts.some((each) => each.address === address);
    return this.offers.find(shows) ?? this.offers[0];
  }

  private showRefund(claim: Claim, offer: Offer): void {
    const place = html("refund-state");
    place.dataset.state = claim.state;
    setText(place, refundWords(claim, offer.name, amount(claim.amount, this.token)));
    html("refunds").hidden = false;
  }

  private async during(place: string, work: () => Promise<void>): Promise<void> {
    if (this.busy) return;
    this.hold(true);
    const error = html(place);
    error.hidden = true;
    try {
      await work();
    } catch (caught) {
      error.dataset.tone = caught instanceof WalletError && caught.trouble === "refused" ? "waiting" : "wrong";
      setText(error, sentence(caught));
      error.hidden = false;
    } finally {
      this.hold(false);
      await this.refresh();
    }
  }

  /** Not `disabled`: that would take the focus from whoever pressed by key. */
  private hold(busy: boolean): void {
    this.busy = busy;
    for (const button of document.querySelectorAll<HTMLButtonElement>(BUTTONS))
      button.ariaDisabled = busy ? "true" : null;
  }
}

function refundWords(claim: Claim, wallet: string, what: string): string {
  if (claim.state === "reserved") return `Approve in ${wallet} that ${what} go back.`;
  if (claim.state === "finalized") return `${what} are back in ${short(claim.wallet)}.`;
  if (claim.state === "failed" || claim.state === "expired") return claim.error ?? "Nothing was sent.";
  return `${what} are on their way to ${short(claim.wallet)}.`;
}

/** The server's drawing, as elements of this page: read as XML, in which nothing runs. */
function showCode(svg: string | null): void {
  const place = html("deposit-qr");
  place.replaceChildren();
  place.hidden = svg === null;
  if (svg === null) return;
  const drawn = new DOMParser().parseFromString(svg, "image/svg+xml").documentElement;
  drawn.setAttribute("role", "img");
  drawn.setAttribute("aria-label", "QR code of the Solana Pay link");
  place.append(document.importNode(drawn, true));
}
