/**
 * ONNX Runtime Web, in the build that fits the backend, behind opaque tensor handles.
 *
 * The plain build computes on WASM twice as fast as the builds that also carry WebGPU; of
 * those, the one for browsers with JSPI is two thirds of the other's size.
 */

import type { Env, InferenceSession, Tensor, TensorConstructor } from "onnxruntime-web";
import type { Backend } from "../shared/protocol";
import type { Capability } from "./capability";

/** The parts of onnxruntime-web that are used; its three builds export the same. */
interface Ort {
  env: Env;
  InferenceSession: { create(model: Uint8Array, options: InferenceSession.SessionOptions): Promise<InferenceSession> };
  Tensor: TensorConstructor;
}

export interface GraphFiles {
  name: string;
  model: Uint8Array;
  /** External data, under the path by which the graph names it. */
  external: { path: string; data: Uint8Array }[];
}

/** What ONNX Runtime's shaders make use of where the GPU has it. */
const FEATURES: GPUFeatureName[] = ["shader-f16", "subgroups"];
/** Asked for at the adapter's own maximum; the defaults would stop a model of 128 MB. */
const LIMITS = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxComputeWorkgroupStorageSize",
  "maxComputeWorkgroupsPerDimension",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
  "maxComputeWorkgroupSizeY",
  "maxComputeWorkgroupSizeZ",
  "maxStorageBuffersPerShaderStage",
] as const;

/** An ONNX file with one Identity node: running the loader needs some graph. */
const IDENTITY = Uint8Array.of(
  8, 8, 58, 55, 10, 16, 10, 1, 120, 18, 1, 121, 34, 8, 73, 100, 101, 110, 116, 105,
  116, 121, 18, 1, 103, 90, 15, 10, 1, 120, 18, 10, 10, 8, 8, 1, 18, 4, 10, 2,
  8, 1, 98, 15, 10, 1, 121, 18, 10, 10, 8, 8, 1, 18, 4, 10, 2, 8, 1, 66,
  4, 10, 0, 16, 13,
);

type Dtype = "float32" | "float16" | "int64" | "int32" | "uint8" | "bool";
const WIDTH: Record<Dtype, number> = {
  float32: 4,
  float16: 2,
  int64: 8,
  int32: 4,
  uint8: 1,
  bool: 1,
};

/** The GPU is gone, and with it every session and tensor. */
export class DeviceLost extends Error {
  override name = "DeviceLost";
}

/** An operation on a lost device fails before the browser tells of the loss, if it is busy. */
const LOSS_IS_TOLD_MS = 2000;

export class Inference {
  private device: GPUDevice | null = null;
  /** Resolves once the GPU is gone, with the browser's reason. */
  private loss: Promise<string> | null = null;

  private constructor(
    private readonly ort: Ort,
    private readonly capability: Capability,
  ) {}

  /** Fetch and start the runtime. `lost` is called once if the GPU goes away. */
  static async open(
    capability: Capability,
    asset: (logical: string) => string,
    threads: number,
    lost: (message: string) => void,
  ): Promise<Inference> {
    const build = buildFor(capability.backend);
    const ort = await load(build);
    ort.env.wasm.wasmPaths = { mjs: asset(`ort/${build}.mjs`), wasm: asset(`ort/${build}.wasm`) };
    ort.env.wasm.numThreads = capability.crossOriginIsolated ? threads : 1;
    ort.env.logLevel = "error";
    const inference = new Inference(ort, capability);
    await inference.warm(lost);
    return inference;
  }

  /** Starts WebAssembly, its threads and the GPU device, while Python and weights load. */
  private async warm(lost: (message: string) => void): Promise<void> {
    if (this.capability.adapter) await this.openDevice(this.capability.adapter, lost);
    const session = await this.ort.InferenceSession.create(IDENTITY.slice(), this.options());
    await session.release();
  }

  private async openDevice(adapter: GPUAdapter, lost: (message: string) => void): Promise<void> {
    const device = await adapter.requestDevice({
      requiredFeatures: FEATURES.filter((feature) => adapter.features.has(feature)),
      requiredLimits: Object.fromEntries(LIMITS.map((limit) => [limit, adapter.limits[limit]])),
    });
    this.device = device;
    this.loss = device.lost.then(({ message }) => message || "The graphics device was lost.");
    void this.loss.then(lost);
  }

  /** What computes, for whoever compares measurements: "onnxruntime-web 1.30.0, wasm". */
  get runtime(): string {
    return `onnxruntime-web ${this.ort.env.versions.common}, ${buildFor(this.capability.backend)}`;
  }

  /** A model without graphs yet. */
  model(): Model {
    return new Model(this);
  }

  session({ model, external }: GraphFiles): Promise<InferenceSession> {
    return this.ort.InferenceSession.create(model, { ...this.options(), externalData: external });
  }

  /** What really went wrong where `error` was thrown. */
  async cause(error: unknown): Promise<unknown> {
    if (!this.loss) return error;
    const later = new Promise<null>((resolve) => setTimeout(resolve, LOSS_IS_TOLD_MS, null));
    const message = await Promise.race([this.loss, later]);
    return message === null ? error : new DeviceLost(message);
  }

  /** The values as bytes; fetched from the GPU where they are there. */
  async read(tensor: Tensor): Promise<Uint8Array> {
    try {
      const data = (await tensor.getData()) as Float32Array;
      return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    } catch (error) {
      throw await this.cause(error);
    }
  }

  /** A tensor of `bytes`, row-major and little-endian; throws RangeError where sizes differ. */
  tensor(dtype: Dtype, shape: number[], bytes: Uint8Array<ArrayBuffer>): Tensor {
    const count = shape.reduce((product, side) => product * side, 1);
    if (bytes.length !== count * WIDTH[dtype])
      throw new RangeError(`${dtype}[${shape.join(",")}] takes ${count * WIDTH[dtype]} bytes, not ${bytes.length}`);
    return new this.ort.Tensor(dtype as "float32", elements(dtype, bytes) as Float32Array, shape);
  }

  private options(): InferenceSession.SessionOptions {
    const { device } = this;
    return {
      // Only named here is the device used, with its limits: what `env` holds is not.
      executionProviders: [device ? { name: "webgpu", device } : "wasm"],
      graphOptimizationLevel: "all",
      // Below errors it tells which nodes stay on the CPU, at every start.
      logSeverityLevel: 3,
      // A loop that feeds outputs back then moves nothing over the bus.
      ...(device ? { preferredOutputLocation: "gpu-buffer" as const } : {}),
    };
  }
}

/** The sessions of one variant, run one at a time: ONNX Runtime Web allows no more. */
export class Model {
  private readonly sessions = new Map<string, InferenceSession>();
  private tail: Promise<unknown> = Promise.resolve();

  constructor(private readonly inference: Inference) {}

  /** Opens one more graph. What its files hold is ONNX Runtime's from then on. */
  async open(graph: GraphFiles): Promise<void> {
    this.sessions.set(graph.name, await this.inference.session(graph));
  }

  /** Runs a graph; [name, tensor] of every output, on the device that made it. */
  async run(graph: string, names: string[], tensors: Tensor[]): Promise<[string, Tensor][]> {
    const session = this.sessions.get(graph);
    if (!session) throw new RangeError(`this model has no graph "${graph}"`);
    const feeds: Record<string, Tensor> = {};
    names.forEach((name, index) => {
      const tensor = tensors[index];
      if (tensor) feeds[name] = tensor;
    });
    const turn = this.tail.then(() => session.run(feeds));
    this.tail = turn.catch(() => undefined);
    try {
      return Object.entries(await turn);
    } catch (error) {
      throw await this.inference.cause(error);
    }
  }

  async close(): Promise<void> {
    await this.tail;
    for (const session of this.sessions.values()) await session.release();
    this.sessions.clear();
  }
}

/** The file name of the build for a backend, as web/bundle/main.mjs names it. */
export function buildFor(backend: Backend): "wasm" | "jspi" | "asyncify" {
  if (backend === "wasm") return "wasm";
  return "Suspending" in WebAssembly ? "jspi" : "asyncify";
}

async function load(build: ReturnType<typeof buildFor>): Promise<Ort> {
  if (build === "wasm") return import("onnxruntime-web/wasm");
  if (build === "jspi") return import("onnxruntime-web/jspi");
  return import("onnxruntime-web/webgpu");
}

function elements(dtype: Dtype, bytes: Uint8Array<ArrayBuffer>): ArrayBufferView {
  // Views need alignment; bytes from Python start at 0 of their own buffer, so this is rare.
  const { buffer, byteOffset: at, length } = at8(bytes);
  if (dtype === "float32") return new Float32Array(buffer, at, length / 4);
  if (dtype === "int64") return new BigInt64Array(buffer, at, length / 8);
  if (dtype === "int32") return new Int32Array(buffer, at, length / 4);
  if (dtype === "float16") return new Uint16Array(buffer, at, length / 2);
  return new Uint8Array(buffer, at, length);
}

function at8(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  return bytes.byteOffset % 8 === 0 ? bytes : bytes.slice();
}
