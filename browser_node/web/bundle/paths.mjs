// Where the web build reads and writes. One place, so that the other steps stay pure.

import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

export const node = resolve(dirname(fileURLToPath(import.meta.url)), "../..");
export const root = dirname(node);
export const source = join(node, "web/src");
export const packages = join(node, "node_modules");
export const dist = join(root, "server/tabgrid_server/static/dist");
export const wheels = join(root, ".set-up/tab-wheels");
