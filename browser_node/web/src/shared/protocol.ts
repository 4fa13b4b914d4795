/**
 * What the node page and its Web Worker say to each other.
 *
 * The page owns the person (wallet, controls, figures); the worker owns the machine (Python,
 * ONNX Runtime, weights, the socket to the coordinator). Both ends are built together, so
 * there are no versions here; every message is a plain object that survives structured clone.
 *
 * Order: the page sends `init` once and may send `identity` at any time after it, which also
 * starts the large downloads: whoever signs in is about to start. `start` is
 * answered by `status` messages; `pause`, `resume` and `stop` act on the running node. After
 * `fatal` or `duplicate` the worker does nothing more: the page ends it with `terminate()`
 * and, where `fatal.next` is "recycle", starts a fresh one and sends `init` and `start` again.
 */

import type { NodeStatus } from "../generated/status";

export type { NodeStatus };

export type Backend = "webgpu" | "wasm";

/** Why the owner's machine is not to be used just now; as in `tabgrid_wire.messages`. */
export type PauseReason = "owner" | "battery" | "hidden" | "busy" | "offline";

/** The owner's controls over how much of the machine is lent. */
export interface NodeSettings {
  /** WASM threads; default: half of the logical processors, at least 1, at most 8. */
  threads?: number;
  /** Models whose files are larger than this many megabytes (10^6 bytes) are refused. */
  maxDownloadMb?: number;
}

// --- page to worker -------------------------------------------------------------------

export type ToWorker =
  | {
      kind: "init";
      /** Null or absent: WebGPU where there is a real adapter, else WASM. */
      forceBackend?: Backend | null;
      /** Logical asset name ("ort/ort.wasm.mjs") to URL path, as the page was given it. */
      assets: Record<string, string>;
      /** What the person calls this device; empty: the worker names it after its GPU or CPU. */
      deviceName?: string;
    }
  | { kind: "identity" }
  | { kind: "start"; grids: string[]; wallet: string; settings?: NodeSettings }
  | { kind: "pause"; reason: PauseReason }
  | { kind: "resume" }
  /** Test the models anew, and say what came out. */
  | { kind: "test" }
  | { kind: "stop" };

// --- worker to page -------------------------------------------------------------------

/** The parts of the start-up that are loaded side by side. */
export type BootPart = "python" | "onnxruntime" | "node";

export type FromWorker =
  /**
   * `loaded` and `total` are bytes as served, cached ones included; they move a file at a
   * time. `ms` since `init`.
   */
  | { kind: "boot"; part: BootPart; loaded: number; total: number; ms: number; done: boolean }
  | {
      kind: "capability";
      backend: Backend;
      /** For people: "NVIDIA H100", "CPU, 4 threads". */
      device: string;
      /** Numeric class of results, e.g. "webgpu:apple:common-3d". */
      deviceClass: string;
      crossOriginIsolated: boolean;
      /** Why WebGPU is not used, in words for the owner; empty where it is. */
      reason: string;
      /** False where weights cannot be kept across visits (private window, old browser). */
      persistent: boolean;
    }
  /** `workerKey`: base58 of the 32-byte Ed25519 public key that the sign-in binds. */
  | { kind: "identity"; workerKey: string; deviceId: string }
  | { kind: "status"; status: NodeStatus }
  /** How far a picture is: a small PNG, the newest in place of the one before. */
  | { kind: "preview"; job: string; grid: string; png: Uint8Array<ArrayBuffer> }
  /** `next`: "recycle" a fresh worker may do better; "give-up" a person has to act first. */
  | { kind: "fatal"; message: string; next: "recycle" | "give-up" }
  /** Another tab of this browser profile already runs this device's node. */
  | { kind: "duplicate" };
