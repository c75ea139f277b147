// The table of hosts: sorted, searched, and shown in parts.

import { kindName } from "./alerts.ts";
import { compareAddresses } from "./address.ts";
import { fillAddress } from "./columns.ts";
import { any, button, element, make, setHidden, table } from "./elements.ts";
import { type HostLine, findHosts, kindsOf, nobodySentence, shownSentence, sumOfBytes } from "./hosts.ts";
import { type Host, PEERS_MAX, type Report } from "./model.ts";
import { openPeers } from "./peers-dialog.ts";
import { type Column, SortableTable, setText, setTextAndTitle } from "./table.ts";
import { bitRate, count, exactBytes, readableBytes, roughShare } from "./words.ts";

/** Rows that are shown at first, and that each press of the button adds. A phone has room for fewer. */
const STEP = matchMedia("(min-width: 641px)").matches ? 100 : 20;
/** Peers that are named below a host that the search has found by them. */
const FOUND_PEERS_SHOWN = 3;

let hosts: readonly Host[] = [];
let seconds = 1;
let nobody = "";
let wholeBytes = 0;
let largestBytes = 0;
let max = STEP;

const bytes = ({ host }: HostLine) => host.bytes;

const columns: readonly Column<HostLine>[] = [
  { title: "Host", compare: (a, b) => compareAddresses(a.host.address, b.host.address), fill: fillHost },
  byBytes("Rate", (cell, sent) => setTextAndTitle(cell, bitRate(sent, seconds), `on average over ${seconds} seconds`)),
  byBytes("Sent", (cell, sent) => setTextAndTitle(cell, readableBytes(sent), exactBytes(sent))),
  byBytes("Share", fillShare),
  { title: "Sent to", numeric: true, compare: (a, b) => a.host.peers.length - b.host.peers.length, fill: fillPeers },
];
const SENT = 2;

const lines = new SortableTable<HostLine>(table("host-table"), columns, ({ host }) => host.address, {
  column: SENT,
  descending: true,
});
const search = element("host-search", HTMLInputElement);

search.addEventListener("input", () => {
  max = STEP;
  show();
});
button("more-hosts").addEventListener("click", () => {
  max += STEP;
  show();
});

/** Shows the hosts of a report. */
export function showHosts({ hosts: all, hostBytesMin, limits }: Report): void {
  hosts = all;
  seconds = limits.trafficSeconds;
  nobody = nobodySentence(hostBytesMin, seconds);
  wholeBytes = sumOfBytes(all);
  largestBytes = all.reduce((largest, host) => Math.max(largest, host.bytes), 0);
  show();
}

function show(): void {
  const found = findHosts(hosts, search.value);
  lines.show(found, max);
  const shown = Math.min(max, found.length);
  setText(any("hosts-shown"), shownSentence(shown, found.length, hosts.length) || nobody);
  setHidden(any("host-region"), found.length === 0);
  setHidden(button("more-hosts"), shown === found.length);
  setText(button("more-hosts"), `Show ${Math.min(STEP, found.length - shown)} more`);
}

function byBytes(title: string, fill: (cell: HTMLTableCellElement, sent: number) => void): Column<HostLine> {
  return { title, numeric: true, compare: (a, b) => bytes(a) - bytes(b), fill: (cell, line) => fill(cell, bytes(line)) };
}

/** The address, and below it the open alerts and what the search has found. */
function fillHost(cell: HTMLTableCellElement, { host, found }: HostLine): void {
  let [address, badges, peers] = cell.children;
  if (address === undefined || badges === undefined || peers === undefined) {
    cell.className = "host";
    [address, badges, peers] = [make("span", ""), make("span", "badges"), make("span", "found")];
    cell.append(address, badges, peers);
  }
  if (address instanceof HTMLElement) fillAddress(address, host.address);
  if (badges instanceof HTMLElement) fillBadges(badges, kindsOf(host));
  const named = found.slice(0, FOUND_PEERS_SHOWN).map((peer) => `${peer.address} (${readableBytes(peer.bytes)})`);
  const others = found.length > named.length ? ` and ${count(found.length - named.length, "other")}` : "";
  if (peers instanceof HTMLElement) setText(peers, named.length === 0 ? "" : `to ${named.join(", ")}${others}`);
}

function fillBadges(cell: HTMLElement, kinds: readonly string[]): void {
  const version = kinds.join("+");
  if (cell.dataset["kinds"] === version) return;
  cell.dataset["kinds"] = version;
  cell.replaceChildren(
    ...kinds.map((kind) => {
      const badge = make("span", "badge");
      setTextAndTitle(badge, `▲ ${kindName(kind)}`, `open alert ${kind}`);
      return badge;
    }),
  );
}

/** The share as a number, and a bar beside that of the busiest host. */
function fillShare(cell: HTMLTableCellElement, sent: number): void {
  let [bar, words] = cell.children;
  if (bar === undefined || words === undefined) {
    [bar, words] = [make("span", "share-bar"), make("span", "")];
    bar.append(make("span", ""));
    cell.classList.add("share");
    cell.append(bar, words);
  }
  const part = bar.firstElementChild;
  if (part instanceof HTMLElement) part.style.width = `${largestBytes === 0 ? 0 : (sent / largestBytes) * 100}%`;
  if (words instanceof HTMLElement) setText(words, roughShare(sent, wholeBytes));
}

/** A button with the number of destinations, which opens them. */
function fillPeers(cell: HTMLTableCellElement, { host }: HostLine): void {
  if (host.peers.length === 0) {
    setText(cell, "–");
    return;
  }
  const words = host.peers.length >= PEERS_MAX ? `${PEERS_MAX}+` : String(host.peers.length);
  let view = cell.querySelector("button");
  if (view === null) {
    view = make("button", "view");
    view.type = "button";
    const { address } = host;
    view.addEventListener("click", () => {
      const now = hosts.find((candidate) => candidate.address === address);
      if (now !== undefined) openPeers(now);
    });
    cell.replaceChildren(view);
  }
  const label = `View ${words === "1" ? "the destination" : `${words} destinations`} of ${host.address}`;
  if (view.textContent !== words) {
    view.textContent = words;
    view.setAttribute("aria-label", label);
  }
}
