// The web build: what the pages load, under names that hold their hash.
//
// dist/manifest.json maps each logical name ("node.js", "ort/wasm.wasm") to its file.

import { mkdir, readFile, readdir } from "node:fs/promises";
import { existsSync } from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import { build } from "esbuild";
import { dist, node, packages, root, source } from "./paths.mjs";
import { pythonFiles } from "./python_files.mjs";
import { digest, hashedName, put } from "./precompress.mjs";
import { publish } from "./publish.mjs";

/** Logical name to file name under dist/. */
const manifest = new Map();
/** Logical name to bytes on the wire. */
const sizes = new Map();

async function add(logical, bytes, name = hashedName(logical, bytes)) {
  sizes.set(logical, await put(name, bytes));
  manifest.set(logical, name);
}

/** Pyodide finds its files by their own names, so here the folder carries the hash. */
async function addPyodide() {
  const names = ["pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip"];
  const files = await Promise.all(names.map((name) => readFile(join(packages, "pyodide", name))));
  const folder = `pyodide.${digest(Buffer.concat(files)).slice(0, 12)}`;
  await Promise.all(names.map((name, i) => add(`pyodide/${name}`, files[i], `${folder}/${name}`)));
}

/** ONNX Runtime's three builds: see worker/inference.ts for which is used when. */
async function addOnnxRuntime() {
  const folder = join(packages, "onnxruntime-web/dist");
  const builds = { wasm: "", jspi: ".jspi", asyncify: ".asyncify" };
  for (const [name, infix] of Object.entries(builds))
    for (const kind of ["mjs", "wasm"])
      await add(
        `ort/${name}.${kind}`,
        await readFile(join(folder, `ort-wasm-simd-threaded${infix}.${kind}`)),
      );
}

/** Files that need no bundling (icons, the web app manifest). */
async function addPublic(folder = join(node, "web/public")) {
  if (!existsSync(folder)) return;
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath ?? entry.path, entry.name);
    await add(relative(folder, path), await readFile(path));
  }
}

const common = {
  absWorkingDir: node,
  bundle: true,
  write: false,
  metafile: true,
  format: "esm",
  splitting: true,
  minify: true,
  sourcemap: false,
  target: ["chrome120", "firefox128", "safari17.4"],
  outdir: dist,
  entryNames: "[name].[hash]",
  chunkNames: "chunks/[name].[hash]",
  assetNames: "fonts/[name].[hash]",
  loader: { ".woff2": "file", ".svg": "file", ".png": "file" },
  publicPath: "/static/dist",
  logLevel: "warning",
};

/** Bundle entry points; every output is written, entries and fonts get a logical name. */
async function bundle(entryPoints, options = {}) {
  if (entryPoints.length === 0) return;
  const { outputFiles, metafile } = await build({ ...common, entryPoints, ...options });
  const described = new Map(
    Object.entries(metafile.outputs).map(([path, output]) => [join(node, path), output]),
  );
  for (const file of outputFiles) {
    const name = relative(dist, file.path);
    await add(logicalName(name, described.get(file.path)), file.contents, name);
  }
}

function logicalName(name, { entryPoint, inputs }) {
  if (entryPoint) return basename(entryPoint).replace(/\.ts$/, ".js");
  const [input] = Object.keys(inputs);
  if (name.startsWith("fonts/")) return `fonts/${basename(input)}`;
  // A style sheet that a script imports (uplot's) is named after its script.
  return name.endsWith(".css") ? name.replace(/\.[A-Z0-9]{8}\.css$/, ".css") : name;
}

/** Each script directly under pages/ is one page's; folders hold its parts. */
async function pages() {
  const names = await readdir(join(source, "pages"));
  return names.filter((name) => name.endsWith(".ts")).map((name) => join(source, "pages", name));
}

async function addPython() {
  const { tab, snapshot } = await pythonFiles();
  await add("tab.zip", tab);
  await add("pyodide/snapshot.bin", snapshot, `pyodide.snapshot.${digest(snapshot).slice(0, 12)}.bin`);
  const integrity = (bytes) => `sha256-${Buffer.from(digest(bytes), "hex").toString("base64")}`;
  return { tab: integrity(tab), snapshot: integrity(snapshot) };
}

export async function main() {
  const began = performance.now();
  const step = (text) => console.log(text);
  await mkdir(dirname(join(dist, "x")), { recursive: true });
  step("Pyodide and ONNX Runtime");
  await Promise.all([addPyodide(), addOnnxRuntime(), addPublic()]);
  step("Python for the tab");
  const integrity = await addPython();
  step("scripts and styles");
  const { version } = JSON.parse(await readFile(join(node, "package.json"), "utf8"));
  const lock = JSON.parse(await readFile(join(node, "pyodide-lock.json"), "utf8"));
  await bundle([join(source, "worker/worker.ts")], {
    // Pyodide's loader knows Node's modules too, and asks for them only there.
    external: ["node:*", "ws"],
    // ONNX Runtime's loader and binary are files of their own, under our own addresses.
    conditions: ["onnxruntime-web-use-extern-wasm"],
    define: {
      TABGRID_BUILD: JSON.stringify({
        version,
        integrity,
        sizes: Object.fromEntries([...sizes].sort()),
        lock: { ...lock, packages: {} },
      }),
    },
  });
  await bundle([...(await pages()), join(source, "styles/site.css")]);
  await publish(dist, manifest);
  const wire = [...sizes.values()].reduce((sum, size) => sum + size, 0);
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  step(`${manifest.size} files, ${(wire / 1e6).toFixed(1)} MB on the wire, in ${relative(root, dist)} (${seconds} s)`);
}
