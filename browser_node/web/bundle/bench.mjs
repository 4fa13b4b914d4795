// The scripts of the benches of the tab, made when one runs: node web/bundle/bench.mjs FOLDER.
//
// They are no part of the site: transformers.js is there to be compared with, nothing more.

import { copyFile, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { build } from "esbuild";
import { node, packages, source } from "./paths.mjs";

const TRANSFORMERS = "@huggingface/transformers";

async function main(folder) {
  await mkdir(folder, { recursive: true });
  await build({
    absWorkingDir: node,
    entryPoints: ["page", "plain", "plain_pictures", "transformers", "loopback"].map((name) => join(source, `bench/${name}.ts`)),
    outdir: folder,
    bundle: true,
    format: "esm",
    minify: true,
    target: "chrome120",
    external: ["node:*", "ws"],
    conditions: ["onnxruntime-web-use-extern-wasm"],
    logLevel: "warning",
  });
  // The runtime that transformers.js brings is of another version than ours.
  const runtime = join(packages, TRANSFORMERS, "node_modules/onnxruntime-web/dist");
  for (const kind of ["mjs", "wasm"])
    await copyFile(join(runtime, `ort-wasm-simd-threaded.asyncify.${kind}`), join(folder, `transformers-ort.${kind}`));
}

main(process.argv[2]).catch((error) => {
  console.error(`web/bundle/bench.mjs: ${error.message}`.slice(0, 4000));
  process.exitCode = 1;
});
