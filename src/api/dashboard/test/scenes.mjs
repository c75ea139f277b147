// Made-up data for pictures.mjs: what the server answers in each scene.

const NOW = Math.floor(Date.now() / 1000) * 1000;
const MINUTE = 60_000;
const ago = (ms) => new Date(NOW - ms).toISOString();

/** A small generator of numbers, so that pictures can be compared. */
function random(seed) {
  let state = seed;
  return () => {
    state = (state * 1664525 + 1013904223) % 2 ** 32;
    return state / 2 ** 32;
  };
}

const outcomes = (answered, refused, silent) => ({ answered, refused, silent, unseen: 0, early: 0 });
const evidence = (bytes, peers, more = {}) => ({
  ip_bytes: bytes,
  destinations: peers.map(([ip, ip_bytes]) => ({ ip, ip_bytes })),
  dropped_frames: 0,
  ...more,
});

const sweep = {
  id: "1796000000-7",
  kind: "SCANNING",
  state: "open",
  source: "10.0.0.66",
  source_name: "camera-3.lan",
  sentence: "SCANNING: 10.0.0.66 (camera-3.lan) tried 253 hosts at TCP port 445 (SMB) in 9 s: 12 answered, 3 refused, 238 unanswered; scanner, confidence high; 253 hosts in 170 s, the limit is 15",
  opened_at: ago(3.2 * MINUTE),
  closed_at: null,
  measured: 253,
  limit: 15,
  window_seconds: 170,
  evidence: evidence(15_180, [["10.0.1.12", 900], ["10.0.1.40", 780], ["10.0.1.7", 60]], {
    role: "scanner",
    class: "sweep",
    confidence: "high",
    why: "tried 253 hosts at TCP port 445 (SMB) in 9 s: 12 answered, 3 refused, 238 unanswered",
    contacted: 253,
    ...outcomes(12, 3, 238),
    answers: "visible",
    busiest_ports: [{ protocol: 6, port: 445, hosts: 253, ...outcomes(12, 3, 238) }],
    ports_at_one_host: 1,
    targets: [
      { ip: "10.0.1.12", protocol: 6, port: 445, outcome: "answered" },
      { ip: "10.0.1.1", protocol: 6, port: 445, outcome: "silent" },
      { ip: "10.0.1.2", protocol: 6, port: 445, outcome: "silent" },
      { ip: "10.0.1.3", protocol: 6, port: 445, outcome: "refused" },
    ],
    contacts_per_second: 28.1,
  }),
};

const traffic = {
  id: "1796000000-9",
  kind: "TRAFFIC",
  state: "open",
  source: "10.0.0.5",
  source_name: "nas.lan",
  sentence: "TRAFFIC: 10.0.0.5 (nas.lan) sent 2.41 GB in 170 s, the limit is 1 GB",
  opened_at: ago(0.6 * MINUTE),
  closed_at: null,
  measured: 2_410_000_000,
  limit: 1_000_000_000,
  window_seconds: 170,
  evidence: evidence(2_410_000_000, [["198.51.100.7", 2_290_000_000], ["10.0.0.12", 120_000_000]]),
};

const ports = {
  id: "1796000000-4",
  kind: "SCANNING_PORT",
  state: "open",
  source: "2001:db8:aaaa:bbbb:cccc:dddd:eeee:1234",
  source_country: "NL",
  source_asn: 64500,
  source_as_organization: "Example Hosting",
  sentence: "SCANNING_PORT: 2001:db8:aaaa:bbbb:cccc:dddd:eeee:1234 (NL, AS64500) tried 266 ports or more at one host in 12 s; of all its ports 4 answered, 996 refused; scanner, confidence high; 1000 ports in 10 min, the limit is 100",
  opened_at: ago(71 * MINUTE),
  closed_at: null,
  measured: 1000,
  limit: 100,
  window_seconds: 600,
  muted: true,
  evidence: evidence(48_000, [["2001:db8::10", 48_000]], {
    ports: Array.from({ length: 1000 }, (_, i) => i + 1),
    role: "scanner",
    class: "vertical",
    confidence: "high",
    why: "tried 266 ports or more at one host in 12 s; of all its ports 4 answered, 996 refused",
    contacted: 1000,
    ...outcomes(4, 996, 0),
    answers: "visible",
    busiest_ports: [{ protocol: 6, port: 22, hosts: 1, ...outcomes(1, 0, 0) }, { protocol: 6, port: 80, hosts: 1, ...outcomes(1, 0, 0) }],
    ports_at_one_host: 1000,
    targets: [{ ip: "2001:db8::10", protocol: 6, port: 22, outcome: "answered" }],
    contacts_per_second: 83.3,
  }),
};

const poller = {
  ...sweep,
  id: "1796000000-3",
  source: "10.0.0.9",
  source_name: "monitor.lan",
  sentence: "SCANNING: 10.0.0.9 (monitor.lan) contacted 64 hosts in 60 s, 60 of them at TCP port 9100: 60 answered, 4 unanswered; client, confidence low that it scans; 64 hosts in 170 s, the limit is 15",
  opened_at: ago(8 * MINUTE),
  measured: 64,
  evidence: {
    ...sweep.evidence,
    role: "client",
    class: null,
    confidence: "low",
    why: "contacted 64 hosts in 60 s, 60 of them at TCP port 9100: 60 answered, 4 unanswered",
    contacted: 64,
    ...outcomes(60, 0, 4),
    busiest_ports: [
      { protocol: 6, port: 9100, hosts: 60, ...outcomes(58, 0, 2) },
      { protocol: 17, port: 161, hosts: 4, ...outcomes(2, 0, 2) },
    ],
    targets: [],
  },
};

const possible = {
  id: "1796000000-8",
  kind: "TRAFFIC",
  state: "possible",
  source: "10.0.3.77",
  sentence: "TRAFFIC is possible: 10.0.3.77 sent 860 MB, perhaps up to 1.12 GB, in 170 s, the limit is 1 GB; not all of it was counted, since MemoryLimit is too low",
  opened_at: ago(2 * MINUTE),
  closed_at: null,
  measured: 860_000_000,
  limit: 1_000_000_000,
  window_seconds: 170,
  evidence: evidence(860_000_000, [["198.51.100.9", 700_000_000]], { possible: true, up_to: 1_120_000_000 }),
};

const rate = {
  id: "1796000000-2",
  kind: "PACKET_RATE",
  state: "open",
  source: "203.0.113.80",
  source_country: "US",
  sentence: "PACKET_RATE: 203.0.113.80 (US) sent 48.2K packets in a second, the limit is 10K",
  opened_at: ago(26 * 60 * MINUTE),
  closed_at: null,
  measured: 48_200,
  limit: 10_000,
  window_seconds: 1,
  evidence: evidence(310_000_000, [["10.0.0.20", 309_000_000]]),
};

const loss = {
  id: "1796000000-5",
  kind: "LOSS",
  state: "open",
  source: null,
  sentence: "LOSS: this gateway lost 2.17% of the frames it should have counted in 170 s, the limit is 0.1%; all counts are too low, and more RingMemory or Workers may help",
  opened_at: ago(1.5 * MINUTE),
  closed_at: null,
  measured: 21_700,
  limit: 1_000,
  window_seconds: 170,
  evidence: evidence(0, [], { dropped_frames: 214_321 }),
};

const storm = {
  id: "1796000000-40",
  kind: "SCANNING",
  state: "open",
  source: null,
  sentence: "SCANNING storm: 50 local hosts of 10.0.7.0/24 exceed their limits, the latest: 10.0.7.50, 10.0.7.49, 10.0.7.48, 10.0.7.47, 10.0.7.46 and 45 more",
  opened_at: ago(1 * MINUTE),
  closed_at: null,
  measured: 50,
  limit: 20,
  window_seconds: 60,
  storm: {
    hosts: 50, open: 48, said_singly: 0, network: "10.0.7.0/24", target: null, local: true,
    networks: [{ network: "10.0.7.0/24", hosts: 50 }],
    sample: Array.from({ length: 50 }, (_, n) => `10.0.7.${n + 1}`),
  },
  evidence: evidence(0, []),
};
const members = Array.from({ length: 50 }, (_, n) => ({
  ...sweep, id: `1796000000-${41 + n}`, source: `10.0.7.${n + 1}`, opened_at: ago(1 * MINUTE), storm_id: storm.id,
  sentence: `SCANNING: 10.0.7.${n + 1} tried 60 hosts at TCP port 445 (SMB) in 2 s: 60 unanswered; scanner, confidence high; 60 hosts in 170 s, the limit is 15`,
}));

/** `ending` is what the sentence of the end says of the host. */
const past = (n, alert, ending, closedAgo, lasted) => ({
  ...alert,
  id: `1795900000-${n}`,
  state: "closed",
  muted: undefined,
  opened_at: ago(closedAgo + lasted),
  closed_at: ago(closedAgo),
  sentence: `${alert.kind} is over after ${lasted < 3 * MINUTE ? `${lasted / 1000} s` : `${lasted / MINUTE} min`}: ${ending}`,
});
const endings = {
  sweep: "10.0.0.66 (camera-3.lan) contacted at most 253 hosts in 170 s, the limit is 15; scanner, confidence high",
  ports: "2001:db8:aaaa:bbbb:cccc:dddd:eeee:1234 (NL, AS64500) contacted at most 1000 ports in 10 min, the limit is 100; scanner, confidence high",
  poller: "10.0.0.9 (monitor.lan) contacted at most 64 hosts in 170 s, the limit is 15; client, confidence low that it scans",
};
const closed = [
  past(1, { ...traffic, source: "10.0.0.12" }, "10.0.0.12 (laptop.lan) sent at most 2.41 GB in 170 s, the limit is 1 GB", 6 * MINUTE, 3 * MINUTE),
  past(2, sweep, endings.sweep, 44 * MINUTE, 4 * MINUTE),
  past(3, rate, "203.0.113.80 (US) sent at most 48.2K packets in a second, the limit is 10K", 3.3 * 60 * MINUTE, MINUTE),
  ...Array.from({ length: 34 }, (_, i) => {
    const [alert, ending] = i % 3 === 0 ? [ports, endings.ports] : [poller, endings.poller];
    return past(10 + i, alert, ending, (5 + i * 0.5) * 60 * MINUTE, (3 + i) * MINUTE);
  }),
];

function hosts(number, seed) {
  const next = random(seed);
  const made = Array.from({ length: number }, (_, i) => {
    const source = i % 17 === 11 ? `2001:db8:${(i * 7919).toString(16)}::${i.toString(16)}` : `10.0.${Math.floor(i / 200)}.${(i % 200) + 5}`;
    const peers = Array.from({ length: 1 + Math.floor(next() * (i % 9 === 0 ? 40 : 5)) }, () => {
      const inside = next() < 0.3;
      const IP = inside ? `10.0.0.${Math.floor(next() * 60) + 5}` : `198.51.100.${Math.floor(next() * 250) + 1}`;
      return { IP, Bytes: Math.floor(10 ** (5.7 + next() * 3.2)) };
    });
    const unique = [...new Map(peers.map((peer) => [peer.IP, peer])).values()].sort((a, b) => b.Bytes - a.Bytes);
    return { EventType: "", SourceIP: source, DestinationIP: unique, TotalBytes: unique.reduce((sum, peer) => sum + peer.Bytes, 0) };
  });
  return made.sort((a, b) => b.TotalBytes - a.TotalBytes);
}

function alerting(list, alerts) {
  const kinds = new Map();
  for (const { source, kind, state } of alerts) {
    if (source !== null && state === "open") kinds.set(source, [...(kinds.get(source) ?? []), kind]);
  }
  const known = list.map((host) => ({ ...host, EventType: (kinds.get(host.SourceIP) ?? []).join("+") }));
  const nas = known.find((host) => host.SourceIP === "10.0.0.5");
  if (nas !== undefined && nas.EventType !== "") {
    nas.DestinationIP = [{ IP: "198.51.100.7", Bytes: 2_290_000_000 }, { IP: "10.0.0.12", Bytes: 120_000_000 }];
    nas.TotalBytes = 2_410_000_000;
  }
  return known.sort((a, b) => b.TotalBytes - a.TotalBytes);
}

const way = (frames, bytes, unexplained) => ({ frames, counted_frames: frames, ip_packets: frames, ip_bytes: bytes, skipped: {}, unexplained });
function accounting(dropped, alertSince) {
  const step = { lately_ms: 1.2, max_ms: 4 };
  const offered = 49_285_478;
  const counted = offered - 1_110_112 - 5_120 - dropped;
  return {
    wire_exact: true, frames: offered - dropped - 5_120, counted_frames: counted, ip_packets: 61_235_492, ip_bytes: 58_771_223_344,
    skipped: { not_ip: 12_034, ip_version: 77, leaving: 1_098_001 }, malformed_ip_packets: 77, length_mismatch_packets: 0,
    super_frames: 3_000_000, super_frames_as_one: 12, spilled_packets: 0, spilled_bytes: 0, spilled_ports: 0, undecided_exchanges: 4, hosts_omitted: 0,
    kernel: { tp_packets: offered, tp_drops: dropped, tp_freezes: 0, frames_in_rings: 5_120, backlog_drops: 17, time_squeezes: 3 },
    loss: { tp_packets: 9_876_543, tp_drops: dropped === 0 ? 0 : 214_321, dropped: dropped === 0 ? 0 : 2.17, alert_since: alertSince },
    analyst: { waited: step, steps: { fold: step, turn: step, judge: step, report: step }, reports_put_off: 0, judgements_put_off: 0 },
    interfaces: [
      { ifindex: 1, name: "lo", gone: false, monitored: false, reason: "excluded_interface", entering: way(0, 0, null), leaving: way(0, 0, null), kernel: link(1200, 1200) },
      { ifindex: 2, name: "eth0", gone: false, monitored: true, entering: way(54_134_567, 52_771_223_344, 1204), leaving: way(0, 0, null), kernel: link(54_147_805, 43_098_712) },
      { ifindex: 3, name: "eth1", gone: false, monitored: true, entering: way(7_100_925, 6_000_000_000, -12), leaving: way(0, 0, null), kernel: link(7_100_065, 2_098_712) },
      { ifindex: 5, name: "br-lan", gone: false, monitored: false, reason: "upper_device", entering: way(0, 0, null), leaving: way(0, 0, null), kernel: link(7_099_988, 7_099_988) },
    ],
    topology: { forwards: true, local_networks: [], changes: { count: 0, last_ms: 0, max_ms: 0 } },
  };
}
function link(rx_packets, tx_packets) {
  return { rx_packets, rx_bytes: 0, rx_dropped: 0, rx_errors: 0, rx_missed: 0, tx_packets, tx_bytes: 0, tx_dropped: 0, tx_errors: 0 };
}

const limits = {
  traffic_interval: 170, port_interval: 600,
  hosts: { ByteLimit: 1_000_000_000, NumberContactedIPs: 15, NumContactedPorts: 100, PacketRateLimit: 10_000, ContactRateLimit: null, ReceivedByteLimit: null },
  networks: [{ network: "10.0.5.0/24", limits: { ByteLimit: 20_000_000_000, PacketRateLimit: null } }],
  ignored_sources: ["10.0.0.250"], scan_evidence: "suspicious", loss_percent: 0.1, group_ipv6: 64, destinations_hidden: false,
};

function scene(list, open, closed, lost = 0) {
  return {
    "all": alerting(list, open),
    "capabilities": { ChartMinBytes: 5_000_000 },
    "api/v1/limits": limits,
    "api/v1/alerts": open,
    "api/v1/alerts?state=closed": closed,
    "api/v1/accounting": accounting(lost, lost === 0 ? null : ago(90_000)),
  };
}

const every = [sweep, traffic, ports, poller, possible, rate];
let isGone = false;

export const scenes = {
  twelve: { answers: scene(hosts(12, 3), every, closed) },
  crowd: { answers: scene(hosts(500, 7), [...every, ...manyAlerts(30)], closed) },
  quiet: { answers: scene(hosts(12, 5), [], []) },
  empty: { answers: scene([], [], []), widths: [390, 1440], themes: ["light"] },
  storm: {
    answers: scene(hosts(12, 3), [...members, storm, traffic], closed.slice(0, 2)), widths: [390, 1440],
    async then(page) {
      await page.locator("#open-alerts .evidence > summary").nth(1).click();
    },
  },
  losing: { answers: scene(hosts(12, 3), [loss, sweep], closed.slice(0, 2), 1_069_321), widths: [390, 1440] },
  opened: {
    answers: scene(hosts(12, 3), every, closed),
    widths: [390, 1440],
    async then(page) {
      for (const summary of await page.locator("#open-alerts .evidence > summary").all()) await summary.click();
      await page.locator("#closed-alerts .fold > summary").nth(1).click();
      await page.fill("#host-search", "198.51.100.7");
    },
  },
  gone: {
    answers: scene(hosts(12, 3), every, closed),
    widths: [1440],
    isGone: () => isGone,
    async then(page) {
      isGone = true;
      await page.waitForSelector("#outage:not([hidden])");
    },
  },
};

function manyAlerts(number) {
  return Array.from({ length: number }, (_, i) => ({
    ...(i % 2 === 0 ? poller : traffic),
    id: `1796000001-${i}`,
    source: `10.0.2.${i + 5}`,
    sentence:
      i % 2 === 0
        ? `SCANNING: 10.0.2.${i + 5} contacted 64 hosts in 60 s, 60 of them at TCP port 9100: 60 answered, 4 unanswered; client, confidence low that it scans; 64 hosts in 170 s, the limit is 15`
        : `TRAFFIC: 10.0.2.${i + 5} sent 2.41 GB in 170 s, the limit is 1 GB`,
    opened_at: ago((20 + 3 * i) * MINUTE),
  }));
}
