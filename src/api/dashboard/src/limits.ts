// The limits in force, as sentences.

import { type Fields, flag, list, number, optional, record, text } from "./fields.ts";
import { grouped, groupedCount, shortBytes, duration } from "./words.ts";

/** `/api/v1/limits`; limits that are off are `null`. */
export interface Limits {
  readonly trafficSeconds: number;
  readonly portSeconds: number;
  /** By the key in the configuration. */
  readonly hosts: Values;
  readonly networks: readonly { readonly network: string; readonly limits: Values }[];
  readonly ignoredSources: readonly string[];
  readonly scanEvidence: string;
  readonly lossPercent: number | null;
  readonly groupIpv6: number | null;
  readonly destinationsHidden: boolean;
}

export type Values = ReadonlyMap<string, number | null>;

export function parseLimits(value: unknown): Limits {
  const limits = record(value, "limits");
  return {
    trafficSeconds: number(limits, "traffic_interval"),
    portSeconds: number(limits, "port_interval"),
    hosts: parseValues(record(limits["hosts"], "hosts")),
    networks: list(limits["networks"], "networks").map((item) => {
      const network = record(item, "network");
      return { network: text(network, "network"), limits: parseValues(record(network["limits"], "limits")) };
    }),
    ignoredSources: list(limits["ignored_sources"], "ignored_sources").map((source) => text({ source }, "source")),
    scanEvidence: text(limits, "scan_evidence"),
    lossPercent: optional(limits, "loss_percent", number),
    groupIpv6: optional(limits, "group_ipv6", number),
    destinationsHidden: flag(limits, "destinations_hidden"),
  };
}

function parseValues(fields: Fields): Values {
  return new Map(Object.keys(fields).map((key) => [key, optional(fields, key, number)]));
}

/** One limit: its key in the configuration, and what it allows. */
export interface LimitLine {
  readonly key: string;
  readonly words: string;
  readonly isOff: boolean;
}

/** What a limit allows, after `may`, and what is not limited if it is off. */
interface LimitWords {
  readonly may: (max: number, limits: Limits) => string;
  readonly what: string;
  /** True if `ScanEvidence` applies to it. */
  readonly isScan?: boolean;
}

const LIMITS: Readonly<Record<string, LimitWords>> = {
  ByteLimit: {
    may: (max, { trafficSeconds }) => `send ${shortBytes(max)} in ${duration(trafficSeconds)}`,
    what: "bytes sent",
  },
  ReceivedByteLimit: {
    may: (max, { trafficSeconds }) => `receive ${shortBytes(max)} in ${duration(trafficSeconds)}`,
    what: "bytes received",
  },
  NumberContactedIPs: {
    may: (max, { trafficSeconds }) => `contact ${groupedCount(max, "host")} in ${duration(trafficSeconds)}`,
    what: "hosts contacted",
    isScan: true,
  },
  NumContactedPorts: {
    may: (max, { portSeconds }) => `contact ${groupedCount(max, "port")} in ${duration(portSeconds)}`,
    what: "ports contacted",
    isScan: true,
  },
  PacketRateLimit: { may: (max) => `send ${groupedCount(max, "packet")} within a second`, what: "packets within a second" },
  ContactRateLimit: {
    may: (max) => `contact ${grouped(max)} new ${max === 1 ? "host" : "hosts"} within a second`,
    what: "new hosts within a second",
  },
};

/** Bytes come first, then contacts, then rates; a limit of a newer server comes last. */
const ORDER = Object.keys(LIMITS);

/** One line per limit, those that are off included. */
export function limitLines(limits: Limits): LimitLine[] {
  return [
    ...ordered(limits.hosts).map(([key, max]) => hostLine(key, max, limits)),
    lossLine(limits),
    ...limits.networks.map(({ network, limits: exceptions }) => networkLine(network, exceptions, limits)),
    ...(limits.ignoredSources.length > 0
      ? [line("IgnoredSources", `Counted and never reported: ${limits.ignoredSources.join(", ")}.`)]
      : []),
    ...(limits.groupIpv6 === null
      ? []
      : [line("GroupIPv6", `IPv6 addresses with the same first ${limits.groupIpv6} bits count as one host.`)]),
  ];
}

function hostLine(key: string, max: number | null, limits: Limits): LimitLine {
  const words = LIMITS[key];
  if (max === null) {
    const reason =
      key === "NumberContactedIPs" && limits.destinationsHidden ? ", because destinations are hidden (NoDestinations)" : "";
    return { key, words: `Off: ${words?.what ?? key} ${words === undefined ? "is" : "are"} not limited${reason}.`, isOff: true };
  }
  if (words === undefined) return line(key, `${key} is ${grouped(max)}.`);
  const evidence = words.isScan === true ? ` ${evidenceSentence(limits)}` : "";
  return line(key, `A host may ${words.may(max, limits)}.${evidence}`);
}

/** What `ScanEvidence` means for a host that contacts more. */
function evidenceSentence({ scanEvidence }: Limits): string {
  return scanEvidence === "contacts"
    ? "One that contacts more is reported in any case (ScanEvidence: contacts)."
    : "One that contacts more is reported if its contacts look like a scan (ScanEvidence: suspicious).";
}

function lossLine({ lossPercent, trafficSeconds }: Limits): LimitLine {
  if (lossPercent === null) return { key: "LossLimit", words: "Off: lost frames are not reported as an alert.", isOff: true };
  return line("LossLimit", `${lossPercent}\u00a0% of the frames may be lost in ${duration(trafficSeconds)}.`);
}

function networkLine(network: string, exceptions: Values, limits: Limits): LimitLine {
  const parts = ordered(exceptions).map(([key, max]) => {
    const words = LIMITS[key];
    if (words === undefined) return `${key} is ${max === null ? "off" : grouped(max)}`;
    return max === null ? `${words.what} are not limited` : `a host may ${words.may(max, limits)}`;
  });
  return line("LimitFor", `In ${network}: ${parts.length === 0 ? "the same" : parts.join("; ")}.`);
}

function ordered(values: Values): [string, number | null][] {
  const place = ([key]: [string, number | null]) => (ORDER.includes(key) ? ORDER.indexOf(key) : ORDER.length);
  return [...values].sort((a, b) => place(a) - place(b));
}

function line(key: string, words: string): LimitLine {
  return { key, words, isOff: false };
}
