/** Plain JavaScript: a latent diffusion model on ONNX Runtime Web, as one would write it without a grid. */

import { Tokenizer } from "@huggingface/tokenizers";
import type { Env, InferenceSession, Tensor, TensorConstructor } from "onnxruntime-web";
import { filesOfGraphs } from "../worker/graph_files";
import type { WantedFile } from "../worker/storage";
import { bytesOf, contend, type Run, type Runtime } from "./contender";

interface PictureSetting extends Runtime {
  backend: "wasm" | "webgpu";
  /** Graph to the path of its ".onnx" among the files. */
  graphs: Record<string, string>;
  files: WantedFile[];
  tokenizer: string;
}

/** One input of float32. */
interface Floats {
  shape: number[];
  values: number[];
}

/** `Work` of tabgrid_server/bench/picture_work.py. */
interface Work {
  prompts: string[];
  max_tokens: number;
  /** Input of the text encoder to what fills a short row up. */
  pad_ids: Record<string, number>;
  latents: Floats;
  /** What every step is fed, and what each is fed besides. */
  constants: Record<string, Floats>;
  steps: Record<string, Floats>[];
  /** After which steps a preview is drawn, counted from 1. */
  shown: number[];
  /** Whether to draw the picture; otherwise the last preview is the answer. */
  decode: boolean;
}

type Tensors = Record<string, Tensor>;

interface Ort {
  env: Env;
  InferenceSession: { create(model: Uint8Array, options: InferenceSession.SessionOptions): Promise<InferenceSession> };
  Tensor: TensorConstructor;
}

contend(async (setting: PictureSetting): Promise<Run<Work>> => {
  const ort = await runtime(setting);
  const tokenizer = new Tokenizer(JSON.parse(new TextDecoder().decode(await bytesOf(setting.tokenizer))) as object, {});
  const sessions = await open(ort, setting);
  return (work) => new Picture(ort, sessions, work).draw(tokenizer);
});

async function runtime({ backend, mjs, wasm, threads }: PictureSetting): Promise<Ort> {
  const ort: Ort = backend === "wasm" ? await import("onnxruntime-web/wasm") : await import("onnxruntime-web/jspi");
  ort.env.wasm.wasmPaths = { mjs, wasm };
  ort.env.wasm.numThreads = threads;
  ort.env.logLevel = "error";
  return ort;
}

async function open(ort: Ort, { backend, graphs, files }: PictureSetting): Promise<Map<string, InferenceSession>> {
  const sessions = new Map<string, InferenceSession>();
  const plans = filesOfGraphs(graphs, files);
  for (const plan of plans.graphs) {
    const contents = new Map<string, Uint8Array<ArrayBuffer>>();
    for (const { path, sha256 } of [...plans.common, ...plan.files])
      contents.set(path, await bytesOf(`/weights/${sha256}`));
    const { name, model, external } = plan.withContents(contents);
    const session = await ort.InferenceSession.create(model, {
      executionProviders: [backend],
      graphOptimizationLevel: "all",
      externalData: external,
      ...(backend === "webgpu" ? { preferredOutputLocation: "gpu-buffer" as const } : {}),
    });
    sessions.set(name, session);
  }
  return sessions;
}

class Picture {
  constructor(
    private readonly ort: Ort,
    private readonly sessions: Map<string, InferenceSession>,
    private readonly work: Work,
  ) {}

  /** RGBA. */
  async draw(tokenizer: Tokenizer): Promise<Uint8Array> {
    const { work } = this;
    const constants = { ...(await this.run("text", this.ids(tokenizer))), ...this.all(work.constants) };
    let latents = this.floats(work.latents);
    let shown: Uint8Array = new Uint8Array();
    for (const [index, own] of work.steps.entries()) {
      const after = await this.run("step", { ...constants, ...this.all(own), latents });
      const [next, denoised] = [of(after, "next"), of(after, "denoised")];
      latents.dispose();
      latents = next;
      if (work.shown.includes(index + 1)) shown = await this.pixels("preview", denoised);
      denoised.dispose();
    }
    if (work.decode) shown = await this.pixels("decode", latents);
    for (const tensor of [latents, ...Object.values(constants)]) tensor.dispose();
    return shown;
  }

  private async pixels(graph: string, latents: Tensor): Promise<Uint8Array> {
    const rgba = of(await this.run(graph, { latents }), "rgba");
    const data = (await rgba.getData()) as Uint8Array;
    rgba.dispose();
    return data;
  }

  private ids(tokenizer: Tokenizer): Tensors {
    const { prompts, max_tokens, pad_ids } = this.work;
    const rows = prompts.map((prompt) => tokenizer.encode(prompt).ids);
    return mapped(pad_ids, (pad) => {
      const ids = new BigInt64Array(rows.length * max_tokens).fill(BigInt(pad));
      rows.forEach((row, at) => ids.set(row.slice(0, max_tokens).map(BigInt), at * max_tokens));
      return new this.ort.Tensor("int64", ids, [rows.length, max_tokens]);
    });
  }

  private all(floats: Record<string, Floats>): Tensors {
    return mapped(floats, (one) => this.floats(one));
  }

  private floats({ shape, values }: Floats): Tensor {
    return new this.ort.Tensor("float32", Float32Array.from(values), shape);
  }

  private run(graph: string, feeds: Tensors): Promise<Tensors> {
    const session = this.sessions.get(graph);
    if (!session) throw new Error(`the model has no graph "${graph}"`);
    return session.run(feeds);
  }
}

function mapped<V>(record: Record<string, V>, make: (value: V) => Tensor): Tensors {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, make(value)]));
}

function of(tensors: Tensors, name: string): Tensor {
  const tensor = tensors[name];
  if (!tensor) throw new Error(`the graph has no output named ${name}`);
  return tensor;
}
