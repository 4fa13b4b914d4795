import type { loadPyodide } from "pyodide";

type PyodideConfig = NonNullable<Parameters<typeof loadPyodide>[0]>;

export function entries(archive: Uint8Array): Generator<[string, Uint8Array]>;
export function installInto(archive: Uint8Array): NonNullable<PyodideConfig["fsInit"]>;
