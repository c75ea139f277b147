// Makes the graph that is drawn from the hosts: its stations and its arrows.

import type { Host } from "./model.ts";
import { grouped, roughShare } from "./words.ts";

/** One directed arrow, or one line of the list. */
export interface Flow {
  readonly source: string;
  /** `null` where the server names no destinations. */
  readonly destination: string | null;
  readonly bytes: number;
}

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

/** The most arrows that are readable. */
export const FLOWS_MAX = 30;

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

/** Such as `The 30 largest of 512 flows: 87 % of the bytes.` `bytes` is what all hosts sent. */
export function extent({ flows, leftOut }: Pick<FlowGraph, "flows" | "leftOut">, bytes: number): string {
  if (flows.length === 0) return "";
  if (leftOut === 0) return flows.length === 1 ? "The only flow." : `All ${flows.length} flows.`;
  const drawn = flows.reduce((sum, flow) => sum + flow.bytes, 0);
  return `The ${flows.length} largest of ${grouped(flows.length + leftOut)} flows: ${roughShare(drawn, bytes)} of the bytes.`;
}

function sourceStation(host: Host): Station {
  return { address: host.address, role: host.kinds === "" ? "source" : "alerting", bytes: host.bytes };
}
