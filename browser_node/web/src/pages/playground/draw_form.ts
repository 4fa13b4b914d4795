/** The fields of a picture: read, filled in again, and a seed by lot. */

import { byId } from "../../lib/dom.js";
import type { Drawn } from "./history.js";

export interface Drawing {
  readonly prompt: string;
  readonly negative: string;
  /** "64x64" */
  readonly size: string;
  readonly steps: number;
  readonly seed: number;
  /** null where the model is not guided. */
  readonly guidance: number | null;
  readonly public: boolean;
  readonly preview: boolean;
}

/** What lies in storage may be of another version, or of somebody else's making. */
export function isDrawing(value: unknown): value is Drawing {
  const found = value as Partial<Drawing> | null;
  const texts = [found?.prompt, found?.negative, found?.size];
  const numbers = [found?.steps, found?.seed, found?.guidance ?? 0];
  return texts.every((text) => typeof text === "string") && numbers.every((number) => typeof number === "number");
}

export class DrawForm {
  changed: () => void = () => undefined;
  submitted: () => void = () => undefined;
  private readonly form = byId("draw-form", HTMLFormElement);

  constructor() {
    this.form.addEventListener("input", (event) => {
      // Whoever types a seed wants that one.
      if (event.target === field("seed")) check("new-seed").checked = false;
      this.changed();
    });
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.submitted();
    });
    byId("prompt", HTMLTextAreaElement).addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.submitted();
    });
  }

  get newSeed(): boolean {
    return check("new-seed").checked;
  }

  /** What is wrong with a number, in the browser's own words; "" where nothing is. */
  get invalid(): string {
    for (const id of ["steps", "seed", "guidance"]) {
      const message = field(id)?.validationMessage;
      if (message) return `${id[0]?.toUpperCase()}${id.slice(1)}: ${message}`;
    }
    return "";
  }

  drawLots(): void {
    const [seed] = crypto.getRandomValues(new Uint32Array(1));
    write("seed", String(seed));
    this.changed();
  }

  read(): Drawing {
    return {
      prompt: byId("prompt", HTMLTextAreaElement).value,
      negative: field("negative")?.value ?? "",
      size: byId("size", HTMLSelectElement).value,
      steps: number("steps"),
      seed: number("seed"),
      guidance: field("guidance") ? number("guidance") : null,
      public: new FormData(this.form).get("visibility") === "public",
      preview: check("show-preview").checked,
    };
  }

  write(drawn: Pick<Drawn, "prompt" | "size" | "negative" | "steps" | "seed" | "guidance">): void {
    byId("prompt", HTMLTextAreaElement).value = drawn.prompt;
    byId("size", HTMLSelectElement).value = drawn.size;
    write("negative", drawn.negative);
    write("steps", String(drawn.steps));
    write("seed", String(drawn.seed));
    if (drawn.guidance !== null) write("guidance", String(drawn.guidance));
    check("new-seed").checked = false;
  }
}

const field = (id: string): HTMLInputElement | null => {
  const found = document.getElementById(id);
  return found instanceof HTMLInputElement ? found : null;
};

const check = (id: string): HTMLInputElement => byId(id, HTMLInputElement);

const number = (id: string): number => byId(id, HTMLInputElement).valueAsNumber;

function write(id: string, value: string): void {
  const found = field(id);
  if (found) found.value = value;
}
