/** Jobs per minute of this visit: a bar a minute, and the same in words. */

import uPlot from "uplot";

import { html, setText } from "./dom.js";

/** Half an hour fits a phone's width with bars that one can still tell apart. */
const MINUTES = 30;

/** How many jobs ended in each of the last minutes; `now` is in milliseconds. */
export class JobsPerMinute {
  private readonly counts = new Map<number, number>();

  add(jobs: number, now: number): void {
    const minute = Math.floor(now / 60_000);
    this.counts.set(minute, (this.counts.get(minute) ?? 0) + jobs);
    for (const old of this.counts.keys()) if (old <= minute - MINUTES) this.counts.delete(old);
  }

  /** Seconds since 1970 of each minute's start, and the jobs in it; oldest first. */
  series(now: number): [times: number[], jobs: number[]] {
    const last = Math.floor(now / 60_000);
    const minutes = Array.from({ length: MINUTES }, (_, i) => last - MINUTES + 1 + i);
    return [minutes.map((m) => m * 60), minutes.map((m) => this.counts.get(m) ?? 0)];
  }

  /** What the chart shows, for whoever hears it. */
  summary(now: number): string {
    const [, jobs] = this.series(now);
    const total = jobs.reduce((sum, n) => sum + n, 0);
    if (total === 0) return "No jobs in the last 30 minutes of this visit.";
    const current = jobs.at(-1) ?? 0;
    return `This minute ${current}, at most ${Math.max(...jobs)}, in all ${total} in the last 30 minutes.`;
  }
}

/** The chart in `#chart`. Drawn only once there is something to draw. */
export class JobsChart {
  private readonly jobs = new JobsPerMinute();
  private plot: uPlot | null = null;
  private minute = 0;

  constructor() {
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", () => this.redraw());
    new ResizeObserver(() => {
      const { width } = this.place.getBoundingClientRect();
      if (this.plot && width > 0) this.plot.setSize({ width, height: this.height });
    }).observe(this.place);
  }

  add(jobs: number): void {
    this.jobs.add(jobs, Date.now());
    this.show();
  }

  /** Called often; moves the chart on when a new minute begins. */
  tick(): void {
    if (this.plot && Math.floor(Date.now() / 60_000) !== this.minute) this.show();
  }

  private show(): void {
    const now = Date.now();
    this.minute = Math.floor(now / 60_000);
    setText(html("chart-summary"), this.jobs.summary(now));
    if (this.plot) this.plot.setData(this.jobs.series(now));
    else this.draw();
  }

  private redraw(): void {
    if (!this.plot) return;
    this.plot.destroy();
    this.plot = null;
    this.draw();
  }

  private draw(): void {
    const width = this.place.getBoundingClientRect().width;
    this.plot = new uPlot(options(width, this.height), this.jobs.series(Date.now()), this.place);
  }

  private get place(): HTMLElement {
    const place = html("chart").querySelector<HTMLElement>(".chart-plot");
    if (!place) throw new Error("the page has no .chart-plot");
    return place;
  }

  private get height(): number {
    return Number(this.place.dataset["height"] ?? "160");
  }
}

function options(width: number, height: number): uPlot.Options {
  const colour = (name: string, otherwise: string): string =>
    getComputedStyle(document.documentElement).getPropertyValue(name).trim() || otherwise;
  const ink = colour("--ink-soft", "#6b7280");
  const line = colour("--line", "#d9dde2");
  const accent = colour("--accent", "#0b7a75");
  const axis = { stroke: ink, grid: { stroke: line, width: 1 }, ticks: { show: false } };
  return {
    width,
    height,
    legend: { show: false },
    cursor: { show: false },
    scales: { y: { range: (_u, _min, max) => [0, Math.max(4, Math.ceil(max * 1.1))] } },
    axes: [
      { ...axis, grid: { show: false } },
      { ...axis, size: 36, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000] },
    ],
    series: [
      {},
      { fill: accent, stroke: accent, width: 0, paths: bars(), points: { show: false } },
    ],
  };
}

function bars(): uPlot.Series.PathBuilder {
  const build = uPlot.paths.bars;
  if (!build) throw new Error("this build of uPlot has no bars");
  return build({ size: [0.7, 24] });
}
