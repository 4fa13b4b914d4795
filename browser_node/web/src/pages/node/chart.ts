/** Jobs per minute of this visit, as columns and in words. */

import { clock, type Columns, ColumnChart } from "../../lib/columns.js";
import { html } from "./dom.js";

/** Half an hour: on a phone its columns can still be told apart. */
const MINUTES = 30;

/** How many jobs ended in each of the last minutes; every `now` is in milliseconds. */
export class JobsPerMinute {
  private readonly counts = new Map<number, number>();

  add(jobs: number, now: number): void {
    const minute = Math.floor(now / 60_000);
    this.counts.set(minute, (this.counts.get(minute) ?? 0) + jobs);
    for (const old of this.counts.keys()) if (old <= minute - MINUTES) this.counts.delete(old);
  }

  columns(now: number): Columns {
    const last = Math.floor(now / 60_000);
    const minutes = Array.from({ length: MINUTES }, (_, i) => last - MINUTES + 1 + i);
    const values = minutes.map((minute) => this.counts.get(minute) ?? 0);
    return { times: minutes.map((minute) => minute * 60), values };
  }
}

/** The chart in one sentence, for whoever does not see it. */
export function summary(jobs: readonly number[]): string {
  const total = jobs.reduce((sum, n) => sum + n, 0);
  if (total === 0) return "No jobs in the last 30 minutes of this visit.";
  const current = jobs.at(-1) ?? 0;
  const most = Math.max(...jobs);
  return `This minute ${current}, at most ${most}, ${total} in the last 30 minutes.`;
}

/** Drawn with the first job: until then the template's words stand there. */
export class JobsChart {
  private readonly jobs = new JobsPerMinute();
  private chart: ColumnChart | null = null;
  private minute = 0;

  add(jobs: number): void {
    this.jobs.add(jobs, Date.now());
    const say = (time: number, n: number): string => `${clock(time)}: ${n === 1 ? "1 job" : `${n} jobs`}`;
    this.chart ??= new ColumnChart(html("chart"), say);
    this.show();
  }

  /** Called often; moves the chart on when a new minute begins. */
  tick(): void {
    if (this.chart && Math.floor(Date.now() / 60_000) !== this.minute) this.show();
  }

  private show(): void {
    const now = Date.now();
    this.minute = Math.floor(now / 60_000);
    const columns = this.jobs.columns(now);
    this.chart?.show(columns, summary(columns.values));
  }
}
