import assert from "node:assert/strict";
import { test } from "node:test";
import { findHosts, nobodySentence, shownSentence, sumOfBytes } from "../src/hosts.ts";
import type { Host } from "../src/model.ts";

const host = (address: string, kinds: string, ...peers: string[]): Host => ({
  address,
  kinds,
  peers: peers.map((peer) => ({ address: peer, bytes: 10 })),
  bytes: 10 * peers.length,
});
const hosts = [
  host("10.0.0.5", "TRAFFIC+SCANNING_PORT", "198.51.100.7", "10.0.0.12"),
  host("10.0.0.12", "", "198.51.100.70"),
  host("2001:db8::a", "SCANNING"),
];

const found = (text: string) =>
  findHosts(hosts, text).map(({ host, found }) => [host.address, ...found.map(({ address }) => address)]);

test("a search finds hosts by their address, by their alerts, and by their peers", () => {
  for (const [text, expected] of [
    ["", [["10.0.0.5"], ["10.0.0.12"], ["2001:db8::a"]]],
    ["  ", [["10.0.0.5"], ["10.0.0.12"], ["2001:db8::a"]]],
    ["10.0.0.12", [["10.0.0.5", "10.0.0.12"], ["10.0.0.12"]]],
    ["198.51.100.7", [["10.0.0.5", "198.51.100.7"], ["10.0.0.12", "198.51.100.70"]]],
    ["DB8", [["2001:db8::a"]]],
    ["port scanning", [["10.0.0.5"]]],
    ["scanning_port", [["10.0.0.5"]]],
    ["Scanning", [["10.0.0.5"], ["2001:db8::a"]]],
    ["nothing", []],
  ] as const) {
    assert.deepEqual(found(text), expected, text);
  }
});

test("how many hosts are shown", () => {
  for (const [shown, all, whole, expected] of [
    [0, 0, 0, ""],
    [1, 1, 1, "Showing all 1 host."],
    [100, 500, 500, "Showing 100 of 500 hosts."],
    [3, 3, 500, "Showing 3 hosts that match, of 500 hosts in all."],
    [100, 120, 500, "Showing 100 of 120 hosts that match, of 500 hosts in all."],
    [0, 0, 500, "None of 500 hosts matches."],
  ] as const) {
    assert.equal(shownSentence(shown, all, whole), expected);
  }
});

test("the sum of all hosts", () => {
  assert.equal(sumOfBytes(hosts), 30);
  assert.equal(sumOfBytes([]), 0);
});

test("a list without any host says what a host must have done to be in it", () => {
  assert.equal(nobodySentence(5_000_000, 170).replaceAll("\u00a0", " "), "No host has sent 5 MB or more in the last 170 seconds.");
});
