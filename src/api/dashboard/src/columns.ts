// Columns that several tables have.

import { compareAddresses } from "./address.ts";
import { type Column, setText, setTextAndTitle } from "./table.ts";
import { exactBytes, readableBytes } from "./words.ts";

export function addressColumn<Row>(title: string, address: (row: Row) => string): Column<Row> {
  return {
    title,
    compare: (a, b) => compareAddresses(address(a), address(b)),
    fill: (cell, row) => fillAddress(cell, address(row)),
  };
}

export function fillAddress(cell: HTMLElement, address: string): void {
  cell.classList.add("address");
  // IPv6 may be broken anywhere, IPv4 is short enough to stay whole.
  cell.classList.toggle("long", address.includes(":"));
  setText(cell, address || "–");
}

export function bytesColumn<Row>(title: string, bytes: (row: Row) => number): Column<Row> {
  return {
    title,
    numeric: true,
    compare: (a, b) => bytes(a) - bytes(b),
    fill: (cell, row) => setTextAndTitle(cell, readableBytes(bytes(row)), exactBytes(bytes(row))),
  };
}
