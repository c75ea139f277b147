// The hosts that the table shows: which match a search, and how much of everything each sent.

import { kindName } from "./alerts.ts";
import type { Host, Peer } from "./model.ts";
import { seconds, shortBytes } from "./words.ts";

/** A host with what the search found in it. */
export interface HostLine {
  readonly host: Host;
  /** Peers that the search found; empty if it found the host itself. */
  readonly found: readonly Peer[];
}

/**
 * The hosts whose address or alerts contain the text, in any case, and those with a peer whose address does. A text of
 * nothing but blanks finds every host.
 */
export function findHosts(hosts: readonly Host[], text: string): HostLine[] {
  const wanted = text.trim().toLowerCase();
  return hosts.flatMap((host): HostLine[] => {
    if (host.address.includes(wanted) || kindsOf(host).some((kind) => kindText(kind).includes(wanted))) {
      return [{ host, found: [] }];
    }
    const found = host.peers.filter((peer) => peer.address.includes(wanted));
    return found.length === 0 ? [] : [{ host, found }];
  });
}

/** The kinds of the open alerts of a host, such as `TRAFFIC` and `SCANNING`. */
export function kindsOf({ kinds }: Host): string[] {
  return kinds === "" ? [] : kinds.split("+");
}

/** A kind is found by its name on the page and by that of the log. */
function kindText(kind: string): string {
  return `${kind} ${kindName(kind)}`.toLowerCase();
}

/** Bytes that all hosts sent. */
export function sumOfBytes(hosts: readonly Host[]): number {
  return hosts.reduce((sum, host) => sum + host.bytes, 0);
}

/** Such as `Showing 100 of 500 hosts.`; empty without any host. */
export function shownSentence(shown: number, found: number, whole: number): string {
  const hosts = (n: number) => `${n} ${n === 1 ? "host" : "hosts"}`;
  if (found === 0) return whole === 0 ? "" : `None of ${hosts(whole)} matches.`;
  const matching = found < whole ? ` that match, of ${hosts(whole)} in all` : "";
  if (shown < found) return `Showing ${shown} of ${hosts(found)}${matching}.`;
  return found < whole ? `Showing ${hosts(found)}${matching}.` : `Showing all ${hosts(found)}.`;
}

/** What is said instead of a list without any host. */
export function nobodySentence(bytesMin: number, trafficSeconds: number): string {
  return `No host has sent ${shortBytes(bytesMin)} or more in the last ${seconds(trafficSeconds)}.`;
}
