import type { PyodideConfig } from "pyodide/ffi";

export function entries(archive: Uint8Array): Generator<[string, Uint8Array]>;
export function installInto(archive: Uint8Array): NonNullable<PyodideConfig["fsInit"]>;
