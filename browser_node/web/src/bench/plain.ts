/** Plain JavaScript: ONNX Runtime Web and a tokeniser, as one would write it without a grid. */

import { Tokenizer } from "@huggingface/tokenizers";
import * as ort from "onnxruntime-web/wasm";
import { bytesOf, contend, type Embed, type Setting } from "./contender";

/** The connector's own rule (tabgrid_models/connectors/embeddings.py), so that the work is the same. */
const MAX_PADDED_TOKENS = 2048;
const CALL_TOKENS = 128;

contend(async (setting: Setting): Promise<Embed> => {
  ort.env.wasm.wasmPaths = { mjs: setting.mjs, wasm: setting.wasm };
  ort.env.wasm.numThreads = setting.threads;
  ort.env.logLevel = "error";
  const json = new TextDecoder().decode(await bytesOf(setting.tokenizer));
  const tokenizer = new Tokenizer(JSON.parse(json) as object, {});
  const session = await ort.InferenceSession.create(await bytesOf(setting.weights), {
    executionProviders: ["wasm"],
    graphOptimizationLevel: "all",
  });
  return async (texts) => {
    const tokens = texts.map((text) => tokenizer.encode(text).ids.slice(0, setting.maxTokens));
    let rows = new Float32Array();
    for (const batch of microBatches(tokens.map((ids) => ids.length))) {
      const answer = await run(session, batch.map((index) => tokens[index] ?? []));
      const width = answer.length / batch.length;
      if (!rows.length) rows = new Float32Array(texts.length * width);
      batch.forEach((index, place) =>
        rows.set(answer.subarray(place * width, (place + 1) * width), index * width),
      );
    }
    return rows;
  };
});

function* microBatches(lengths: number[]): Generator<number[]> {
  const length = (index: number | undefined): number => lengths[index ?? 0] ?? 0;
  const order = [...lengths.keys()].sort((a, b) => length(b) - length(a));
  for (let start = 0, end; start < order.length; start = end) {
    const width = Math.max(length(order[start]), 1);
    const last = Math.min(order.length, start + Math.max(Math.floor(MAX_PADDED_TOKENS / width), 1));
    end = start + 1;
    while (end < last && (width - length(order[end])) * (last - end) <= CALL_TOKENS) end++;
    yield order.slice(start, end);
  }
}

async function run(session: ort.InferenceSession, tokens: number[][]): Promise<Float32Array> {
  const width = Math.max(...tokens.map((ids) => ids.length));
  const ids = new BigInt64Array(tokens.length * width);
  const mask = new BigInt64Array(tokens.length * width);
  tokens.forEach((own, row) =>
    own.forEach((id, column) => {
      ids[row * width + column] = BigInt(id);
      mask[row * width + column] = 1n;
    }),
  );
  const shape = [tokens.length, width];
  const { embeddings } = await session.run({
    input_ids: new ort.Tensor("int64", ids, shape),
    attention_mask: new ort.Tensor("int64", mask, shape),
  });
  if (!embeddings) throw new Error("the graph has no output named embeddings");
  return embeddings.data as Float32Array;
}
