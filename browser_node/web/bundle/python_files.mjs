// tab.zip and the snapshot, made again only when what they are made of changed.
//
// Starting Pyodide four times takes 20 s; a page's script changes far more often than this.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readFile, readdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { node, packages, root, wheels } from "./paths.mjs";
import { sources, TREES } from "./sources.mjs";

const kept = join(root, ".set-up/tab-python");

export async function pythonFiles() {
  const name = await inputsDigest();
  const paths = { tab: join(kept, `${name}.zip`), snapshot: join(kept, `${name}.bin`) };
  if (!existsSync(paths.tab) || !existsSync(paths.snapshot)) return make(paths);
  return { tab: await readFile(paths.tab), snapshot: await readFile(paths.snapshot) };
}

async function inputsDigest() {
  const hash = createHash("sha256");
  const own = ["python.mjs", "unzip.mjs", "sources.mjs"];
  for (const file of own) hash.update(await readFile(fileURLToPath(new URL(file, import.meta.url))));
  hash.update(await readFile(join(packages, "pyodide/package.json")));
  hash.update(await readFile(join(node, "pyodide-lock.json")));
  for (const tree of TREES)
    for (const [name, bytes] of await sources(tree)) hash.update(`${name}\0${bytes.length}\0`).update(bytes);
  return hash.digest("hex").slice(0, 16);
}

async function make(paths) {
  await fetchWheel();
  const python = await import("./python.mjs");
  const tab = await python.tabArchive();
  const snapshot = await python.snapshot(tab);
  await mkdir(kept, { recursive: true });
  for (const old of await readdir(kept)) await rm(join(kept, old), { force: true });
  await keep(paths.tab, tab);
  await keep(paths.snapshot, snapshot);
  return { tab, snapshot };
}

/** Under another name first: two builds at once must not read each other's halves. */
async function keep(path, bytes) {
  const unfinished = `${path}.${process.pid}`;
  await writeFile(unfinished, bytes);
  await rename(unfinished, path);
}

/** The wheel that pyodide-lock.json names, by pip, which refuses any other SHA-256. */
async function fetchWheel() {
  const lock = JSON.parse(await readFile(join(node, "pyodide-lock.json"), "utf8"));
  const [wheel] = Object.values(lock.packages);
  if (existsSync(join(wheels, wheel.file_name))) return;
  await mkdir(wheels, { recursive: true });
  const requirements = join(wheels, "requirements.txt");
  await writeFile(requirements, `${wheel.name}==${wheel.version} --hash=sha256:${wheel.sha256}\n`);
  const [version, abi] = wheel.file_name.split("-").slice(2, 4);
  const platform = wheel.file_name.split("-")[4].replace(/\.whl$/, "");
  const python = join(root, ".venv/bin/python");
  const { status, stderr } = spawnSync(
    existsSync(python) ? python : "python3",
    ["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
      "--only-binary=:all:", "--require-hashes", "--implementation=cp",
      `--python-version=3.${version.slice(3)}`, `--abi=${abi}`, `--platform=${platform}`,
      `--dest=${wheels}`, `--requirement=${requirements}`],
    { encoding: "utf8" },
  );
  if (status !== 0) throw new Error(`pip could not fetch ${wheel.file_name}:\n${stderr}`);
}
