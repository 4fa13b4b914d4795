/** One order from the press to its end, over cut connections. Of money it says what is known. */

import type { Job } from "../../generated/api.js";
import { ApiError, newName, NOT_OURS, type Order, submit } from "./api.js";
import { follow, type Follower, isPassing, pause } from "./events.js";
import { type KeyPanel, masked, sentence } from "./key_panel.js";

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
  /** "" where its page had not heard yet whether it is a job. */
  readonly id: string;
  readonly order: Order;
  /** What it is called when it is sent again; from when on, in milliseconds. */
  readonly name: string;
  readonly at: number;
  /** What its page needs to show it again; nobody has looked at it yet. */
  readonly made: unknown;
}

const UNHEARD =
  "The coordinator does not answer, so it is not known whether the order arrived. This page sends it again until it knows; it is charged once.";
const UNKNOWN = "No answer came to the order for too long to send it again. It may have arrived.";
/** The grid knows an order again for 24 h (store/idempotency.py); clocks, and the way, may be slow. */
const AGAIN_MS = 12 * 3_600_000;

export class Orders {
  private readonly stored: string;

  constructor(
    private readonly panel: KeyPanel,
    model: string,
  ) {
    this.stored = `tabgrid.playground.order.${model}`;
  }

  /** Send it and follow it; `made` comes back should the page be left and opened again. */
  run(order: Order, made: unknown, course: Course): Promise<Ending> {
    return this.resume({ id: "", order, name: newName(), at: Date.now(), made }, course);
  }

  /** Go on with it. */
  async resume(left: Left, course: Course): Promise<Ending> {
    const { key } = this.panel;
    this.keep({ ...left, key: masked(key) });
    try {
      const id = left.id || (await arrived(key, left, course));
      this.keep({ ...left, id, key: masked(key) });
      course.sent(id);
      return await this.ending(key, id, course);
    } catch (error) {
      return { job: null, why: sentence(error), charged: isRefusal(error) ? "no" : "unknown", id: "" };
    }
  }

  /** Of this key, and not shown yet; null where there is none. */
  get left(): Left | null {
    try {
      const found = JSON.parse(sessionStorage.getItem(this.stored) ?? "null") as (Partial<Left> & { key?: unknown }) | null;
      if (!isLeft(found) || !this.panel.key || found.key !== masked(this.panel.key)) return null;
      return found;
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

/** What lies in storage may be of another version. */
const isLeft = (found: (Partial<Left> & { key?: unknown }) | null): found is Left & { key?: unknown } =>
  typeof found?.id === "string" && typeof found.name === "string" && typeof found.at === "number" && typeof found.order === "object";

/** The grid itself said no. A 500, or a store that cannot be asked, says that it does not know. */
const isRefusal = (error: unknown): boolean =>
  error instanceof ApiError && error.status !== 0 && error.status !== 500 && error.code !== NOT_OURS && error.code !== "store_unavailable";

/** The order's job: sent until the grid says that it has it, or that it has not. */
async function arrived(key: string, { order, name, at }: Left, course: Course): Promise<string> {
  for (let cuts = 0; ; cuts++) {
    try {
      return (await submit(key, order, name)).id;
    } catch (error) {
      if (isRefusal(error) || !isPassing(error)) throw error;
      course.lost(UNHEARD);
    }
    if (Date.now() - at > AGAIN_MS) throw new ApiError(UNKNOWN, 0, NOT_OURS);
    await pause(cuts);
  }
}
