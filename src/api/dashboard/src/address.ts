// The order of IP addresses by value.

/** Orders IPv4 before IPv6 and each by value, so that 10.0.0.9 comes before 10.0.0.10. */
export function compareAddresses(a: string, b: string): number {
  const left = knownGroups(a);
  const right = knownGroups(b);
  if (left.length !== right.length) return left.length - right.length;
  for (const [i, group] of left.entries()) {
    const difference = group - (right[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return a < b ? -1 : Number(a > b);
}

/** Sorting compares each address many times, so its numbers are kept. */
const known = new Map<string, number[]>();
const KNOWN_MAX = 200_000;

function knownGroups(address: string): number[] {
  let numbers = known.get(address);
  if (numbers === undefined) {
    numbers = groups(address);
    if (known.size >= KNOWN_MAX) known.clear();
    known.set(address, numbers);
  }
  return numbers;
}

/** Returns the four numbers of IPv4 or the eight of IPv6; the server has checked the text. */
function groups(address: string): number[] {
  if (!address.includes(":")) return address.split(".").map(Number);
  // ::ffff:192.0.2.1 ends in two groups written as IPv4.
  const hex = address.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, ...bytes: string[]) => {
    const [a = 0, b = 0, c = 0, d = 0] = bytes.slice(0, 4).map(Number);
    return `${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`;
  });
  const [head = "", tail] = hex.split("::");
  const parse = (part: string) => (part === "" ? [] : part.split(":").map((group) => parseInt(group, 16)));
  const front = parse(head);
  if (tail === undefined) return front;
  const back = parse(tail);
  return [...front, ...new Array<number>(Math.max(0, 8 - front.length - back.length)).fill(0), ...back];
}
