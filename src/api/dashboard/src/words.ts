// Numbers as people read them. Amounts have the form that they have in the sentences of alerts (`human.rs`).

/** Thousands in groups, such as `1,234,567`. */
export function grouped(n: number): string {
  return GROUPS.format(n);
}

const GROUPS = new Intl.NumberFormat("en-GB");

/** At most three digits and a unit of powers of 1000, such as `30.8 MB`. Further digits are cut off, as are zeros. */
export function readableBytes(bytes: number): string {
  return scaled(bytes, BYTE_UNITS);
}

/** The same for an upper bound, which is rounded up. */
export function upperBytes(bytes: number): string {
  return scaled(roundedUp(bytes), BYTE_UNITS);
}

const BYTE_UNITS = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];

/** The average rate of that many bytes in that many seconds, in bits per second, such as `312 Mbit/s`. */
export function bitRate(bytes: number, seconds: number): string {
  const bits = Math.floor((bytes * 8) / Math.max(1, seconds));
  return scaled(bits, ["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s", "Pbit/s", "Ebit/s"]);
}

/** Each unit is 1000 of the one before it. */
function scaled(n: number, units: readonly string[]): string {
  let [unit, power] = [1, 0];
  while (n / unit >= 1000 && power < units.length - 1) {
    unit *= 1000;
    power += 1;
  }
  const whole = Math.floor(n / unit);
  const places = unit === 1 ? 0 : Math.max(0, 3 - String(whole).length);
  // Whole numbers are divided, since a fraction such as 1.15 is not exact.
  const thousandths = Math.floor(n / Math.max(1, unit / 1000)) % 1000;
  const digits = String(thousandths).padStart(3, "0").slice(0, places).replace(/0+$/, "");
  return `${whole}${digits === "" ? "" : `.${digits}`}\u00a0${units[power]}`;
}

function roundedUp(n: number): number {
  let step = 1;
  while (n / step >= 1000) step *= 10;
  return Math.ceil(n / step) * step;
}

/** A number that somebody chose, with no more digits than it needs: `1 GB`, `1.5 GB`, `20 kB`. */
export function shortBytes(bytes: number): string {
  const power = Math.min(BYTE_UNITS.length - 1, Math.max(0, Math.floor(Math.log10(Math.max(1, bytes)) / 3)));
  return `${Number((bytes / 1000 ** power).toFixed(6))}\u00a0${BYTE_UNITS[power]}`;
}

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

/** A duration of whole seconds: in seconds below three minutes, as windows are configured, such as `170 s`; else in its
 * two largest units, such as `10 min` or `2 h 5 min`. */
export function duration(n: number): string {
  if (n < IN_SECONDS_BELOW) return `${n}\u00a0s`;
  const [minutes, hours, days] = [60, 3600, 86_400].map((unit) => Math.floor(n / unit)) as [number, number, number];
  const units: readonly [string, string][] = [
    [`${days}\u00a0d`, `${hours % 24}\u00a0h`],
    [`${hours}\u00a0h`, `${minutes % 60}\u00a0min`],
    [`${minutes}\u00a0min`, `${n % 60}\u00a0s`],
  ];
  const [large, small] = units[days > 0 ? 0 : hours > 0 ? 1 : 2] ?? ["", ""];
  return small.startsWith("0\u00a0") ? large : `${large} ${small}`;
}

const IN_SECONDS_BELOW = 180;
