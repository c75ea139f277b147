// The texts about one interface.

import type { Interface, Way } from "./accounting.ts";
import { whyNotMonitored } from "./reasons.ts";
import { count, grouped, share } from "./words.ts";

export function interfaceName({ ifindex, name }: Interface): string {
  if (name !== null) return name;
  return ifindex === 0 ? "older ones together" : `number ${ifindex}`;
}

export function monitoring({ isMonitored, reason }: Interface): string {
  if (isMonitored) return "yes";
  return reason === null ? "no" : `no, ${whyNotMonitored(reason)}`;
}

/** Returns true if ingress counts there, or did before the kind of the interface was known. */
export function enteringCounts({ isMonitored, entering }: Interface): boolean {
  return isMonitored || entering.frames > 0;
}

/** Returns true if egress counts there, rather than ingress elsewhere. */
export function leavingCounts({ leaving }: Interface): boolean {
  return leaving.ipPackets > 0 || leaving.unexplained !== null;
}

/** The difference to the kernel's count, one line for each direction that is seen in full. */
export interface Unexplained {
  /** `null` if no direction is seen in full. */
  readonly words: string | null;
  readonly detail: string;
  /** Packets in either direction, for the order. */
  readonly packets: number;
}

export function unexplained({ entering, leaving, rxPackets, txPackets }: Interface): Unexplained {
  const ways = [
    { name: "in", way: entering, kernel: rxPackets },
    { name: "out", way: leaving, kernel: txPackets },
  ].flatMap(({ name, way, kernel }) => {
    const packets = way.unexplained;
    return packets === null ? [] : [{ name, packets, whole: wholeOf(way, kernel) }];
  });
  const some = ways.filter(({ packets }) => packets !== 0);
  return {
    words: ways.length === 0 ? null : some.length === 0 ? "0" : some.map(line).join("\n"),
    detail: some.map(detail).join("; "),
    packets: some.reduce((sum, { packets }) => sum + Math.abs(packets), 0),
  };

  function line({ name, packets, whole }: Difference): string {
    const sign = packets < 0 ? "−" : "";
    return `${sign}${grouped(Math.abs(packets))}${ways.length > 1 ? ` ${name}` : ""} (${share(Math.abs(packets), whole)})`;
  }
}

interface Difference {
  readonly name: string;
  readonly packets: number;
  /** The larger of the two counts: the difference is a part of it. */
  readonly whole: number;
}

function wholeOf({ frames }: Way, kernel: number): number {
  return Math.max(frames, kernel);
}

function detail({ name, packets }: Difference): string {
  const [direction, comparison] = [name === "in" ? "coming in" : "going out", packets < 0 ? "fewer" : "more"];
  return `${direction}, the kernel counted ${grouped(Math.abs(packets))} ${comparison} than were seen`;
}

/** Natural order of names: eth2 before eth10. */
export function compareNames(a: string, b: string): number {
  return NAMES.compare(a, b);
}

const NAMES = new Intl.Collator("en", { numeric: true });

/** Such as `2 monitored, 1 not, 3 gone`. */
export function interfacesInBrief(interfaces: readonly Interface[]): string {
  const here = interfaces.filter((row) => !row.isGone);
  const monitored = here.filter((row) => row.isMonitored).length;
  const parts = [`${monitored} monitored`];
  if (monitored < here.length) parts.push(`${here.length - monitored} not`);
  if (here.length < interfaces.length) parts.push(`${interfaces.length - here.length} gone`);
  return parts.join(", ");
}

export function goneInBrief(gone: number): string {
  return `${count(gone, "interface")} that ${gone === 1 ? "is" : "are"} gone`;
}
