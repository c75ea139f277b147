// The page: finds its elements, and puts each report into them.

import { compareAddresses } from "./address.ts";
import { FlowChart, type Palette, canDraw } from "./chart.ts";
import { any, button, element, setHidden, table } from "./elements.ts";
import { FLOWS_MAX, type Flow, flowGraph, listFlows } from "./flows.ts";
import { type Host, type Limits, type Peer, type Possible, type Report, fetchReport } from "./model.ts";
import { showAccounting } from "./proof.ts";
import { refreshForever } from "./refresh.ts";
import { type Column, SortableTable, setText } from "./table.ts";
import { limitSentences, megabytes, roundMegabytes, seconds } from "./words.ts";

const REFRESH_MS = 3000;
const DEADLINE_MS = 10_000;
/** Lines of the list view. The chart shows no more either. */
const LIST_MAX = FLOWS_MAX;

// ---- Tables -----------------------------------------------------------------------------------------------------

const alerts = new SortableTable<Host>(
  table("alert-table"),
  [
    { title: "Event", compare: (a, b) => compareText(a.kinds, b.kinds), fill: fillKinds },
    addressColumn("Source IP", (host) => host.address),
    { title: "Destination IP", fill: fillView },
    bytesColumn("Total MB"),
  ],
  (host) => host.address,
  { column: 3, descending: true },
);

const possible = new SortableTable<Possible>(
  table("possible-table"),
  [
    { title: "Event", compare: (a, b) => compareText(a.kind, b.kind), fill: (cell, { kind }) => fillBadges(cell, kind) },
    addressColumn("Host", ({ address }) => address),
    megabytesColumn("Counted MB", ({ counted }) => counted),
    megabytesColumn("At most MB", ({ atMost }) => atMost),
    megabytesColumn("Limit MB", ({ limit }) => limit),
  ],
  ({ kind, address }) => `${kind} ${address}`,
  { column: 3, descending: true },
);

const destinations = new SortableTable<Peer>(
  table("destination-table"),
  [addressColumn("Destination IP", (peer) => peer.address), bytesColumn("MB")],
  (peer) => peer.address,
  { column: 1, descending: true },
);

const flowList = new SortableTable<Flow>(
  table("flow-table"),
  [
    addressColumn("Source IP", (flow) => flow.source),
    addressColumn("Destination IP", (flow) => flow.destination ?? ""),
    bytesColumn("MB"),
  ],
  (flow) => `${flow.source}>${flow.destination ?? ""}`,
  { column: 2, descending: true },
);

function addressColumn<Row>(title: string, address: (row: Row) => string): Column<Row> {
  return {
    title,
    compare: (a, b) => compareAddresses(address(a), address(b)),
    fill: (cell, row) => {
      cell.classList.add("address");
      // IPv6 may be broken anywhere, IPv4 is short enough to stay whole.
      cell.classList.toggle("long", address(row).includes(":"));
      setText(cell, address(row) || "–");
    },
  };
}

function bytesColumn<Row extends { readonly bytes: number }>(title: string): Column<Row> {
  return megabytesColumn(title, ({ bytes }) => bytes);
}

function megabytesColumn<Row>(title: string, bytes: (row: Row) => number): Column<Row> {
  return {
    title,
    numeric: true,
    compare: (a, b) => bytes(a) - bytes(b),
    fill: (cell, row) => setText(cell, megabytes(bytes(row))),
  };
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}

function fillKinds(cell: HTMLTableCellElement, host: Host): void {
  fillBadges(cell, host.kinds);
}

/** One badge per kind, with the plus signs between them. */
function fillBadges(cell: HTMLTableCellElement, kinds: string): void {
  if (cell.textContent === kinds) return;
  cell.classList.add("kinds");
  cell.replaceChildren();
  kinds.split("+").forEach((kind, index) => {
    if (index > 0) cell.append("+", document.createElement("wbr"));
    const badge = document.createElement("span");
    badge.className = "badge";
    badge.dataset["kind"] = kind;
    badge.textContent = kind;
    cell.append(badge);
  });
}

function fillView(cell: HTMLTableCellElement, host: Host): void {
  if (host.peers.length === 0) {
    setText(cell, "–");
  } else if (cell.querySelector("button") === null) {
    const view = document.createElement("button");
    view.type = "button";
    view.className = "view";
    view.textContent = "View";
    view.setAttribute("aria-label", `View destinations of ${host.address}`);
    view.addEventListener("click", () => openDestinations(host.address));
    cell.replaceChildren(view);
  }
}

// ---- Destinations of one host -----------------------------------------------------------------------------------

const dialog = element("destinations", HTMLDialogElement);
let shownHost: string | null = null;

function openDestinations(address: string): void {
  shownHost = address;
  any("destinations-title").textContent = `Destinations of ${address}`;
  showDestinations();
  dialog.showModal();
}

/** A host whose alert has closed meanwhile keeps the last destinations that were known, with a remark. */
function showDestinations(): void {
  const host = latest?.active.find((candidate) => candidate.address === shownHost);
  any("destinations-closed").hidden = host !== undefined;
  if (host !== undefined) destinations.show(host.peers);
}

button("destinations-close").addEventListener("click", () => dialog.close());
dialog.addEventListener("click", (event) => {
  // The backdrop belongs to the dialog; its content is in one child.
  if (event.target === dialog) dialog.close();
});
dialog.addEventListener("close", () => {
  shownHost = null;
});

// ---- Chart and list ---------------------------------------------------------------------------------------------

const flows = any("flows");
const chartBox = any("chart");
let chart: FlowChart | null = null;
let listWanted = false;

function paletteNow(): Palette {
  const background = (id: string) => getComputedStyle(any(id)).backgroundColor;
  const box = getComputedStyle(chartBox);
  return {
    source: background("swatch-source"),
    alerting: background("swatch-alerting"),
    destination: background("swatch-destination"),
    arrow: background("swatch-arrow"),
    faded: background("swatch-faded"),
    ink: box.color,
    paper: box.backgroundColor,
  };
}

function openChart(): void {
  if (!canDraw()) return;
  try {
    chart = new FlowChart(chartBox, any("tooltip"), paletteNow(), () => {
      chart = null;
      showView();
    });
  } catch (error) {
    console.warn("the chart cannot be drawn", error);
  }
}

/** Without WebGL only the list is shown; otherwise the reader chooses. */
function showView(): void {
  const drawn = chart !== null && !listWanted;
  const empty = latest !== null && latest.all.length === 0;
  chartBox.hidden = !drawn || empty;
  any("list").hidden = drawn || empty;
  any("nothing").hidden = !empty;
  any("legend").hidden = !drawn || empty;
  any("no-webgl").hidden = chart !== null;
  for (const id of ["zoom-in", "zoom-out", "fit", "arrange"]) button(id).disabled = !drawn || empty;
  button("show-chart").disabled = chart === null;
  button("show-chart").setAttribute("aria-pressed", String(drawn));
  button("show-list").setAttribute("aria-pressed", String(!drawn));
  if (drawn && !empty) chart?.resize();
}

function showFlows(hosts: readonly Host[], limits: Limits): void {
  const graph = flowGraph(hosts);
  chart?.show(graph);
  flowList.show(listFlows(hosts).slice(0, LIST_MAX));
  chartBox.setAttribute(
    "aria-label",
    `Network flow chart: ${graph.stations.length} hosts, ${graph.flows.length} flows. The list view has the same data. ` +
      "Arrow keys move it, plus and minus zoom, zero fits it.",
  );
  const span = `the last ${seconds(limits.trafficSeconds)}`;
  const least = roundMegabytes(limits.chartBytesMin);
  any("nothing").textContent = `No host has sent ${least} or more in ${span}.`;
  any("extent").textContent =
    `Hosts that sent at least ${least} in ${span}.` +
    (graph.leftOut > 0 ? ` The ${graph.flows.length} largest flows are shown, ${graph.leftOut} smaller ones are not.` : "") +
    (limits.destinationsHidden ? " Destinations are not shown (NoDestinations)." : "");
}

button("show-chart").addEventListener("click", () => {
  listWanted = false;
  showView();
});
button("show-list").addEventListener("click", () => {
  listWanted = true;
  showView();
});
button("zoom-in").addEventListener("click", () => chart?.zoomIn());
button("zoom-out").addEventListener("click", () => chart?.zoomOut());
button("fit").addEventListener("click", () => chart?.fit());
button("arrange").addEventListener("click", () => chart?.arrange());

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => chart?.repaint(paletteNow()));
new ResizeObserver(() => chart?.resize()).observe(chartBox);

// ---- Full screen ------------------------------------------------------------------------------------------------

function setFull(full: boolean): void {
  document.documentElement.classList.toggle("has-full", full);
  flows.classList.toggle("full", full);
  // Only the chart is visible then, so the banners move into it.
  if (full) flows.prepend(any("banners"));
  else document.querySelector("main")?.before(any("banners"));
  button("full-screen").setAttribute("aria-pressed", String(full));
  chart?.repaint(paletteNow());
  chart?.resize();
}

button("full-screen").addEventListener("click", () => {
  if (document.fullscreenElement !== null) void document.exitFullscreen();
  else if (flows.classList.contains("full")) setFull(false);
  // If the browser refuses full screen, the chart fills the window.
  else flows.requestFullscreen().catch(() => setFull(true));
});
document.addEventListener("fullscreenchange", () => setFull(document.fullscreenElement === flows));
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && document.fullscreenElement === null) setFull(false);
});

// ---- Reports ----------------------------------------------------------------------------------------------------

let latest: Report | null = null;
let latestAt = "";

function showReport(report: Report): void {
  const first = latest === null;
  latest = report;
  latestAt = new Date().toLocaleTimeString();
  if (first) document.body.classList.remove("loading");
  setHidden(any("outage"), true);
  any("updated").textContent = `Updated ${latestAt}`;
  document.body.dataset["state"] = "live";
  const open = report.active.length;
  document.title = open === 0 ? "TrafficAlerted" : `(${open}) TrafficAlerted`;

  // Before the chart is filled it must have its size, or it is fitted to nothing.
  showView();
  showFlows(report.all, report.limits);
  alerts.show(report.active);
  table("alert-table").hidden = open === 0;
  any("no-alerts").hidden = open !== 0;
  possible.show(report.possible);
  setHidden(any("possible"), report.possible.length === 0);
  if (dialog.open) showDestinations();
  showLimits(report.limits);
  showAccounting(report.accounting, report.limits.trafficSeconds, latestAt);
}

function showLimits(limits: Limits): void {
  const list = any("limits");
  const sentences = limitSentences(limits);
  if (list.childElementCount === sentences.length && list.textContent === sentences.join("")) return;
  list.replaceChildren(
    ...sentences.map((sentence) => {
      const item = document.createElement("li");
      item.textContent = sentence;
      return item;
    }),
  );
}

function showOutage(error: unknown): void {
  console.warn("no report from the server", error);
  document.body.classList.remove("loading");
  document.body.dataset["state"] = "outage";
  const banner = any("outage");
  const text =
    latest === null
      ? "The server does not answer. Trying again every few seconds."
      : `The server does not answer. This is what it said at ${latestAt}; trying again every few seconds.`;
  setText(banner, text);
  banner.hidden = false;
  any("updated").textContent = latest === null ? "Not connected" : `Last updated ${latestAt}`;
}

openChart();
showView();
refreshForever(fetchReport, { onData: showReport, onOutage: showOutage }, REFRESH_MS, DEADLINE_MS);
