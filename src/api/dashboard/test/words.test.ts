import assert from "node:assert/strict";
import { test } from "node:test";
import { compareAddresses } from "../src/address.ts";
import {
  bitRate,
  duration,
  exactBytes,
  groupedCount,
  milliseconds,
  percent,
  readableBytes,
  roughShare,
  share,
  shortBytes,
  upperBytes,
} from "../src/words.ts";
import amounts from "./amounts.json";

test("a rate is in bits per second", () => {
  for (const [bytes, seconds, expected] of [
    [0, 170, "0\u00a0bit/s"],
    [170, 170, "8\u00a0bit/s"],
    [2_410_000_000, 170, "113\u00a0Mbit/s"],
    [1_062_500_000_000, 170, "50\u00a0Gbit/s"],
    [125, 0, "1\u00a0kbit/s"],
  ] as const) {
    assert.equal(bitRate(bytes, seconds), expected);
  }
});

test("limits are as short as they are", () => {
  for (const [bytes, expected] of [
    [0, "0\u00a0B"],
    [1, "1\u00a0B"],
    [999, "999\u00a0B"],
    [1000, "1\u00a0kB"],
    [20_000, "20\u00a0kB"],
    [1_500_000, "1.5\u00a0MB"],
    [1_000_000_000, "1\u00a0GB"],
    [20_000_000_000, "20\u00a0GB"],
  ] as const) {
    assert.equal(shortBytes(bytes), expected);
  }
});

test("amounts have the form that they have in sentences", () => {
  // The tests of human.rs read the same table.
  const plain = (text: string) => text.replaceAll("\u00a0", " ");
  for (const { bytes, shown, upper } of amounts.bytes) {
    assert.deepEqual([readableBytes(bytes), upperBytes(bytes)].map(plain), [shown, upper], String(bytes));
  }
  for (const { seconds, shown } of amounts.durations) assert.equal(plain(duration(seconds)), shown);
});

test("bytes are exact beside", () => {
  for (const [bytes, exact] of [
    [0, "0 bytes"],
    [1, "1 byte"],
    [999_499, "999,499 bytes"],
    [58_771_223_344, "58,771,223,344 bytes"],
    [2e15, "2,000,000,000,000,000 bytes"],
    [2e16, "about 20,000,000,000,000,000 bytes"],
  ] as const) {
    assert.equal(exactBytes(bytes), exact);
  }
});

test("milliseconds have as many digits as matter", () => {
  for (const [ms, expected] of [
    [0.04, "<\u00a00.1\u00a0ms"],
    [0.14, "0.1\u00a0ms"],
    [9.87, "9.9\u00a0ms"],
    [261.4, "261\u00a0ms"],
    [1200, "1,200\u00a0ms"],
  ] as const) {
    assert.equal(milliseconds(ms), expected);
  }
});

test("shares round neither a little to nothing nor nearly all to everything", () => {
  for (const [value, expected] of [
    [0, "0\u00a0%"],
    [0.0001, "<\u00a00.01\u00a0%"],
    [0.01, "0.01\u00a0%"],
    [2.1699, "2.17\u00a0%"],
    [99.995, ">\u00a099.99\u00a0%"],
    [100, "100\u00a0%"],
  ] as const) {
    assert.equal(percent(value), expected);
  }
  for (const [part, whole, expected] of [
    [0, 0, "0\u00a0%"],
    [1, 1000, "<\u00a01\u00a0%"],
    [87.4, 100, "87\u00a0%"],
    [999, 1000, ">\u00a099\u00a0%"],
    [7, 7, "100\u00a0%"],
  ] as const) {
    assert.equal(roughShare(part, whole), expected);
  }
  assert.equal(share(1, 3), "33.33\u00a0%");
  assert.equal(share(0, 0), "0\u00a0%");
});

test("counts have their thousands in groups", () => {
  assert.equal(groupedCount(1, "frame"), "1 frame");
  assert.equal(groupedCount(1_234_567, "frame"), "1,234,567 frames");
  assert.equal(groupedCount(0, "frame"), "0 frames");
});

test("addresses are ordered by what they stand for", () => {
  const ordered = [
    "9.255.255.255",
    "10.0.0.9",
    "10.0.0.10",
    "10.0.1.0",
    "255.255.255.255",
    "::",
    "::1",
    "::2:0",
    "::ffff:10.0.0.1",
    "64:ff9b::1",
    "2001:db8::1",
    "2001:db8::a",
    "2001:db8::10",
    "2001:db8:0:1::",
    "fe80::1",
    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
  ];
  for (const [i, a] of ordered.entries()) {
    for (const [j, b] of ordered.entries()) {
      assert.equal(Math.sign(compareAddresses(a, b)), Math.sign(i - j), `${a} against ${b}`);
    }
  }
});
