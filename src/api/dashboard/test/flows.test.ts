import assert from "node:assert/strict";
import { test } from "node:test";
import { FLOWS_MAX, extent, flowGraph, listFlows } from "../src/flows.ts";
import { type Chart, arrange, emptyChart, reshape, update } from "../src/layout.ts";
import type { Host } from "../src/model.ts";

function host(address: string, peers: Record<string, number>, kinds = ""): Host {
  const list = Object.entries(peers).map(([peer, bytes]) => ({ address: peer, bytes }));
  return { kinds, address, peers: list, bytes: list.reduce((sum, peer) => sum + peer.bytes, 0) };
}

const hosts = [host("a", { x: 30, b: 10 }, "TRAFFIC"), host("b", { a: 20, x: 5 }), host("c", {})];

const crowd = Array.from({ length: 40 }, (_, i) =>
  host(`10.0.0.${i}`, { [`10.0.0.${(i * 7 + 1) % 40}`]: i + 1, [`198.51.100.${i % 11}`]: 1000 - i }),
);

const label = (bytes: number) => String(bytes);

function positions(chart: Chart): Map<string, [number, number]> {
  return new Map(chart.mapNodes((address, { x, y }) => [address, [x, y]]));
}

test("flows are listed with the largest first, hosts without known destinations too", () => {
  assert.deepEqual(
    listFlows([...hosts, { ...host("d", {}), bytes: 7 }]).map((flow) => [flow.source, flow.destination, flow.bytes]),
    [
      ["a", "x", 30],
      ["b", "a", 20],
      ["a", "b", 10],
      ["d", null, 7],
      ["b", "x", 5],
      ["c", null, 0],
    ],
  );
});

test("roles and totals of the stations", () => {
  const { stations, leftOut } = flowGraph(hosts);
  assert.deepEqual(new Map(stations.map(({ address, role, bytes }) => [address, [role, bytes]])), new Map([
    ["a", ["alerting", 40]],
    ["b", ["source", 25]],
    ["c", ["source", 0]],
    ["x", ["destination", 35]],
  ] as const));
  assert.equal(leftOut, 0);
});

test("a source that is only drawn as a destination keeps its role", () => {
  const { stations, flows, leftOut } = flowGraph(hosts, 2);
  assert.deepEqual(flows.map((flow) => flow.bytes), [30, 20]);
  assert.equal(leftOut, 3);
  assert.equal(stations.find((station) => station.address === "a")?.role, "alerting");
  assert.equal(stations.find((station) => station.address === "x")?.bytes, 30);
});

test("the chart has the 30 largest flows and says what it leaves out", () => {
  assert.equal(FLOWS_MAX, 30);
  const sender = (n: number) => host(`10.0.${n}.1`, { [`10.1.${n}.1`]: 1000 - n });
  const many = Array.from({ length: 512 }, (_, n) => sender(n));
  const graph = flowGraph(many);
  assert.deepEqual([graph.flows.length, graph.flows[29]?.bytes, graph.leftOut], [30, 971, 482]);
  const drawn = graph.flows.reduce((sum, flow) => sum + flow.bytes, 0);
  assert.equal(extent(graph, drawn / 0.87), "The 30 largest of 512 flows: 87\u00a0% of the bytes.");
  assert.equal(extent(flowGraph(many.slice(0, 30)), 1), "All 30 flows.");
  assert.equal(extent(flowGraph(many.slice(0, 1)), 1), "The only flow.");
  assert.equal(extent(flowGraph([]), 0), "");
});

test("the chart has an arrow for each flow, and bends those that go both ways", () => {
  const chart = emptyChart();
  assert.equal(update(chart, flowGraph(hosts), label, 1), true);
  assert.deepEqual(new Set(chart.edges()), new Set(["a>x", "a>b", "b>a", "b>x"]));
  assert.equal(chart.getEdgeAttribute("a>b", "type"), "curved");
  assert.equal(chart.getEdgeAttribute("a>x", "type"), "arrow");
  assert.equal(chart.getEdgeAttribute("a>x", "label"), "30");
  assert.ok(chart.hasNode("c"));
});

test("traffic of a host to itself is no arrow", () => {
  const chart = emptyChart();
  update(chart, flowGraph([host("a", { a: 5 })]), label, 1);
  assert.deepEqual([chart.nodes(), chart.edges()], [["a"], []]);
});

test("the same report gives the same picture, and every place is a number", () => {
  const [one, two] = [emptyChart(), emptyChart()];
  update(one, flowGraph(crowd, 400), label, 1.8);
  update(two, flowGraph(crowd, 400), label, 1.8);
  assert.deepEqual(positions(one), positions(two));
  for (const [x, y] of positions(one).values()) assert.ok(Number.isFinite(x) && Number.isFinite(y));
  const xs = [...positions(one).values()].map(([x]) => x);
  const ys = [...positions(one).values()].map(([, y]) => y);
  const spread = (values: number[]) => Math.max(...values) - Math.min(...values);
  assert.ok(spread(xs) > 1.2 * spread(ys), "a wide chart is used in its width");
});

test("a refresh moves nothing that was there", () => {
  const chart = emptyChart();
  update(chart, flowGraph(crowd, 400), label, 1.8);
  const before = positions(chart);
  assert.equal(update(chart, flowGraph(crowd, 400), label, 1.8), false);
  assert.deepEqual(positions(chart), before);

  const grown = [...crowd.slice(1), host("10.0.0.3", { new: 500 })];
  assert.equal(update(chart, flowGraph(grown, 400), label, 1.8), true);
  assert.ok(chart.hasNode("new"));
  assert.ok(!chart.hasNode("10.0.0.0") || before.has("10.0.0.0"));
  for (const [address, place] of positions(chart)) {
    if (before.has(address)) assert.deepEqual(place, before.get(address), address);
  }
});

test("another shape of the screen stretches the picture and nothing else", () => {
  const [wide, narrow] = [emptyChart(), emptyChart()];
  update(wide, flowGraph(crowd, 400), label, 1.6);
  update(narrow, flowGraph(crowd, 400), label, 0.8);
  reshape(wide, 0.8);
  for (const [address, [x, y]] of positions(wide)) {
    const [otherX, otherY] = positions(narrow).get(address) ?? [NaN, NaN];
    assert.ok(Math.abs(x - otherX) < 1e-3 * (1 + Math.abs(x)), address);
    assert.equal(y, otherY, address);
  }
});

test("what is gone leaves the chart, and arranging anew moves the rest", () => {
  const chart = emptyChart();
  update(chart, flowGraph(crowd, 400), label, 1.8);
  update(chart, flowGraph(hosts), label, 1.8);
  assert.deepEqual(new Set(chart.nodes()), new Set(["a", "b", "c", "x"]));
  const before = positions(chart);
  arrange(chart, 1);
  assert.notDeepEqual(positions(chart), before);
  update(chart, flowGraph([]), label, 1);
  assert.equal(chart.order, 0);
});
