// The flows as a chart or a list, also in full screen.

import { FlowChart, type Palette, canDraw } from "./chart.ts";
import { addressColumn, bytesColumn } from "./columns.ts";
import { any, button, setHidden, table } from "./elements.ts";
import { type Flow, extent, flowGraph, listFlows } from "./flows.ts";
import { nobodySentence, sumOfBytes } from "./hosts.ts";
import type { Report } from "./model.ts";
import { SortableTable, setText } from "./table.ts";
import { grouped, seconds, shortBytes } from "./words.ts";

/** Lines of the list view. */
const LIST_MAX = 400;

const flows = any("flows");
const chartBox = any("chart");
const flowList = new SortableTable<Flow>(
  table("flow-table"),
  [
    addressColumn("Source", (flow) => flow.source),
    addressColumn("Destination", (flow) => flow.destination ?? ""),
    bytesColumn("Bytes", (flow) => flow.bytes),
  ],
  (flow) => `${flow.source}>${flow.destination ?? ""}`,
  { column: 2, descending: true },
);
let chart: FlowChart | null = null;
let listWanted = false;
/** `null` before the first report. */
let isEmpty: boolean | null = null;

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
  const empty = isEmpty === true;
  setHidden(chartBox, !drawn || empty);
  setHidden(any("list"), drawn || empty);
  setHidden(any("nothing"), !empty);
  setHidden(any("legend"), !drawn || empty);
  setHidden(any("no-webgl"), chart !== null);
  for (const id of ["zoom-in", "zoom-out", "fit", "arrange"]) button(id).disabled = !drawn || empty;
  button("show-chart").disabled = chart === null;
  button("show-chart").setAttribute("aria-pressed", String(drawn));
  button("show-list").setAttribute("aria-pressed", String(!drawn));
  if (drawn && !empty) chart?.resize();
}

export function showFlows({ hosts, hostBytesMin, limits }: Report): void {
  isEmpty = hosts.length === 0;
  // Before the chart is filled it must have its size, or it is fitted to nothing.
  showView();
  const graph = flowGraph(hosts);
  const listed = listFlows(hosts);
  chart?.show(graph);
  flowList.show(listed.slice(0, LIST_MAX));
  chartBox.setAttribute(
    "aria-label",
    `Flow chart: ${graph.stations.length} hosts, ${graph.flows.length} flows. The list view has the same data. ` +
      "Arrow keys move it, plus and minus zoom, zero fits it.",
  );
  const span = `the last ${seconds(limits.trafficSeconds)}`;
  const least = shortBytes(hostBytesMin);
  setText(any("nothing"), nobodySentence(hostBytesMin, limits.trafficSeconds));
  setText(any("extent"), extent(graph, sumOfBytes(hosts)));
  const cut = listed.length > LIST_MAX ? ` The list has the ${LIST_MAX} largest of ${grouped(listed.length)}.` : "";
  const hidden = limits.destinationsHidden ? " Destinations are not shown (NoDestinations)." : "";
  setText(any("flows-note"), `Of hosts that sent at least ${least} in ${span}.${cut}${hidden}`);
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

openChart();
showView();
