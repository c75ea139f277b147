// Times as people read them: a 24-hour clock with its zone, and how long ago.

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** Shorter ago than this is now: a report is a few seconds old when it is shown. */
const JUST_NOW = 10 * SECOND;

/** A clock on the wall in one time zone; without one, in that of the browser. */
export class Clock {
  readonly #time: Intl.DateTimeFormat;
  readonly #day: Intl.DateTimeFormat;

  constructor(timeZone?: string) {
    const zone = timeZone === undefined ? {} : { timeZone };
    const time = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23", timeZoneName: "short" } as const;
    this.#time = new Intl.DateTimeFormat("en-GB", { ...zone, ...time });
    this.#day = new Intl.DateTimeFormat("en-GB", { ...zone, day: "numeric", month: "short" });
  }

  /** Such as `14:03:21 CET`, or `29 Nov, 14:03:21 CET` if that was another day than `now`. */
  at(time: number, now: number): string {
    const [day, today] = [this.#day.format(time), this.#day.format(now)];
    return day === today ? this.#time.format(time) : `${day}, ${this.#time.format(time)}`;
  }
}

/** Such as `3 min ago`. A time in the future is now: clocks differ by a little. */
export function ago(time: number, now: number): string {
  return now - time < JUST_NOW ? "just now" : `${span(now - time)} ago`;
}

/** A duration in its largest unit, such as `45 s`, `3 min` or `2 h`; hours below ten have their minutes. */
export function span(ms: number): string {
  const whole = Math.max(0, ms);
  if (whole < MINUTE) return `${Math.floor(whole / SECOND)}\u00a0s`;
  if (whole < HOUR) return `${Math.floor(whole / MINUTE)}\u00a0min`;
  const [hours, minutes] = [Math.floor(whole / HOUR), Math.floor((whole % HOUR) / MINUTE)];
  if (hours < 10 && minutes > 0) return `${hours}\u00a0h ${minutes}\u00a0min`;
  if (whole < 2 * DAY) return `${hours}\u00a0h`;
  return `${Math.floor(whole / DAY)}\u00a0days`;
}
