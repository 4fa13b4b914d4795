/** What is being drawn, beside its progress: as much of it as owner and user allow. */

import { byId, setText } from "../../lib/dom.js";
import type { FromWorker, NodeStatus } from "../../shared/protocol.js";
import { html } from "./dom.js";

export type Preview = Extract<FromWorker, { kind: "preview" }>;

/** What the owner sees of a grid's pictures. */
export type Shown = "blurred" | "clear" | "nothing";

/**
 * A blurred picture is made of so many pixels along its longer side: colours and where they
 * are, and no more. What is left out is not on the page at all, as it would be under a filter.
 */
const BLURRED_PIXELS = 6;

export class PicturePanel {
  /** Of the job whose picture is on the canvas or on its way there; empty: none is. */
  private job = "";
  private newest = 0;

  /** `shown`: the owner's choice for a grid. */
  constructor(private readonly shown: (grid: string) => Shown) {}

  /** A picture that is decoded after a newer one, or after its job's end, is dropped. */
  async draw({ job, grid, png }: Preview): Promise<void> {
    const shown = this.shown(grid);
    if (shown === "nothing") return;
    this.job = job;
    const turn = ++this.newest;
    const picture = await decoded(png, shown);
    if (turn === this.newest) this.put(picture, shown);
    picture.close();
  }

  /** Take the picture away with its job. */
  follow(status: NodeStatus | null): void {
    if (status?.job !== this.job) this.clear();
    html("job-hidden").hidden = !(status?.job_hidden ?? false);
  }

  /** The owner has changed what they see: what is there may be too much. */
  clear(): void {
    if (this.job === "") return;
    this.newest++;
    this.job = "";
    const canvas = byId("job-canvas", HTMLCanvasElement);
    canvas.width = canvas.height = 0;
    html("job-picture").hidden = true;
  }

  private put(picture: ImageBitmap, shown: Shown): void {
    const canvas = byId("job-canvas", HTMLCanvasElement);
    canvas.width = picture.width;
    canvas.height = picture.height;
    canvas.getContext("2d")?.drawImage(picture, 0, 0);
    canvas.ariaLabel = `The picture being drawn, ${shown}`;
    const blurred = "What is drawn, blurred. How much you see is your choice, under its grid.";
    setText(html("job-caption"), shown === "clear" ? "What is drawn, so far." : blurred);
    html("job-picture").hidden = false;
  }
}

async function decoded(png: Uint8Array<ArrayBuffer>, shown: Shown): Promise<ImageBitmap> {
  const whole = await createImageBitmap(new Blob([png], { type: "image/png" }));
  if (shown === "clear") return whole;
  const scale = Math.min(1, BLURRED_PIXELS / Math.max(whole.width, whole.height));
  const side = (length: number): number => Math.max(1, Math.round(length * scale));
  try {
    return await createImageBitmap(whole, {
      resizeWidth: side(whole.width),
      resizeHeight: side(whole.height),
      resizeQuality: "medium",
    });
  } finally {
    whole.close();
  }
}
