/** One answer that was found wrong: what it cost, what speaks for it, a button to appeal. */

import type { Strike, Token } from "../../generated/api.js";
import { setText } from "../../lib/dom.js";
import { amount, short } from "../../lib/format.js";
import { ApiError, type Api } from "./api.js";
import { setData } from "./dom.js";
import { evidenceWords, strikeWords } from "./words.js";

export class StrikeItem {
  readonly place = copyOfTemplate();
  private readonly button = part(this.place, "button") as HTMLButtonElement;
  private job = "";
  private asking = false;

  constructor(
    private readonly api: Api,
    private readonly token: Token,
    /** Told that what was asked for before is old. */
    private readonly onAppealed: () => void,
  ) {
    this.button.addEventListener("click", () => void this.appeal());
  }

  show(strike: Strike): void {
    this.job = strike.job;
    this.showWhat(strike);
    const { text, tone } = strikeWords(strike);
    const state = part(this.place, ".strike-state");
    setText(state, text);
    setData(state, "state", strike.state);
    setData(this.place, "tone", tone);
    setText(part(this.place, ".strike-evidence"), strike.decided ?? evidenceWords(strike));
    // Whoever stood on the button reads on where its outcome is.
    if (!strike.can_appeal && document.activeElement === this.button) state.focus();
    this.button.hidden = !strike.can_appeal;
    const until = part(this.place, ".strike-until");
    until.hidden = !strike.can_appeal;
    setText(until, `until ${local(strike.appeal_until)}`);
  }

  private showWhat({ job, at, pay, fine }: Strike): void {
    const link = part(this.place, ".hash") as HTMLAnchorElement;
    link.href = `/explorer/jobs/${job}`;
    link.title = job;
    setText(link, short(job));
    const when = part(this.place, "time") as HTMLTimeElement;
    when.dateTime = new Date(at * 1_000).toISOString();
    setText(when, local(at));
    const fined = fine > 0 ? `, fine ${amount(fine, this.token)}` : "";
    setText(part(this.place, ".strike-cost"), `${amount(pay, this.token)} not paid${fined}`);
  }

  private async appeal(): Promise<void> {
    if (this.asking) return;
    this.hold(true);
    this.complain("");
    try {
      const next = await this.api.appeal(this.job);
      this.onAppealed();
      this.show(next);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.complain(error.message);
    } finally {
      this.hold(false);
    }
  }

  /** Not `disabled`: that would take the focus from whoever pressed by key. */
  private hold(asking: boolean): void {
    this.asking = asking;
    this.button.ariaDisabled = asking ? "true" : null;
  }

  private complain(text: string): void {
    const place = part(this.place, ".strike-error");
    place.hidden = text === "";
    setText(place, text);
  }
}

function copyOfTemplate(): HTMLElement {
  const template = document.querySelector<HTMLTemplateElement>("#strike");
  return template?.content.firstElementChild?.cloneNode(true) as HTMLElement;
}

function part(place: HTMLElement, selector: string): HTMLElement {
  const found = place.querySelector<HTMLElement>(selector);
  if (!found) throw new Error(`the page's #strike has no ${selector}`);
  return found;
}

function local(at: number): string {
  return new Date(at * 1_000).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}
