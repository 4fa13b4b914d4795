/**
 * The life of this worker: find out what the device can do, load, run the node, stop.
 *
 * Python, ONNX Runtime and the key are loaded side by side. `identity` already starts the
 * large downloads: whoever signs in is about to start, and signing takes a person seconds.
 */

import type { PyodideAPI } from "pyodide";
import type { PyCallable, PyProxy } from "pyodide/ffi";
import type { Backend, BootPart, FromWorker, ToWorker } from "../shared/protocol";
import { startPython } from "./boot";
import { Bridge } from "./bridge";
import { BUILD } from "./build";
import { type Capability, findCapability } from "./capability";
import { NeedsPerson } from "./errors";
import { buildFor, Inference } from "./inference";
import { WorkerKey } from "./keys";
import { Notes } from "./notes";
import { Storage } from "./storage";

type Init = Extract<ToWorker, { kind: "init" }>;
type Start = Extract<ToWorker, { kind: "start" }>;

/** `tabgrid_node.in_browser.Control`, as JavaScript sees it. */
interface Control extends PyProxy {
  run(): Promise<void>;
  pause(reason: string): void;
  resume(): void;
  test_again(): void;
  stop(): void;
}

interface Parts {
  python: PyodideAPI;
  inference: Inference;
}

/** Held while this device's node runs; another tab of the profile finds it taken. */
const LOCK = "tabgrid-device";

/** How long a node whose device is gone may take to hand its job back. */
const FAREWELL_MS = 1000;
/** A worker that was told to end in another tab is gone by then; its page gives it two seconds. */
const LOCK_WAIT_MS = 3000;

export class Engine {
  private readonly began = performance.now();
  private readonly capability: Promise<Capability>;
  private readonly key: Promise<WorkerKey>;
  private readonly storage: Promise<Storage>;
  private readonly notes: Promise<Notes>;
  private parts: Promise<Parts> | null = null;
  private control: Control | null = null;
  private stopped = false;
  private backend: Backend = "wasm";

  constructor(
    private readonly init: Init,
    private readonly post: (message: FromWorker) => void,
  ) {
    this.key = WorkerKey.open();
    this.storage = Storage.open();
    this.notes = Notes.open();
    this.capability = this.findCapability();
    // Each is awaited, and its failure told, by whoever needs it first.
    for (const part of [this.key, this.storage, this.capability]) part.catch(() => undefined);
  }

  async handle(message: Exclude<ToWorker, Init>): Promise<void> {
    switch (message.kind) {
      case "identity":
        return this.identify();
      case "start":
        return this.start(message);
      case "pause":
        this.control?.pause(message.reason);
        return;
      case "resume":
        this.control?.resume();
        return;
      case "test":
        this.control?.test_again();
        return;
      case "stop":
        this.stopped = true;
        this.control?.stop();
    }
  }

  private async identify(): Promise<void> {
    const { publicKey, deviceId } = await this.key;
    this.post({ kind: "identity", workerKey: publicKey, deviceId });
    await this.load();
  }

  private async start(message: Start): Promise<void> {
    this.stopped = false;
    const signal = AbortSignal.timeout(LOCK_WAIT_MS);
    const taken = (error: unknown): void => {
      if (error !== signal.reason) throw error;
      this.post({ kind: "duplicate" });
    };
    await navigator.locks.request(LOCK, { signal }, () => this.run(message)).catch(taken);
  }

  private async run({ grids, wallet, settings }: Start): Promise<void> {
    const { python, inference } = await this.load(settings?.threads);
    if (this.stopped) return;
    const bridge = new Bridge(
      await this.capability,
      await this.key,
      await this.storage,
      inference,
      settings ?? {},
      await this.notes,
      this.post,
    );
    const control = this.timed("node", () => makeControl(python, bridge, grids, wallet));
    this.control = control;
    try {
      await control.run();
    } finally {
      this.control = null;
      control.destroy();
    }
  }

  /** Python and ONNX Runtime, once, side by side. */
  private load(threads?: number): Promise<Parts> {
    this.parts ??= this.loadParts(threads);
    return this.parts;
  }

  private async loadParts(threads?: number): Promise<Parts> {
    const capability = await this.capability;
    const [python, inference] = await Promise.all([
      this.part("python", startPython(this.asset)),
      this.part(
        "onnxruntime",
        Inference.open(capability, this.asset, threads ?? capability.threads, (message) => {
          this.deviceLost(message);
        }),
      ),
    ]);
    return { python, inference };
  }

  /** The running job fails by itself and the node then ends; an idle one is ended here. */
  private deviceLost(message: string): void {
    this.control?.stop();
    const recycle = () => this.post({ kind: "fatal", message, next: "recycle" });
    setTimeout(recycle, this.control ? FAREWELL_MS : 0);
  }

  private async findCapability(): Promise<Capability> {
    const found = await findCapability(this.init.forceBackend ?? null);
    if (this.init.deviceName) found.device = this.init.deviceName.slice(0, 128);
    const { backend, device, deviceClass, crossOriginIsolated, reason, persistent } = found;
    this.backend = backend;
    this.post({
      kind: "capability", backend, device, deviceClass, crossOriginIsolated, reason, persistent,
    });
    return found;
  }

  private readonly asset = (logical: string): string => {
    const url = this.init.assets[logical];
    if (!url) throw new NeedsPerson(`the page did not name the file ${logical}; run ./build/web`);
    return url;
  };

  private async part<T>(part: BootPart, work: Promise<T>): Promise<T> {
    this.told(part, false);
    const observer = new PerformanceObserver(() => this.told(part, false));
    observer.observe({ type: "resource" });
    try {
      const result = await work;
      this.told(part, true);
      return result;
    } finally {
      observer.disconnect();
    }
  }

  private timed<T>(part: BootPart, work: () => T): T {
    this.told(part, false);
    const result = work();
    this.told(part, true);
    return result;
  }

  private told(part: BootPart, done: boolean): void {
    const ms = Math.round(performance.now() - this.began);
    const files = filesOf(part, this.backend);
    const loaded = loadedBytes(files.map((name) => this.asset(name)));
    const total = files.reduce((sum, name) => sum + (BUILD.sizes[name] ?? 0), 0);
    this.post({ kind: "boot", part, loaded: done ? total : Math.min(loaded, total), total, ms, done });
  }
}

/** What a part consists of, by logical name, as far as it is large. */
function filesOf(part: BootPart, backend: Backend): string[] {
  if (part === "node") return ["tab.zip"];
  if (part === "python") return Object.keys(BUILD.sizes).filter((n) => n.startsWith("pyodide/"));
  const build = buildFor(backend);
  return [`ort/${build}.mjs`, `ort/${build}.wasm`];
}

/** Compressed bytes of those that are there; the browser tells of whole files only. */
function loadedBytes(urls: string[]): number {
  const wanted = new Set(urls.map((url) => new URL(url, self.location.href).href));
  const entries = performance.getEntriesByType("resource") as PerformanceResourceTiming[];
  return entries
    .filter(({ name }) => wanted.has(name))
    .reduce((sum, { encodedBodySize }) => sum + encodedBodySize, 0);
}

function makeControl(
  python: PyodideAPI,
  bridge: Bridge,
  grids: string[],
  wallet: string,
): Control {
  const module = python.pyimport("tabgrid_node.in_browser") as PyProxy & { control: PyCallable };
  try {
    return module.control(bridge, JSON.stringify(grids), wallet) as Control;
  } finally {
    module.destroy();
  }
}
