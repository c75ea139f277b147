// Makes the graph that is drawn from the hosts: its stations and its arrows.

import type { Host } from "./model.ts";

/** One directed arrow, or one line of the list. */
export interface Flow {
  readonly source: string;
  /** `null` where the server names no destinations. */
  readonly destination: string | null;
  readonly bytes: number;
}

/** Red is for destinations that are no sources, as in the original. */
export type Role = "source" | "alerting" | "destination";

export interface Station {
  readonly address: string;
  readonly role: Role;
  /** Bytes that a source sent in all, or that a mere destination received from the sources shown. */
  readonly bytes: number;
}

export interface FlowGraph {
  readonly stations: readonly Station[];
  /** The largest first. */
  readonly flows: readonly Flow[];
  /** Number of flows that are not drawn, all smaller than those that are. */
  readonly leftOut: number;
}

/** The most arrows that are readable, and that are laid out without a noticeable delay. */
export const FLOWS_MAX = 400;

/** Every flow of the report, the largest first. */
export function listFlows(hosts: readonly Host[]): Flow[] {
  const flows = hosts.flatMap((host): Flow[] =>
    host.peers.length === 0
      ? [{ source: host.address, destination: null, bytes: host.bytes }]
      : host.peers.map((peer) => ({ source: host.address, destination: peer.address, bytes: peer.bytes })),
  );
  return flows.sort((a, b) => b.bytes - a.bytes);
}

/** The graph of the largest flows, at most `flowsMax`. */
export function flowGraph(hosts: readonly Host[], flowsMax: number = FLOWS_MAX): FlowGraph {
  const every = listFlows(hosts);
  const flows = every.slice(0, flowsMax);
  const sources = new Map(hosts.map((host) => [host.address, host]));
  const stations = new Map<string, Station>();
  const received = new Map<string, number>();

  for (const { source, destination, bytes } of flows) {
    const host = sources.get(source);
    if (host !== undefined && !stations.has(source)) stations.set(source, sourceStation(host));
    if (destination !== null) received.set(destination, (received.get(destination) ?? 0) + bytes);
  }
  for (const [address, bytes] of received) {
    const host = sources.get(address);
    if (host !== undefined) stations.set(address, sourceStation(host));
    else stations.set(address, { address, role: "destination", bytes });
  }
  return { stations: [...stations.values()], flows, leftOut: every.length - flows.length };
}

function sourceStation(host: Host): Station {
  return { address: host.address, role: host.kinds === "" ? "source" : "alerting", bytes: host.bytes };
}
