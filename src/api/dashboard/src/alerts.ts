// The fields of an alert that the page shows, and the words for them.

import { type Fields, flag, list, number, optional, record, text } from "./fields.ts";
import type { Peer } from "./model.ts";
import { duration, grouped, groupedCount, percent, readableBytes, roughShare, shortBytes, upperBytes } from "./words.ts";

/** One element of `/api/v1/alerts`. */
export interface Alert {
  readonly id: string;
  readonly kind: string;
  /** `open`, `possible` or `closed`. */
  readonly state: string;
  /** `null` if it is about the gateway itself. */
  readonly source: string | null;
  /** Name, country and autonomous system of the source, as far as they are known. */
  readonly origin: readonly string[];
  /** Milliseconds since 1970. */
  readonly openedAt: number;
  readonly closedAt: number | null;
  readonly measured: number;
  /** More than `measured` if the table had no room to count everything. */
  readonly atMost: number;
  readonly limit: number;
  /** The seconds that the limit applies to. */
  readonly windowSeconds: number;
  readonly isMuted: boolean;
  /** The sentence that the sinks get. */
  readonly sentence: string;
  /** Bytes that the host sent when the evidence was gathered. */
  readonly bytes: number;
  readonly destinations: readonly Peer[];
  readonly ports: readonly number[];
  readonly droppedFrames: number;
  readonly contacts: Contacts | null;
  /** The hosts of a storm; `null` if it is about one host. */
  readonly storm: Storm | null;
  /** The storm that it is a part of; `null` if it is in none. */
  readonly stormId: string | null;
}

/** Many alerts of a kind that opened within a minute. */
export interface Storm {
  readonly hosts: number;
  /** Those that are still over their limit. */
  readonly open: number;
  /** Those that were notified singly before it began. */
  readonly saidSingly: number;
  /** The networks with the most of its hosts. */
  readonly networks: readonly { readonly network: string; readonly hosts: number }[];
  /** The addresses of the latest hosts, the latest last. */
  readonly sample: readonly string[];
}

/** What became of the contacts of a host, and what follows from it. */
export interface Contacts {
  readonly role: string;
  readonly pattern: string | null;
  readonly confidence: string;
  readonly why: string;
  readonly contacted: number;
  readonly outcomes: Outcomes;
  readonly answersVisible: boolean;
  readonly busiestPorts: readonly PortUse[];
  readonly targets: readonly Target[];
}

/** Numbers of contacts by what became of them, in the order in which they are shown. */
export type Outcomes = ReadonlyMap<string, number>;

export interface PortUse {
  readonly port: string;
  readonly hosts: number;
  readonly outcomes: Outcomes;
}

export interface Target {
  readonly address: string;
  /** Empty if it is unknown. */
  readonly port: string;
  readonly outcome: string;
}

/** A server need not know all of them. */
const OUTCOMES = ["answered", "refused", "expired", "silent", "unseen", "early"] as const;

export function parseAlerts(value: unknown): Alert[] {
  return list(value, "alerts").map((item) => parseAlert(record(item, "alert")));
}

function parseAlert(alert: Fields): Alert {
  const evidence = record(alert["evidence"], "evidence");
  const measured = number(alert, "measured");
  const asn = optional(alert, "source_asn", number);
  const origin = [
    optional(alert, "source_name", text),
    optional(alert, "source_country", text),
    asn === null ? null : [`AS${asn}`, optional(alert, "source_as_organization", text)].filter(Boolean).join(" "),
  ];
  return {
    id: text(alert, "id"),
    kind: text(alert, "kind"),
    state: text(alert, "state"),
    source: optional(alert, "source", text),
    origin: origin.filter((part) => part !== null),
    openedAt: time(alert, "opened_at"),
    closedAt: optional(alert, "closed_at", time),
    measured,
    atMost: optional(evidence, "up_to", number) ?? measured,
    limit: number(alert, "limit"),
    windowSeconds: number(alert, "window_seconds"),
    isMuted: optional(alert, "muted", flag) ?? false,
    sentence: text(alert, "sentence"),
    bytes: number(evidence, "ip_bytes"),
    destinations: list(evidence["destinations"], "destinations").map((item) => {
      const peer = record(item, "destination");
      return { address: text(peer, "ip"), bytes: number(peer, "ip_bytes") };
    }),
    ports: list(evidence["ports"] ?? [], "ports").map((port) => number({ port }, "port")),
    droppedFrames: number(evidence, "dropped_frames"),
    contacts: evidence["role"] === undefined ? null : parseContacts(evidence),
    storm: alert["storm"] === undefined ? null : parseStorm(record(alert["storm"], "storm")),
    stormId: optional(alert, "storm_id", text),
  };
}

function parseStorm(storm: Fields): Storm {
  return {
    hosts: number(storm, "hosts"),
    open: number(storm, "open"),
    saidSingly: number(storm, "said_singly"),
    networks: list(storm["networks"], "networks").map((item) => {
      const network = record(item, "network");
      return { network: text(network, "network"), hosts: number(network, "hosts") };
    }),
    sample: list(storm["sample"], "sample").map((host) => text({ host }, "host")),
  };
}

function parseContacts(evidence: Fields): Contacts {
  return {
    role: text(evidence, "role"),
    pattern: optional(evidence, "class", text),
    confidence: text(evidence, "confidence"),
    why: text(evidence, "why"),
    contacted: number(evidence, "contacted"),
    outcomes: parseOutcomes(evidence),
    answersVisible: text(evidence, "answers") === "visible",
    busiestPorts: list(evidence["busiest_ports"], "busiest_ports").map((item) => {
      const port = record(item, "port");
      return { port: portName(port), hosts: number(port, "hosts"), outcomes: parseOutcomes(port) };
    }),
    targets: list(evidence["targets"], "targets").map((item) => {
      const target = record(item, "target");
      return { address: text(target, "ip"), port: portName(target), outcome: text(target, "outcome") };
    }),
  };
}

function parseOutcomes(fields: Fields): Outcomes {
  return new Map(OUTCOMES.map((outcome) => [outcome, optional(fields, outcome, number) ?? 0]));
}

/** Such as `445/tcp`, or `icmp` for a protocol without ports; empty if it is unknown. */
function portName(fields: Fields): string {
  const [port, protocol] = [optional(fields, "port", number), optional(fields, "protocol", number)];
  if (port === null || protocol === null) return "";
  const name = WITH_PORTS[protocol];
  return name === undefined ? (WITHOUT_PORTS[protocol] ?? `protocol ${protocol}`) : `${port}/${name}`;
}

/** IANA's protocol numbers. */
const WITH_PORTS: Readonly<Record<number, string>> = { 6: "tcp", 17: "udp", 33: "dccp", 132: "sctp", 136: "udplite" };
const WITHOUT_PORTS: Readonly<Record<number, string>> = { 1: "icmp", 47: "gre", 50: "esp", 51: "ah", 58: "icmpv6" };

function time(fields: Fields, name: string): number {
  const at = Date.parse(text(fields, name));
  if (Number.isNaN(at)) throw new Error(`${name}: not a time`);
  return at;
}

// ---- Words ------------------------------------------------------------------------------------------------------

/** The words of a kind: of its name, its value and its limit. */
interface KindWords {
  readonly name: string;
  /** The key of its limit in the configuration. */
  readonly key: string;
  readonly amount: (n: number) => string;
  /** The words of an upper bound of the value. */
  readonly upper: (n: number) => string;
  readonly limit: (n: number) => string;
  /** True if the value is a rate, whose unit has the second. */
  readonly isRate?: true;
}

const alike = (amount: (n: number) => string) => ({ amount, upper: amount, limit: amount });
const bytes = { amount: readableBytes, upper: upperBytes, limit: shortBytes };
const lost = (n: number) => `${percent(n / 1e4)} of the frames`;
/** Frames of a million as a percentage. */
const frames = { amount: lost, upper: lost, limit: (n: number) => `${n / 1e4}\u00a0% of the frames` };

const KINDS: Readonly<Record<string, KindWords>> = {
  TRAFFIC: { name: "Traffic", key: "ByteLimit", ...bytes },
  RECEIVED: { name: "Received traffic", key: "ReceivedByteLimit", ...bytes },
  SCANNING: { name: "Scanning", key: "NumberContactedIPs", ...alike((n) => groupedCount(n, "host")) },
  SCANNING_PORT: { name: "Port scanning", key: "NumContactedPorts", ...alike((n) => groupedCount(n, "port")) },
  PACKET_RATE: { name: "Packet rate", key: "PacketRateLimit", ...alike((n) => `${groupedCount(n, "packet")}/s`), isRate: true },
  CONTACT_RATE: { name: "Contact rate", key: "ContactRateLimit", ...alike((n) => `${grouped(n)} new hosts/s`), isRate: true },
  LOSS: { name: "Lost frames", key: "LossLimit", ...frames },
};

/** A kind of a newer server has its name in small letters and plain numbers. */
function wordsOf(kind: string): KindWords {
  const name = kind.charAt(0) + kind.slice(1).toLowerCase().replaceAll("_", " ");
  return KINDS[kind] ?? { name, key: "its limit", ...alike(grouped) };
}

/** The name of a kind, such as `Port scanning`. */
export function kindName(kind: string): string {
  return wordsOf(kind).name;
}

/** The title of an alert, such as `Port scanning` or `Port scanning storm`. */
export function titleWords({ kind, storm }: Alert): string {
  return kindName(kind) + (storm === null ? "" : " storm");
}

/** The peak, such as `1.2 GB` or `253 hosts`. */
export function measuredWords({ kind, measured, atMost, storm }: Alert): string {
  if (storm !== null) return groupedCount(storm.hosts, "host");
  const { amount, upper } = wordsOf(kind);
  return atMost > measured ? `${amount(measured)} counted, at most ${upper(atMost)}` : amount(measured);
}

/** Such as `1 GB in 170 s`. */
export function limitWords({ kind, limit, windowSeconds, storm }: Alert): string {
  if (storm !== null) return `${groupedCount(limit, "alert")} in ${duration(windowSeconds)}`;
  const words = wordsOf(kind);
  return words.limit(limit) + (words.isRate === true ? "" : ` in ${duration(windowSeconds)}`);
}

/** By how much the limit is exceeded, such as `1.2 times the limit`; empty if it is not. */
export function excessWords({ measured, limit }: Alert): string {
  const times = measured / Math.max(1, limit);
  if (times <= 1) return "";
  const rounded = times < 10 ? times.toFixed(1) : grouped(Math.round(times));
  return rounded === "1.0" ? "just over the limit" : `${rounded} times the limit`;
}

/**
 * The sentence of the server, in two parts: who did what, and what is said besides, which may be empty. The kind and
 * state before the colon are left out, since a card has them above.
 */
export function sentence(alert: Alert): readonly [string, string] {
  const whole = withoutTitle(alert.sentence, alert.kind);
  const end = whole.indexOf("; ");
  return end < 0 ? [whole, ""] : [whole.slice(0, end), whole.slice(end)];
}

/** `TRAFFIC is possible: 10.0.0.5 sent` becomes `10.0.0.5 sent`. An IPv6 address has no blank after its colons. */
function withoutTitle(sentence: string, kind: string): string {
  const colon = sentence.indexOf(": ");
  const hasTitle = sentence.startsWith(kind) || sentence.startsWith(`possible ${kind}`);
  const rest = hasTitle && colon > 0 ? sentence.slice(colon + 2) : sentence;
  // An address keeps its small letters.
  return rest.startsWith("this ") ? capital(rest) : rest;
}

/** How sure it is: the confidence in a scan, or whether the limit was exceeded by what was counted. */
export function sureness(alert: Alert): string {
  if (alert.atMost > alert.measured && alert.measured <= alert.limit) return "possible, not everything could be counted";
  if (alert.storm !== null) return alert.state === "possible" ? "possible, not everything could be counted" : "";
  if (!isScan(alert)) return "certain, it was counted";
  // The evidence of an alert that was open before a restart is gone.
  return alert.contacts === null ? "not known since a restart" : confidenceWords(alert.contacts);
}

function confidenceWords({ confidence }: Contacts): string {
  return `${confidence} confidence that it scans`;
}

/**
 * The role of the host, with the pattern of a scan, such as `scanner (sweep)`, or with the confidence that it scans if
 * the alert is about something else; empty if contacts were not judged.
 */
export function roleWords(alert: Alert): string {
  const { contacts } = alert;
  if (contacts === null) return "";
  const besides = isScan(alert) ? contacts.pattern : confidenceWords(contacts);
  return besides === null ? contacts.role : `${contacts.role} (${besides})`;
}

function isScan({ kind }: Alert): boolean {
  return kind === "SCANNING" || kind === "SCANNING_PORT";
}

/** Why it is an alert: which limit, by how much, and what else speaks for it that its sentence does not say. */
export function why(alert: Alert): string {
  if (alert.storm !== null) return stormWords(alert.storm, alert.limit);
  const { key } = wordsOf(alert.kind);
  const excess = excessWords(alert);
  const limit = excess === "" ? `With what could not be counted it may exceed ${key}.` : `${capital(excess)} that ${key} sets.`;
  return [limit, besides(alert)].filter((words) => words !== "").join(" ");
}

function stormWords({ hosts, open, saidSingly }: Storm, limit: number): string {
  const singly = saidSingly === 0 ? "" : ` The first ${grouped(saidSingly)} were notified singly.`;
  return (
    `More than ${groupedCount(limit, "alert")} of this kind opened within a minute (AlertBurst), so they are notified as one. ` +
    `${grouped(open)} of ${groupedCount(hosts, "host")} ${open === 1 ? "is" : "are"} still over the limit.${singly}`
  );
}

function besides(alert: Alert): string {
  const because = alert.contacts?.why ?? "";
  if (because !== "") return alert.sentence.includes(because) ? "" : `It ${because}.`;
  const [largest] = alert.destinations;
  // The destinations are those of what the host sent, which does not explain what it received.
  if (largest === undefined || alert.bytes === 0 || alert.kind === "RECEIVED") return "";
  const share = hasOutdatedBytes(alert) ? "" : `, ${roughShare(largest.bytes, alert.bytes)}`;
  return `Most bytes went to ${largest.address}: ${readableBytes(largest.bytes)}${share}.`;
}

/** True if the host has sent more than when the evidence was gathered: a share of that would be one of another sum. */
export function hasOutdatedBytes({ kind, measured, bytes }: Alert): boolean {
  return kind === "TRAFFIC" && measured > bytes;
}

function capital(words: string): string {
  return words.charAt(0).toUpperCase() + words.slice(1);
}

const OUTCOME_WORDS: Readonly<Record<string, string>> = {
  answered: "answered",
  refused: "refused",
  expired: "expired on the way",
  silent: "unanswered",
  unseen: "not visible",
  early: "too recent to tell",
};

/** One outcome in words. */
export function outcomeWords(outcome: string): string {
  return OUTCOME_WORDS[outcome] ?? outcome;
}

/** Such as `253 contacts: 12 answered, 241 unanswered.`; empty if contacts were not judged. */
export function outcomesSentence({ contacts }: Alert): string {
  if (contacts === null || contacts.contacted === 0) return "";
  const parts = [...contacts.outcomes].filter(([, n]) => n > 0).map(([outcome, n]) => `${grouped(n)} ${outcomeWords(outcome)}`);
  const whole = groupedCount(contacts.contacted, "contact");
  return parts.length === 0 ? `${whole}.` : `${whole}: ${parts.join(", ")}.`;
}

/** Such as `445/tcp at 253 hosts`, the busiest first. */
export function portsSentence({ contacts, ports }: Alert): string {
  const busiest = contacts?.busiestPorts ?? [];
  if (busiest.length > 0) return busiest.map(({ port, hosts }) => `${port} at ${groupedCount(hosts, "host")}`).join(", ");
  const ranges = portRanges(ports);
  const shown = ranges.slice(0, RANGES_SHOWN).join(", ");
  return ranges.length > RANGES_SHOWN ? `${shown} and others` : shown;
}

const RANGES_SHOWN = 8;

/** Ascending ports, with those that follow each other as one range such as `1–1000`. */
export function portRanges(ports: readonly number[]): string[] {
  const ranges: [number, number][] = [];
  for (const port of ports) {
    const last = ranges.at(-1);
    if (last !== undefined && last[1] + 1 === port) last[1] = port;
    else ranges.push([port, port]);
  }
  return ranges.map(([first, last]) => (first === last ? String(first) : `${first}–${last}`));
}

/**
 * The open alerts with the newest first: certain ones, then possible ones, then those that are part of a storm, which
 * has its own card.
 */
export function certainFirst(alerts: readonly Alert[]): Alert[] {
  const newest = alerts.toSorted((a, b) => b.openedAt - a.openedAt);
  const [singles, members] = [newest.filter(({ stormId }) => stormId === null), newest.filter(({ stormId }) => stormId !== null)];
  return [...singles.filter(isCertain), ...singles.filter((alert) => !isCertain(alert)), ...members];
}

export function isCertain({ state }: Alert): boolean {
  return state !== "possible";
}
