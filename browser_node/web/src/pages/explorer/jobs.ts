/** The live list of jobs: rows as the server draws them (templates/parts.html, job_row). */

import type { JobRow, Token } from "../../generated/api.js";
import { make } from "../../lib/dom.js";
import { ago, amount, backend, duration, exact, short } from "../../lib/format.js";

/** Two screens; older ones are a page further. */
const ROWS = 50;
const ENDS = new Set<string | undefined>(["done", "failed", "cancelled"]);

export class JobList {
  private readonly body: HTMLTableSectionElement;

  constructor(
    table: HTMLTableElement,
    private readonly token: Token,
  ) {
    this.body = table.tBodies[0] ?? table.createTBody();
  }

  /** Whether the list does not say so yet. What has ended stays so: an answer may be older than
   * an event that came before it. */
  isNews(job: JobRow): boolean {
    const { state } = this.rowOf(job)?.querySelector<HTMLElement>(".state")?.dataset ?? {};
    return state !== job.state && !ENDS.has(state);
  }

  private rowOf({ id }: JobRow): HTMLElement | null {
    return this.body.querySelector<HTMLElement>(`[data-job="${CSS.escape(id)}"]`);
  }

  /** Changed rows stay where they are; new ones come on top, newest first. */
  show(jobs: readonly JobRow[]): void {
    const fresh: HTMLTableRowElement[] = [];
    for (const job of jobs) {
      const row = rowOf(job, this.token);
      const old = this.rowOf(job);
      // A row that holds the focus stays: a person is about to open it.
      if (!old) fresh.push(row);
      else if (!old.contains(document.activeElement)) old.replaceWith(row);
    }
    fresh.sort((a, b) => Number(b.dataset.at) - Number(a.dataset.at));
    this.body.prepend(...fresh.slice(0, ROWS));
    while (this.body.rows.length > ROWS) this.body.deleteRow(-1);
    document.getElementById("jobs-empty")?.remove();
  }
}

function rowOf(job: JobRow, token: Token): HTMLTableRowElement {
  const row = make("tr");
  row.setAttribute("role", "row");
  row.dataset.testid = "job-row";
  row.dataset.job = job.id;
  row.dataset.at = String(job.submitted_at);
  row.append(
    cell("State", state(job.state)),
    cell("Job", link(`/explorer/jobs/${job.id}`, job.id)),
    cell("Model", job.model),
    cell("Node", ...node(job)),
    cell("Time", took(job)),
    cell("Price", amount(job.price, token)),
    cell("Submitted", when(job.submitted_at)),
  );
  for (const place of [...row.cells].slice(4)) place.className = "num";
  return row;
}

function cell(label: string, ...content: (Node | string)[]): HTMLTableCellElement {
  const made = make("td");
  made.setAttribute("role", "cell");
  made.dataset.label = label;
  made.append(...content);
  return made;
}

function state(name: string): HTMLElement {
  const made = make("span", "state", name);
  made.dataset.state = name;
  return made;
}

function link(href: string, text: string): HTMLElement {
  const made = make("a", "hash", short(text));
  made.href = href;
  made.title = text;
  return made;
}

function node(job: JobRow): (Node | string)[] {
  if (!job.wallet) return [make("span", "quiet", "none yet")];
  const address = link(`/explorer/wallets/${job.wallet}`, job.wallet);
  return job.backend ? [address, " ", make("span", "quiet", backend(job.backend))] : [address];
}

function took(job: JobRow): Node | string {
  if (job.finished_at === null) return make("span", "quiet", "not done");
  return duration(job.finished_at - job.submitted_at);
}

function when(at: number): HTMLElement {
  const made = make("time", "", ago(at, Date.now() / 1000));
  made.dateTime = new Date(at * 1000).toISOString();
  made.title = exact(at);
  made.dataset.at = String(at);
  return made;
}
