/** Pages about one job or one wallet: the server draws them anew when something happened. */

import { byId } from "../../lib/dom.js";
import { showCopyButtons } from "../../lib/enhance.js";

/** A busy wallet changes many times a second; its page need not. */
const LEAST_MS = 2000;

export class Refresher {
  private timer = 0;
  private last = 0;

  /** `drawn`: what else a page has to do once it is drawn anew. */
  constructor(private readonly drawn: () => void = () => undefined) {}

  /** Soon, but not more often than every two seconds however often it is called. */
  soon(): void {
    if (this.timer) return;
    const wait = Math.max(100, this.last + LEAST_MS - Date.now());
    this.timer = window.setTimeout(() => void this.now(), wait);
  }

  /** Once at this time (seconds since 1970), where it is still to come. */
  at(time: number): void {
    const wait = time * 1000 - Date.now();
    // Longer than a day is more than setTimeout can hold, and than anybody waits.
    if (wait > 0 && wait < 86_400_000) setTimeout(() => this.soon(), wait + 500);
  }

  private async now(): Promise<void> {
    this.timer = 0;
    this.last = Date.now();
    const text = await textOf(location.href);
    if (text === null) return;
    const next = new DOMParser().parseFromString(text, "text/html");
    const fresh = next.getElementById("main");
    const main = byId("main", HTMLElement);
    if (!fresh) return;
    if (main.querySelector(":focus")) {
      // Whoever is about to press something keeps it under the finger, and sees the news after that.
      main.addEventListener("focusout", () => this.soon(), { once: true });
      return;
    }
    main.replaceChildren(...fresh.childNodes);
    showCopyButtons(main);
    this.drawn();
  }
}

/** Null where no whole page came: the next event brings another try. */
async function textOf(address: string): Promise<string | null> {
  try {
    const answer = await fetch(address);
    return answer.ok ? await answer.text() : null;
  } catch {
    return null;
  }
}
