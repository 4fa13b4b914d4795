/** One question at a time, its way told in words beside the button: what plain pages share. */

import type { Job } from "../../generated/api.js";
import type { Order } from "./api.js";
import { type KeyPanel, sentence } from "./key_panel.js";
import { type Course, type Ending, Orders } from "./orders.js";
import { say, sayUnanswered, stage } from "./side.js";

export interface AskingPage {
  /** It has begun to run, or runs no more. */
  changed(running: boolean): void;
  /** Throws, in words, for an answer that is none. */
  show(answered: Job): void;
}

const COURSE: Course = {
  sent: () => undefined,
  job: (row) => say(stage(row, "Computing"), "waiting"),
  lost: (why) => say(why, "waiting"),
};

export class Asking {
  running = false;
  private readonly orders: Orders;

  constructor(
    private readonly panel: KeyPanel,
    model: string,
    private readonly page: AskingPage,
  ) {
    this.orders = new Orders(panel, model);
  }

  send(order: Order): void {
    void this.carry("Sending", () => this.orders.run(order, order.input, COURSE));
  }

  /** Go on with what was under way when the page was left; its input, for the form, or null. */
  takeUp(): Record<string, unknown> | null {
    const { left } = this.orders;
    if (!left || typeof left.made !== "object") return null;
    void this.carry("Looking for the answer that was under way", () => this.orders.resume(left, COURSE));
    return left.made as Record<string, unknown> | null;
  }

  private async carry(words: string, way: () => Promise<Ending>): Promise<void> {
    this.run(true);
    say(words, "waiting");
    const ending = await way();
    this.run(false);
    this.tell(ending);
    this.orders.shown();
    await this.panel.refresh();
  }

  private run(running: boolean): void {
    this.running = running;
    this.page.changed(running);
  }

  private tell(ending: Ending): void {
    if (ending.job?.state !== "done") {
      sayUnanswered(ending);
      return;
    }
    try {
      this.page.show(ending.job);
      say("Answered", "good");
    } catch (error) {
      say(`It was answered and charged. ${sentence(error)}`, "wrong");
    }
  }
}
