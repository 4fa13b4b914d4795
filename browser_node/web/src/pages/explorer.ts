/** Makes the server's pages live: totals, chart, nodes, the list of jobs, one job, one wallet. */

import type { JobRow, Minute, Token, Totals } from "../generated/api.js";
import { pageData, setText } from "../lib/dom.js";
import { enhance } from "../lib/enhance.js";
import { Live, type LiveState } from "../lib/live.js";
import { newestJobs, stateOf } from "./explorer/catch_up.js";
import { enableCheck, showCheck } from "./explorer/check.js";
import { Hour } from "./explorer/hour.js";
import { JobList } from "./explorer/jobs.js";
import { keepNodes } from "./explorer/nodes.js";
import { PictureList } from "./explorer/pictures.js";
import { Refresher } from "./explorer/refresh.js";
import { showTotals } from "./explorer/totals.js";

/** What routes.py puts into #page-data; absent fields mean the page has no such part. */
interface PageData {
  readonly live?: boolean;
  readonly hour?: readonly Minute[];
  readonly token?: Token;
  /** Pages about one thing: draw them anew when this job or wallet appears. */
  readonly job?: string;
  readonly wallet?: string;
  readonly epoch?: number;
  readonly refresh_at?: number | null;
}

const WORDS: Record<LiveState, string> = {
  connecting: "connecting",
  live: "live",
  offline: "no connection, figures are old",
};

function showState(state: LiveState): void {
  const place = document.getElementById("live-state");
  if (!place) return;
  place.dataset.state = state;
  setText(place, WORDS[state]);
}

function start(data: PageData): void {
  const figure = document.getElementById("hour-chart");
  const hour = figure && data.hour ? new Hour(figure, data.hour) : null;
  const table = document.getElementById("jobs");
  const list =
    table instanceof HTMLTableElement && data.token ? new JobList(table, data.token) : null;
  const strip = document.getElementById("pictures");
  const pictures = strip && new PictureList(strip);
  const refresher = new Refresher(showCheck);
  if (data.refresh_at) refresher.at(data.refresh_at);

  const about = (job: JobRow): boolean => job.id === data.job || job.wallet === data.wallet;
  let frozen = false;
  let opened = 0;
  const show = (jobs: readonly JobRow[]): void => {
    if (frozen) return;
    list?.show(jobs);
    pictures?.show(jobs);
  };
  /** Events tell nothing of what was before them, nor of what was while the connection was lost. */
  const catchUp = async (): Promise<void> => {
    // A wallet's page was drawn a moment before the first connection.
    if (data.wallet && opened++ > 0) refresher.soon();
    if (list) show((await newestJobs()).filter((job) => list.isNews(job)));
    const state = data.job && (await stateOf(data.job));
    if (state && state !== drawnState()) refresher.soon();
  };
  const live = new Live({
    state: (state) => {
      showState(state);
      if (state === "live") void catchUp();
    },
    totals: (totals: Totals) => {
      showTotals(totals);
      hour?.totals(totals);
    },
    jobs: (jobs) => {
      show(jobs);
      if ((data.job ?? data.wallet) && jobs.some(about)) refresher.soon();
    },
  });
  toggle((on) => (frozen = !on));
  if (document.getElementById("nodes")) keepNodes();
  live.start();
  // A page that nobody sees holds no connection.
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") live.start();
    else live.stop();
  });
}

/** What a job's page says of the job. */
function drawnState(): string | undefined {
  return document.querySelector<HTMLElement>('[data-testid="job-state"]')?.dataset.state;
}

/** A list that moves can be held still. */
function toggle(change: (on: boolean) => void): void {
  const button = document.getElementById("live-toggle");
  if (!button) return;
  button.hidden = false;
  button.addEventListener("click", () => {
    const on = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(on));
    setText(button, on ? "Live" : "Held");
    change(on);
  });
}

enhance();
const data = pageData() as PageData | null;
if (data) enableCheck(data);
if (data && (data.live ?? data.job ?? data.wallet)) start(data);
