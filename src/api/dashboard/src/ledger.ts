// The proof: the frames that the kernel offered are counted, skipped, dropped or still in a ring.

import type { Accounting, Analyst } from "./accounting.ts";
import { whyFramesAreSkipped } from "./reasons.ts";
import { exactBytes, grouped, groupedCount, milliseconds, readableBytes, share } from "./words.ts";

/** A place that a frame can be in. */
export type Place = "counted" | "skipped" | "dropped" | "waiting";

export interface Entry {
  readonly key: string;
  readonly place: Place;
  readonly words: string;
  /** A longer explanation. */
  readonly detail: string;
  readonly frames: number;
}

export interface FrameLedger {
  readonly entries: readonly Entry[];
  /** The sum of all entries. */
  readonly sum: number;
  /** The sum by the kernel's counter. */
  readonly offered: number;
  readonly dropped: number;
}

export function frameLedger(accounting: Accounting): FrameLedger {
  const { countedFrames, skipped, droppedFrames, framesInRings, offeredFrames, ipPackets, ipBytes } = accounting;
  const entry = (place: Place, words: string, frames: number, detail = ""): Entry => ({
    key: place,
    place,
    words,
    detail,
    frames,
  });
  const reasons = [...skipped].map(
    ([reason, frames]): Entry => ({
      ...entry("skipped", `Skipped: ${whyFramesAreSkipped(reason)}`, frames, reason),
      key: reason,
    }),
  );
  const entries = [
    entry(
      "counted",
      `Counted, as ${groupedCount(ipPackets, "IP packet")} with ${readableBytes(ipBytes)}`,
      countedFrames,
      exactBytes(ipBytes),
    ),
    ...(reasons.length > 0 ? reasons : [entry("skipped", "Skipped", 0)]),
    entry("dropped", "Dropped by the kernel, because a ring was full", droppedFrames, "tp_drops"),
    entry("waiting", "In the rings, not read yet", framesInRings),
  ];
  const sum = entries.reduce((sum, { frames }) => sum + frames, 0);
  return { entries, sum, offered: offeredFrames, dropped: droppedFrames };
}

/** A short text on whether the sums agree. */
export function balance({ sum, offered }: FrameLedger): string {
  if (sum === offered) return "adds up";
  return sum < offered ? `${grouped(offered - sum)} missing` : `${grouped(sum - offered)} too many`;
}

/** The whole ledger in one sentence. */
export function verdict(ledger: FrameLedger): string {
  const { sum, offered, dropped } = ledger;
  if (sum === 0 && offered === 0) return "No frame has been offered yet.";
  const frames = groupedCount(offered, "frame");
  if (sum !== offered) return `${frames} offered; what became of them does not add up: ${balance(ledger)}.`;
  if (dropped > 0) return `${frames} offered, ${grouped(dropped)} of them dropped (${share(dropped, offered)}).`;
  return `${frames} offered, every one accounted for, none dropped.`;
}

/** Remarks on the numbers. */
export function remarks(accounting: Accounting): string[] {
  const { wireExact, superFrames, superFramesAsOne, lengthMismatchPackets, backlogDrops } = accounting;
  const { spilledPackets, spilledBytes, spilledPorts, undecidedExchanges, hostsOmitted } = accounting;
  const exactness = wireExact
    ? "Wire exact: where the kernel has joined packets to one frame, the packets of the wire are counted."
    : "Not wire exact: what the kernel has joined to one frame is counted as one packet.";
  return [
    exactness,
    ...when(superFrames, (n) => `${groupedCount(n, "counted frame")} stood for several packets.`),
    ...when(
      superFramesAsOne,
      (n) => `${groupedCount(n, "joined frame")} counted as one packet, because nothing says how many they were.`,
    ),
    ...when(
      lengthMismatchPackets,
      (n) => `${groupedCount(n, "packet")} shorter than the header said, counted with the bytes that were there.`,
    ),
    ...when(
      spilledPackets,
      (n) =>
        `Spilled: ${groupedCount(n, "packet")} with ${readableBytes(spilledBytes)} counted here and under no host, ` +
        "because a table was full. Raise MemoryLimit.",
    ),
    ...when(
      spilledPorts,
      (n) =>
        `Spilled: ${groupedCount(n, "contacted port")} counted under no host, because a table was full. ` +
        "Raise MemoryLimit.",
    ),
    ...when(undecidedExchanges, (n) => `Undecided: ${groupedCount(n, "exchange")} of which nobody can say who began.`),
    ...when(hostsOmitted, (n) => `${groupedCount(n, "host")} for which the list of hosts had no room.`),
    ...when(
      backlogDrops ?? 0,
      (n) =>
        `${groupedCount(n, "frame")} dropped on this machine before any socket saw them; ` +
        "they are not among those offered.",
    ),
    ...lateness(accounting.analyst),
  ];
}

/** The delay of these numbers, and the steps that were put off. */
function lateness({ waitedMs, stepMs, step, reportsPutOff, judgementsPutOff }: Analyst): string[] {
  const [waited, longest] = [milliseconds(waitedMs), milliseconds(stepMs)];
  return [
    ...when(
      waitedMs,
      () => `What the workers handed over lately was added up within ${waited}; the longest step (${step}) took ${longest}.`,
    ),
    ...when(
      reportsPutOff,
      (n) => `Late: ${groupedCount(n, "time")} there was too much to add up, and these numbers had to wait.`,
    ),
    ...when(
      judgementsPutOff,
      (n) => `Late: ${groupedCount(n, "time")} there was too much to add up, and alerts had to wait for up to a second.`,
    ),
  ];
}

function when(n: number, words: (n: number) => string): string[] {
  return n === 0 ? [] : [words(n)];
}
