import assert from "node:assert/strict";
import { test } from "node:test";
import { limitLines, parseLimits } from "../src/limits.ts";

const served = {
  traffic_interval: 170,
  port_interval: 600,
  hosts: {
    ByteLimit: 1_000_000_000,
    NumberContactedIPs: 15,
    NumContactedPorts: 100,
    PacketRateLimit: 10_000,
    ContactRateLimit: 1,
    ReceivedByteLimit: 1_500_000,
  },
  networks: [
    { network: "10.0.5.0/24", limits: { PacketRateLimit: null, ByteLimit: 20_000_000_000 } },
    { network: "fd00::/8", limits: {} },
  ],
  ignored_sources: ["10.0.0.9", "10.0.1.0/24"],
  scan_evidence: "suspicious",
  loss_percent: 0.1,
  group_ipv6: 64,
  destinations_hidden: false,
};

const lines = (limits: object) => limitLines(parseLimits(limits)).map(({ words }) => words.replaceAll("\u00a0", " "));

test("every limit in force is a sentence", () => {
  assert.deepEqual(lines(served), [
    "A host may send 1 GB in 170 s.",
    "A host may receive 1.5 MB in 170 s.",
    "A host may contact 15 hosts in 170 s. " +
      "One that contacts more is reported if its contacts look like a scan (ScanEvidence: suspicious).",
    "A host may contact 100 ports in 10 min. " +
      "One that contacts more is reported if its contacts look like a scan (ScanEvidence: suspicious).",
    "A host may send 10,000 packets within a second.",
    "A host may contact 1 new host within a second.",
    "0.1 % of the frames may be lost in 170 s.",
    "In 10.0.5.0/24: a host may send 20 GB in 170 s; packets within a second are not limited.",
    "In fd00::/8: the same.",
    "Counted and never reported: 10.0.0.9, 10.0.1.0/24.",
    "IPv6 addresses with the same first 64 bits count as one host.",
  ]);
});

test("limits that are off are said to be off", () => {
  const off = Object.fromEntries(Object.keys(served.hosts).map((key) => [key, null]));
  const none = { ...served, hosts: off, networks: [], ignored_sources: [], loss_percent: null, group_ipv6: null };
  const said = limitLines(parseLimits({ ...none, destinations_hidden: true }));
  assert.ok(said.every(({ isOff }) => isOff));
  assert.deepEqual(said.map(({ words }) => words), [
    "Off: bytes sent are not limited.",
    "Off: bytes received are not limited.",
    "Off: hosts contacted are not limited, because destinations are hidden (NoDestinations).",
    "Off: ports contacted are not limited.",
    "Off: packets within a second are not limited.",
    "Off: new hosts within a second are not limited.",
    "Off: lost frames are not reported as an alert.",
  ]);
});

test("the original's rule is said, and limits of a newer server come last", () => {
  const said = lines({ ...served, scan_evidence: "contacts", hosts: { NewLimit: 7, NumberContactedIPs: 15, OtherLimit: null } });
  assert.deepEqual(said.slice(0, 3), [
    "A host may contact 15 hosts in 170 s. One that contacts more is reported in any case (ScanEvidence: contacts).",
    "NewLimit is 7.",
    "Off: OtherLimit is not limited.",
  ]);
});

test("what has another shape is refused by name", () => {
  for (const [limits, expected] of [
    [{ ...served, hosts: null }, /hosts: not an object/],
    [{ ...served, hosts: { ByteLimit: "1G" } }, /ByteLimit: not a number/],
    [{ ...served, networks: [{ network: 7, limits: {} }] }, /network: not a text/],
    [{ ...served, scan_evidence: undefined }, /scan_evidence: not a text/],
  ] as const) {
    assert.throws(() => parseLimits(limits), expected);
  }
});
