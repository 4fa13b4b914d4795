/** The owner's controls: which grids, how much of the machine; kept in this browser. */

import { byId, setText } from "../../lib/dom.js";
import type { Backend, NodeSettings } from "../../shared/protocol.js";
import { html, recall, remember } from "./dom.js";
import type { Shown } from "./picture_panel.js";

const SETTINGS_KEY = "tabgrid.settings";
const GRIDS_KEY = "tabgrid.grids";
const SHOWN_KEY = "tabgrid.shown";

interface Kept {
  backend: string;
  threads: string;
  download: string;
  battery: boolean;
}

const fields = {
  backend: () => byId("setting-backend", HTMLSelectElement),
  threads: () => byId("setting-threads", HTMLInputElement),
  download: () => byId("setting-download", HTMLInputElement),
  battery: () => byId("setting-battery", HTMLInputElement),
};

export class Settings {
  /** `onChange` after every change; `onGrids` and `onShown` when those have changed. */
  constructor(
    private readonly onChange: () => void,
    private readonly onGrids: () => void,
    private readonly onShown: () => void,
  ) {
    this.restore();
    for (const choice of shownChoices()) choice.addEventListener("change", this.shownChanged);
    for (const field of Object.values(fields)) field().addEventListener("change", this.changed);
    for (const box of gridBoxes()) box.addEventListener("change", this.gridsChanged);
    const most = navigator.hardwareConcurrency || 1;
    fields.threads().max = String(most);
    const half = Math.max(1, Math.min(8, Math.floor(most / 2)));
    setText(html("setting-threads-max"), `Empty: ${half} of this machine's ${most}. Fewer keep it cooler.`);
  }

  get grids(): string[] {
    return gridBoxes().filter((box) => box.checked).map((box) => box.value);
  }

  /** What the owner sees of a grid's pictures. */
  shown(grid: string): Shown {
    const choice = shownChoices().find((one) => one.dataset.shown === grid);
    return choice?.value === "clear" || choice?.value === "nothing" ? choice.value : "blurred";
  }

  get node(): NodeSettings {
    const threads = positive(fields.threads());
    const maxDownloadMb = positive(fields.download());
    return { ...(threads !== null && { threads }), ...(maxDownloadMb !== null && { maxDownloadMb }) };
  }

  /** Null: the worker chooses. `?backend=wasm` in the address wins, for tests and bug reports. */
  get backend(): Backend | null {
    const asked = new URLSearchParams(location.search).get("backend") ?? fields.backend().value;
    return asked === "webgpu" || asked === "wasm" ? asked : null;
  }

  /** Chosen by a press elsewhere on the page; an address that says otherwise is changed. */
  useProcessor(): void {
    const address = new URL(location.href);
    address.searchParams.delete("backend");
    history.replaceState(null, "", address);
    fields.backend().value = "wasm";
    this.changed();
  }

  get pauseOnBattery(): boolean {
    return fields.battery().checked;
  }

  private readonly changed = (): void => {
    remember(SETTINGS_KEY, {
      backend: fields.backend().value,
      threads: fields.threads().value,
      download: fields.download().value,
      battery: fields.battery().checked,
    } satisfies Kept);
    this.onChange();
  };

  private readonly gridsChanged = (): void => {
    remember(GRIDS_KEY, this.grids);
    this.onGrids();
  };

  private readonly shownChanged = (): void => {
    const kept = shownChoices().map((choice) => [choice.dataset.shown, choice.value] as const);
    remember(SHOWN_KEY, Object.fromEntries(kept));
    this.onShown();
  };

  private restore(): void {
    const kept = recall(SETTINGS_KEY) as Partial<Kept> | null;
    if (kept) {
      fields.backend().value = kept.backend ?? "";
      fields.threads().value = kept.threads ?? "";
      fields.download().value = kept.download ?? "";
      fields.battery().checked = kept.battery ?? true;
    }
    const grids = recall(GRIDS_KEY);
    const chosen = new Set(Array.isArray(grids) ? grids : []);
    for (const box of gridBoxes()) box.checked = chosen.has(box.value);
    const shown = (recall(SHOWN_KEY) ?? {}) as Record<string, unknown>;
    for (const choice of shownChoices()) {
      const kept = shown[choice.dataset.shown ?? ""];
      if (kept === "clear" || kept === "nothing") choice.value = kept;
    }
  }
}

function gridBoxes(): HTMLInputElement[] {
  return [...document.querySelectorAll<HTMLInputElement>('[data-grid] input[type="checkbox"]')];
}

function shownChoices(): HTMLSelectElement[] {
  return [...document.querySelectorAll<HTMLSelectElement>("select[data-shown]")];
}

/** A whole number of at least 1, else null: an empty or odd field means the default. */
function positive(field: HTMLInputElement): number | null {
  const value = Number.parseInt(field.value, 10);
  if (!Number.isFinite(value) || value < 1) return null;
  return field.max === "" ? value : Math.min(value, Number(field.max));
}
