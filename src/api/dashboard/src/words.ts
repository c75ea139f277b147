// Numbers and limits as people read them.

import type { Limits } from "./model.ts";

const BYTES_PER_MB = 1_000_000;

/** Megabytes to three decimals, such as `30.840`. */
export function megabytes(bytes: number): string {
  return (bytes / BYTES_PER_MB).toFixed(3);
}

/** Megabytes with as many decimals as the number needs, such as `1000MB` or `0.02MB`. */
export function roundMegabytes(bytes: number): string {
  return `${Number((bytes / BYTES_PER_MB).toFixed(6))}MB`;
}

/** One sentence per detector, saying when it alerts. */
export function limitSentences(limits: Limits): string[] {
  const { bytesMax, trafficSeconds, hostsMax, portsMax, portSeconds } = limits;
  return [
    `Traffic Alert: More than ${roundMegabytes(bytesMax)} per ${seconds(trafficSeconds)}`,
    hostsMax === null
      ? "Scanning Alert: off"
      : `Scanning Alert: More than ${count(hostsMax, "host")} contacted per ${seconds(trafficSeconds)}`,
    portsMax === null
      ? "Port Scanning Alert: off"
      : `Port Scanning Alert: More than ${count(portsMax, "port")} contacted per ${seconds(portSeconds)}`,
  ];
}

/** `1 host`, `2 hosts`. */
export function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? "" : "s"}`;
}

export function seconds(n: number): string {
  return count(n, "second");
}
