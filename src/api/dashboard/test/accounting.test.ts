import assert from "node:assert/strict";
import { test } from "node:test";
import { type Accounting, type Interface, type Way, parseAccounting } from "../src/accounting.ts";
import {
  compareNames,
  enteringCounts,
  goneInBrief,
  interfaceName,
  interfacesInBrief,
  leavingCounts,
  monitoring,
  unexplained,
} from "../src/interfaces.ts";
import { balance, frameLedger, remarks, verdict } from "../src/ledger.ts";
import { Growth, type Notice, notices } from "../src/notices.ts";
import { whyFramesAreSkipped, whyNotMonitored } from "../src/reasons.ts";

/** Replaces no-break spaces by spaces. */
const plain = (words: string) => words.replaceAll("\u00a0", " ");

const way = {
  frames: 100,
  counted_frames: 90,
  ip_packets: 290,
  ip_bytes: 12345,
  skipped: { not_ip: 10 },
  unexplained: 7,
};

const answer = {
  wire_exact: true,
  frames: 100,
  counted_frames: 90,
  ip_packets: 290,
  ip_bytes: 12345,
  skipped: { not_ip: 6, ip_version: 4 },
  malformed_ip_packets: 4,
  length_mismatch_packets: 0,
  super_frames: 0,
  super_frames_as_one: 0,
  spilled_packets: 0,
  spilled_bytes: 0,
  spilled_ports: 0,
  undecided_exchanges: 0,
  hosts_omitted: 0,
  kernel: {
    tp_packets: 110,
    tp_drops: 8,
    tp_freezes: 1,
    frames_in_rings: 2,
    backlog_drops: null,
    time_squeezes: null,
  },
  loss: { tp_packets: 50, tp_drops: 8, dropped: 16, alert_since: "2026-01-01T00:00:00Z" },
  analyst: {
    waited: { lately_ms: 0, max_ms: 900 },
    steps: { fold: { lately_ms: 3.21, max_ms: 8 }, report: { lately_ms: 4.5, max_ms: 5 } },
    reports_put_off: 0,
    judgements_put_off: 0,
  },
  interfaces: [
    {
      ifindex: 2,
      name: "eth0",
      gone: false,
      monitored: true,
      entering: way,
      leaving: { ...way, unexplained: null },
      kernel: {
        rx_packets: 300,
        rx_bytes: 1,
        rx_dropped: 2,
        rx_errors: 3,
        rx_missed: 4,
        tx_packets: 5,
        tx_bytes: 6,
        tx_dropped: 7,
        tx_errors: 8,
      },
    },
  ],
};

const accounting = parseAccounting(answer);
const still: Way = { frames: 0, ipPackets: 0, ipBytes: 0, unexplained: null };
const eth0: Interface = {
  ifindex: 2,
  name: "eth0",
  isGone: false,
  isMonitored: true,
  reason: null,
  entering: still,
  leaving: still,
  rxPackets: 0,
  rxDropped: 0,
  rxErrors: 0,
  rxMissed: 0,
  txPackets: 0,
  note: null,
};

test("the accounting is read, and null stays null", () => {
  assert.deepEqual([...accounting.skipped], [["not_ip", 6], ["ip_version", 4]]);
  assert.equal(accounting.backlogDrops, null);
  assert.equal(parseAccounting({ ...answer, kernel: { ...answer.kernel, backlog_drops: 0 } }).backlogDrops, 0);
  assert.deepEqual(accounting.loss, { offeredFrames: 50, droppedFrames: 8, droppedPercent: 16, hasAlert: true });
  assert.deepEqual(accounting.analyst, {
    waitedMs: 0,
    stepMs: 4.5,
    step: "report",
    reportsPutOff: 0,
    judgementsPutOff: 0,
  });
  assert.deepEqual(accounting.interfaces, [
    {
      ...eth0,
      entering: { frames: 100, ipPackets: 290, ipBytes: 12345, unexplained: 7 },
      leaving: { frames: 100, ipPackets: 290, ipBytes: 12345, unexplained: null },
      rxPackets: 300,
      rxDropped: 2,
      rxErrors: 3,
      rxMissed: 4,
      txPackets: 5,
    },
  ]);
});

test("an accounting of another shape is refused by name", () => {
  for (const [value, expected] of [
    [null, /accounting: not an object/],
    [{ ...answer, kernel: undefined }, /kernel: not an object/],
    [{ ...answer, loss: undefined }, /loss: not an object/],
    [{ ...answer, analyst: undefined }, /analyst: not an object/],
    [{ ...answer, analyst: { ...answer.analyst, steps: { fold: { max_ms: 1 } } } }, /lately_ms: not a number/],
    [{ ...answer, interfaces: undefined }, /interfaces: not a list/],
    [{ ...answer, skipped: { not_ip: "6" } }, /not_ip: not a number/],
    [{ ...answer, wire_exact: 1 }, /wire_exact: neither true nor false/],
    [{ ...answer, kernel: { ...answer.kernel, backlog_drops: "0" } }, /backlog_drops: not a number/],
  ] as const) {
    assert.throws(() => parseAccounting(value), expected);
  }
});

test("the ledger has every frame once, and adds up to what was offered", () => {
  const ledger = frameLedger(accounting);
  assert.deepEqual(
    ledger.entries.map(({ place, words, frames }) => [place, plain(words), frames]),
    [
      ["counted", "Counted, as 290 IP packets with 12.3 kB", 90],
      ["skipped", "Skipped: not IP, such as ARP, spanning tree or LLDP", 6],
      ["skipped", "Skipped: malformed IP, another version than announced", 4],
      ["dropped", "Dropped by the kernel, because a ring was full", 8],
      ["waiting", "In the rings, not read yet", 2],
    ],
  );
  assert.deepEqual([ledger.sum, ledger.offered], [110, 110]);
  assert.equal(new Set(ledger.entries.map(({ key }) => key)).size, ledger.entries.length, "a key is used twice");
  const nothingSkipped = frameLedger({ ...accounting, skipped: new Map() });
  assert.deepEqual(nothingSkipped.entries.map(({ words }) => words)[1], "Skipped");
});

test("the verdict says what the sums are, also where they are wrong", () => {
  const judge = (changes: Partial<Accounting>) => {
    const ledger = frameLedger({ ...accounting, ...changes });
    return [plain(verdict(ledger)), balance(ledger)];
  };
  const nothing = { countedFrames: 0, skipped: new Map(), droppedFrames: 0, framesInRings: 0, offeredFrames: 0 };
  assert.deepEqual(judge({}), ["110 frames offered, 8 of them dropped (7.27 %).", "adds up"]);
  assert.deepEqual(judge({ droppedFrames: 0, offeredFrames: 102 }), [
    "102 frames offered, every one accounted for, none dropped.",
    "adds up",
  ]);
  assert.deepEqual(judge({ offeredFrames: 1_234_110 }), [
    "1,234,110 frames offered; what became of them does not add up: 1,234,000 missing.",
    "1,234,000 missing",
  ]);
  assert.deepEqual(judge({ offeredFrames: 109 }), [
    "109 frames offered; what became of them does not add up: 1 too many.",
    "1 too many",
  ]);
  assert.deepEqual(judge(nothing), ["No frame has been offered yet.", "adds up"]);
});

test("remarks are made of what is not zero", () => {
  assert.deepEqual(remarks(accounting), [
    "Wire exact: where the kernel has joined packets to one frame, the packets of the wire are counted.",
  ]);
  const odd = {
    ...accounting,
    wireExact: false,
    superFrames: 2000,
    superFramesAsOne: 1,
    lengthMismatchPackets: 2,
    spilledPackets: 1204,
    spilledBytes: 900_123,
    spilledPorts: 1,
    undecidedExchanges: 4,
    hostsOmitted: 5,
    backlogDrops: 17,
    analyst: { waitedMs: 261.4, stepMs: 4.5, step: "report", reportsPutOff: 1200, judgementsPutOff: 1 },
  };
  assert.deepEqual(remarks(odd).map(plain), [
    "Not wire exact: what the kernel has joined to one frame is counted as one packet.",
    "2,000 counted frames stood for several packets.",
    "1 joined frame counted as one packet, because nothing says how many they were.",
    "2 packets shorter than the header said, counted with the bytes that were there.",
    "Spilled: 1,204 packets with 900 kB counted here and under no host, because a table was full. Raise MemoryLimit.",
    "Spilled: 1 contacted port counted under no host, because a table was full. Raise MemoryLimit.",
    "Undecided: 4 exchanges of which nobody can say who began.",
    "5 hosts for which the list of hosts had no room.",
    "17 frames dropped on this machine before any socket saw them; they are not among those offered.",
    "What the workers handed over lately was added up within 261 ms; the longest step (report) took 4.5 ms.",
    "Late: 1,200 times there was too much to add up, and these numbers had to wait.",
    "Late: 1 time there was too much to add up, and alerts had to wait for up to a second.",
  ]);
});

test("each degree of loss has its banner", () => {
  const whole = (notice: Notice | null) => notice && plain(notice.before + notice.figure + notice.after);
  const say = (droppedFrames: number, droppedPercent: number, hasAlert: boolean, grown = 0) => {
    const loss = { offeredFrames: 1_000_000, droppedFrames, droppedPercent, hasAlert };
    const { losing, lost, lostBefore } = notices({ ...accounting, loss }, 170, grown);
    return [whole(losing), whole(lost), whole(lostBefore)];
  };
  assert.deepEqual(say(0, 0, false), [null, null, null]);
  assert.deepEqual(say(21_700, 2.17, true), [
    "Frames are being lost: 2.17 % of the frames of the last 170 seconds. Every number here is too small. " +
      "Raise RingMemory or Workers.",
    null,
    null,
  ]);
  assert.deepEqual(say(31, 0.0031, false), [
    null,
    "Some frames of the last 170 seconds were lost: 31 of 1,000,000 (< 0.01 %). The traffic shown here lacks them.",
    null,
  ]);
  assert.deepEqual(say(0, 0, true), [
    null,
    "Frames were lost, but none in the last 170 seconds. The alert closes by itself.",
    null,
  ]);
  assert.deepEqual(say(0, 0, false, 1200), [
    null,
    null,
    "Since this page was opened, 1,200 frames of this machine were lost before any socket saw them. " +
      "The traffic shown here lacks them. Raise net.core.netdev_max_backlog.",
  ]);
});

test("backlog drops count from the first reading on, over a restart of the server", () => {
  const growth = new Growth();
  const readings = [null, 40, 40, 42, null, 42, 5, 6];
  assert.deepEqual(readings.map((reading) => growth.of(reading)), [0, 0, 0, 2, 2, 2, 7, 8]);
});

test("an interface has a name and a reason for not being monitored", () => {
  assert.equal(interfaceName(eth0), "eth0");
  assert.equal(interfaceName({ ...eth0, name: null }), "number 2");
  assert.equal(interfaceName({ ...eth0, name: null, ifindex: 0 }), "older ones together");
  assert.equal(monitoring(eth0), "yes");
  assert.equal(
    monitoring({ ...eth0, isMonitored: false, reason: "upper_device" }),
    "no, upper device: its packets are counted on the device below",
  );
  assert.equal(monitoring({ ...eth0, isMonitored: false }), "no");
  assert.deepEqual(["eth10", "lo", "eth2"].sort(compareNames), ["eth2", "eth10", "lo"]);
});

test("a reason that this page does not know is shown by its name", () => {
  assert.equal(whyFramesAreSkipped("sent_by_pigeon"), "sent by pigeon");
  assert.equal(whyNotMonitored("sent_by_pigeon"), "sent by pigeon");
});

test("directions that do not count have no numbers", () => {
  const gateway = { ...eth0, entering: { ...still, unexplained: 0 }, leaving: { ...still, frames: 9 } };
  assert.deepEqual([enteringCounts(gateway), leavingCounts(gateway)], [true, false]);
  const server = { ...gateway, leaving: { ...still, unexplained: 0 } };
  assert.equal(leavingCounts(server), true, "it would count if something left");
  const upper = { ...eth0, isMonitored: false };
  assert.equal(enteringCounts(upper), false);
  assert.equal(enteringCounts({ ...upper, entering: { ...still, frames: 1 } }), true, "it was monitored before");
});

test("unexplained packets are shown without an explanation", () => {
  const of = (entering: number | null, leaving: number | null) => {
    const { words, detail, packets } = unexplained({
      ...eth0,
      entering: { ...still, frames: 1000, unexplained: entering },
      leaving: { ...still, frames: 50, unexplained: leaving },
      rxPackets: 20_000,
      txPackets: 40,
    });
    return [words && plain(words), detail, packets];
  };
  assert.deepEqual(of(null, null), [null, "", 0]);
  assert.deepEqual(of(0, null), ["0", "", 0]);
  assert.deepEqual(of(0, 0), ["0", "", 0]);
  assert.deepEqual(of(1200, null), [
    "1,200 (6.00 %)",
    "coming in, the kernel counted 1,200 more than were seen",
    1200,
  ]);
  assert.deepEqual(of(1200, -10), [
    "1,200 in (6.00 %)\n−10 out (20.00 %)",
    "coming in, the kernel counted 1,200 more than were seen; going out, the kernel counted 10 fewer than were seen",
    1210,
  ]);
});

test("interfaces in brief", () => {
  const other = { ...eth0, isMonitored: false };
  const gone = { ...other, isGone: true };
  for (const [rows, expected] of [
    [[], "0 monitored"],
    [[eth0], "1 monitored"],
    [[eth0, other, gone, gone], "1 monitored, 1 not, 2 gone"],
  ] as const) {
    assert.equal(interfacesInBrief(rows), expected);
  }
  assert.equal(goneInBrief(1), "1 interface that is gone");
  assert.equal(goneInBrief(2), "2 interfaces that are gone");
});
