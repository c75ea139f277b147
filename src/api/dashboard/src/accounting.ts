// The fields of `/api/v1/accounting` that the page shows. All counts are since the server's start, except `loss`.

import { type Fields, flag, list, number, optional, record, text } from "./fields.ts";

/** Every frame that the kernel offered is in exactly one of the first four fields. */
export interface Accounting {
  readonly countedFrames: number;
  readonly skipped: Skipped;
  readonly droppedFrames: number;
  readonly framesInRings: number;
  /** Frames that the kernel offered, dropped ones included (`tp_packets`). */
  readonly offeredFrames: number;
  /** Packets of the wire that the counted frames stand for. */
  readonly ipPackets: number;
  readonly ipBytes: number;
  readonly wireExact: boolean;
  readonly superFrames: number;
  readonly superFramesAsOne: number;
  readonly lengthMismatchPackets: number;
  readonly spilledPackets: number;
  readonly spilledBytes: number;
  readonly spilledPorts: number;
  readonly undecidedExchanges: number;
  readonly hostsOmitted: number;
  /** Frames dropped before any socket saw them; `null` if the kernel has no count. */
  readonly backlogDrops: number | null;
  readonly loss: Loss;
  readonly analyst: Analyst;
  readonly interfaces: readonly Interface[];
}

/** Frames by the name of the reason. */
export type Skipped = ReadonlyMap<string, number>;

/** Drops in the traffic window. */
export interface Loss {
  readonly offeredFrames: number;
  readonly droppedFrames: number;
  readonly droppedPercent: number;
  readonly hasAlert: boolean;
}

/** The largest delays from counting to the shown numbers in the last minute or two. */
export interface Analyst {
  /** From the hand-over of a worker's delta until the analyst added it up. */
  readonly waitedMs: number;
  /** The longest other step of the analyst, and its name; no delta is added meanwhile. */
  readonly stepMs: number;
  readonly step: string;
  /** Since the server's start. */
  readonly reportsPutOff: number;
  readonly judgementsPutOff: number;
}

export interface Interface {
  /** 0 for the sum of interfaces that are gone and no longer listed. */
  readonly ifindex: number;
  readonly name: string | null;
  readonly isGone: boolean;
  readonly isMonitored: boolean;
  /** The reason why it is not monitored. */
  readonly reason: string | null;
  readonly entering: Way;
  readonly leaving: Way;
  readonly rxPackets: number;
  readonly rxDropped: number;
  readonly rxErrors: number;
  readonly rxMissed: number;
  readonly txPackets: number;
  readonly note: string | null;
}

/** One direction of an interface. */
export interface Way {
  readonly frames: number;
  readonly ipPackets: number;
  readonly ipBytes: number;
  /** Frames that only the kernel counted, negative if it counted less; `null` if the filter drops some frames. */
  readonly unexplained: number | null;
}

export function parseAccounting(value: unknown): Accounting {
  const fields = record(value, "accounting");
  const kernel = record(fields["kernel"], "kernel");
  return {
    countedFrames: number(fields, "counted_frames"),
    skipped: parseSkipped(fields["skipped"]),
    droppedFrames: number(kernel, "tp_drops"),
    framesInRings: number(kernel, "frames_in_rings"),
    offeredFrames: number(kernel, "tp_packets"),
    ipPackets: number(fields, "ip_packets"),
    ipBytes: number(fields, "ip_bytes"),
    wireExact: flag(fields, "wire_exact"),
    superFrames: number(fields, "super_frames"),
    superFramesAsOne: number(fields, "super_frames_as_one"),
    lengthMismatchPackets: number(fields, "length_mismatch_packets"),
    spilledPackets: number(fields, "spilled_packets"),
    spilledBytes: number(fields, "spilled_bytes"),
    spilledPorts: number(fields, "spilled_ports"),
    undecidedExchanges: number(fields, "undecided_exchanges"),
    hostsOmitted: number(fields, "hosts_omitted"),
    backlogDrops: optional(kernel, "backlog_drops", number),
    loss: parseLoss(record(fields["loss"], "loss")),
    analyst: parseAnalyst(record(fields["analyst"], "analyst")),
    interfaces: list(fields["interfaces"], "interfaces").map((item) => parseInterface(record(item, "interface"))),
  };
}

function parseLoss(loss: Fields): Loss {
  return {
    offeredFrames: number(loss, "tp_packets"),
    droppedFrames: number(loss, "tp_drops"),
    droppedPercent: number(loss, "dropped"),
    hasAlert: optional(loss, "alert_since", text) !== null,
  };
}

function parseAnalyst(analyst: Fields): Analyst {
  const latelyMs = (of: Fields, name: string) => number(record(of[name], name), "lately_ms");
  const steps = record(analyst["steps"], "steps");
  const [step, stepMs] = Object.keys(steps)
    .map((name): [string, number] => [name, latelyMs(steps, name)])
    .reduce((longest, next) => (next[1] > longest[1] ? next : longest), ["", 0]);
  return {
    waitedMs: latelyMs(analyst, "waited"),
    stepMs,
    step,
    reportsPutOff: number(analyst, "reports_put_off"),
    judgementsPutOff: number(analyst, "judgements_put_off"),
  };
}

function parseInterface(row: Fields): Interface {
  const kernel = record(row["kernel"], "kernel");
  return {
    ifindex: number(row, "ifindex"),
    name: optional(row, "name", text),
    isGone: flag(row, "gone"),
    isMonitored: flag(row, "monitored"),
    reason: optional(row, "reason", text),
    entering: parseWay(record(row["entering"], "entering")),
    leaving: parseWay(record(row["leaving"], "leaving")),
    rxPackets: number(kernel, "rx_packets"),
    rxDropped: number(kernel, "rx_dropped"),
    rxErrors: number(kernel, "rx_errors"),
    rxMissed: number(kernel, "rx_missed"),
    txPackets: number(kernel, "tx_packets"),
    note: optional(row, "note", text),
  };
}

function parseWay(way: Fields): Way {
  return {
    frames: number(way, "frames"),
    ipPackets: number(way, "ip_packets"),
    ipBytes: number(way, "ip_bytes"),
    unexplained: optional(way, "unexplained", number),
  };
}

function parseSkipped(value: unknown): Skipped {
  const fields = record(value, "skipped");
  return new Map(Object.keys(fields).map((reason) => [reason, number(fields, reason)]));
}
