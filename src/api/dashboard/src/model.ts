// The responses of the server, checked once when they arrive. All other code relies on these types.

import { type Accounting, parseAccounting } from "./accounting.ts";
import { flag, list, number, optional, record, text } from "./fields.ts";

/** Bytes sent to one peer. */
export interface Peer {
  readonly address: string;
  readonly bytes: number;
}

/** One element of `/active` or `/all`. */
export interface Host {
  /** Kinds of open alerts joined with `+`, such as `TRAFFIC+SCANNING`; empty where none is open. */
  readonly kinds: string;
  readonly address: string;
  readonly peers: readonly Peer[];
  readonly bytes: number;
}

/** One element of `/api/v1/alerts/possible`: what may exceed its limit, since the table had no room for all of it. */
export interface Possible {
  readonly kind: string;
  readonly address: string;
  readonly counted: number;
  readonly atMost: number;
  readonly limit: number;
}

/** `/capabilities`, as far as it is shown. */
export interface Limits {
  readonly trafficSeconds: number;
  readonly bytesMax: number;
  readonly chartBytesMin: number;
  readonly destinationsHidden: boolean;
  readonly hostsMax: number | null;
  readonly portsMax: number | null;
  readonly portSeconds: number;
}

/** One response to each request, taken together. */
export interface Report {
  readonly active: readonly Host[];
  readonly all: readonly Host[];
  readonly limits: Limits;
  readonly possible: readonly Possible[];
  /** `null` without a response; nothing else depends on it. */
  readonly accounting: Accounting | null;
}

/** Requests everything from the server. The addresses are relative to the page, so that a proxy may move both. */
export async function fetchReport(signal: AbortSignal): Promise<Report> {
  const [active, all, limits, possible, accounting] = await Promise.all([
    fetchJson("../active", signal),
    fetchJson("../all", signal),
    fetchJson("../capabilities", signal),
    fetchJson("../api/v1/alerts/possible", signal),
    fetchAccounting(signal),
  ]);
  return {
    active: parseHosts(active),
    all: parseHosts(all),
    limits: parseLimits(limits),
    possible: parsePossible(possible),
    accounting,
  };
}

/** The rest of the page waits no longer for it than this. */
const ACCOUNTING_DEADLINE_MS = 2000;

async function fetchAccounting(signal: AbortSignal): Promise<Accounting | null> {
  try {
    const inTime = AbortSignal.any([signal, AbortSignal.timeout(ACCOUNTING_DEADLINE_MS)]);
    return parseAccounting(await fetchJson("../api/v1/accounting", inTime));
  } catch (error) {
    console.warn("no accounting from the server", error);
    return null;
  }
}

async function fetchJson(address: string, signal: AbortSignal): Promise<unknown> {
  const response = await fetch(address, { signal, cache: "no-store" });
  if (!response.ok) throw new Error(`${address} answered ${response.status}`);
  return response.json();
}

export function parseHosts(value: unknown): Host[] {
  return list(value, "hosts").map((item) => {
    const host = record(item, "host");
    return {
      kinds: text(host, "EventType"),
      address: text(host, "SourceIP"),
      peers: list(host["DestinationIP"], "DestinationIP").map((peer) => ({
        address: text(record(peer, "destination"), "IP"),
        bytes: number(record(peer, "destination"), "Bytes"),
      })),
      bytes: number(host, "TotalBytes"),
    };
  });
}

export function parsePossible(value: unknown): Possible[] {
  return list(value, "alerts").map((item) => {
    const alert = record(item, "alert");
    const counted = number(alert, "measured");
    return {
      kind: text(alert, "kind"),
      address: text(alert, "source"),
      counted,
      atMost: optional(record(alert["evidence"], "evidence"), "up_to", number) ?? counted,
      limit: number(alert, "limit"),
    };
  });
}

export function parseLimits(value: unknown): Limits {
  const limits = record(value, "capabilities");
  const hidden = flag(limits, "NoDestinations");
  return {
    trafficSeconds: number(limits, "TrafficInterval"),
    bytesMax: number(limits, "ByteLimit"),
    chartBytesMin: number(limits, "ChartMinBytes"),
    destinationsHidden: hidden,
    hostsMax: flag(limits, "ContactedIPsAnalyze") && !hidden ? number(limits, "NumberContactedIPs") : null,
    portsMax: flag(limits, "AnalyzePorts") ? number(limits, "NumContactedPorts") : null,
    portSeconds: number(limits, "PortInterval"),
  };
}
