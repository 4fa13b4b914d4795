// Files under names that hold their hash, each with a brotli twin beside it.

import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, rename, stat, writeFile } from "node:fs/promises";
import { dirname, extname, join } from "node:path";
import { promisify } from "node:util";
import { brotliCompress, constants } from "node:zlib";
import { dist } from "./paths.mjs";

const compress = promisify(brotliCompress);
/** Already compressed; brotli would only add a header. */
const COMPRESSED = new Set([".br", ".jpg", ".png", ".woff2"]);

export const digest = (bytes) => createHash("sha256").update(bytes).digest("hex");

/** "ort/ort.wasm" and its bytes to "ort/ort.3f2a9c01d4e5.wasm". */
export function hashedName(logical, bytes) {
  const extension = extname(logical);
  return `${logical.slice(0, -extension.length)}.${digest(bytes).slice(0, 12)}${extension}`;
}

/**
 * Quality 9 takes 15 s for everything here and gives 8.5 MB; quality 11 takes four minutes
 * and saves a tenth. The large window lets matches reach across a 31 MB snapshot.
 */
async function brotli(bytes) {
  return compress(bytes, {
    params: {
      [constants.BROTLI_PARAM_QUALITY]: 9,
      [constants.BROTLI_PARAM_LGWIN]: 24,
      [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
    },
  });
}

/** Written in one move: whatever has the name has all its bytes. */
async function write(path, bytes) {
  const unfinished = `${path}.${process.pid}`;
  await writeFile(unfinished, bytes);
  await rename(unfinished, path);
}

/** Write one file and its twin; returns its size on the wire. Same name means same bytes. */
export async function put(name, bytes) {
  const path = join(dist, name);
  await mkdir(dirname(path), { recursive: true });
  if (!existsSync(path)) await write(path, bytes);
  if (COMPRESSED.has(extname(name))) return bytes.length;
  if (!existsSync(`${path}.br`)) await write(`${path}.br`, await brotli(bytes));
  return (await stat(`${path}.br`)).size;
}
