// Places the stations. It is deterministic: the same report gives the same picture.

import { DirectedGraph } from "graphology";
import forceAtlas2 from "graphology-layout-forceatlas2";
import type { Flow, FlowGraph, Role, Station } from "./flows.ts";

export interface NodeAttributes {
  x: number;
  y: number;
  size: number;
  role: Role;
  bytes: number;
  /** Read by the layout: a station of the previous report stays where it is. */
  fixed: boolean;
}

export interface EdgeAttributes {
  size: number;
  label: string;
  bytes: number;
  /** Two arrows between the same stations bend, so that both can be seen. */
  type: "arrow" | "curved";
}

export interface ChartAttributes {
  /** By how much the disc has been widened. */
  stretch: number;
}

export type Chart = DirectedGraph<NodeAttributes, EdgeAttributes, ChartAttributes>;

export function emptyChart(): Chart {
  const chart: Chart = new DirectedGraph();
  chart.setAttribute("stretch", 1);
  return chart;
}

/** Makes `chart` show `flows`. Stations stay where they are. Returns true if any was added or removed. */
export function update(
  chart: Chart,
  { stations, flows }: FlowGraph,
  label: (bytes: number) => string,
  aspect: number,
): boolean {
  const wanted = new Set(stations.map((station) => station.address));
  const arrows = new Map(flows.filter(isArrow).map((flow) => [arrowKey(flow), flow]));
  let changed = false;

  for (const address of chart.nodes()) {
    if (!wanted.has(address)) {
      chart.dropNode(address);
      changed = true;
    }
  }
  for (const edge of chart.edges()) {
    if (!arrows.has(edge)) {
      chart.dropEdge(edge);
      changed = true;
    }
  }

  const arrivals = stations.filter((station) => !chart.hasNode(station.address));
  const largest = Math.max(1, ...stations.map((station) => station.bytes));
  for (const station of arrivals) place(chart, station, arrows.values());
  for (const station of stations) {
    const { role, bytes } = station;
    chart.mergeNodeAttributes(station.address, { role, bytes, size: nodeSize(bytes, largest) });
  }

  const widest = Math.max(1, ...flows.map((flow) => flow.bytes));
  for (const [key, flow] of arrows) {
    const attributes: EdgeAttributes = {
      size: edgeSize(flow.bytes, widest),
      label: label(flow.bytes),
      bytes: flow.bytes,
      type: arrows.has(arrowKey({ source: flow.destination, destination: flow.source })) ? "curved" : "arrow",
    };
    if (chart.hasEdge(key)) {
      chart.mergeEdgeAttributes(key, attributes);
    } else {
      chart.addDirectedEdgeWithKey(key, flow.source, flow.destination, attributes);
      changed = true;
    }
  }

  if (arrivals.length > 0) settle(chart, aspect);
  return changed || arrivals.length > 0;
}

/** Arranges all stations anew in an area that is `aspect` times as wide as it is high. */
export function arrange(chart: Chart, aspect: number): void {
  chart.nodes().forEach((address, index) => {
    chart.mergeNodeAttributes(address, { ...spiral(index), fixed: false });
  });
  settle(chart, aspect);
}

/** Adapts to the shape of the area. The forces make a disc; a screen is wider than it is high, a telephone is not. */
export function reshape(chart: Chart, aspect: number): void {
  const stretch = Math.min(STRETCH_MAX, Math.max(1 / STRETCH_MAX, aspect));
  const factor = stretch / chart.getAttribute("stretch");
  if (factor === 1) return;
  chart.setAttribute("stretch", stretch);
  chart.updateEachNodeAttributes((_, attributes) => ({
    ...attributes,
    // The forces use 32-bit numbers: the coordinates of a station that stays must be such numbers.
    x: Math.fround(attributes.x * factor),
  }));
}

type Arrow = Flow & { readonly destination: string };

function isArrow(flow: Flow): flow is Arrow {
  return flow.destination !== null && flow.destination !== flow.source;
}

function arrowKey({ source, destination }: Pick<Arrow, "source" | "destination">): string {
  return `${source}>${destination}`;
}

/** Places a new station next to one that it has an arrow with, or else on the spiral. */
function place(chart: Chart, station: Station, arrows: Iterable<Arrow>): void {
  const index = chart.order;
  let start = spiral(index);
  for (const { source, destination } of arrows) {
    const peer = source === station.address ? destination : destination === station.address ? source : null;
    if (peer === null || !chart.hasNode(peer) || !chart.getNodeAttribute(peer, "fixed")) continue;
    const { x, y } = chart.getNodeAttributes(peer);
    start = { x: x + Math.cos(index), y: y + Math.sin(index) };
    break;
  }
  const { address, role, bytes } = station;
  chart.addNode(address, { ...start, size: NODE_SIZE_MIN, role, bytes, fixed: false });
}

/** Applies the forces to the stations that are not fixed, and fixes them. */
function settle(chart: Chart, aspect: number): void {
  const anew = !chart.someNode((_, attributes) => attributes.fixed);
  const inferred = forceAtlas2.inferSettings(chart);
  forceAtlas2.assign(chart, {
    iterations: chart.order <= SMALL_ORDER ? ITERATIONS_SMALL : ITERATIONS_LARGE,
    getEdgeWeight: null,
    settings: { ...inferred, ...LAYOUT },
  });
  chart.updateEachNodeAttributes((_, attributes) => ({ ...attributes, fixed: true }));
  if (anew) {
    chart.setAttribute("stretch", 1);
    reshape(chart, aspect);
  }
}

/** Points that spread evenly from the middle: the golden angle never repeats a direction. */
function spiral(index: number): { x: number; y: number } {
  const angle = index * GOLDEN_ANGLE;
  const radius = 10 * Math.sqrt(index + 1);
  return { x: radius * Math.cos(angle), y: radius * Math.sin(angle) };
}

function nodeSize(bytes: number, largest: number): number {
  return NODE_SIZE_MIN + (NODE_SIZE_MAX - NODE_SIZE_MIN) * share(bytes, largest);
}

function edgeSize(bytes: number, largest: number): number {
  return EDGE_SIZE_MIN + (EDGE_SIZE_MAX - EDGE_SIZE_MIN) * share(bytes, largest);
}

/** 0 to 1; the square root keeps the small ones visible beside the large. */
function share(bytes: number, largest: number): number {
  return Math.sqrt(Math.min(1, Math.max(0, bytes / largest)));
}

const GOLDEN_ANGLE = Math.PI * (3 - Math.sqrt(5));
/** Pixels of radius, and of thickness. */
const NODE_SIZE_MIN = 6;
const NODE_SIZE_MAX = 18;
const EDGE_SIZE_MIN = 2;
const EDGE_SIZE_MAX = 6;
/** Below this many stations more rounds take no noticeable time. */
const SMALL_ORDER = 150;
const ITERATIONS_SMALL = 600;
const ITERATIONS_LARGE = 200;
const STRETCH_MAX = 2;
const LAYOUT = { gravity: 1, scalingRatio: 20, slowDown: 5, adjustSizes: false } as const;
