/** Numbers, times and names as people read them; the twin of `tabgrid_server.pages.format`. */

import type { Token } from "../generated/api.js";

/** From here on a reader compares magnitudes; the exact amount stays in the title. */
const MANY = 10_000n;

const grouped = (whole: bigint | number): string => whole.toLocaleString("en-US");

/** Base units as "1.24 TGT". Cut, never rounded up: nobody is shown more than there is. */
export function amount(baseUnits: number, token: Token): string {
  const scale = 10n ** BigInt(token.decimals);
  const value = BigInt(Math.abs(baseUnits));
  const whole = value / scale;
  const digits = token.decimals ? String(value % scale).padStart(token.decimals, "0") : "";
  const kept = whole >= MANY ? digits.slice(0, 2) : digits.replace(/0+$/, "");
  const fraction = kept.padEnd(Math.min(2, token.decimals), "0");
  return `${baseUnits < 0 ? "−" : ""}${grouped(whole)}${fraction && `.${fraction}`} ${token.symbol}`;
}

/** "1,234.5" in base units; null for what is no amount or has more digits than the token. A comma
 * stands before three digits: whoever writes "1,5" means one and a half, and must not pay fifteen. */
export function units(text: string, decimals: number): number | null {
  const found = /^(\d{1,3}(?:,\d{3})+|\d*)(?:\.(\d*))?$/.exec(text.trim());
  const [, written = "", digits = ""] = found ?? [];
  const whole = written.replaceAll(",", "");
  if (!found || whole + digits === "" || digits.length > decimals) return null;
  const value = Number(whole + digits.padEnd(decimals, "0"));
  return Number.isSafeInteger(value) ? value : null;
}

export const count = (n: number): string => grouped(n);

/** A length of time with two or three digits: "340 ms", "2.4 s", "3 min", "72 h". */
export function duration(seconds: number): string {
  if (seconds < 1) return `${Math.round(Math.max(seconds, 0) * 1000)} ms`;
  if (seconds < 10) return `${Number(seconds.toPrecision(2))} s`;
  if (seconds < 120) return `${seconds.toFixed(0)} s`;
  if (seconds < 7200) return `${(seconds / 60).toFixed(0)} min`;
  if (seconds < 96 * 3600) return `${(seconds / 3600).toFixed(0)} h`;
  return `${(seconds / 86400).toFixed(0)} days`;
}

/** "now", "12 s ago", "in 20 s". Both in seconds since 1970. */
export function ago(at: number, now: number): string {
  const gap = now - at;
  if (Math.abs(gap) < 1) return "now";
  const words = duration(Math.floor(Math.abs(gap)));
  return gap > 0 ? `${words} ago` : `in ${words}`;
}

/** "2026-11-23 23:26:12.345 UTC": the same for every reader, so that they can compare. */
export function exact(at: number): string {
  return new Date(at * 1000).toISOString().replace("T", " ").replace("Z", " UTC");
}

/** A hash or address with its middle left out; a prefix such as "job_" is kept. */
export function short(text: string, head = 4, tail = 4): string {
  const cut = text.lastIndexOf("_") + 1;
  const body = text.slice(cut);
  if (body.length <= head + tail + 1) return text;
  return `${text.slice(0, cut)}${body.slice(0, head)}…${body.slice(-tail)}`;
}

const BACKENDS: Record<string, string> = { webgpu: "WebGPU", wasm: "WASM", cpu: "CPU", cuda: "CUDA" };

export const backend = (name: string): string => BACKENDS[name] ?? name;
