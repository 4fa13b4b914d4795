/** What any page gains from script: copy buttons that work, relative times that stay true. */

import { ago } from "./format.js";
import { setText } from "./dom.js";

/** How long "Copied" stands: long enough to be read, short enough to copy again. */
const COPIED_MS = 1500;
/** Relative times are exact to the second only in their first minute. */
const TICK_MS = 1000;

export function enhance(): void {
  showCopyButtons(document);
  document.addEventListener("click", (event) => {
    const button = event.target instanceof Element ? event.target.closest(".copy") : null;
    if (button instanceof HTMLButtonElement) void copy(button);
  });
  setInterval(tellTimes, TICK_MS);
}

/** They are hidden without script, where they could do nothing. */
export function showCopyButtons(root: ParentNode): void {
  for (const button of root.querySelectorAll<HTMLButtonElement>(".copy[hidden]")) button.hidden = false;
}

export function tellTimes(): void {
  const now = Date.now() / 1000;
  for (const time of document.querySelectorAll<HTMLTimeElement>("time[data-at]")) {
    const at = Number(time.dataset.at);
    // What was due is due now, until the page is drawn anew.
    setText(time, ago("due" in time.dataset ? Math.max(at, now) : at, now));
  }
}

async function copy(button: HTMLButtonElement): Promise<void> {
  const from = button.dataset.copyFrom;
  const text = from ? document.getElementById(from)?.textContent : button.dataset.copy;
  if (!text) return;
  const said = await navigator.clipboard.writeText(text).then(
    () => "Copied",
    () => "Refused",
  );
  setText(button, said);
  setTimeout(() => setText(button, "Copy"), COPIED_MS);
}
