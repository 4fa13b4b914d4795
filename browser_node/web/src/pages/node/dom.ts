/** What this page does to its document beyond lib/dom, and what it keeps between visits. */

import { byId, setText } from "../../lib/dom.js";

export const html = (id: string): HTMLElement => byId(id, HTMLElement);
export const button = (id: string): HTMLButtonElement => byId(id, HTMLButtonElement);

export function setData(target: HTMLElement, key: string, value: string): void {
  if (target.dataset[key] !== value) target.dataset[key] = value;
}

/** A progress bar and its words; a total of 0 is "not known yet" and moves nothing. */
export function setMeter(id: string, done: number, total: number, text: string): void {
  const bar = byId(`${id}-bar`, HTMLProgressElement);
  bar.max = Math.max(total, 1);
  bar.value = Math.min(done, total);
  setText(html(`${id}-text`), text);
}

/** JSON from localStorage; null where there is none, or storage is off, or it is not ours. */
export function recall(key: string): unknown {
  try {
    return JSON.parse(localStorage.getItem(key) ?? "null");
  } catch {
    return null;
  }
}

/** Keep a value for the next visit; a browser that keeps nothing still works for this one. */
export function remember(key: string, value: unknown): void {
  try {
    if (value === null) localStorage.removeItem(key);
    else localStorage.setItem(key, JSON.stringify(value));
  } catch {
    // Private windows of some browsers refuse storage.
  }
}
