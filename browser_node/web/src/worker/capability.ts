/**
 * What this device can compute with, found out once, before anything large is fetched.
 *
 * WebGPU is used where there is a real adapter. A fallback adapter is a CPU in disguise and
 * a hundred times slower than WASM on the same CPU; tests force it to check the numbers.
 */

import type { Backend } from "../shared/protocol";
import { NeedsPerson } from "./errors";

export interface Capability {
  backend: Backend;
  /** For people: "NVIDIA H100", "CPU, 4 threads". */
  device: string;
  /** Devices of one class give the same numbers: "webgpu:apple:common-3d". */
  deviceClass: string;
  /** WebGPU features that a model's variant may need. */
  features: string[];
  memoryMib: number;
  crossOriginIsolated: boolean;
  threads: number;
  /** Why WebGPU is not used; empty where it is. */
  reason: string;
  persistent: boolean;
  adapter: GPUAdapter | null;
}

/** Half of what the browser admits to: the owner's other programs need the rest. */
const SHARE_OF_MEMORY = 0.5;
/** 32-bit WebAssembly addresses no more. */
const WASM_LIMIT_MIB = 4096;
/** More threads than this gain nothing on the models here and heat a laptop. */
const MAX_THREADS = 8;

export async function findCapability(force: Backend | null): Promise<Capability> {
  const persistent = await canPersist();
  const { adapter, reason } = await findAdapter(force);
  const threads = defaultThreads();
  const common = { persistent, reason, threads, crossOriginIsolated: self.crossOriginIsolated };
  if (adapter) return { ...common, ...describeGpu(adapter), memoryMib: memoryMib(), adapter };
  return {
    ...common,
    backend: "wasm",
    device: threads > 1 ? `CPU, ${threads} threads` : "CPU, 1 thread",
    deviceClass: "wasm:simd",
    features: [],
    memoryMib: Math.min(memoryMib(), WASM_LIMIT_MIB),
    adapter: null,
  };
}

async function findAdapter(
  force: Backend | null,
): Promise<{ adapter: GPUAdapter | null; reason: string }> {
  if (force === "wasm") return { adapter: null, reason: "WASM was chosen in the address." };
  // Typed as always there, but absent in older browsers and on insecure origins.
  const gpu = (navigator as Partial<WorkerNavigator>).gpu;
  const none = (reason: string) => {
    if (force === "webgpu") throw new NeedsPerson(`WebGPU was asked for, but: ${reason}`);
    return { adapter: null, reason };
  };
  if (!gpu) return none("This browser has no WebGPU.");
  const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
  if (!adapter) return none("This browser offers WebGPU, but no graphics adapter for it.");
  if (adapter.info.isFallbackAdapter && force !== "webgpu")
    return none("The only WebGPU adapter here runs on the CPU; WASM is faster.");
  return { adapter, reason: "" };
}

function describeGpu(adapter: GPUAdapter): Pick<
  Capability,
  "backend" | "device" | "deviceClass" | "features"
> {
  const { vendor, architecture, description } = adapter.info;
  const named = [vendor, architecture].filter(Boolean).join(" ");
  return {
    backend: "webgpu",
    device: (description || named || "GPU").slice(0, 128),
    deviceClass: `webgpu:${vendor || "unknown"}:${architecture || "unknown"}`.slice(0, 128),
    features: Array.from(adapter.features),
  };
}

function defaultThreads(): number {
  // Threads share memory, which a page may only do when no other origin shares its process.
  if (!self.crossOriginIsolated) return 1;
  return Math.min(MAX_THREADS, Math.max(1, Math.ceil(navigator.hardwareConcurrency / 2)));
}

/** 0 where the browser says nothing (Firefox, Safari): the node then tries and sees. */
function memoryMib(): number {
  const gib = (navigator as { deviceMemory?: number }).deviceMemory ?? 0;
  return Math.floor(gib * 1024 * SHARE_OF_MEMORY);
}

/** Private windows of some browsers have the call and refuse it. */
async function canPersist(): Promise<boolean> {
  try {
    await navigator.storage.getDirectory();
    return true;
  } catch {
    return false;
  }
}
