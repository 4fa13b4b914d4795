/** The place where the picture comes: empty, coming, there, or not to be had. */

import type { Job, JobRow } from "../../generated/api.js";
import { byId, setText } from "../../lib/dom.js";

export class Stage {
  private readonly image = byId("picture", HTMLImageElement);
  private readonly progress = byId("progress", HTMLProgressElement);
  private readonly download = byId("download", HTMLAnchorElement);

  begin(prompt: string): void {
    this.frame().dataset.state = "coming";
    this.image.hidden = true;
    this.image.removeAttribute("src");
    this.download.hidden = true;
    this.empty("Waiting for the first preview.");
    this.caption(prompt);
    this.progress.value = 0;
  }

  moved(row: JobRow): void {
    if (!row.progress?.total) return;
    this.progress.max = row.progress.total;
    this.progress.value = row.progress.done;
  }

  /** `png` in base64; the server has looked at it: it is a PNG and small. */
  preview(png: string): void {
    if (this.frame().dataset.state !== "coming") return;
    this.put(`data:image/png;base64,${png}`, "The picture as far as it is drawn");
  }

  /** Resolves once the picture is on the screen. */
  async show(job: Job, prompt: string): Promise<HTMLImageElement> {
    if (!job.image) throw new Error("This picture is kept no more.");
    this.put(job.image, prompt);
    await this.image.decode().catch(() => {
      throw new Error("The picture could not be loaded.");
    });
    this.frame().dataset.state = "there";
    this.progress.max = this.progress.value = 1;
    this.download.href = job.image;
    this.download.download = `${job.id}.png`;
    this.download.hidden = false;
    this.caption(prompt);
    return this.image;
  }

  /** A small copy, where the whole is not to be had. */
  remember(thumb: string, prompt: string, why: string): void {
    this.put(thumb, prompt);
    this.frame().dataset.state = "there";
    this.download.hidden = true;
    this.caption(why);
  }

  /** No picture, and `why`. */
  fail(why: string): void {
    this.frame().dataset.state = "empty";
    this.image.hidden = true;
    this.image.removeAttribute("src");
    this.progress.value = 0;
    this.empty(why);
  }

  private put(source: string, alt: string): void {
    this.image.src = source;
    this.image.alt = alt;
    this.image.hidden = false;
    byId("stage-empty", HTMLElement).hidden = true;
  }

  private frame(): HTMLElement {
    return this.image.closest<HTMLElement>(".stage") ?? this.image;
  }

  private empty(text: string): void {
    const place = byId("stage-empty", HTMLElement);
    place.hidden = false;
    setText(place, text);
  }

  private caption(text: string): void {
    setText(byId("caption", HTMLElement), text);
  }
}
