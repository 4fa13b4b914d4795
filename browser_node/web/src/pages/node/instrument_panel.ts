/** What the machine is doing: state, backend, progress, notices. Draws; decides nothing. */

import type { Grid } from "../../generated/api.js";
import { byId, setText } from "../../lib/dom.js";
import { backend as backendName, short } from "../../lib/format.js";
import type { NodeStatus } from "../../shared/protocol.js";
import { button, html, setData, setMeter } from "./dom.js";
import type { Boot, Capability, EngineView } from "./engine.js";
import { megabytes } from "./units.js";
import { type Does, hint, message, notice, type Notice, refusalWords, type Situation } from "./words.js";

export interface Controls {
  readonly canStart: boolean;
  readonly running: boolean;
  readonly paused: boolean;
}

export class InstrumentPanel {
  /** What the notice's button does now. */
  private action: Notice["action"];

  constructor(
    private readonly grids: readonly Grid[],
    onAction: (does: Does) => void,
  ) {
    button("notice-action").addEventListener("click", () => {
      if (this.action) onAction(this.action.does);
    });
  }

  render(situation: Situation, controls: Controls): void {
    const { engine } = situation;
    const state = stateOf(engine);
    setText(html("node-state"), state);
    setData(html("node-state"), "state", state);
    const { text, tone } = message(situation);
    setText(html("message"), text);
    setData(html("message"), "tone", tone);
    this.renderControls(controls);
    this.renderMachine(situation);
    this.renderBoot(engine);
    renderDownload(engine.status);
    renderJob(engine.status);
    this.renderRefused(engine.status?.refused ?? {});
    this.renderNotice(notice(situation));
  }

  /** The seconds that pass: not in a live region, or a screen reader would count along. */
  renderHint(situation: Situation, retryIn: number): void {
    setText(html("start-hint"), hint(situation, retryIn));
  }

  private renderControls({ canStart, running, paused }: Controls): void {
    const start = button("start");
    setText(start, running ? "Stop" : "Start");
    setData(start, "action", running ? "stop" : "start");
    start.disabled = !running && !canStart;
    const pause = button("pause");
    setText(pause, paused ? "Resume" : "Pause");
    setData(pause, "action", paused ? "resume" : "pause");
    pause.disabled = !running;
  }

  private renderMachine({ engine, isolated, gpu }: Situation): void {
    const { capability, status } = engine;
    const machine = status?.backend ? status : capability;
    if (machine) setText(html("backend"), backendName(machine.backend));
    if (machine) setData(html("backend"), "backend", machine.backend);
    setText(html("device"), machine?.device ?? "");
    setText(html("fact-isolation"), isolated ? "yes" : "no: one thread only");
    const offered = gpu ? "offered, checked at the start" : "not in this browser";
    setText(html("fact-webgpu"), capability ? webgpuFact(capability) : offered);
    if (capability) setText(html("fact-storage"), capability.persistent ? "yes" : "no: this visit only");
  }

  private renderBoot({ state, boot, status }: EngineView): void {
    const parts = [...boot.values()];
    const done = parts.length > 0 && parts.every((part) => part.done);
    html("boot").hidden = state !== "booting" || (done && status !== null);
    for (const part of parts) renderPart(part);
  }

  private renderRefused(refused: NodeStatus["refused"]): void {
    for (const grid of this.grids) {
      const place = document.querySelector<HTMLElement>(`[data-grid="${CSS.escape(grid.id)}"] .refused`);
      if (!place) continue;
      const mine = grid.models.flatMap(({ id, title }) => {
        const refusal = refused[id];
        return refusal ? [{ title, refusal }] : [];
      });
      const reasons = mine.map(({ title, refusal }) => refusalWords(title, refusal));
      // Nothing is broken where a device is not up to a model, or its owner set a limit.
      const calm = mine.every(({ refusal: { code } }) => code === "wrong_numbers" || code === "download_limit");
      setData(place, "tone", calm ? "waiting" : "wrong");
      setText(place, reasons.join(" "));
      place.hidden = reasons.length === 0;
    }
  }

  private renderNotice(shown: Notice | null): void {
    const place = html("notice");
    this.action = shown?.action;
    // Whoever pressed its button reads on where the outcome is said.
    if (!shown?.action && document.activeElement === button("notice-action")) html("message").focus();
    place.hidden = shown === null;
    if (!shown) return;
    const part = (name: string): HTMLElement | null => place.querySelector(name);
    const [title, text] = [part(".notice-title"), part(".notice-text")];
    if (title) setText(title, shown.title);
    if (text) setText(text, shown.text);
    setData(place, "tone", shown.tone);
    // What only informs waits its turn in a screen reader.
    place.role = shown.tone === "" ? "status" : "alert";
    button("notice-action").hidden = shown.action === undefined;
    setText(button("notice-action"), shown.action?.label ?? "");
  }
}

/** One of the six words of the contract. */
function stateOf({ state, status }: EngineView): string {
  switch (state) {
    case "off":
      return status?.state ?? "idle";
    case "booting":
    case "recycling":
      return "loading";
    case "running":
      return status?.state ?? "loading";
    case "duplicate":
    case "gave-up":
      return "stopped";
  }
}

function webgpuFact({ backend, reason }: Capability): string {
  if (backend === "webgpu") return "in use";
  return reason === "" ? "not in use" : reason;
}

function renderPart({ part, loaded, total, done }: Boot): void {
  const bar = byId(`boot-${part}`, HTMLProgressElement);
  bar.value = done ? 1 : total > 0 ? Math.min(1, loaded / total) : 0;
  setText(html(`boot-${part}-text`), done ? "loaded" : megabytes(loaded));
}

function renderDownload(status: NodeStatus | null): void {
  const done = status?.download_bytes ?? 0;
  const total = status?.download_total ?? 0;
  html("download").hidden = total === 0 || (done >= total && status?.state !== "loading");
  setMeter("download", done, total, `${megabytes(done)} of ${megabytes(total)}`);
}

function renderJob(status: NodeStatus | null): void {
  const job = status?.job ?? "";
  html("job").hidden = job === "";
  if (!status || job === "") return;
  const link = byId("job-link", HTMLAnchorElement);
  link.href = `/explorer/jobs/${job}`;
  link.title = job;
  setText(link, short(job));
  const { job_done, job_total, job_stage } = status;
  const share = job_total > 0 ? `${job_done} of ${job_total}` : "";
  setMeter("job", job_done, job_total, [share, job_stage].filter(Boolean).join(", "));
}
