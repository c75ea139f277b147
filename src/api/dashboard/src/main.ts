// The page: puts each report into its parts, and says when there is none.

import { type Alert, certainFirst, isCertain } from "./alerts.ts";
import { CardList, type CardContext } from "./cards.ts";
import { any, button, setHidden } from "./elements.ts";
import { showFlows } from "./flow-panel.ts";
import { showHosts } from "./host-table.ts";
import { sumOfBytes } from "./hosts.ts";
import { type Limits, limitLines } from "./limits.ts";
import { type Report, fetchReport } from "./model.ts";
import { refreshPeers } from "./peers-dialog.ts";
import { showAccounting } from "./proof.ts";
import { refreshForever } from "./refresh.ts";
import { NotSignedIn, listenForToken, showSignIn } from "./sign-in.ts";
import { setText } from "./table.ts";
import { Clock } from "./time.ts";
import { bitRate, grouped, groupedCount, percent, roughShare, seconds, duration } from "./words.ts";

const REFRESH_MS = 3000;
const DEADLINE_MS = 10_000;

const clock = new Clock();
let latest: Report | null = null;
let latestAt = "";

// ---- Alerts -----------------------------------------------------------------------------------------------------

const isWide = matchMedia("(min-width: 1800px)").matches;
const isNarrow = matchMedia("(max-width: 640px)").matches;
const open = new CardList(any("open-alerts"), button("more-open"), isWide ? 12 : 6);
const closed = new CardList(any("closed-alerts"), button("more-closed"), isWide ? 16 : isNarrow ? 3 : 8);

function showAlerts({ open: present, closed: past, now }: Report): void {
  const context: CardContext = { now, clock };
  const ordered = certainFirst(present);
  // An alert of a storm is one of those that the card of the storm counts.
  const singles = ordered.filter(({ stormId }) => stormId === null);
  const [certain, possible] = [singles.filter(isCertain), singles.filter((alert) => !isCertain(alert))];
  open.show(ordered, context);
  closed.show(past, context);
  setHidden(any("no-alerts"), present.length > 0);
  setHidden(any("possible"), possible.length === 0);
  setHidden(any("no-closed"), past.length > 0);
  setText(any("alerts-brief"), alertsInBrief(certain, possible, ordered.length - singles.length));
  setText(any("closed-brief"), past.length === 0 ? "" : groupedCount(past.length, "alert"));
  const unmuted = certain.filter((alert) => !alert.isMuted).length;
  document.title = unmuted === 0 ? "TrafficAlerted" : `(${unmuted}) TrafficAlerted`;
}

/** Such as `2 open, 1 possible, 50 in storms`; it is read out when it changes. */
function alertsInBrief(certain: readonly Alert[], possible: readonly Alert[], inStorms: number): string {
  const muted = [...certain, ...possible].filter((alert) => alert.isMuted).length;
  const parts = [`${certain.length === 0 ? "none" : certain.length} open`];
  if (possible.length > 0) parts.push(`${possible.length} possible`);
  if (inStorms > 0) parts.push(`${grouped(inStorms)} in storms`);
  if (muted > 0) parts.push(`${muted} of them muted`);
  return parts.join(", ");
}

// ---- What matters in one line -----------------------------------------------------------------------------------

function showSummary({ hosts, open, limits, accounting }: Report): void {
  const sum = sumOfBytes(hosts);
  const certain = open.filter(isCertain);
  const span = `average of ${duration(limits.trafficSeconds)}`;
  tile("tile-alerts", certain.length === 0 ? "None" : String(certain.length), alertsAbout(open), certain.length > 0 ? "bad" : "good");
  const [busiest] = hosts;
  tile(
    "tile-busiest",
    busiest?.address ?? "–",
    busiest === undefined ? "" : `${bitRate(busiest.bytes, limits.trafficSeconds)}, ${roughShare(busiest.bytes, sum)} of all`,
  );
  tile(
    "tile-traffic",
    bitRate(sum, limits.trafficSeconds),
    hosts.length === 0 ? span : `sent by ${groupedCount(hosts.length, "host")}, ${span}`,
  );
  const loss = accounting?.loss;
  const lost = loss !== undefined && loss.droppedFrames > 0;
  tile(
    "tile-loss",
    loss === undefined ? "–" : lost ? percent(loss.droppedPercent) : "None",
    loss === undefined ? "not known at present" : `of ${groupedCount(loss.offeredFrames, "frame")} in ${duration(limits.trafficSeconds)}`,
    loss === undefined ? "" : !lost ? "good" : loss.hasAlert ? "bad" : "warning",
  );
}

/** Whom the alerts are about, such as `5 hosts, and 1 more is possible`. */
function alertsAbout(open: readonly Alert[]): string {
  if (open.length === 0) return "every host is within its limits";
  const certain = open.filter(isCertain);
  const possible = open.length - certain.length;
  const sources = new Set(certain.map((alert) => alert.source).filter((source) => source !== null));
  const more = possible === 0 ? "" : `${possible} ${certain.length > 0 ? "more " : ""}${possible === 1 ? "is" : "are"} possible`;
  const hosts = sources.size > 0 ? groupedCount(sources.size, "host") : certain.length > 0 ? "this gateway itself" : "";
  return [hosts, more].filter((words) => words !== "").join(", ");
}

function tile(id: string, figure: string, words: string, mood = ""): void {
  const box = any(id);
  if (box.dataset["mood"] !== mood) box.dataset["mood"] = mood;
  const [value, about] = box.querySelectorAll<HTMLElement>("dd");
  if (value !== undefined) setText(value, figure);
  if (about !== undefined) setText(about, words);
}

// ---- Limits -----------------------------------------------------------------------------------------------------

function showLimits(limits: Limits): void {
  const list = any("limits");
  const lines = limitLines(limits);
  const version = JSON.stringify(lines);
  if (list.dataset["version"] === version) return;
  list.dataset["version"] = version;
  list.replaceChildren(
    ...lines.map(({ key, words, isOff }) => {
      const item = document.createElement("li");
      const name = document.createElement("code");
      item.classList.toggle("off", isOff);
      item.textContent = words;
      name.textContent = key;
      item.append(" ", name);
      return item;
    }),
  );
}

// ---- Reports ----------------------------------------------------------------------------------------------------

function showReport(report: Report): void {
  const first = latest === null;
  latest = report;
  latestAt = clock.at(Date.now(), Date.now());
  if (first) document.body.classList.remove("loading");
  setHidden(any("outage"), true);
  showSignIn(false);
  setText(any("updated"), `Updated ${latestAt}`);
  document.body.dataset["state"] = "live";
  showSummary(report);
  showAlerts(report);
  showHosts(report);
  setText(any("hosts-brief"), `sent in the last ${seconds(report.limits.trafficSeconds)}`);
  showFlows(report);
  refreshPeers(report.hosts);
  showLimits(report.limits);
  showAccounting(report.accounting, report.limits.trafficSeconds, latestAt);
}

function showOutage(error: unknown): void {
  if (error instanceof NotSignedIn && error.tokenHelps) {
    document.body.dataset["state"] = "outage";
    setHidden(any("outage"), true);
    setText(any("updated"), "Not signed in");
    showSignIn(true);
    return;
  }
  showSignIn(false);
  console.warn("no report from the server", error);
  document.body.classList.remove("loading");
  document.body.dataset["state"] = "outage";
  const banner = any("outage");
  const text =
    latest === null
      ? "The server does not answer. Trying again every few seconds."
      : `The server does not answer. This is what it said at ${latestAt}; trying again every few seconds.`;
  setText(banner, text);
  setHidden(banner, false);
  setText(any("updated"), latest === null ? "Not connected" : `Last updated ${latestAt}`);
}

const refreshNow = refreshForever(fetchReport, { onData: showReport, onOutage: showOutage }, REFRESH_MS, DEADLINE_MS);
listenForToken(refreshNow);
