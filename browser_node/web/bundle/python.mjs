// Python for the tab: tab.zip (our packages and msgspec, compiled) and the memory snapshot.
//
// Both are made by the very interpreter that will run them: Pyodide, in Node. So the byte
// code always fits, no CPython 3.14 is needed on the machine that builds, and the snapshot
// is the same for every visitor, made and tested once rather than in each tab.

import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { loadPyodide } from "pyodide";
import { packages, root, wheels } from "./paths.mjs";
import { sources, TREES } from "./sources.mjs";
import { installInto } from "./unzip.mjs";

const indexURL = join(packages, "pyodide") + "/";
const options = { indexURL, stdout: () => {}, lockFileContents: await lock() };

/** The tab's own lock: only what the tab installs (see build/tab-lock). */
async function lock() {
  return readFile(join(root, "browser_node/pyodide-lock.json"), "utf8").then(JSON.parse);
}

const COMPILE = `
import io, pathlib, py_compile, shutil, zipfile

def build(target: str) -> bytes:
    """Every .py as a .pyc in its place, everything else as it is, in one stored zip."""
    root, buffer = pathlib.Path(target), io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(root.rglob("*")):
            name = str(path.relative_to(root))
            if path.is_dir() or ".dist-info/" in name or name.endswith((".pyi", "py.typed")):
                continue
            if path.suffix == ".py":
                compiled = py_compile.compile(
                    str(path), cfile=f"{path}c", dfile=name, doraise=True,
                    invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
                path, name = pathlib.Path(compiled), name + "c"
            # A fixed time: the same sources give the same bytes, hence the same name.
            archive.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), path.read_bytes())
    return buffer.getvalue()
`;

/** The wheel that the lock names; python_files.mjs has fetched it. */
async function wheelFile() {
  const [wheel] = Object.values((await lock()).packages);
  const bytes = new Uint8Array(await readFile(join(wheels, wheel.file_name))); // no Buffer
  const found = createHash("sha256").update(bytes).digest("hex");
  if (found !== wheel.sha256) throw new Error(`${wheel.file_name} has SHA-256 ${found}`);
  return bytes;
}

/** tab.zip: byte code of our packages and of msgspec, and msgspec's extension module. */
export async function tabArchive() {
  const pyodide = await loadPyodide(options);
  pyodide.unpackArchive(await wheelFile(), "wheel", { extractDir: "/build" });
  for (const tree of TREES) {
    for (const [name, bytes] of await sources(tree)) {
      const path = `/build/${name}`;
      pyodide.FS.mkdirTree(path.slice(0, path.lastIndexOf("/")));
      pyodide.FS.writeFile(path, bytes);
    }
  }
  pyodide.runPython(COMPILE);
  return pyodide.globals.get("build")("/build").toJs();
}

/** Names of the standard modules in Python that importing the tab's program brings in. */
async function standardModules(archive) {
  const pyodide = await loadPyodide({ ...options, fsInit: installInto(archive) });
  const before = new Set(pyodide.runPython("import sys; list(sys.modules)").toJs());
  // The parts of the program that import nothing of a browser; in_browser adds only js.
  pyodide.runPython("import msgspec.json, msgspec.msgpack, tabgrid_models.connectors");
  pyodide.runPython("import tabgrid_wire.messages, tabgrid_node.hosts, asyncio, traceback");
  const after = pyodide.runPython("list(sys.modules)").toJs();
  // What loads a library cannot be frozen, and what holds a seed must not be the same for all.
  const never = /^(msgspec|tabgrid_|js$|random|secrets|tempfile|_pyodide|pyodide)/;
  return after.filter((name) => !before.has(name) && !never.test(name) && !name.startsWith("_"));
}

/** The heap of a started interpreter with its standard modules imported (about 31 MB). */
export async function snapshot(archive) {
  const modules = await standardModules(archive);
  const pyodide = await loadPyodide({ ...options, _makeSnapshot: true });
  pyodide.runPython(`import importlib, gc\nfor m in ${JSON.stringify(modules)}:\n    importlib.import_module(m)`);
  pyodide.runPython("importlib.invalidate_caches(); gc.collect()");
  return pyodide.makeMemorySnapshot();
}
