/** Constants that the build puts in: see web/bundle/main.mjs. */

import type { loadPyodide } from "pyodide";

export type PyodideConfig = NonNullable<Parameters<typeof loadPyodide>[0]>;

declare const TABGRID_BUILD: {
  version: string;
  /** For `integrity` of a fetch: "sha256-…". */
  integrity: { tab: string; snapshot: string };
  /** Logical name to bytes on the wire, of the large files that the worker loads. */
  sizes: Record<string, number>;
  /** Pyodide's lock file without packages: all that the tab needs lies in tab.zip. */
  lock: NonNullable<PyodideConfig["lockFileContents"]>;
};

export const BUILD = TABGRID_BUILD;
