// Which of our Python goes into the tab.

import { readFile, readdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { root } from "./paths.mjs";

export const TREES = ["models/tabgrid_wire", "models/tabgrid_models", "browser_node/tabgrid_node"];
/** Modules of the other host (cli, native, native_runtime, …): a tab lacks what they import. */
const HOST_ONLY = /^tabgrid_node\/(bench|cli|keys|native|sign_in|testing|weights)/;

/** [name in the archive, bytes] of every module of a package folder, sorted by name. */
export async function sources(folder, prefix = basename(folder)) {
  const found = [];
  for (const entry of await readdir(join(root, folder), { withFileTypes: true })) {
    const name = `${prefix}/${entry.name}`;
    if (entry.isDirectory() && entry.name !== "__pycache__")
      found.push(...(await sources(`${folder}/${entry.name}`, name)));
    else if (entry.name.endsWith(".py") && !HOST_ONLY.test(name))
      found.push([name, await readFile(join(root, folder, entry.name))]);
  }
  return found.sort(([a], [b]) => (a < b ? -1 : 1));
}
