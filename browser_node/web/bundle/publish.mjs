// The end of a build: the manifest changes in one move, then what nobody can ask for goes.
//
// A server reads the manifest when it starts and names those files until it stops, in pages
// that stay open for longer still. So the files of the build before stay, too.

import { readFile, readdir, rename, rm, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";

const NOW = "manifest.json";
const BEFORE = "manifest.before.json";

/** Make `manifest` (logical name to file name) the one that `dist` offers. */
export async function publish(dist, manifest) {
  const sorted = Object.fromEntries([...manifest].sort(([a], [b]) => (a < b ? -1 : 1)));
  const text = JSON.stringify(sorted, null, 1) + "\n";
  const last = await readFile(join(dist, NOW), "utf8").catch(() => text);
  // The same build again must not push out the one before: a server may still be of that.
  if (last !== text) await replace(join(dist, BEFORE), last);
  await replace(join(dist, NOW), text);
  await sweep(dist);
}

/** In one move: a server never sees a manifest of a half-made build. */
async function replace(path, text) {
  await writeFile(`${path}.new`, text);
  await rename(`${path}.new`, path);
}

/** Whatever neither manifest reaches is of an earlier build. */
async function sweep(dist) {
  const keep = new Set([NOW, BEFORE]);
  for (const manifest of [NOW, BEFORE])
    for (const name of await namesIn(join(dist, manifest))) keep.add(name).add(`${name}.br`);
  for (const entry of await readdir(dist, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath ?? entry.path, entry.name);
    if (entry.isFile() && !keep.has(relative(dist, path))) await rm(path);
  }
}

/** None where there is no such manifest, or a broken one: then it names nothing. */
async function namesIn(path) {
  try {
    return Object.values(JSON.parse(await readFile(path, "utf8")));
  } catch {
    return [];
  }
}
