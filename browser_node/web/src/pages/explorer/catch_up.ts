/** What no event has told: asked for each time that a connection for events is there. */

import type { Job, JobRow, Jobs } from "../../generated/api.js";
import { read } from "../../lib/read.js";

/** The newest jobs, oldest first, as events come. */
export async function newestJobs(): Promise<JobRow[]> {
  return (await read<Jobs>("/api/jobs"))?.jobs.toReversed() ?? [];
}

/** How far this job is; undefined where nobody says. */
export async function stateOf(job: string): Promise<JobRow["state"] | undefined> {
  return (await read<Job>(`/api/jobs/${job}`))?.state;
}
