// The flow chart on WebGL.

import { DEFAULT_EDGE_CURVATURE, createEdgeCurveProgram } from "@sigma/edge-curve";
import Sigma from "sigma";
import {
  type EdgeLabelDrawingFunction,
  type NodeHoverDrawingFunction,
  type NodeLabelDrawingFunction,
  createEdgeArrowProgram,
} from "sigma/rendering";
import type { Settings } from "sigma/settings";
import type { FlowGraph } from "./flows.ts";
import { type Box, Occupancy, turnedBox } from "./labels.ts";
import { type Chart, type EdgeAttributes, type NodeAttributes, arrange, emptyChart, reshape, update } from "./layout.ts";
import { count, readableBytes } from "./words.ts";

/** Colours as CSS has resolved them for the current theme. */
export interface Palette {
  readonly source: string;
  readonly alerting: string;
  readonly destination: string;
  readonly arrow: string;
  readonly ink: string;
  readonly paper: string;
  readonly faded: string;
}

/** Returns true if this browser can draw the chart. */
export function canDraw(): boolean {
  return document.createElement("canvas").getContext("webgl2") !== null;
}

export class FlowChart {
  readonly #chart: Chart = emptyChart();
  readonly #sigma: Sigma<NodeAttributes, EdgeAttributes>;
  readonly #container: HTMLElement;
  readonly #tooltip: HTMLElement;
  readonly #occupancy = new Occupancy();
  #stationsKeptFree = false;
  #palette: Palette;
  #hovered: string | null = null;
  #dragged: string | null = null;

  /** `onLost` is called when the drawing context is lost; the chart is unusable afterwards. */
  constructor(container: HTMLElement, tooltip: HTMLElement, palette: Palette, onLost: () => void) {
    this.#container = container;
    this.#tooltip = tooltip;
    this.#palette = palette;
    this.#sigma = new Sigma(this.#chart, container, this.#settings());
    for (const canvas of Object.values(this.#sigma.getCanvases())) {
      canvas.addEventListener("webglcontextlost", onLost, { once: true });
    }
    this.#sigma.on("beforeRender", () => {
      this.#stationsKeptFree = false;
    });
    this.#explainOnHover();
    this.#moveByDragging();
    this.#steerByKeyboard();
  }

  show(graph: FlowGraph): void {
    update(this.#chart, graph, readableBytes, this.#aspect());
    if (this.#hovered !== null && !this.#chart.hasNode(this.#hovered)) this.#leave();
    if (this.#dragged !== null && !this.#chart.hasNode(this.#dragged)) this.#drop();
    this.#sigma.refresh();
  }

  repaint(palette: Palette): void {
    this.#palette = palette;
    this.#sigma.refresh();
  }

  /** Adapts to a change of size or visibility of its container. */
  resize(): void {
    if (this.#container.clientHeight === 0) return;
    reshape(this.#chart, this.#aspect());
    this.#sigma.resize();
    this.#sigma.refresh();
  }

  arrange(): void {
    arrange(this.#chart, this.#aspect());
    this.fit();
  }

  fit(): void {
    void this.#sigma.getCamera().animatedReset({ duration: ANIMATION_MS });
  }

  zoomIn(): void {
    void this.#sigma.getCamera().animatedZoom({ duration: ANIMATION_MS });
  }

  zoomOut(): void {
    void this.#sigma.getCamera().animatedUnzoom({ duration: ANIMATION_MS });
  }

  #settings(): Partial<Settings<NodeAttributes, EdgeAttributes>> {
    return {
      // The list view hides the container, and a hidden one has no size.
      allowInvalidContainer: true,
      defaultEdgeType: "arrow",
      edgeProgramClasses: {
        arrow: createEdgeArrowProgram<NodeAttributes, EdgeAttributes>(ARROW_HEAD),
        curved: createEdgeCurveProgram<NodeAttributes, EdgeAttributes>({
          curvatureAttribute: "curvature",
          defaultCurvature: DEFAULT_EDGE_CURVATURE,
          arrowHead: ARROW_HEAD,
          drawLabel: this.#drawEdgeLabel,
        }),
      },
      enableEdgeEvents: true,
      renderEdgeLabels: true,
      // Sigma's own choice of labels is switched off: see `#drawLabel`.
      labelDensity: 0,
      labelSize: 13,
      labelFont: FONT,
      edgeLabelSize: 11,
      edgeLabelFont: FONT,
      stagePadding: 48,
      minCameraRatio: 0.05,
      maxCameraRatio: 4,
      enableCameraRotation: false,
      zIndex: true,
      defaultDrawNodeLabel: this.#drawLabel,
      defaultDrawNodeHover: this.#drawHover,
      defaultDrawEdgeLabel: this.#drawEdgeLabel,
      nodeReducer: (address, attributes) => {
        const aside = this.#isAside(address);
        return {
          ...attributes,
          size: attributes.size * this.#scale(),
          color: aside ? this.#palette.faded : this.#palette[attributes.role],
          label: aside ? null : address,
          // All labels are candidates, in the order of their bytes; those without room are left out in drawing.
          forceLabel: true,
          zIndex: address === this.#hovered ? 1 : 0,
        };
      },
      edgeReducer: (edge, attributes) => {
        const aside = this.#hovered !== null && !this.#chart.hasExtremity(edge, this.#hovered);
        return {
          ...attributes,
          size: attributes.size * this.#scale(),
          color: aside ? this.#palette.faded : this.#palette.arrow,
          label: aside ? null : attributes.label,
          forceLabel: !aside,
          zIndex: aside ? 0 : 1,
        };
      },
    };
  }

  /** While the pointer is on a station, stations without a flow to or from it are faded. */
  #isAside(address: string): boolean {
    const hovered = this.#hovered;
    return hovered !== null && address !== hovered && !this.#chart.areNeighbors(address, hovered);
  }

  /** Ratio of width to height of the drawing; that of a screen if it is hidden. */
  #aspect(): number {
    const { clientWidth, clientHeight } = this.#container;
    return clientHeight > 0 ? clientWidth / clientHeight : 16 / 9;
  }

  /** Stations shrink in a narrow window, so that they do not cover each other. */
  #scale(): number {
    return Math.min(1, Math.max(0.5, this.#container.clientWidth / FULL_SIZE_WIDTH));
  }

  /** Reserves an area for a label if it is free; the areas of the stations are reserved before the first label. */
  #tryTake(box: Box): boolean {
    // Not at the beginning of the frame, since sigma updates the sizes of drawing and graph only before this.
    if (!this.#stationsKeptFree) {
      this.#stationsKeptFree = true;
      this.#occupancy.clear();
      this.#chart.forEachNode((address, attributes) => {
        const { x, y } = this.#sigma.graphToViewport(attributes);
        const size = this.#sigma.scaleSize(this.#sigma.getNodeDisplayData(address)?.size ?? 0);
        this.#occupancy.take({ left: x - size, right: x + size, top: y - size, bottom: y + size });
      });
    }
    return this.#occupancy.tryTake(box);
  }

  /** Draws a label away from its station's arrows if possible, or elsewhere beside the station. */
  readonly #drawLabel: NodeLabelDrawingFunction<NodeAttributes, EdgeAttributes> = (context, node, settings) => {
    // The station that is pointed at has its label from `#drawHover`.
    if (!node.label || node.label === this.#hovered) return;
    context.font = `${settings.labelWeight} ${settings.labelSize}px ${settings.labelFont}`;
    const { clientWidth, clientHeight } = this.#container;
    const label = this.#labelOf(node.label);
    const [half, height] = [context.measureText(label).width / 2, settings.labelSize];
    const away = node.size + LABEL_GAP;
    const side = this.#arrowsGoDown(node.label) ? -1 : 1;
    const centres: [number, number][] = [
      [node.x, node.y + side * (away + height / 2)],
      [node.x, node.y - side * (away + height / 2)],
      [node.x + away + half, node.y],
      [node.x - away - half, node.y],
    ];
    for (const [x, y] of centres) {
      const box = { left: x - half, right: x + half, top: y - height / 2, bottom: y + height / 2 };
      if (box.left < 0 || box.right > clientWidth || box.top < 0 || box.bottom > clientHeight) continue;
      if (!this.#tryTake(box)) continue;
      this.#write(context, label, x, y + height / 3);
      return;
    }
  };

  /** Returns the label of a station. One with an alert has a sign besides its colour. */
  #labelOf(address: string): string {
    return this.#chart.getNodeAttribute(address, "role") === "alerting" ? `▲ ${address}` : address;
  }

  /** Returns true if most of a station's arrows are below it; upwards is positive in the graph. */
  #arrowsGoDown(address: string): boolean {
    const y = this.#chart.getNodeAttribute(address, "y");
    let rise = 0;
    this.#chart.forEachNeighbor(address, (_, neighbor) => {
      rise += Math.sign(neighbor.y - y);
    });
    return rise < 0;
  }

  readonly #drawHover: NodeHoverDrawingFunction<NodeAttributes, EdgeAttributes> = (context, node, settings) => {
    context.beginPath();
    context.arc(node.x, node.y, node.size + 3, 0, Math.PI * 2);
    context.lineWidth = 2;
    context.strokeStyle = this.#palette.ink;
    context.stroke();
    if (!node.label) return;
    context.font = `bold ${settings.labelSize}px ${settings.labelFont}`;
    this.#write(context, this.#labelOf(node.label), node.x, node.y + node.size + LABEL_GAP + settings.labelSize * 0.85);
  };

  /** Draws text with an outline in the background colour, so that it is readable over an arrow. */
  #write(context: CanvasRenderingContext2D, text: string, x: number, y: number): void {
    context.textAlign = "center";
    context.lineJoin = "round";
    context.lineWidth = 4;
    context.strokeStyle = this.#palette.paper;
    context.strokeText(text, x, y);
    context.fillStyle = this.#palette.ink;
    context.fillText(text, x, y);
    context.textAlign = "start";
  }

  /** Draws a label along the middle of an arrow, unless it does not fit: cut, it would show a smaller number. */
  readonly #drawEdgeLabel: EdgeLabelDrawingFunction<NodeAttributes, EdgeAttributes> = (
    context,
    edge,
    source,
    target,
    settings,
  ) => {
    if (!edge.label) return;
    context.font = `${settings.edgeLabelWeight} ${settings.edgeLabelSize}px ${settings.edgeLabelFont}`;
    const [dx, dy] = [target.x - source.x, target.y - source.y];
    const width = context.measureText(edge.label).width;
    if (width > Math.hypot(dx, dy) - source.size - target.size - 2 * LABEL_GAP) return;
    // A curve's middle is half as far from the line as its control point.
    const bend = edge["type"] === "curved" ? DEFAULT_EDGE_CURVATURE / 2 : 0;
    const x = (source.x + target.x) / 2 + dy * bend;
    const y = (source.y + target.y) / 2 - dx * bend;
    if (!this.#tryTake(turnedBox(x, y, width, settings.edgeLabelSize, dx, dy))) return;
    context.save();
    context.translate(x, y);
    context.rotate(Math.atan(dy / (dx || Number.EPSILON)));
    context.fillStyle = this.#palette.paper;
    context.fillRect(-width / 2 - 3, -settings.edgeLabelSize / 2, width + 6, settings.edgeLabelSize);
    this.#write(context, edge.label, 0, settings.edgeLabelSize / 3);
    context.restore();
  };

  #explainOnHover(): void {
    const sigma = this.#sigma;
    sigma.on("enterNode", ({ node, event }) => {
      this.#hovered = node;
      const { role, bytes } = this.#chart.getNodeAttributes(node);
      const sends = role !== "destination";
      const peers = sends ? this.#chart.outDegree(node) : this.#chart.inDegree(node);
      const verb = sends ? "sent" : "received";
      const whom = sends ? count(peers, "destination") + " shown" : "from " + count(peers, "source");
      const alerting = role === "alerting" ? "▲ has an open alert\n" : "";
      this.#explain(`${node}\n${alerting}${readableBytes(bytes)} ${verb} in total, ${whom}`, event);
      sigma.refresh({ skipIndexation: true });
    });
    sigma.on("leaveNode", () => this.#leave());
    sigma.on("enterEdge", ({ edge, event }) => {
      const [source, destination] = this.#chart.extremities(edge);
      this.#explain(`${source} → ${destination}\n${this.#chart.getEdgeAttribute(edge, "label")}`, event);
    });
    sigma.on("leaveEdge", () => this.#silence());
  }

  #leave(): void {
    this.#hovered = null;
    this.#silence();
    this.#sigma.refresh({ skipIndexation: true });
  }

  #explain(text: string, at: { x: number; y: number }): void {
    const tooltip = this.#tooltip;
    tooltip.textContent = text;
    tooltip.hidden = false;
    // To the left of the pointer where there is no room on the right.
    const room = this.#container.clientWidth - tooltip.offsetWidth - 8;
    tooltip.style.left = `${Math.max(8, Math.min(at.x + 14, room))}px`;
    tooltip.style.top = `${Math.max(8, at.y - tooltip.offsetHeight - 14)}px`;
  }

  #silence(): void {
    this.#tooltip.hidden = true;
  }

  #moveByDragging(): void {
    const sigma = this.#sigma;
    sigma.on("downNode", ({ node }) => {
      this.#dragged = node;
      // Otherwise the picture is fitted anew while the station moves, and the station leaves the pointer.
      if (sigma.getCustomBBox() === null) sigma.setCustomBBox(sigma.getBBox());
    });
    sigma.on("moveBody", ({ event, preventSigmaDefault }) => {
      if (this.#dragged === null) return;
      this.#chart.mergeNodeAttributes(this.#dragged, sigma.viewportToGraph(event));
      this.#silence();
      preventSigmaDefault();
    });
    sigma.on("upNode", () => this.#drop());
    sigma.on("upStage", () => this.#drop());
  }

  #drop(): void {
    this.#dragged = null;
    this.#sigma.setCustomBBox(null);
  }

  #steerByKeyboard(): void {
    const steps: Readonly<Record<string, readonly [number, number]>> = {
      ArrowLeft: [-1, 0],
      ArrowRight: [1, 0],
      ArrowUp: [0, 1],
      ArrowDown: [0, -1],
    };
    this.#container.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.altKey || event.metaKey) return;
      const step = steps[event.key];
      if (step !== undefined) {
        const camera = this.#sigma.getCamera();
        const { x, y, ratio } = camera.getState();
        void camera.animate(
          { x: x + step[0] * ratio * PAN_SHARE, y: y + step[1] * ratio * PAN_SHARE },
          { duration: ANIMATION_MS },
        );
      } else if (event.key === "+" || event.key === "=") this.zoomIn();
      else if (event.key === "-") this.zoomOut();
      else if (event.key === "0") this.fit();
      else return;
      event.preventDefault();
    });
  }
}

const ARROW_HEAD = { extremity: "target", lengthToThicknessRatio: 3.5, widenessToThicknessRatio: 2.8 } as const;
/** Pixels of width from which on everything has its full size. */
const FULL_SIZE_WIDTH = 900;
const LABEL_GAP = 4;
const ANIMATION_MS = 200;
/** How much of the visible width one press of an arrow key moves. */
const PAN_SHARE = 0.15;
const FONT = 'system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif';
