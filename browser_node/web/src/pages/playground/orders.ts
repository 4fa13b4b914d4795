/** One order from the press to its end, over cut connections. Of money it says what is known. */

import type { Job } from "../../generated/api.js";
import { ApiError, currentKey, NOT_OURS, type Order, submit } from "./api.js";
import { follow, type Follower, isPassing, pause } from "./events.js";
import { type Account, type KeyPanel, masked, sentence } from "./key_panel.js";

export interface Course extends Follower {
  /** The grid has it: from now on it is a job. */
  sent(id: string): void;
}

/** Its job at its end, or why there is none to be had, and whether it was charged all the same. */
export type Ending =
  | { readonly job: Job }
  | { readonly job: null; readonly why: string; readonly charged: "no" | "unknown"; readonly id: string };

/** An order that was under way when its page was left. */
export interface Left {
  readonly id: string;
  /** What its page needs to show it again; nobody has looked at it yet. */
  readonly made: unknown;
}

const UNHEARD = "The coordinator does not answer, so it is not known whether the order arrived. This page asks until it knows.";

export class Orders {
  private readonly stored: string;

  constructor(
    private readonly panel: KeyPanel,
    model: string,
  ) {
    this.stored = `tabgrid.playground.order.${model}`;
  }

  /** Send it and follow it; `made` comes back should the page be left and opened again. */
  async run(order: Order, made: unknown, course: Course): Promise<Ending> {
    const { key, account } = this.panel;
    try {
      const { id } = await submit(key, order);
      this.keep({ id, made, key: masked(key) });
      course.sent(id);
      return await this.ending(key, id, course);
    } catch (error) {
      if (isRefusal(error)) return { job: null, why: sentence(error), charged: "no", id: "" };
      course.lost(UNHEARD);
      return arrived(key, account);
    }
  }

  /** Go on with it. */
  async resume({ id }: Left, course: Course): Promise<Ending> {
    course.sent(id);
    return this.ending(this.panel.key, id, course);
  }

  /** Of this key, and not shown yet; null where there is none. */
  get left(): Left | null {
    try {
      const found = JSON.parse(sessionStorage.getItem(this.stored) ?? "null") as (Partial<Left> & { key?: unknown }) | null;
      if (typeof found?.id !== "string" || !this.panel.key || found.key !== masked(this.panel.key)) return null;
      return { id: found.id, made: found.made };
    } catch {
      return null; // Refused, or not ours.
    }
  }

  /** Its end has been shown: nothing is left to go on with. */
  shown(): void {
    this.keep(null);
  }

  private async ending(key: string, id: string, course: Course): Promise<Ending> {
    try {
      return { job: await follow(key, id, course) };
    } catch (error) {
      return { job: null, why: sentence(error), charged: "unknown", id };
    }
  }

  private keep(left: (Left & { key: string }) | null): void {
    try {
      if (left) sessionStorage.setItem(this.stored, JSON.stringify(left));
      else sessionStorage.removeItem(this.stored);
    } catch {
      // Refused: then it is followed as long as the page is open.
    }
  }
}

/** The grid itself said no; a 500 says only that it does not know either. */
const isRefusal = (error: unknown): boolean =>
  error instanceof ApiError && error.status !== 0 && error.status !== 500 && error.code !== NOT_OURS;

/** What became of an order that nobody acknowledged: an account that has not moved paid nothing. */
async function arrived(key: string, before: Account | null): Promise<Ending> {
  for (let cuts = 0; ; cuts++) {
    await pause(cuts);
    try {
      const { credit, held, spent } = await currentKey(key);
      if (credit === before?.credit && held === before.held && spent === before.spent)
        return { job: null, why: "The order did not arrive. Send it again.", charged: "no", id: "" };
      const why = "No answer came to the order, and your credit has changed meanwhile: it may have arrived.";
      return { job: null, why, charged: "unknown", id: "" };
    } catch (error) {
      if (!isPassing(error)) return { job: null, why: sentence(error), charged: "unknown", id: "" };
    }
  }
}
