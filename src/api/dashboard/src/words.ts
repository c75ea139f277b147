// Numbers as people read them.

/** Thousands in groups, such as `1,234,567`. */
export function grouped(n: number): string {
  return GROUPS.format(n);
}

const GROUPS = new Intl.NumberFormat("en-GB");

/** Three digits and a unit of powers of 1000, such as `30.8 MB`; exact below 1000. */
export function readableBytes(bytes: number): string {
  return scaled(bytes, ["B", "kB", "MB", "GB", "TB", "PB", "EB"]);
}

/** The average rate of that many bytes in that many seconds, in bits per second, such as `312 Mbit/s`. */
export function bitRate(bytes: number, seconds: number): string {
  const bits = Math.round((bytes * 8) / Math.max(1, seconds));
  return scaled(bits, ["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s", "Pbit/s"]);
}

/** Each unit is 1000 of the one before it. */
function scaled(n: number, units: readonly string[]): string {
  let [value, unit] = [n, 0];
  // What would be rounded to 1000 is 1 of the next unit.
  while (value >= (unit === 0 ? 1000 : 999.5) && unit < units.length - 1) {
    value = Math.max(1, value / 1000);
    unit += 1;
  }
  return `${unit === 0 ? value : value.toPrecision(3)}\u00a0${units[unit]}`;
}

/** A number that somebody chose, with no more digits than it needs: `1 GB`, `1.5 GB`, `20 kB`. */
export function shortBytes(bytes: number): string {
  const power = Math.min(SHORT_UNITS.length - 1, Math.max(0, Math.floor(Math.log10(Math.max(1, bytes)) / 3)));
  return `${Number((bytes / 1000 ** power).toFixed(6))}\u00a0${SHORT_UNITS[power]}`;
}

const SHORT_UNITS = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];

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

/** The share in whole per cents, such as `87 %`; a small one is not nothing, and not quite all is not all. */
export function roughShare(part: number, whole: number): string {
  const value = whole === 0 ? 0 : (part / whole) * 100;
  if (value > 0 && value < 1) return "<\u00a01\u00a0%";
  if (value > 99 && value < 100) return ">\u00a099\u00a0%";
  return `${Math.round(value)}\u00a0%`;
}

/** The share of `part` in `whole`; nothing of nothing is none. */
export function share(part: number, whole: number): string {
  return percent(whole === 0 ? 0 : (part / whole) * 100);
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

/** `170 s`. */
export function shortSeconds(n: number): string {
  return `${grouped(n)}\u00a0s`;
}
