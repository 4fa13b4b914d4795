/** Amounts as text, exactly: integer arithmetic only, nothing is rounded away. */

import type { Token } from "../../generated/api.js";

/** Fewer decimals than this look like a mistake in an amount of money. */
const LEAST_DECIMALS = 2;

/** `1234560000` at 6 decimals is "1,234.56"; trailing zeros past the second go. */
export function formatUnits(units: number | bigint, decimals: number): string {
  const value = BigInt(units);
  const digits = (value < 0n ? -value : value).toString().padStart(decimals + 1, "0");
  const whole = digits.slice(0, digits.length - decimals).replace(/\B(?=(\d{3})+$)/g, ",");
  const fraction = digits
    .slice(digits.length - decimals)
    .replace(/0+$/, "")
    .padEnd(Math.min(LEAST_DECIMALS, decimals), "0");
  return `${value < 0n ? "−" : ""}${whole}${fraction && `.${fraction}`}`;
}

export function formatAmount(units: number | bigint, token: Token): string {
  return `${formatUnits(units, token.decimals)} ${token.symbol}`;
}

/** Bytes as the decimal megabytes that data plans are sold in. */
export function formatMegabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

/** "8 s", "2 min 05 s", "3 h 12 min": a width that changes seldom. */
export function formatSeconds(seconds: number): string {
  const s = Math.max(0, Math.ceil(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${String(s % 60).padStart(2, "0")} s`;
  return `${Math.floor(s / 3600)} h ${String(Math.floor((s % 3600) / 60)).padStart(2, "0")} min`;
}

/** "9xQe…7f2K": enough to recognise; the whole address stays in the title. */
export function shortAddress(address: string): string {
  return address.length > 12 ? `${address.slice(0, 4)}…${address.slice(-4)}` : address;
}
