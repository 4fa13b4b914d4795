/** The grid's events, as they come, in batches that a page can draw. */

import type { JobRow, Totals } from "../generated/api.js";

export type LiveState = "connecting" | "live" | "offline";

export interface Listener {
  state(state: LiveState): void;
  totals(totals: Totals): void;
  /** What happened since the last call, oldest first, the last word on each job only. */
  jobs(jobs: readonly JobRow[]): void;
}

/** A busy grid finishes a thousand jobs a second; a person can read two changes. */
const BATCH_MS = 500;

export class Live {
  private source: EventSource | null = null;
  private waiting = new Map<string, JobRow>();
  private totals: Totals | null = null;
  private timer = 0;

  constructor(private readonly listener: Listener) {}

  start(): void {
    if (this.source) return;
    this.listener.state("connecting");
    const source = new EventSource("/api/events");
    source.addEventListener("open", () => this.listener.state("live"));
    // The browser connects again by itself; until then the figures are old, and say so.
    source.addEventListener("error", () => this.listener.state("offline"));
    source.addEventListener("totals", (event: MessageEvent<string>) => {
      this.totals = JSON.parse(event.data) as Totals;
      this.soon();
    });
    source.addEventListener("job", (event: MessageEvent<string>) => {
      const job = JSON.parse(event.data) as JobRow;
      this.waiting.delete(job.id);
      this.waiting.set(job.id, job);
      this.soon();
    });
    this.source = source;
  }

  stop(): void {
    this.source?.close();
    this.source = null;
    clearTimeout(this.timer);
    this.timer = 0;
  }

  private soon(): void {
    if (!this.timer) this.timer = window.setTimeout(() => this.flush(), BATCH_MS);
  }

  private flush(): void {
    this.timer = 0;
    if (this.totals) this.listener.totals(this.totals);
    this.totals = null;
    const jobs = [...this.waiting.values()];
    this.waiting.clear();
    if (jobs.length) this.listener.jobs(jobs);
  }
}
