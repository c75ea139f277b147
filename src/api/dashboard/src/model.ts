// The responses of the server, checked once when they arrive. All other code relies on these types.

import { type Accounting, parseAccounting } from "./accounting.ts";
import { type Alert, parseAlerts } from "./alerts.ts";
import { list, number, record, text } from "./fields.ts";
import { type Limits, parseLimits } from "./limits.ts";
import { NotSignedIn, needsToken } from "./sign-in.ts";

/** Bytes sent to one peer. */
export interface Peer {
  readonly address: string;
  readonly bytes: number;
}

/** One element of `/all`. */
export interface Host {
  /** Kinds of open alerts joined with `+`, such as `TRAFFIC+SCANNING`; empty where none is open. */
  readonly kinds: string;
  readonly address: string;
  /** The largest, at most `PEERS_MAX`. */
  readonly peers: readonly Peer[];
  readonly bytes: number;
}

/** The server lists no more peers of a host. */
export const PEERS_MAX = 100;

/** One response to each request, taken together. */
export interface Report {
  /** The server's time of the response in milliseconds since 1970. */
  readonly now: number;
  readonly hosts: readonly Host[];
  /** Bytes that a host must have sent to be among `hosts`. */
  readonly hostBytesMin: number;
  readonly limits: Limits;
  /** The open alerts, certain and possible ones. */
  readonly open: readonly Alert[];
  /** Those that closed within the last day, the newest first. */
  readonly closed: readonly Alert[];
  /** `null` without a response; nothing else depends on it. */
  readonly accounting: Accounting | null;
}

/** Requests everything from the server. The addresses are relative to the page, so that a proxy may move both. */
export async function fetchReport(signal: AbortSignal): Promise<Report> {
  const [hosts, capabilities, limits, open, closed, accounting] = await Promise.all([
    fetchJson("../all", signal),
    fetchJson("../capabilities", signal),
    fetchJson("../api/v1/limits", signal),
    fetchJson("../api/v1/alerts", signal),
    fetchClosed(signal),
    fetchAccounting(signal),
  ]);
  return {
    now: open.now,
    hosts: parseHosts(hosts.value),
    hostBytesMin: number(record(capabilities.value, "capabilities"), "ChartMinBytes"),
    limits: parseLimits(limits.value),
    open: parseAlerts(open.value),
    closed,
    accounting,
  };
}

/** The closed alerts that were received last, and their tag. */
let knownClosed: { readonly tag: string | null; readonly alerts: readonly Alert[] } = { tag: null, alerts: [] };

/** Requests the closed alerts. There may be many, so they are sent only if they have changed. */
async function fetchClosed(signal: AbortSignal): Promise<readonly Alert[]> {
  const { tag, alerts } = knownClosed;
  const headers = tag === null ? {} : { "If-None-Match": tag };
  const address = "../api/v1/alerts?state=closed";
  const response = await fetch(address, { signal, cache: "no-store", headers });
  if (response.status === NOT_MODIFIED) return alerts;
  const { value } = await readJson(address, response);
  knownClosed = { tag: response.headers.get("ETag"), alerts: parseAlerts(value) };
  return knownClosed.alerts;
}

const NOT_MODIFIED = 304;
/** The rest of the page waits no longer for it than this. */
const ACCOUNTING_DEADLINE_MS = 2000;

async function fetchAccounting(signal: AbortSignal): Promise<Accounting | null> {
  try {
    const inTime = AbortSignal.any([signal, AbortSignal.timeout(ACCOUNTING_DEADLINE_MS)]);
    return parseAccounting((await fetchJson("../api/v1/accounting", inTime)).value);
  } catch (error) {
    console.warn("no accounting from the server", error);
    return null;
  }
}

interface Answer {
  readonly value: unknown;
  readonly now: number;
}

async function fetchJson(address: string, signal: AbortSignal): Promise<Answer> {
  return readJson(address, await fetch(address, { signal, cache: "no-store" }));
}

async function readJson(address: string, response: Response): Promise<Answer> {
  if (needsToken(response.status)) throw new NotSignedIn(response.status);
  if (!response.ok) throw new Error(`${address} answered ${response.status}`);
  // The times of alerts are by the server's clock, so their age is as well.
  const now = Date.parse(response.headers.get("Date") ?? "");
  return { value: await response.json(), now: Number.isNaN(now) ? Date.now() : now };
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
