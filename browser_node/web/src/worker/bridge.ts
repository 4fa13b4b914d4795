/**
 * What `tabgrid_node/in_browser.py` may ask of the tab. Its Python side is `Bridge` there.
 *
 * Small arguments cross as plain values or JSON; bytes cross as Uint8Array, copied once,
 * since Python's memory and ONNX Runtime's are two; tensors stay on this side as handles.
 */

import type { Tensor } from "onnxruntime-web";
import type { FromWorker, NodeSettings, NodeStatus } from "../shared/protocol";
import { BUILD } from "./build";
import type { Capability } from "./capability";
import { filesOfGraphs } from "./graph_files";
import type { Inference, Model } from "./inference";
import type { WorkerKey } from "./keys";
import type { Notes } from "./notes";
import { Socket } from "./socket";
import type { Storage, WantedFile } from "./storage";
import { TextTokenizer } from "./tokenizer";

/** As `tabgrid_models.manifest` has them, as far as loading needs. */
interface WantedModel {
  graphs: Record<string, string>;
  files: WantedFile[];
  shared: WantedFile[];
  tokenizer: string | null;
}

/** Statuses of HTTP that say "not now". */
const NOT_NOW = [408, 425, 429];

export class Bridge {
  constructor(
    readonly capability: Capability,
    private readonly key: WorkerKey,
    private readonly storage: Storage,
    private readonly inference: Inference,
    private readonly settings: NodeSettings,
    private readonly notes: Notes,
    private readonly post: (message: FromWorker) => void,
  ) {}

  version(): string {
    return BUILD.version;
  }

  /** The fields of `tabgrid_node.hosts.Device`, as JSON. */
  device(): string {
    const { backend, device, deviceClass, memoryMib, features } = this.capability;
    return JSON.stringify({
      host: "browser",
      backend,
      name: device,
      device_class: deviceClass,
      device_id: this.key.deviceId,
      memory_mib: memoryMib,
      features,
      runtime: `${this.inference.runtime}, ${navigator.userAgent}`,
    });
  }

  /** `protocols`: the newest first; the server takes the best that it speaks. */
  connect(protocols: string[]): Promise<Socket> {
    return Socket.open("/ws/node", protocols);
  }

  /** A GET of our own server; undefined, which is None in Python, where it answers 404. */
  async fetch(path: string): Promise<Uint8Array | undefined> {
    const answer = await fetch(path);
    if (answer.status === 404) return undefined;
    if (!answer.ok) throw new Error(`${path}: the server answered ${answer.status}`);
    return new Uint8Array(await answer.arrayBuffer());
  }

  /** PUT to our own server. "UploadRefused" is final; any other error is worth another try. */
  async upload(path: string, data: Uint8Array<ArrayBuffer>): Promise<void> {
    const headers = { "Content-Type": "application/octet-stream" };
    const answer = await fetch(path, { method: "PUT", headers, body: data });
    if (answer.ok) return;
    const error = new Error(`the grid answered ${answer.status} to the upload of a result`);
    if (answer.status < 500 && !NOT_NOW.includes(answer.status)) error.name = "UploadRefused";
    throw error;
  }

  sign(message: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
    return this.key.sign(message);
  }

  report(status: string): void {
    this.post({ kind: "status", status: JSON.parse(status) as NodeStatus });
  }

  /** A PNG of how far a job is. The page decides how much of it the owner sees. */
  show(job: string, grid: string, preview: Uint8Array<ArrayBuffer>): void {
    this.post({ kind: "preview", job, grid, png: preview });
  }

  /** Bytes the owner allows one model to take; 0: any. */
  downloadLimit(): number {
    return (this.settings.maxDownloadMb ?? 0) * 1e6;
  }

  /** `files` is JSON; bytes of them that lie nowhere here yet. */
  missing(files: string): Promise<number> {
    return this.storage.missing(JSON.parse(files) as WantedFile[]);
  }

  /** undefined, which is None in Python, where nothing is kept under that name. */
  recall(name: string): Promise<string | undefined> {
    return this.notes.read(name);
  }

  remember(name: string, value: string): Promise<void> {
    return this.notes.write(name, value);
  }

  async load(
    wanted: string,
    progress: (done: number, total: number) => void,
  ): Promise<LoadedModel> {
    const { graphs, files, shared, tokenizer } = JSON.parse(wanted) as WantedModel;
    const fetched = new Fetched(this.storage, [...files, ...shared], progress);
    const plan = filesOfGraphs(graphs, files);
    const common = await fetched.get([...shared, ...plan.common]);
    const json = tokenizer === null ? undefined : common.get(tokenizer);
    const model = this.inference.model();
    try {
      // One after the other: the largest graph's weights are all that is here twice.
      for (const graph of plan.graphs) {
        const contents = new Map([...common, ...(await fetched.get(graph.files))]);
        await model.open(graph.withContents(contents));
      }
    } catch (error) {
      await model.close();
      throw error;
    }
    return new LoadedModel(this.inference, model, json ? new TextTokenizer(json) : null);
  }
}

/** One loaded variant: what `Runtime` in Python is made of. */
export class LoadedModel {
  constructor(
    private readonly inference: Inference,
    private readonly model: Model,
    private readonly tokenizer: TextTokenizer | null,
  ) {}

  tensor(...args: Parameters<Inference["tensor"]>): Tensor {
    return this.inference.tensor(...args);
  }

  run(graph: string, names: string[], tensors: Tensor[]): Promise<[string, Tensor][]> {
    return this.model.run(graph, names, tensors);
  }

  read(tensor: Tensor): Promise<Uint8Array> {
    return this.inference.read(tensor);
  }

  hasTokenizer(): boolean {
    return this.tokenizer !== null;
  }

  /** JSON of list of lists of ids: one crossing for the whole batch. */
  encode(texts: string[], maxTokens: number): string {
    return JSON.stringify(this.tokenizer?.encode(texts, maxTokens) ?? []);
  }

  close(): Promise<void> {
    return this.model.close();
  }
}

/** A model's files in several parts, with one progress over all of them. */
class Fetched {
  private readonly total: number;
  private before = 0;

  constructor(
    private readonly storage: Storage,
    all: WantedFile[],
    private readonly progress: (done: number, total: number) => void,
  ) {
    this.total = size(all);
  }

  /** Bytes by path. */
  async get(files: WantedFile[]): Promise<Map<string, Uint8Array<ArrayBuffer>>> {
    const contents = await this.storage.files(files, (done) => {
      this.progress(this.before + done, this.total);
    });
    this.before += size(files);
    return new Map(contents.map((content, index) => [files[index]?.path ?? "", content]));
  }
}

function size(files: WantedFile[]): number {
  return files.reduce((sum, file) => sum + file.size, 0);
}
