import assert from "node:assert/strict";
import { test } from "node:test";
import { parseHosts } from "../src/model.ts";

const host = {
  EventType: "TRAFFIC",
  SourceIP: "10.1.1.1",
  DestinationIP: [{ IP: "10.9.9.9", Bytes: 30840 }],
  TotalBytes: 30840,
};

test("hosts are read in the original's shape", () => {
  assert.deepEqual(parseHosts([]), []);
  assert.deepEqual(parseHosts([host]), [
    { kinds: "TRAFFIC", address: "10.1.1.1", peers: [{ address: "10.9.9.9", bytes: 30840 }], bytes: 30840 },
  ]);
});

test("what has another shape is refused by name", () => {
  for (const [value, expected] of [
    [null, /hosts: not a list/],
    [{}, /hosts: not a list/],
    [[1], /host: not an object/],
    [[{ ...host, SourceIP: 7 }], /SourceIP: not a text/],
    [[{ ...host, EventType: undefined }], /EventType: not a text/],
    [[{ ...host, TotalBytes: "30840" }], /TotalBytes: not a number/],
    [[{ ...host, DestinationIP: null }], /DestinationIP: not a list/],
    [[{ ...host, DestinationIP: [{ IP: "10.9.9.9" }] }], /Bytes: not a number/],
  ] as const) {
    assert.throws(() => parseHosts(value), expected);
  }
});
