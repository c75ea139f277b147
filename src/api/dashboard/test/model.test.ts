import assert from "node:assert/strict";
import { test } from "node:test";
import { parseHosts, parseLimits, parsePossible } from "../src/model.ts";

const host = {
  EventType: "TRAFFIC",
  SourceIP: "10.1.1.1",
  DestinationIP: [{ IP: "10.9.9.9", Bytes: 30840 }],
  TotalBytes: 30840,
};

const capabilities = {
  TrafficInterval: 170,
  ByteLimit: 20000,
  NoDestinations: false,
  ContactedIPsAnalyze: true,
  NumberContactedIPs: 15,
  AnalyzePorts: false,
  NumContactedPorts: 100,
  PortInterval: 600,
  ChartMinBytes: 1,
  ExcludedInterfaces: ["lo"],
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
  assert.throws(() => parseLimits({ ...capabilities, AnalyzePorts: "no" }), /AnalyzePorts: neither true nor false/);
});

test("what is possible is read as far as it is shown", () => {
  const alert = { kind: "TRAFFIC", state: "possible", source: "10.1.1.1", measured: 80, limit: 100 };
  const read = { kind: "TRAFFIC", address: "10.1.1.1", counted: 80, atMost: 130, limit: 100 };
  assert.deepEqual(parsePossible([{ ...alert, evidence: { possible: true, up_to: 130 } }]), [read]);
  assert.deepEqual(parsePossible([{ ...alert, evidence: {} }]), [{ ...read, atMost: 80 }]);
  assert.deepEqual(parsePossible([]), []);
  assert.throws(() => parsePossible([alert]), /evidence: not an object/);
  assert.throws(() => parsePossible([{ ...alert, source: null, evidence: {} }]), /source: not a text/);
});

test("a detector that is off has no limit", () => {
  const limits = parseLimits(capabilities);
  assert.equal(limits.hostsMax, 15);
  assert.equal(limits.portsMax, null);
  assert.equal(parseLimits({ ...capabilities, ContactedIPsAnalyze: false }).hostsMax, null);
  assert.equal(parseLimits({ ...capabilities, AnalyzePorts: true }).portsMax, 100);
});

test("hidden destinations turn host scan alerts off", () => {
  const limits = parseLimits({ ...capabilities, NoDestinations: true });
  assert.equal(limits.hostsMax, null);
  assert.equal(limits.destinationsHidden, true);
});
