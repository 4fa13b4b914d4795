/** A chart of columns over time, with axes, drawn in the place of the server's static one. */

import uPlot from "uplot";
import { setText } from "./dom.js";

export interface Columns {
  /** Seconds since 1970 of each column's start, ascending and evenly spaced. */
  readonly times: number[];
  readonly values: number[];
}

/** Below this an axis would have fewer than five steps, and one job would fill the chart. */
const LEAST_TOP = 5;
const AXIS_PX = 40;

/** Draws into `figure`'s `.chart-plot`; `say` words one column for the caption. */
export class ColumnChart {
  private plot: uPlot | null = null;
  private data: Columns = { times: [], values: [] };
  private summary = "";

  constructor(
    private readonly figure: HTMLElement,
    private readonly say: (time: number, value: number) => string,
  ) {
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.redraw());
    new ResizeObserver(() => this.fit()).observe(this.place);
  }

  /** `summary` is the chart in one sentence, for whoever does not see it. */
  show(data: Columns, summary: string): void {
    this.data = data;
    this.summary = summary;
    setText(this.caption, summary);
    if (this.plot) this.plot.setData([data.times, data.values]);
    else this.draw();
  }

  private redraw(): void {
    this.plot?.destroy();
    this.plot = null;
    this.draw();
  }

  private fit(): void {
    const { width, height } = this.place.getBoundingClientRect();
    if (this.plot && width > 0) this.plot.setSize({ width, height });
  }

  private draw(): void {
    const { width, height } = this.place.getBoundingClientRect();
    this.place.replaceChildren();
    const data: uPlot.AlignedData = [this.data.times, this.data.values];
    this.plot = new uPlot({ width, height, ...this.options() }, data, this.place);
    this.plot.root.setAttribute("aria-hidden", "true");
  }

  private options(): Omit<uPlot.Options, "width" | "height"> {
    const style = getComputedStyle(document.documentElement);
    const colour = (name: string): string => style.getPropertyValue(name).trim();
    const accent = colour("--accent");
    const axis: uPlot.Axis = {
      stroke: colour("--ink-soft"),
      font: `13px ${colour("--sans")}`,
      ticks: { show: false },
    };
    return {
      // Half a label may stand beyond the last column.
      padding: [8, 20, 0, 0],
      legend: { show: false },
      cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
      scales: {
        // The last column begins at the last time and must not be cut off there.
        x: { range: (u, first, last) => [first, last + stepOf(u.data[0])] },
        y: { range: (_u, _least, most) => [0, Math.max(LEAST_TOP, most * 1.1)] },
      },
      axes: [
        { ...axis, size: 28, grid: { show: false }, values: (_u, times) => times.map(clock) },
        {
          ...axis,
          size: AXIS_PX,
          grid: { stroke: colour("--line"), width: 1 },
          incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 1e6],
        },
      ],
      series: [{}, { fill: accent, stroke: accent, width: 0, paths: paths(), points: { show: false } }],
      hooks: { setCursor: [(plot) => this.tell(plot.cursor.idx)] },
    };
  }

  /** The column under the pointer, in words; else the summary. */
  private tell(index: number | null | undefined): void {
    const time = index == null ? undefined : this.data.times[index];
    const value = index == null ? undefined : this.data.values[index];
    const known = time !== undefined && value !== undefined;
    setText(this.caption, known ? this.say(time, value) : this.summary);
  }

  private get place(): HTMLElement {
    return inside(this.figure, ".chart-plot");
  }

  private get caption(): HTMLElement {
    return inside(this.figure, "figcaption");
  }
}

/** Local time of day, "14:05": what a clock beside the reader shows. */
export function clock(time: number): string {
  const at = new Date(time * 1000);
  const two = (n: number): string => String(n).padStart(2, "0");
  return `${two(at.getHours())}:${two(at.getMinutes())}`;
}

function inside(figure: HTMLElement, selector: string): HTMLElement {
  const found = figure.querySelector<HTMLElement>(selector);
  if (!found) throw new Error(`the chart has no ${selector}`);
  return found;
}

function paths(): uPlot.Series.PathBuilder {
  const bars = uPlot.paths.bars;
  if (!bars) throw new Error("this build of uPlot has no bars");
  return bars({ size: [0.8, 24], align: 1 });
}

/** Seconds that one column stands for. */
function stepOf(times: ArrayLike<number>): number {
  return (times[1] ?? 0) - (times[0] ?? 0);
}
