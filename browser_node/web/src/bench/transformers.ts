/**
 * transformers.js with our weights.
 *
 * Its "feature-extraction" pipeline pools by itself and wants hidden states; our graph pools
 * already. So its AutoTokenizer and AutoModel are called, which is the pipeline without that
 * last step: what is compared costs transformers.js a little less than its pipeline would.
 */

import { AutoModel, AutoTokenizer, env, type Tensor } from "@huggingface/transformers";
import { contend, type Embed, type Setting } from "./contender";

contend(async (setting: Setting): Promise<Embed> => {
  offline(setting);
  const tokenizer = await AutoTokenizer.from_pretrained(setting.model);
  const model = await AutoModel.from_pretrained(setting.model, { dtype: "q8", device: "wasm" });
  return async (texts) => {
    const inputs: unknown = tokenizer(texts, { padding: true, truncation: true });
    const { embeddings } = (await model(inputs)) as { embeddings: Tensor };
    return embeddings.data as Float32Array;
  };
});

/** Everything from our own server; the files that a repository of theirs has beside ours. */
function offline({ model, weights, tokenizer, maxTokens, threads, mjs, wasm }: Setting): void {
  const onnx = env.backends.onnx.wasm;
  if (!onnx) throw new Error("transformers.js brings no WASM backend");
  Object.assign(onnx, { wasmPaths: { mjs, wasm }, numThreads: threads });
  const folder = `/${model}`;
  const answers: Record<string, () => Promise<Response>> = {
    "config.json": () => json({ model_type: "bert", architectures: ["BertModel"] }),
    "tokenizer_config.json": () =>
      json({ tokenizer_class: "BertTokenizer", model_max_length: maxTokens, pad_token: "[PAD]" }),
    "tokenizer.json": () => fetch(tokenizer),
    "onnx/model_quantized.onnx": () => fetch(weights),
  };
  Object.assign(env, {
    allowRemoteModels: false,
    allowLocalModels: true,
    localModelPath: "/",
    useBrowserCache: false,
    // It would import its loader from a blob, which the pages' content policy forbids.
    useWasmCache: false,
    fetch: (url: string | URL) => {
      const { pathname } = new URL(url, self.location.href);
      const answer = answers[pathname.replace(`${folder}/`, "")];
      return answer?.() ?? Promise.resolve(new Response("", { status: 404 }));
    },
  });
}

function json(value: unknown): Promise<Response> {
  return Promise.resolve(Response.json(value));
}
