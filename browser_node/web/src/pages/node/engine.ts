/**
 * The worker behind the page: made when it is needed, ended when it is not, made again when
 * it crashes.
 *
 * `Engine` owns at most one Worker. What the owner wants (`Wanted`) outlives the worker, so a
 * fresh one takes up where the crashed one stopped; the coordinator hands the lost job to
 * somebody else meanwhile.
 */

import type {
  Backend,
  FromWorker,
  NodeSettings,
  NodeStatus,
  PauseReason,
  ToWorker,
} from "../../shared/protocol.js";
import type { WorkerIdentity } from "../../wallet/sign_in.js";

export type EngineState = "off" | "booting" | "running" | "recycling" | "duplicate" | "gave-up";
export type Capability = Extract<FromWorker, { kind: "capability" }>;
export type Boot = Extract<FromWorker, { kind: "boot" }>;
type Preview = Extract<FromWorker, { kind: "preview" }>;

export interface Wanted {
  readonly grids: readonly string[];
  readonly wallet: string;
  readonly settings: NodeSettings;
  /** Pauses that are in force; empty: run. */
  readonly pauses: ReadonlySet<PauseReason>;
}

/** What the page shows of it. */
export interface EngineView {
  readonly state: EngineState;
  readonly status: NodeStatus | null;
  readonly capability: Capability | null;
  readonly boot: ReadonlyMap<Boot["part"], Boot>;
  /** Why the last worker ended, where it did not end by itself. */
  readonly trouble: string;
  /** `performance.now()` of the next attempt while recycling. */
  readonly retryAt: number;
}

export interface EngineOptions {
  readonly workerUrl: string;
  readonly assets: Record<string, string>;
  /** Asked for each fresh worker; null: the worker chooses. */
  forceBackend(): Backend | null;
  onChange(view: EngineView): void;
  /** Of the job that the last status named. */
  onPreview(preview: Preview): void;
}

interface Waiting {
  resolve(identity: WorkerIdentity): void;
  reject(error: Error): void;
}

/** Seconds before each fresh worker after a crash; after the last one a person decides. */
const RECYCLE_WAITS_S = [2, 8, 30] as const;
/** A worker that lived this long was healthy: its crash starts the count again. */
const HEALTHY_MS = 10 * 60_000;
/** How long a stopping worker may take to say goodbye to the coordinator. */
const GOODBYE_MS = 2_000;
/** Between a node's last status and the worker's verdict on it. */
const LAST_WORDS_MS = 1_500;
/** Making a key takes milliseconds; a cold, slow machine may need seconds to load the worker. */
const IDENTITY_MS = 30_000;

const OFF: EngineView = {
  state: "off",
  status: null,
  capability: null,
  boot: new Map(),
  trouble: "",
  retryAt: 0,
};

export class Engine {
  private worker: Worker | null = null;
  private backend: Backend | null = null;
  /** Resolves when the last stopped worker has gone, and with it its lock on this device. */
  private leaving: Promise<void> = Promise.resolve();
  private wanted: Wanted | null = null;
  private view: EngineView = OFF;
  private toldPause: PauseReason | undefined;
  private crashes = 0;
  private startedAt = 0;
  private timer = 0;
  private known: WorkerIdentity | null = null;
  private readonly waiting = new Set<Waiting>();

  constructor(private readonly options: EngineOptions) {}

  /** The worker's public key and this device's id; makes a worker where there is none. */
  identity(): Promise<WorkerIdentity> {
    if (this.known) return Promise.resolve(this.known);
    this.spawn();
    this.post({ kind: "identity" });
    const answer = new Promise<WorkerIdentity>((resolve, reject) => {
      this.waiting.add({ resolve, reject });
      const late = (): void => reject(new Error("The worker of this page did not start."));
      setTimeout(late, IDENTITY_MS);
    });
    return answer.finally(() => this.waiting.clear());
  }

  async start(wanted: Wanted): Promise<void> {
    this.wanted = wanted;
    this.crashes = 0;
    this.show({ ...this.view, state: "booting", status: null, trouble: "", retryAt: 0 });
    await this.leaving;
    if (this.wanted !== wanted) return;
    // A worker made for the sign-in runs with the defaults.
    const asked = this.options.forceBackend() !== this.backend;
    if (asked || wanted.settings.threads !== undefined) this.release()?.terminate();
    this.run();
  }

  /** Pause or take up again; several reasons may hold at once. */
  setPauses(pauses: ReadonlySet<PauseReason>): void {
    if (!this.wanted) return;
    this.wanted = { ...this.wanted, pauses };
    this.tellPause();
  }

  /** Have the running node test its models anew. */
  testAgain(): void {
    this.post({ kind: "test" });
  }

  /** The page is stopped at once; the worker gets a moment to say goodbye. */
  stop(): void {
    const worker = this.release();
    this.wanted = null;
    this.show({ ...OFF, capability: this.view.capability, status: stopped(this.view.status) });
    if (!worker) return;
    this.leaving = goodbye(worker);
  }

  get running(): boolean {
    return this.wanted !== null;
  }

  get current(): EngineView {
    return this.view;
  }

  private run(): void {
    const wanted = this.wanted;
    if (!wanted) return;
    clearTimeout(this.timer);
    this.spawn();
    this.startedAt = performance.now();
    this.show({ ...this.view, state: "booting", status: null, trouble: "", retryAt: 0 });
    this.toldPause = undefined;
    const { grids, wallet, settings } = wanted;
    this.post({ kind: "start", grids: [...grids], wallet, settings });
  }

  /** A node that is still loading hears nothing: it is told with its first sign of life. */
  private tellPause(): void {
    if (this.view.state !== "running") return;
    const [reason] = this.wanted?.pauses ?? [];
    if (reason === this.toldPause) return;
    this.toldPause = reason;
    this.post(reason === undefined ? { kind: "resume" } : { kind: "pause", reason });
  }

  private spawn(): void {
    if (this.worker) return;
    const { workerUrl, assets } = this.options;
    const forceBackend = (this.backend = this.options.forceBackend());
    const worker = new Worker(workerUrl, { type: "module", name: "tabgrid" });
    worker.onmessage = ({ data }: MessageEvent<FromWorker>) => this.hear(data);
    worker.onerror = (event) => {
      event.preventDefault();
      const message = event.message || "The worker could not be loaded.";
      this.failWaiting(message);
      this.crashed(message);
    };
    this.worker = worker;
    this.view = { ...this.view, boot: new Map() };
    this.post({ kind: "init", forceBackend, assets });
  }

  private hear(message: FromWorker): void {
    switch (message.kind) {
      case "boot": {
        const boot = new Map(this.view.boot).set(message.part, message);
        this.show({ ...this.view, boot });
        break;
      }
      case "capability":
        this.show({ ...this.view, capability: message });
        break;
      case "identity":
        this.known = { workerKey: message.workerKey, deviceId: message.deviceId };
        for (const one of this.waiting) one.resolve(this.known);
        break;
      case "status":
        if (!this.wanted) break;
        this.show({ ...this.view, state: "running", status: message.status });
        this.tellPause();
        if (message.status.state === "stopped") this.stoppedByItself(message.status.message);
        break;
      case "preview":
        if (this.wanted) this.options.onPreview(message);
        break;
      case "duplicate":
        this.end("duplicate", "");
        break;
      case "fatal":
        this.failWaiting(message.message);
        if (message.next === "recycle") this.crashed(message.message);
        else this.end("gave-up", message.message);
    }
  }

  /** The node gave up; where a fresh worker may do better, `fatal` says so right after. */
  private stoppedByItself(reason: string): void {
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.end("gave-up", reason), LAST_WORDS_MS);
  }

  private failWaiting(message: string): void {
    for (const one of this.waiting) one.reject(new Error(message));
  }

  private crashed(message: string): void {
    this.release()?.terminate();
    if (!this.wanted) return;
    if (performance.now() - this.startedAt > HEALTHY_MS) this.crashes = 0;
    const wait = RECYCLE_WAITS_S[this.crashes];
    if (wait === undefined) {
      this.end("gave-up", message);
      return;
    }
    this.crashes += 1;
    this.timer = window.setTimeout(() => this.run(), wait * 1_000);
    const retryAt = performance.now() + wait * 1_000;
    this.show({ ...this.view, state: "recycling", status: null, trouble: message, retryAt });
  }

  private end(state: "duplicate" | "gave-up", trouble: string): void {
    this.release()?.terminate();
    this.wanted = null;
    // What was refused, and why, is still to be read.
    const status = state === "gave-up" ? stopped(this.view.status) : null;
    this.show({ ...OFF, state, trouble, status, capability: this.view.capability });
  }

  /** Let go of the worker without ending it; the caller does. */
  private release(): Worker | null {
    clearTimeout(this.timer);
    const worker = this.worker;
    this.worker = null;
    if (worker) worker.onmessage = worker.onerror = null;
    return worker;
  }

  private post(message: ToWorker): void {
    this.worker?.postMessage(message);
  }

  private show(view: EngineView): void {
    this.view = view;
    this.options.onChange(view);
  }
}

/** Ask a worker to stop, and end it when it has said goodbye or has had its time. */
function goodbye(worker: Worker): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      worker.terminate();
      resolve();
    };
    worker.onmessage = ({ data }: MessageEvent<FromWorker>) => {
      if (data.kind === "status" && data.status.state === "stopped") end();
    };
    worker.postMessage({ kind: "stop" } satisfies ToWorker);
    setTimeout(end, GOODBYE_MS);
  });
}

/** The last figures, with the state that the page shows from now on. */
function stopped(status: NodeStatus | null): NodeStatus | null {
  if (!status) return null;
  return { ...status, state: "stopped", message: "Stopped.", job: "", job_done: 0, job_total: 0 };
}
