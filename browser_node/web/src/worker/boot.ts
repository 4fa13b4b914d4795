/**
 * Python in the tab: Pyodide, started from a memory snapshot, with our program laid in.
 *
 * A cold interpreter takes seconds to start, the snapshot of a started one a tenth of that.
 * It is made at build time by the same Pyodide (see web/bundle/python.mjs). The call is
 * experimental, so a browser in which it fails starts cold and is only slower.
 */

import { loadPyodide, type PyodideAPI } from "pyodide";
import { installInto } from "../../bundle/unzip.mjs";
import { BUILD, type PyodideConfig } from "./build";

export type Asset = (logical: string) => string;

export async function startPython(asset: Asset): Promise<PyodideAPI> {
  const archive = fetchBytes(asset("tab.zip"), BUILD.integrity.tab);
  const snapshot = fetchBytes(asset("pyodide/snapshot.bin"), BUILD.integrity.snapshot);
  snapshot.catch(() => undefined); // Looked at in `warm`; not unhandled in the meantime.
  const config = {
    indexURL: folder(asset("pyodide/pyodide.asm.wasm")),
    lockFileContents: BUILD.lock,
    fsInit: installLater(archive),
    // A worker has no terminal; what Python prints helps whoever opens the developer tools.
    stdout: (line: string) => console.debug(line),
    stderr: (line: string) => console.warn(line),
  } satisfies Partial<PyodideConfig>;
  try {
    return await loadPyodide({ ...config, _loadSnapshot: snapshot });
  } catch (error) {
    console.warn("Starting Python without its snapshot:", error);
    return loadPyodide(config);
  }
}

function installLater(archive: Promise<Uint8Array>): NonNullable<PyodideConfig["fsInit"]> {
  return async (fs, where) => installInto(await archive)(fs, where);
}

/** Bytes of one of our own files, checked by the browser against the build's digest. */
async function fetchBytes(url: string, integrity: string): Promise<Uint8Array> {
  const answer = await fetch(url, { integrity });
  if (!answer.ok) throw new Error(`${url}: the server answered ${answer.status}`);
  return new Uint8Array(await answer.arrayBuffer());
}

function folder(url: string): string {
  return new URL(".", new URL(url, self.location.href)).href;
}
