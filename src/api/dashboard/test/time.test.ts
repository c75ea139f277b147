import assert from "node:assert/strict";
import { test } from "node:test";
import { Clock, ago, span } from "../src/time.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

test("a clock has 24 hours and its zone, and the day if it is another one", () => {
  const now = Date.UTC(2026, 10, 30, 0, 5, 7);
  const utc = new Clock("UTC");
  assert.equal(utc.at(now, now), "00:05:07 UTC");
  assert.equal(utc.at(now - 10 * MINUTE, now), "29 Nov, 23:55:07 UTC");
  // The day is that of the zone.
  assert.equal(new Clock("Europe/Berlin").at(now - 10 * MINUTE, now), "00:55:07 CET");
  assert.equal(new Clock("UTC").at(Date.UTC(2026, 10, 30, 15, 0, 0), now), "15:00:00 UTC");
});

test("how long ago, in the largest unit", () => {
  for (const [ms, expected] of [
    [-5 * MINUTE, "just now"],
    [9_999, "just now"],
    [10_000, "10 s ago"],
    [59_999, "59 s ago"],
    [MINUTE, "1 min ago"],
    [59 * MINUTE + 59_999, "59 min ago"],
    [HOUR, "1 h ago"],
    [HOUR + 11 * MINUTE, "1 h 11 min ago"],
    [26 * HOUR + 11 * MINUTE, "26 h ago"],
    [48 * HOUR, "2 days ago"],
  ] as const) {
    assert.equal(ago(1e12 - ms, 1e12).replaceAll("\u00a0", " "), expected);
  }
  assert.equal(span(-1), "0\u00a0s");
});
