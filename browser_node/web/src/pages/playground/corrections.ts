/** Answers of this page that are found wrong later: said here, since nobody looks twice. */

import type { JobRow, Token } from "../../generated/api.js";
import { byId, setText } from "../../lib/dom.js";
import { amount } from "../../lib/format.js";
import { Live } from "../../lib/live.js";
import { read } from "../../lib/read.js";

const mine = new Set<string>();
let live: Live | null = null;

/** Listen for news of this job until the page is left. */
export function watch(id: string, token: Token): void {
  mine.add(id);
  // It may have come before anybody listened: while a stream opens, or is lost and comes back.
  void look(id, token);
  live ??= new Live({
    state: (state) => {
      if (state === "live") for (const each of mine) void look(each, token);
    },
    totals: () => undefined,
    jobs: (rows) => {
      for (const row of rows) if (row.correction && mine.has(row.id)) say(row, token);
    },
  });
  live.start();
}

async function look(id: string, token: Token): Promise<void> {
  const row = await read<JobRow>(`/api/jobs/${id}`);
  if (row?.correction) say(row, token);
}

function say(row: JobRow, token: Token): void {
  const { reason = "", refunded = 0 } = row.correction ?? {};
  const place = byId("correction", HTMLElement);
  const link = byId("correction-job", HTMLAnchorElement);
  link.href = `/explorer/jobs/${row.id}`;
  setText(byId("correction-text", HTMLElement), `${reason} The whole price is back in your credit: ${amount(refunded, token)}.`);
  place.hidden = false;
}
