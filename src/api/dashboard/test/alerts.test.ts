import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type Alert,
  certainFirst,
  excessWords,
  kindName,
  limitWords,
  measuredWords,
  outcomesSentence,
  parseAlerts,
  portsSentence,
  roleWords,
  sentence,
  sureness,
  titleWords,
  why,
} from "../src/alerts.ts";

const traffic = {
  id: "1-1",
  kind: "TRAFFIC",
  state: "open",
  source: "10.0.0.5",
  opened_at: "2026-09-21T14:13:20Z",
  closed_at: null,
  measured: 2_410_000_000,
  limit: 1_000_000_000,
  window_seconds: 170,
  sentence: "TRAFFIC: 10.0.0.5 sent 2.41 GB in 170 s, the limit is 1 GB",
  evidence: {
    ip_bytes: 2_410_000_000,
    destinations: [{ ip: "198.51.100.7", ip_bytes: 2_289_500_000 }],
    dropped_frames: 0,
  },
};

const counts = (answered: number, refused: number, silent: number) => ({ answered, refused, silent, unseen: 0, early: 0 });
const scan = {
  ...traffic,
  kind: "SCANNING",
  measured: 253,
  limit: 15,
  sentence: "SCANNING: 10.0.0.66 tried 253 hosts at TCP port 445 (SMB) in 9 s: 12 answered, 241 unanswered; scanner, confidence high; 253 hosts in 170 s, the limit is 15",
  evidence: {
    ...traffic.evidence,
    role: "scanner",
    class: "sweep",
    confidence: "high",
    why: "tried 253 hosts at TCP port 445 (SMB) in 9 s: 12 answered, 241 unanswered",
    contacted: 253,
    ...counts(12, 0, 241),
    answers: "visible",
    busiest_ports: [{ protocol: 6, port: 445, hosts: 253, ...counts(12, 0, 241) }],
    ports_at_one_host: 1,
    targets: [
      { ip: "10.0.1.1", protocol: 6, port: 445, outcome: "silent" },
      { ip: "10.0.1.2", protocol: null, port: null, outcome: "answered" },
      { ip: "10.0.1.3", protocol: 17, port: 0, outcome: "refused" },
      { ip: "10.0.1.4", protocol: 1, port: 0, outcome: "silent" },
      { ip: "10.0.1.5", protocol: 99, port: 0, outcome: "early" },
    ],
    contacts_per_second: 28.1,
  },
};

function read(alert: object): Alert {
  const [parsed] = parseAlerts([alert]);
  assert.ok(parsed !== undefined);
  return parsed;
}

const plain = (text: string) => text.replaceAll("\u00a0", " ");

test("an alert is read with its evidence", () => {
  const alert = read(scan);
  assert.equal(alert.openedAt, Date.UTC(2026, 8, 21, 14, 13, 20));
  assert.deepEqual([alert.closedAt, alert.isMuted, alert.atMost], [null, false, 253]);
  assert.deepEqual(alert.destinations, [{ address: "198.51.100.7", bytes: 2_289_500_000 }]);
  assert.deepEqual(alert.contacts?.busiestPorts.map(({ port, hosts }) => [port, hosts]), [["445/tcp", 253]]);
  assert.deepEqual(alert.contacts?.targets.map(({ address, port, outcome }) => [address, port, outcome]), [
    ["10.0.1.1", "445/tcp", "silent"],
    ["10.0.1.2", "", "answered"],
    ["10.0.1.3", "0/udp", "refused"],
    ["10.0.1.4", "icmp", "silent"],
    ["10.0.1.5", "protocol 99", "early"],
  ]);
  assert.equal(read({ ...traffic, closed_at: "2026-09-21T14:14:20.5Z" }).closedAt, Date.UTC(2026, 8, 21, 14, 14, 20, 500));
});

test("what has another shape is refused by name", () => {
  for (const [alert, expected] of [
    [{ ...traffic, evidence: undefined }, /evidence: not an object/],
    [{ ...traffic, opened_at: "yesterday" }, /opened_at: not a time/],
    [{ ...traffic, measured: "1" }, /measured: not a number/],
    [{ ...traffic, muted: 1 }, /muted: neither true nor false/],
    [{ ...traffic, sentence: undefined }, /sentence: not a text/],
    [{ ...traffic, window_seconds: undefined }, /window_seconds: not a number/],
    [{ ...scan, evidence: { ...scan.evidence, why: 7 } }, /why: not a text/],
    [{ ...scan, evidence: { ...scan.evidence, silent: "1" } }, /silent: not a number/],
  ] as const) {
    assert.throws(() => parseAlerts([alert]), expected);
  }
  assert.throws(() => parseAlerts({}), /alerts: not a list/);
});

test("a sentence loses the title that stands above it, and has what is said besides apart", () => {
  for (const [said, kind, expected] of [
    ["TRAFFIC: 10.0.0.5 sent 1 GB", "TRAFFIC", ["10.0.0.5 sent 1 GB", ""]],
    ["TRAFFIC is possible: 10.0.0.5 sent 1 GB", "TRAFFIC", ["10.0.0.5 sent 1 GB", ""]],
    ["TRAFFIC is over after 3 min: 10.0.0.5 sent at most 1 GB", "TRAFFIC", ["10.0.0.5 sent at most 1 GB", ""]],
    ["possible TRAFFIC is over after 3 min: fd00::1 sent at most 1 GB", "TRAFFIC", ["fd00::1 sent at most 1 GB", ""]],
    ["SCANNING: fd00::1 contacted 9 hosts; client; 9 hosts", "SCANNING", ["fd00::1 contacted 9 hosts", "; client; 9 hosts"]],
    ["LOSS: this gateway lost 2%", "LOSS", ["This gateway lost 2%", ""]],
    ["fd00::1 sent 1 GB", "TRAFFIC", ["fd00::1 sent 1 GB", ""]],
  ] as const) {
    assert.deepEqual(sentence(read({ ...traffic, kind, sentence: said })), expected);
  }
});

test("measured values and limits are in the units of their kind", () => {
  for (const [kind, measured, limit, expected] of [
    ["TRAFFIC", 2_410_000_000, 1_000_000_000, ["2.41 GB", "1 GB in 170 s"]],
    ["RECEIVED", 1_500, 1_000, ["1.5 kB", "1 kB in 170 s"]],
    ["SCANNING", 1, 0, ["1 host", "0 hosts in 170 s"]],
    ["SCANNING_PORT", 1000, 100, ["1,000 ports", "100 ports in 170 s"]],
    ["PACKET_RATE", 48_200, 10_000, ["48,200 packets/s", "10,000 packets/s"]],
    ["CONTACT_RATE", 40, 20, ["40 new hosts/s", "20 new hosts/s"]],
    ["LOSS", 21_700, 1_000, ["2.17 % of the frames", "0.1 % of the frames in 170 s"]],
    ["NEW_KIND", 1234, 1000, ["1,234", "1,000 in 170 s"]],
  ] as const) {
    const alert = read({ ...traffic, kind, measured, limit });
    assert.deepEqual([measuredWords(alert), limitWords(alert)].map(plain), expected, kind);
  }
  assert.equal(kindName("SCANNING_PORT"), "Port scanning");
  assert.equal(kindName("NEW_KIND"), "New kind");
  assert.equal(plain(limitWords(read({ ...scan, window_seconds: 600 }))), "15 hosts in 10 min");
});

test("by how much a limit is exceeded", () => {
  for (const [measured, limit, expected] of [
    [1_000_000_001, 1_000_000_000, "just over the limit"],
    [24, 10, "2.4 times the limit"],
    [253, 15, "17 times the limit"],
    [9, 10, ""],
    [5, 0, "5.0 times the limit"],
  ] as const) {
    assert.equal(excessWords(read({ ...traffic, measured, limit })), expected);
  }
});

test("how sure it is, and why it is an alert", () => {
  const [counted, judged] = [read(traffic), read(scan)];
  assert.deepEqual([sureness(counted), roleWords(counted)], ["certain, it was counted", ""]);
  assert.deepEqual([sureness(judged), roleWords(judged)], ["high confidence that it scans", "scanner (sweep)"]);
  assert.equal(plain(why(counted)), "2.4 times the limit that ByteLimit sets. Most bytes went to 198.51.100.7: 2.28 GB, 95 %.");
  // The evidence is from the opening, and the host has sent more since.
  const grown = read({ ...traffic, measured: 3_000_000_000 });
  assert.equal(plain(why(grown)), "3.0 times the limit that ByteLimit sets. Most bytes went to 198.51.100.7: 2.28 GB.");
  assert.equal(why(judged), "17 times the limit that NumberContactedIPs sets.", "the rest is in its sentence");
  const unsaid = read({ ...scan, sentence: "SCANNING is over after 3 min: 10.0.0.66 contacted at most 253 hosts in 170 s, the limit is 15" });
  assert.equal(
    why(unsaid),
    "17 times the limit that NumberContactedIPs sets. It tried 253 hosts at TCP port 445 (SMB) in 9 s: 12 answered, 241 unanswered.",
  );
  const restored = read({ ...traffic, kind: "SCANNING" });
  assert.equal(sureness(restored), "not known since a restart");
  const received = read({ ...traffic, kind: "RECEIVED" });
  assert.equal(why(received), "2.4 times the limit that ReceivedByteLimit sets.", "what it sent does not explain that");
  const maybe = read({ ...traffic, state: "possible", measured: 9e8, evidence: { ...traffic.evidence, destinations: [], up_to: 1_200_000_001 } });
  assert.equal(sureness(maybe), "possible, not everything could be counted");
  assert.equal(plain(measuredWords(maybe)), "900 MB counted, at most 1.21 GB");
  assert.equal(why(maybe), "With what could not be counted it may exceed ByteLimit.");
  const client = read({ ...scan, evidence: { ...scan.evidence, role: "client", class: null } });
  assert.equal(roleWords(client), "client");
  // A rate is counted; what is judged is the role of its host.
  const flood = read({ ...scan, kind: "PACKET_RATE", evidence: { ...scan.evidence, role: "victim", class: null, confidence: "low" } });
  assert.deepEqual([sureness(flood), roleWords(flood)], ["certain, it was counted", "victim (low confidence that it scans)"]);
});

test("outcomes and ports are said once they are known", () => {
  assert.equal(outcomesSentence(read(scan)), "253 contacts: 12 answered, 241 unanswered.");
  const traced = read({ ...scan, evidence: { ...scan.evidence, expired: 3 } });
  assert.equal(outcomesSentence(traced), "253 contacts: 12 answered, 3 expired on the way, 241 unanswered.");
  // The words are those of the sentence.
  const unknown = read({ ...scan, evidence: { ...scan.evidence, unseen: 7, early: 2 } });
  assert.equal(outcomesSentence(unknown), "253 contacts: 12 answered, 241 unanswered, 7 not visible, 2 too recent to tell.");
  assert.equal(portsSentence(read(scan)), "445/tcp at 253 hosts");
  assert.deepEqual([outcomesSentence(read(traffic)), portsSentence(read(traffic))], ["", ""]);
  const contacted = (ports: number[]) => portsSentence(read({ ...traffic, evidence: { ...traffic.evidence, ports } }));
  assert.equal(contacted(Array.from({ length: 1000 }, (_, n) => n + 1)), "1–1000");
  assert.equal(contacted([22, 80, 81, 443]), "22, 80–81, 443");
  assert.equal(contacted([1, 3, 5, 7, 9, 11, 13, 15, 17]), "1, 3, 5, 7, 9, 11, 13, 15 and others");
});

test("certain alerts come before possible ones, new ones before old ones, and those of a storm last", () => {
  const at = (id: string, second: number, state: string, more = {}) =>
    read({ ...traffic, id, state, opened_at: `2026-01-01T00:00:0${second}Z`, ...more });
  const alerts = [at("a", 1, "open"), at("b", 4, "possible"), at("c", 3, "open"), at("d", 2, "possible"), at("e", 9, "open", { storm_id: "c" })];
  assert.deepEqual(certainFirst(alerts).map(({ id }) => id), ["c", "a", "b", "d", "e"]);
});

test("a storm is said in its own words", () => {
  const storm = {
    ...traffic,
    kind: "SCANNING",
    source: null,
    measured: 50,
    limit: 20,
    window_seconds: 60,
    sentence: "SCANNING storm: 50 local hosts of 10.0.0.0/24 exceed their limits, the latest: 10.0.0.50, 10.0.0.49 and 48 more",
    evidence: { ip_bytes: 0, destinations: [], dropped_frames: 0 },
    storm: {
      hosts: 50,
      open: 48,
      said_singly: 20,
      network: "10.0.0.0/24",
      target: null,
      local: true,
      networks: [{ network: "10.0.0.0/24", hosts: 50 }],
      sample: ["10.0.0.49", "10.0.0.50"],
    },
  };
  const read50 = read(storm);
  assert.deepEqual(read50.storm, { hosts: 50, open: 48, saidSingly: 20, networks: storm.storm.networks, sample: storm.storm.sample });
  assert.deepEqual(sentence(read50), ["50 local hosts of 10.0.0.0/24 exceed their limits, the latest: 10.0.0.50, 10.0.0.49 and 48 more", ""]);
  assert.deepEqual([titleWords(read50), measuredWords(read50), limitWords(read50)].map(plain), ["Scanning storm", "50 hosts", "20 alerts in 60 s"]);
  assert.deepEqual([sureness(read50), roleWords(read50), outcomesSentence(read50)], ["", "", ""]);
  assert.equal(
    plain(why(read50)),
    "More than 20 alerts of this kind opened within a minute (AlertBurst), so they are notified as one. " +
      "48 of 50 hosts are still over the limit. The first 20 were notified singly.",
  );
  assert.equal(sureness(read({ ...storm, state: "possible" })), "possible, not everything could be counted");
  const over = "SCANNING storm is over after 15 s: 50 local hosts of 10.0.0.0/24 exceeded their limits";
  assert.equal(sentence(read({ ...storm, sentence: over }))[0], "50 local hosts of 10.0.0.0/24 exceeded their limits");
  assert.equal(read({ ...traffic, storm_id: "1-7" }).stormId, "1-7");
  assert.throws(() => read({ ...storm, storm: { ...storm.storm, sample: [7] } }), /host: not a text/);
});
