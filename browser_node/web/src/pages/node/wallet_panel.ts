/** Who the owner is: the list of wallets, signing in and out, the session of an earlier visit. */

import type { Session } from "../../generated/api.js";
import { byId, setText } from "../../lib/dom.js";
import { short } from "../../lib/format.js";
import { type Offer, watchAccounts, watchWallets } from "../../wallet/discovery.js";
import { asWalletError, WalletError } from "../../wallet/errors.js";
import { signIn, type WorkerIdentity } from "../../wallet/sign_in.js";
import { ApiError, type Api } from "./api.js";
import { button, html, recall, remember, setData } from "./dom.js";

/** Slug of the wallet last signed in with, to find it again for a claim. */
const WALLET_KEY = "tabgrid.wallet";
const EXPIRED = "Your sign-in has expired. Sign in again to go on.";
/** setTimeout's largest delay; a longer session looks again then. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export interface WalletPanelOptions {
  readonly api: Api;
  /** Public key of this tab's worker, which the sign-in binds. */
  identity(): Promise<WorkerIdentity>;
  /** Null: signed out, by the owner or because the session ended. */
  onSession(session: Session | null): void;
}

export class WalletPanel {
  private offers: readonly Offer[] = [];
  private current: Session | null = null;
  private attempt = 0;
  private expiry = 0;
  private unwatch: () => void = () => undefined;

  constructor(private readonly options: WalletPanelOptions) {
    button("connect-wallet").addEventListener("click", () => this.toggleList());
    button("sign-out").addEventListener("click", () => void this.signOut());
    options.api.onSessionLost = () => this.lose(EXPIRED);
    watchWallets((offers) => {
      this.offers = offers;
      this.renderList();
      this.watchAccount();
    });
  }

  get session(): Session | null {
    return this.current;
  }

  /** The wallet that the owner signed in with, where this browser (still) has it. */
  get offer(): Offer | null {
    const slug = recall(WALLET_KEY);
    return this.offers.find((offer) => offer.slug === slug) ?? null;
  }

  /** Take up the session of an earlier visit. A first visit asks nothing: there is none. */
  async restore(): Promise<void> {
    const before = recall(WALLET_KEY) !== null;
    try {
      this.set(before ? await this.options.api.session() : null);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.set(null);
      this.say(error.message);
    }
  }

  /** Ask whether the session still stands: a node was stopped, perhaps because it does not. */
  async recheck(): Promise<void> {
    if (this.current === null) return;
    const found = await this.options.api.session().catch(() => this.current);
    if (found === null) this.lose(EXPIRED);
  }

  /** The session ended without the owner's doing; say why. */
  lose(reason: string): void {
    if (this.current === null) return;
    this.set(null);
    this.say(reason);
  }

  private toggleList(): void {
    const open = html("wallet-list").hidden;
    html("wallet-list").hidden = !open;
    button("connect-wallet").setAttribute("aria-expanded", String(open));
    this.renderList();
  }

  private renderList(): void {
    const list = html("wallet-list");
    html("wallet-none").hidden = list.hidden || this.offers.length > 0;
    const shown = [...list.children].map((item) => (item as HTMLElement).dataset.slug);
    if (shown.join() === this.offers.map((offer) => offer.slug).join()) return;
    list.replaceChildren(...this.offers.map((offer) => this.option(offer)));
  }

  private option(offer: Offer): HTMLElement {
    const template = byId("wallet-option", HTMLTemplateElement);
    const item = template.content.firstElementChild?.cloneNode(true) as HTMLElement;
    item.dataset.slug = offer.slug;
    const choose = item.querySelector("button");
    const icon = item.querySelector("img");
    const name = item.querySelector<HTMLElement>(".wallet-name");
    const note = item.querySelector<HTMLElement>(".wallet-note");
    if (!choose || !icon || !name || !note) throw new Error("the page's #wallet-option is not whole");
    choose.dataset.testid = `wallet-option-${offer.slug}`;
    choose.addEventListener("click", () => void this.signIn(offer));
    if (offer.icon === null) icon.hidden = true;
    else icon.src = offer.icon;
    setText(name, offer.name);
    if (offer.slug === "demo-wallet") setText(note, "made in this browser, for trying it out");
    return item;
  }

  /** A wallet's window may stay open for ever: whoever chooses again starts afresh. */
  private async signIn(offer: Offer): Promise<void> {
    const attempt = ++this.attempt;
    this.say(`Waiting for ${offer.name}: approve the sign-in there.`, "waiting");
    try {
      const identity = await this.options.identity();
      const session = await signIn(offer, identity, this.options.api);
      if (attempt !== this.attempt) return;
      remember(WALLET_KEY, offer.slug);
      this.set(session);
    } catch (error) {
      if (attempt !== this.attempt) return;
      this.sayTrouble(error, offer);
    }
  }

  private sayTrouble(error: unknown, offer: Offer): void {
    if (error instanceof WalletError && error.trouble === "refused") {
      this.say(`${error.message} Choose a wallet to try again.`, "waiting");
    } else if (error instanceof Error) this.say(`Not signed in. ${error.message}`);
    else this.say(asWalletError(error, offer.name, "sign in").message);
  }

  private async signOut(): Promise<void> {
    const offer = this.offer;
    this.set(null);
    remember(WALLET_KEY, null);
    try {
      await this.options.api.signOut();
      await offer?.features["standard:disconnect"]?.disconnect();
    } catch (error) {
      const why = error instanceof Error ? error.message : "";
      this.say(`Signed out on this page. ${why}`);
    }
  }

  private set(session: Session | null): void {
    this.attempt += 1;
    this.current = session;
    this.say("");
    html("wallet-out").hidden = session !== null;
    html("wallet-in").hidden = session === null;
    if (session) this.renderSession(session);
    this.watchExpiry();
    this.watchAccount();
    this.options.onSession(session);
  }

  private renderSession({ wallet, expires_at }: Session): void {
    const link = byId("wallet-address", HTMLAnchorElement);
    link.href = `/explorer/wallets/${wallet}`;
    link.title = wallet;
    setText(link, short(wallet));
    setData(button("wallet-copy"), "copy", wallet);
    const until = new Date(expires_at * 1_000);
    const time = byId("wallet-expires", HTMLTimeElement);
    time.dateTime = until.toISOString();
    setText(time, until.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" }));
    html("wallet-list").hidden = true;
    button("connect-wallet").setAttribute("aria-expanded", "false");
  }

  private watchExpiry(): void {
    clearTimeout(this.expiry);
    if (!this.current) return;
    const left = (this.current.expires_at - this.options.api.serverNow()) * 1_000;
    if (left <= 0) this.lose(EXPIRED);
    else this.expiry = window.setTimeout(() => this.watchExpiry(), Math.min(left, LONGEST_TIMER_MS));
  }

  /** The owner switched accounts in the wallet: this tab keeps earning to the one signed in. */
  private watchAccount(): void {
    this.unwatch();
    const { current: session, offer } = this;
    this.unwatch = () => undefined;
    if (!session || !offer) return;
    this.unwatch = watchAccounts(offer, (accounts) => {
      const [first] = accounts;
      const same = !first || accounts.some((account) => account.address === session.wallet);
      const text = same
        ? ""
        : `${offer.name} now shows ${short(first.address)}. This tab goes on earning to ` +
          `${short(session.wallet)}; sign out to change that.`;
      this.say(text, "waiting");
    });
  }

  private say(text: string, tone: "waiting" | "wrong" = "wrong"): void {
    const place = html("wallet-error");
    setText(place, text);
    setData(place, "tone", tone);
    place.hidden = text === "";
  }
}
