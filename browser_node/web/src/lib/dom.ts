/** What every page does to its document. The server rendered it; scripts only fill it. */

type Constructor<T> = new (...args: never[]) => T;

/** The element with this id; a template without it is a mistake of ours. */
export function byId<T extends Element>(id: string, type: Constructor<T>): T {
  const found = document.getElementById(id);
  if (!(found instanceof type)) throw new Error(`the page has no #${id}`);
  return found;
}

/** Data that the server put into the page for its script. */
export function pageData(): unknown {
  const text = document.getElementById("page-data")?.textContent;
  return text ? JSON.parse(text) : null;
}

/** Write only what changes, so that a screen reader hears only what changes. */
export function setText(target: Element, text: string): void {
  if (target.textContent !== text) target.textContent = text;
}

/** A new element with a class and text; never HTML. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  className = "",
  text = "",
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}
