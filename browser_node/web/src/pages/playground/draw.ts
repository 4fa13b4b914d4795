/** A prompt becomes a picture: price, submit, previews, picture, history. */

import type { Job } from "../../generated/api.js";
import { byId, setText } from "../../lib/dom.js";
import { cancel, jobOf, type Order } from "./api.js";
import { type Drawing, DrawForm, isDrawing } from "./draw_form.js";
import { isPassing } from "./events.js";
import { type Drawn, History, thumbOf } from "./history.js";
import { type KeyPanel, sentence } from "./key_panel.js";
import { type Course, type Ending, Orders } from "./orders.js";
import {
  chosenCheck, type PageData, PriceLine, say, sayReason, sayUnanswered, stage as stageOf, tell, tellAnswer,
} from "./side.js";
import { curlImage, pythonImage } from "./snippets.js";
import { Stage } from "./stage.js";

export function startDraw(data: PageData, panel: KeyPanel): void {
  const page = new DrawPage(data, panel);
  page.start();
}

class DrawPage {
  private readonly form = new DrawForm();
  private readonly stage = new Stage();
  private readonly price: PriceLine;
  private readonly history: History;
  private readonly orders: Orders;
  private readonly send = byId("send", HTMLButtonElement);
  private readonly cancel = byId("cancel", HTMLButtonElement);
  /** The job that runs; "" while it is being sent, null while there is none. */
  private running: string | null = null;

  constructor(
    private readonly data: PageData,
    private readonly panel: KeyPanel,
  ) {
    this.price = new PriceLine(data.token, () => this.check());
    this.history = new History((drawn) => void this.remember(drawn));
    this.orders = new Orders(panel, data.model);
  }

  start(): void {
    this.panel.changed = () => this.check();
    this.form.changed = () => this.changed();
    this.form.submitted = () => void this.run();
    this.cancel.addEventListener("click", () => void this.stop());
    this.form.drawLots();
    this.changed();
    void this.takeUp();
  }

  private changed(): void {
    const drawing = this.form.read();
    if (this.running === null) say("");
    const ready = drawing.prompt.trim() && !this.form.invalid;
    this.price.soon(ready ? this.order(drawing) : null);
    this.tellCode(drawing);
    this.check();
  }

  /** What keeps the button from working stands beside it. */
  private check(): void {
    const reason = !this.panel.key
      ? "Create an API key first."
      : !this.form.read().prompt.trim()
        ? "Say in words what to draw."
        : this.form.invalid || this.price.refusal;
    this.send.disabled = this.running !== null || reason !== "";
    this.cancel.disabled = !this.running;
    if (this.running === null) sayReason(reason);
  }

  private order(drawing: Drawing): Order {
    const { prompt, negative, seed, steps, guidance } = drawing;
    const [width, height] = drawing.size.split("x").map(Number);
    const input: Record<string, unknown> = { prompt, seed, steps, width, height };
    if (negative) input.negative_prompt = negative;
    if (guidance !== null) input.guidance = guidance;
    return { model: this.data.model, input, public: drawing.public, show_preview: drawing.preview, ...chosenCheck() };
  }

  private async run(): Promise<void> {
    if (this.send.disabled) return;
    if (this.form.newSeed) this.form.drawLots();
    const drawing = this.form.read();
    this.begin(drawing, "Sending");
    await this.ended(await this.orders.run(this.order(drawing), drawing, this.course()), drawing);
  }

  /** The page was left while a picture was drawn: it is waited for again. */
  private async takeUp(): Promise<void> {
    const { left } = this.orders;
    if (!left || !isDrawing(left.made)) return;
    const drawing = left.made;
    this.form.write(drawing);
    this.changed();
    this.begin(drawing, "Looking for the picture that was under way");
    await this.ended(await this.orders.resume(left, this.course()), drawing);
  }

  private begin({ prompt }: Drawing, words: string): void {
    this.running = "";
    this.check();
    this.stage.begin(prompt);
    say(words, "waiting");
  }

  private course(): Course {
    return {
      sent: (id) => {
        this.running = id;
        this.check();
      },
      job: (row) => {
        this.stage.moved(row);
        say(stageOf(row, "Drawing"), "waiting");
      },
      preview: ({ png }) => this.stage.preview(png),
      lost: (why) => say(why, "waiting"),
    };
  }

  private async ended(ending: Ending, drawing: Drawing): Promise<void> {
    this.over();
    if (ending.job?.state === "done") await this.drawn(ending.job, drawing);
    else {
      const free = ending.job !== null || ending.charged === "no";
      this.stage.fail(free ? "Nothing was drawn, nothing was charged." : "What became of it is not known here.");
      sayUnanswered(ending);
      this.orders.shown();
    }
    await this.panel.refresh();
  }

  private async drawn(job: Job, drawing: Drawing): Promise<void> {
    this.tellFacts(job, drawing);
    try {
      const image = await this.stage.show(job, drawing.prompt);
      const { prompt, negative, size, steps, seed, guidance } = drawing;
      const at = job.finished_at ?? job.submitted_at;
      const made = { prompt, negative, size, steps, seed, guidance, public: drawing.public, at };
      this.history.add({ ...made, job: job.id, model: this.data.model, thumb: thumbOf(image) });
      say("Drawn", "good");
    } catch (error) {
      const advice = job.image ? " Reload this page to try again." : "";
      this.stage.fail("Drawn and charged, but not to be had here now.");
      say(`It was drawn and charged. ${sentence(error)}${advice}`, "wrong");
      if (job.image) return;
    }
    this.orders.shown();
  }

  private over(): void {
    this.running = null;
    this.check();
    const drawing = this.form.read();
    if (drawing.prompt.trim() && !this.form.invalid) this.price.retry(this.order(drawing));
  }

  private async stop(): Promise<void> {
    if (!this.running) return;
    this.cancel.disabled = true;
    // Its end comes with its events; where it was too late, so does the picture.
    await cancel(this.panel.key, this.running).catch((error: unknown) => {
      if (!isPassing(error)) return;
      say(`Not cancelled yet. ${sentence(error)}`, "wrong");
      this.check();
    });
  }

  /** A picture of before: what made it goes into the form, and it is shown if it still can be. */
  private async remember(drawn: Drawn): Promise<void> {
    if (this.running !== null) return;
    this.form.write(drawn);
    this.changed();
    try {
      const job = await jobOf(this.panel.key, drawn.job);
      await this.stage.show(job, drawn.prompt);
      this.tellFacts(job, drawn);
    } catch (error) {
      this.stage.remember(drawn.thumb, drawn.prompt, `Only this small copy is left here. ${sentence(error)}`);
    }
    byId("result", HTMLElement).scrollIntoView({ block: "nearest" });
  }

  private tellFacts(job: Job, { size, steps, seed }: Pick<Drawing, "size" | "steps" | "seed">): void {
    tellAnswer(job, this.data.token);
    tell("answer-made", `${size.replace("x", " × ")}, ${steps} steps, seed ${seed}`);
  }

  private tellCode(drawing: Drawing): void {
    const { prompt, size, steps, seed, negative, guidance } = drawing;
    const extra: Record<string, unknown> = { seed, steps };
    if (negative) extra.negative_prompt = negative;
    if (guidance !== null) extra.guidance = guidance;
    if (drawing.public) extra.public = true;
    if (!drawing.preview) extra.show_preview = false;
    Object.assign(extra, chosenCheck());
    const request = { model: this.data.model, prompt, size, extra };
    setText(byId("snippet-curl", HTMLElement), curlImage(this.data.origin, request));
    setText(byId("snippet-python", HTMLElement), pythonImage(this.data.origin, request));
  }
}
