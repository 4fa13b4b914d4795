/** New public pictures, as the server draws them (templates/parts.html, picture_item). */

import type { Job, JobRow } from "../../generated/api.js";
import { make } from "../../lib/dom.js";
import { ago, exact, short } from "../../lib/format.js";
import { read } from "../../lib/read.js";

/** As many as the page opens with (pages/explorer.py). */
const SHOWN = 12;

export class PictureList {
  /** Asked for already: a job's row may come again. */
  private readonly seen = new Set<string>();

  constructor(private readonly list: HTMLElement) {
    for (const item of list.querySelectorAll<HTMLElement>("[data-picture]")) this.seen.add(item.dataset.picture ?? "");
  }

  show(jobs: readonly JobRow[]): void {
    for (const row of jobs)
      if (row.public && row.state === "done" && row.connector === "text-to-image" && !this.seen.has(row.id)) {
        this.seen.add(row.id);
        void this.add(row.id);
      }
  }

  /** A row tells what anybody may know of a job; prompt and picture are asked for. */
  private async add(id: string): Promise<void> {
    const job = await read<Job>(`/api/jobs/${id}`);
    const prompt = job?.input?.prompt;
    if (!job?.image || typeof prompt !== "string") return;
    this.list.prepend(itemOf(job, job.image, prompt));
    while (this.list.children.length > SHOWN) this.list.lastElementChild?.remove();
    this.list.hidden = false;
    const empty = document.getElementById("pictures-empty");
    if (empty) empty.hidden = true;
  }
}

function itemOf(job: Job, source: string, prompt: string): HTMLLIElement {
  const item = make("li", "picture-item");
  item.dataset.picture = job.id;
  const link = make("a", "picture-link");
  link.href = `/explorer/jobs/${job.id}`;
  link.title = prompt;
  link.dataset.testid = "public-picture";
  const image = make("img", "pixels");
  image.alt = "";
  image.width = image.height = 136;
  image.src = source;
  link.append(image, make("span", "picture-prompt", prompt));
  item.append(link, noteOf(job));
  return item;
}

function noteOf(job: Job): HTMLParagraphElement {
  const note = make("p", "picture-note");
  const at = job.finished_at ?? job.submitted_at;
  const time = make("time", "", ago(at, Date.now() / 1000));
  time.dataset.at = String(at);
  time.title = exact(at);
  note.append(time);
  if (job.wallet) {
    const wallet = make("a", "hash", short(job.wallet));
    wallet.href = `/explorer/wallets/${job.wallet}`;
    wallet.title = job.wallet;
    note.append(" by ", wallet);
  }
  return note;
}
