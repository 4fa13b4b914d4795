/** The last sixty minutes: kept up to date from the totals, corrected once a minute. */

import type { Minute, Stats, Totals } from "../../generated/api.js";
import { clock, ColumnChart } from "../../lib/columns.js";
import { count } from "../../lib/format.js";
import { read } from "../../lib/read.js";

const MINUTES = 60;

const jobsOf = (jobs: number): string => (jobs === 1 ? "1 job" : `${count(jobs)} jobs`);

export class Hour {
  private readonly done = new Map<number, number>();
  private readonly p50 = new Map<number, number>();
  private last: number | null = null;
  private readonly chart: ColumnChart;

  constructor(figure: HTMLElement, minutes: readonly Minute[]) {
    const words = (time: number, jobs: number): string => `${clock(time)}: ${jobsOf(jobs)}`;
    this.chart = new ColumnChart(figure, words);
    this.correct(minutes);
    setInterval(() => void this.refresh(), 60_000);
  }

  /** The totals count all jobs ever done; what they grew by belongs to this minute. */
  totals(totals: Totals): void {
    const grown = this.last === null ? 0 : Math.max(0, totals.done - this.last);
    this.last = totals.done;
    const minute = thisMinute();
    this.done.set(minute, (this.done.get(minute) ?? 0) + grown);
    this.draw();
  }

  private correct(minutes: readonly Minute[]): void {
    this.done.clear();
    this.p50.clear();
    for (const { at, done, p50_ms } of minutes) {
      this.done.set(Math.floor(at / 60), done);
      if (p50_ms !== null) this.p50.set(Math.floor(at / 60), p50_ms);
    }
    this.draw();
  }

  private async refresh(): Promise<void> {
    const stats = await read<Stats>("/api/stats");
    if (stats) this.correct(stats.hour);
  }

  private draw(): void {
    const now = thisMinute();
    const minutes = Array.from({ length: MINUTES }, (_, i) => now - MINUTES + 1 + i);
    const values = minutes.map((minute) => this.done.get(minute) ?? 0);
    const typical = median(minutes.map((m, i) => [this.p50.get(m) ?? 0, values[i] ?? 0]));
    this.chart.show({ times: minutes.map((minute) => minute * 60), values }, summary(values, typical));
  }
}

/** The chart in one sentence, in the server's words, so that nothing moves when it takes over. */
export function summary(values: readonly number[], typicalMs: number): string {
  const total = values.reduce((sum, n) => sum + n, 0);
  if (total === 0) return "No jobs in the last hour.";
  const most = count(Math.max(...values));
  const half = typicalMs ? `; half took under ${count(Math.round(typicalMs))} ms.` : ".";
  return `${jobsOf(total)} in the last hour, at most ${most} in one minute${half}`;
}

/** The median of values with weights; 0 where none weighs anything. */
export function median(weighted: readonly (readonly [value: number, weight: number])[]): number {
  const known = weighted.filter(([value, weight]) => value > 0 && weight > 0);
  const half = known.reduce((sum, [, weight]) => sum + weight, 0) / 2;
  let seen = 0;
  for (const [value, weight] of [...known].sort(([a], [b]) => a - b)) {
    seen += weight;
    if (seen >= half) return value;
  }
  return 0;
}

const thisMinute = (): number => Math.floor(Date.now() / 60_000);
