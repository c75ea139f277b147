// Numbers and limits as people read them.

import type { Limits } from "./model.ts";

const BYTES_PER_MB = 1_000_000;

/** Megabytes to three decimals, such as `30.840`. */
export function megabytes(bytes: number): string {
  return (bytes / BYTES_PER_MB).toFixed(3);
}

/** Megabytes with as many decimals as the number needs, such as `1000MB` or `0.02MB`. */
export function roundMegabytes(bytes: number): string {
  return `${Number((bytes / BYTES_PER_MB).toFixed(6))}MB`;
}

/** Thousands in groups, such as `1,234,567`. */
export function grouped(n: number): string {
  return GROUPS.format(n);
}

const GROUPS = new Intl.NumberFormat("en-GB");

/** Three digits and a unit of powers of 1000, such as `30.8 MB`; exact below 1000. */
export function readableBytes(bytes: number): string {
  let [value, unit] = [bytes, 0];
  // What would be rounded to 1000 is 1 of the next unit.
  while (value >= (unit === 0 ? 1000 : 999.5) && unit < UNITS.length - 1) {
    value = Math.max(1, value / 1000);
    unit += 1;
  }
  return `${unit === 0 ? value : value.toPrecision(3)}\u00a0${UNITS[unit]}`;
}

const UNITS = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];

/** The exact number of bytes, as far as a JavaScript number is exact. */
export function exactBytes(bytes: number): string {
  const words = groupedCount(bytes, "byte");
  return Number.isSafeInteger(bytes) ? words : `about ${words}`;
}

/** Such as `0.3 ms`, `12 ms` or `1,200 ms`. */
export function milliseconds(ms: number): string {
  const words = ms < 0.1 ? "<\u00a00.1" : ms < 10 ? ms.toFixed(1) : grouped(Math.round(ms));
  return `${words}\u00a0ms`;
}

/** Two decimals; small and nearly full shares are not rounded to 0 or 100 %. */
export function percent(value: number): string {
  return `${twoDecimals(value)}\u00a0%`;
}

function twoDecimals(value: number): string {
  if (value === 0 || value === 100) return String(value);
  if (value < 0.01) return "<\u00a00.01";
  if (value > 99.99) return ">\u00a099.99";
  return value.toFixed(2);
}

/** The share of `part` in `whole`; nothing of nothing is none. */
export function share(part: number, whole: number): string {
  return percent(whole === 0 ? 0 : (part / whole) * 100);
}

/** One sentence per detector, saying when it alerts. */
export function limitSentences(limits: Limits): string[] {
  const { bytesMax, trafficSeconds, hostsMax, portsMax, portSeconds } = limits;
  return [
    `Traffic Alert: More than ${roundMegabytes(bytesMax)} per ${seconds(trafficSeconds)}`,
    hostsMax === null
      ? "Scanning Alert: off"
      : `Scanning Alert: More than ${count(hostsMax, "host")} contacted per ${seconds(trafficSeconds)}`,
    portsMax === null
      ? "Port Scanning Alert: off"
      : `Port Scanning Alert: More than ${count(portsMax, "port")} contacted per ${seconds(portSeconds)}`,
  ];
}

/** `1 host`, `2000 hosts`. */
export function count(n: number, noun: string): string {
  return `${n} ${plural(n, noun)}`;
}

/** `1 frame`, `2,000 frames`. */
export function groupedCount(n: number, noun: string): string {
  return `${grouped(n)} ${plural(n, noun)}`;
}

function plural(n: number, noun: string): string {
  return n === 1 ? noun : `${noun}s`;
}

export function seconds(n: number): string {
  return count(n, "second");
}
