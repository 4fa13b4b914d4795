/** One's own pictures: small copies and what made them, kept in this browser and nowhere else. */

import { byId, make } from "../../lib/dom.js";
import { ago, exact } from "../../lib/format.js";

export interface Drawn {
  readonly job: string;
  readonly model: string;
  readonly prompt: string;
  readonly negative: string;
  readonly size: string;
  readonly steps: number;
  readonly seed: number;
  readonly guidance: number | null;
  readonly public: boolean;
  /** Seconds since 1970. */
  readonly at: number;
  /** A data URL of the picture, `THUMB` pixels along its longer side. */
  readonly thumb: string;
}

const STORED = "tabgrid.playground.pictures";
/** Two dozen small copies are some 300 kB of the 5 MB that browsers give a site. */
const KEPT = 24;
const THUMB = 128;

export class History {
  private drawn: readonly Drawn[] = stored();

  constructor(private readonly chosen: (drawn: Drawn) => void) {
    byId("history-forget", HTMLButtonElement).addEventListener("click", () => this.keep([]));
    this.show();
  }

  add(drawn: Drawn): void {
    this.keep([drawn, ...this.drawn].slice(0, KEPT));
  }

  private keep(drawn: readonly Drawn[]): void {
    this.drawn = drawn;
    try {
      if (drawn.length) localStorage.setItem(STORED, JSON.stringify(drawn));
      else localStorage.removeItem(STORED);
    } catch {
      // Full, or refused: the list holds for this visit.
    }
    this.show();
  }

  private show(): void {
    const list = byId("history", HTMLUListElement);
    list.replaceChildren(...this.drawn.map((drawn) => this.item(drawn)));
    list.hidden = byId("history-forget", HTMLElement).hidden = this.drawn.length === 0;
    byId("history-empty", HTMLElement).hidden = this.drawn.length > 0;
  }

  private item(drawn: Drawn): HTMLLIElement {
    const item = make("li", "picture-item");
    const button = make("button", "picture-button");
    button.type = "button";
    button.dataset.testid = "own-picture";
    const image = make("img", "pixels");
    image.src = drawn.thumb;
    image.alt = "";
    const words = make("span", "picture-prompt", drawn.prompt);
    button.title = drawn.prompt;
    button.append(image, words);
    button.addEventListener("click", () => this.chosen(drawn));
    const when = make("time", "quiet", ago(drawn.at, Date.now() / 1000));
    when.dataset.at = String(drawn.at);
    when.title = exact(drawn.at);
    const note = make("p", "picture-note");
    note.append(when, drawn.public ? ", public" : "");
    item.append(button, note);
    return item;
  }
}

/** A small copy of a picture that is shown. */
export function thumbOf(image: HTMLImageElement): string {
  const { naturalWidth: width, naturalHeight: height } = image;
  const scale = Math.min(1, THUMB / Math.max(width, height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  canvas.getContext("2d")?.drawImage(image, 0, 0, canvas.width, canvas.height);
  return canvas.toDataURL("image/png");
}

function stored(): readonly Drawn[] {
  try {
    const found: unknown = JSON.parse(localStorage.getItem(STORED) ?? "[]");
    return Array.isArray(found) ? found.filter(isDrawn).slice(0, KEPT) : [];
  } catch {
    return []; // Refused, or not ours.
  }
}

/** What lies in storage may be of another version, or of somebody else's making. */
function isDrawn(value: unknown): value is Drawn {
  const drawn = value as Partial<Drawn> | null;
  return (
    typeof drawn?.job === "string" &&
    typeof drawn.prompt === "string" &&
    typeof drawn.size === "string" &&
    typeof drawn.seed === "number" &&
    typeof drawn.steps === "number" &&
    typeof drawn.at === "number" &&
    typeof drawn.thumb === "string" &&
    drawn.thumb.startsWith("data:image/png;base64,")
  );
}
