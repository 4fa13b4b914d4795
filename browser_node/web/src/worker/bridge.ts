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
import { type GraphFiles, type Inference, type Model, read } from "./inference";
import type { WorkerKey } from "./keys";
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
    });
  }

  connect(protocol: string): Promise<Socket> {
    return Socket.open("/ws/node", protocol);
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

  async load(
    wanted: string,
    progress: (done: number, total: number) => void,
  ): Promise<LoadedModel> {
    const { graphs, files, shared, tokenizer } = JSON.parse(wanted) as WantedModel;
    const all = [...files, ...shared];
    const contents = await this.storage.files(all, progress);
    const byPath = new Map(all.map((file, index) => [file.path, contents[index]]));
    const model = await this.inference.model(graphFiles(graphs, byPath));
    const json = tokenizer === null ? undefined : byPath.get(tokenizer);
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
    return read(tensor);
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

function graphFiles(
  graphs: Record<string, string>,
  contents: Map<string, Uint8Array<ArrayBuffer> | undefined>,
): GraphFiles[] {
  const onnx = new Set(Object.values(graphs));
  return Object.entries(graphs).map(([name, path]) => {
    const model = contents.get(path);
    if (!model) throw new Error(`the manifest's graph ${path} is not among its files`);
    // The graph names its external data relative to itself.
    const folder = path.slice(0, path.lastIndexOf("/") + 1);
    const external = Array.from(contents).flatMap(([other, data]) =>
      data && !onnx.has(other) && other.startsWith(folder)
        ? [{ path: other.slice(folder.length), data }]
        : [],
    );
    return { name, model, external };
  });
}
