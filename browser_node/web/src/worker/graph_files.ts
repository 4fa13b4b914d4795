/**
 * Which of a model's files belong to which of its graphs, by their names.
 *
 * `unet.onnx` has its weights beside it in `unet-00001.bin`, `unet-00002.bin`, …: a graph is
 * opened as soon as its own files are there, and they are let go before the next one's come.
 */

import type { GraphFiles } from "./inference";
import type { WantedFile } from "./storage";

type Contents = Map<string, Uint8Array<ArrayBuffer>>;

export interface GraphPlan {
  files: WantedFile[];
  /** `contents`: by path, of these files and of any that all graphs share. */
  withContents(contents: Contents): GraphFiles;
}

export function filesOfGraphs(
  graphs: Record<string, string>,
  files: WantedFile[],
): { graphs: GraphPlan[]; common: WantedFile[] } {
  const paths = Object.values(graphs);
  const own = (graph: string): WantedFile[] =>
    files.filter((file) => owner(file.path, paths) === graph);
  return {
    graphs: Object.entries(graphs).map(([name, path]) => ({
      files: own(path),
      withContents: (contents) => graphFiles(name, path, contents, new Set(paths)),
    })),
    common: files.filter((file) => owner(file.path, paths) === null),
  };
}

/** The graph whose name the file's begins with; of several the longest. */
function owner(path: string, graphs: string[]): string | null {
  const owners = graphs.filter(
    (graph) => path === graph || /^[-.]/.test(after(path, graph.replace(/\.onnx$/, ""))),
  );
  owners.sort((one, other) => other.length - one.length);
  return owners[0] ?? null;
}

/** What follows `start` in `text`; nothing where it does not begin so. */
function after(text: string, start: string): string {
  return text.startsWith(start) ? text.slice(start.length) : "";
}

function graphFiles(
  name: string,
  path: string,
  contents: Contents,
  graphs: Set<string>,
): GraphFiles {
  const model = contents.get(path);
  if (!model) throw new Error(`the manifest's graph ${path} is not among its files`);
  // The graph names its external data relative to itself.
  const folder = path.slice(0, path.lastIndexOf("/") + 1);
  const external = Array.from(contents).flatMap(([other, data]) =>
    !graphs.has(other) && other.startsWith(folder)
      ? [{ path: other.slice(folder.length), data }]
      : [],
  );
  return { name, model, external };
}
