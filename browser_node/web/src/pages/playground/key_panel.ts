/** The API key: made, kept in this browser, shown in full once, forgotten on request. */

import type { Key, Token } from "../../generated/api.js";
import { byId, setText } from "../../lib/dom.js";
import { amount } from "../../lib/format.js";
import { ApiError, createKey, currentKey } from "./api.js";

const STORED = "tabgrid.playground.key";

/** In base units. */
type Account = Pick<Key, "credit" | "spent">;

export class KeyPanel {
  key = "";
  private readonly error = byId("key-error", HTMLElement);

  /** Told whenever there is a key or no longer one. */
  changed: () => void = () => undefined;
  /** Told when there is another key, or none any more: what belongs to it is another's now. */
  keyed: () => void = () => undefined;

  constructor(private readonly token: Token) {
    byId("key-create", HTMLButtonElement).addEventListener("click", () => void this.create());
    byId("key-forget", HTMLButtonElement).addEventListener("click", () => this.forget());
    this.key = keptKey();
    this.show();
    void this.refresh();
  }

  /** Ask for the credit; a key that the server no longer knows is forgotten, with a word. */
  async refresh(): Promise<void> {
    if (!this.key) return;
    try {
      this.tell(await currentKey(this.key));
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) {
        this.forget();
        this.complain("This grid does not know the key that was kept here. Create a new one.");
      } else this.complain(sentence(error));
    }
  }

  private async create(): Promise<void> {
    const button = byId("key-create", HTMLButtonElement);
    button.disabled = true;
    this.error.hidden = true;
    try {
      const made = await createKey("playground");
      this.key = made.key;
      store(made.key);
      this.show(true);
      this.keyed();
      this.tell({ credit: made.credit, spent: 0 });
    } catch (error) {
      this.complain(sentence(error));
    } finally {
      button.disabled = false;
    }
  }

  private tell(account: Account): void {
    setText(byId("key-credit", HTMLElement), amount(account.credit, this.token));
    setText(byId("key-spent", HTMLElement), amount(account.spent, this.token));
  }

  private forget(): void {
    this.key = "";
    store("");
    this.show();
    this.keyed();
  }

  /** `whole`: just made; otherwise only enough of it is shown to tell keys apart. */
  private show(whole = false): void {
    byId("key-none", HTMLElement).hidden = this.key !== "";
    byId("key-have", HTMLElement).hidden = this.key === "";
    byId("key-once", HTMLElement).hidden = !whole;
    setText(byId("key-value", HTMLElement), whole ? this.key : masked(this.key));
    byId("key-copy", HTMLButtonElement).dataset.copy = this.key;
    this.changed();
  }

  private complain(text: string): void {
    this.error.hidden = false;
    setText(this.error, text);
  }
}

export function sentence(error: unknown): string {
  return error instanceof Error ? error.message : "Something unexpected failed. Reload the page.";
}

export const masked = (key: string): string => (key ? `${key.slice(0, 7)}…${key.slice(-4)}` : "");

/** The key that this browser keeps; "" where there is none. */
export function keptKey(): string {
  try {
    return localStorage.getItem(STORED) ?? "";
  } catch {
    return ""; // Private windows of some browsers refuse storage.
  }
}

function store(key: string): void {
  try {
    if (key) localStorage.setItem(STORED, key);
    else localStorage.removeItem(STORED);
  } catch {
    // The key works for this visit all the same.
  }
}
