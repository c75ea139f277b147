// The part of the page that shows whether the numbers are complete: the banners, the proof and the interfaces.

import type { Accounting, Interface } from "./accounting.ts";
import { any, element, setHidden, table } from "./elements.ts";
import {
  compareNames,
  enteringCounts,
  goneInBrief,
  interfaceName,
  interfacesInBrief,
  leavingCounts,
  monitoring,
  unexplained,
} from "./interfaces.ts";
import { type Entry, type FrameLedger, balance, frameLedger, remarks, verdict } from "./ledger.ts";
import { Growth, type Notice, notices } from "./notices.ts";
import { type Column, SortableTable, setText, setTextAndTitle } from "./table.ts";
import { exactBytes, grouped, readableBytes, share } from "./words.ts";

/** Interfaces that are shown, the busiest first. */
const INTERFACES_MAX = 400;

const backlogDrops = new Growth();
let knownAt: string | null = null;

// A phone has room for the verdicts only; the proof can be opened.
const hasRoom = matchMedia("(min-width: 641px)").matches;
for (const id of ["proof-details", "interface-details"]) element(id, HTMLDetailsElement).open = hasRoom;

/** Shows the accounting; without one, the last that was received, and its time. */
export function showAccounting(accounting: Accounting | null, trafficSeconds: number, now: string): void {
  any("proof").hidden = false;
  const stale = any("proof-stale");
  stale.hidden = accounting !== null;
  if (accounting === null) {
    setText(
      stale,
      knownAt === null
        ? "The server does not tell where its frames went."
        : `The server does not tell at present; this is what it told at ${knownAt}.`,
    );
    element("proof-details", HTMLDetailsElement).hidden = knownAt === null;
    return;
  }
  knownAt = now;
  element("proof-details", HTMLDetailsElement).hidden = false;
  any("interfaces").hidden = false;
  const banners = notices(accounting, trafficSeconds, backlogDrops.of(accounting.backlogDrops));
  showNotice("losing", banners.losing);
  showNotice("lost", banners.lost);
  showNotice("lost-before", banners.lostBefore);
  showLedger(frameLedger(accounting));
  showLines(any("remarks"), remarks(accounting));
  showInterfaces(accounting.interfaces);
}

/** Changes only what differs: a screen reader announces a new notice, not each new number in it. */
function showNotice(id: string, notice: Notice | null): void {
  const banner = any(id);
  setHidden(banner, notice === null);
  if (notice === null) return;
  const [before, figure, after] = banner.querySelectorAll("span");
  if (before !== undefined) setText(before, notice.before);
  if (figure !== undefined) setText(figure, notice.figure);
  if (after !== undefined) setText(after, notice.after);
}

// ---- Where every frame went -------------------------------------------------------------------------------------

let offered = 0;

const frames = new SortableTable<Entry>(
  table("frame-table"),
  [
    { title: "What became of it", fill: fillPlace },
    { title: "Frames", numeric: true, fill: (cell, entry) => setText(cell, grouped(entry.frames)) },
    { title: "Share", numeric: true, fill: (cell, entry) => setText(cell, share(entry.frames, offered)) },
  ],
  (entry) => entry.key,
  // No column has an order: the lines stay as they come.
  { column: 0, descending: false },
);
const [sumCell, offeredCell, balanceCell] = addFoot(table("frame-table"));

function addFoot(frameTable: HTMLTableElement): [HTMLElement, HTMLElement, HTMLElement] {
  const foot = frameTable.createTFoot();
  const line = (words: string) => {
    const row = foot.insertRow();
    const header = document.createElement("th");
    header.scope = "row";
    header.textContent = words;
    row.append(header);
    const [frames, besides] = [row.insertCell(), row.insertCell()];
    frames.className = besides.className = "number";
    return { frames, besides };
  };
  const sum = line("Sum of these");
  const whole = line("Offered by the kernel");
  return [sum.frames, whole.frames, whole.besides];
}

function fillPlace(cell: HTMLTableCellElement, entry: Entry): void {
  let [swatch, words] = cell.querySelectorAll("span");
  if (swatch === undefined || words === undefined) {
    [swatch, words] = [document.createElement("span"), document.createElement("span")];
    swatch.className = "swatch";
    swatch.dataset["place"] = entry.place;
    cell.className = "place";
    cell.append(swatch, words);
  }
  setTextAndTitle(words, entry.words, entry.detail);
}

function showLedger(ledger: FrameLedger): void {
  offered = ledger.offered;
  setText(any("verdict"), verdict(ledger));
  frames.show(ledger.entries);
  setText(sumCell, grouped(ledger.sum));
  setText(offeredCell, grouped(ledger.offered));
  setText(balanceCell, balance(ledger));
  balanceCell.dataset["balanced"] = String(ledger.sum === ledger.offered);
  showBar(ledger);
}

/** One part of the bar for each place; the table beside it has the numbers. */
function showBar(ledger: FrameLedger): void {
  const bar = any("frame-bar");
  bar.hidden = ledger.sum === 0;
  for (const part of bar.querySelectorAll<HTMLElement>("[data-place]")) {
    const here = ledger.entries.filter((entry) => entry.place === part.dataset["place"]);
    const sum = here.reduce((sum, entry) => sum + entry.frames, 0);
    part.hidden = sum === 0;
    part.style.flexGrow = String(sum / Math.max(1, ledger.sum));
  }
}

function showLines(list: HTMLElement, lines: readonly string[]): void {
  lines.forEach((line, index) => {
    const item = list.children[index] ?? list.appendChild(document.createElement("li"));
    if (item instanceof HTMLElement) setText(item, line);
  });
  while (list.children.length > lines.length) list.lastElementChild?.remove();
}

// ---- Interfaces -------------------------------------------------------------------------------------------------

const nameColumn: Column<Interface> = {
  title: "Interface",
  compare: (a, b) => compareNames(interfaceName(a), interfaceName(b)),
  fill: (cell, row) => {
    cell.classList.add("name");
    setText(cell, interfaceName(row));
  },
};

const monitoredColumn: Column<Interface> = {
  title: "Monitored",
  compare: (a, b) => compareNames(monitoring(a), monitoring(b)),
  fill: fillMonitored,
};

const trafficColumns: readonly Column<Interface>[] = [
  packetsColumn("Packets in", (row) => (enteringCounts(row) ? row.entering.ipPackets : null)),
  sizeColumn("Bytes in", (row) => (enteringCounts(row) ? row.entering.ipBytes : null)),
  packetsColumn("Packets out", (row) => (leavingCounts(row) ? row.leaving.ipPackets : null)),
  sizeColumn("Bytes out", (row) => (leavingCounts(row) ? row.leaving.ipBytes : null)),
  {
    title: "Kernel in",
    numeric: true,
    compare: (a, b) => a.rxPackets - b.rxPackets,
    fill: (cell, row) => {
      const missed = row.rxMissed > 0 ? `\n${grouped(row.rxMissed)} missed` : "";
      fillNumber(
        cell,
        grouped(row.rxPackets) + missed,
        `The kernel's own count. Besides: ${grouped(row.rxMissed)} missed for want of room in the hardware, ` +
          `${grouped(row.rxErrors)} bad, ${grouped(row.rxDropped)} received and thrown away.`,
      );
    },
  },
  packetsColumn("Kernel out", (row) => row.txPackets),
];

const unexplainedColumn: Column<Interface> = {
  title: "Unexplained",
  numeric: true,
  compare: (a, b) => unexplained(a).packets - unexplained(b).packets,
  fill: (cell, row) => {
    const { words, detail } = unexplained(row);
    fillNumber(cell, words, detail);
  },
};

const MOST_BYTES_FIRST = 3;
const interfaces = new SortableTable<Interface>(
  table("interface-table"),
  [nameColumn, monitoredColumn, ...trafficColumns, unexplainedColumn],
  (row) => String(row.ifindex),
  { column: MOST_BYTES_FIRST, descending: true },
);
const gone = new SortableTable<Interface>(
  table("gone-table"),
  [nameColumn, ...trafficColumns],
  (row) => String(row.ifindex),
  { column: MOST_BYTES_FIRST - 1, descending: true },
);

function packetsColumn(title: string, packets: (row: Interface) => number | null): Column<Interface> {
  return {
    title,
    numeric: true,
    compare: (a, b) => (packets(a) ?? -1) - (packets(b) ?? -1),
    fill: (cell, row) => {
      const n = packets(row);
      fillNumber(cell, n === null ? null : grouped(n));
    },
  };
}

function sizeColumn(title: string, bytes: (row: Interface) => number | null): Column<Interface> {
  return {
    title,
    numeric: true,
    compare: (a, b) => (bytes(a) ?? -1) - (bytes(b) ?? -1),
    fill: (cell, row) => {
      const n = bytes(row);
      if (n === null) fillNumber(cell, null);
      else fillNumber(cell, readableBytes(n), exactBytes(n));
    },
  };
}

/** `null` is no number at all, which is not zero. */
function fillNumber(cell: HTMLTableCellElement, words: string | null, detail = ""): void {
  cell.classList.toggle("none", words === null);
  setTextAndTitle(cell, words ?? "–", detail);
}

/** Shows whether it is monitored or why not, and below that irregularities. */
function fillMonitored(cell: HTMLTableCellElement, row: Interface): void {
  let [words, note] = cell.querySelectorAll("span");
  if (words === undefined || note === undefined) {
    [words, note] = [document.createElement("span"), document.createElement("span")];
    note.className = "remark";
    cell.className = "monitored";
    cell.append(words, note);
  }
  cell.dataset["monitored"] = String(row.isMonitored);
  setText(words, monitoring(row));
  setText(note, row.note ?? "");
}

function showInterfaces(rows: readonly Interface[]): void {
  const busiestFirst = (isGone: boolean) =>
    rows.filter((row) => row.isGone === isGone).sort((a, b) => b.entering.ipBytes - a.entering.ipBytes);
  const [here, past] = [busiestFirst(false), busiestFirst(true)];
  setText(any("interfaces-brief"), interfacesInBrief(rows));
  // On a gateway packets count where they come in, and two columns would be empty.
  any("interfaces").classList.toggle("entering-only", !rows.some(leavingCounts));
  interfaces.show(here.slice(0, INTERFACES_MAX));
  table("interface-table").hidden = here.length === 0;
  const omitted = here.length - INTERFACES_MAX;
  any("interfaces-omitted").hidden = omitted <= 0;
  if (omitted > 0) {
    setText(any("interfaces-omitted"), `The ${INTERFACES_MAX} busiest are shown, ${grouped(omitted)} others are not.`);
  }
  any("gone").hidden = past.length === 0;
  setText(any("gone-brief"), goneInBrief(past.length));
  gone.show(past.slice(0, INTERFACES_MAX));
}
